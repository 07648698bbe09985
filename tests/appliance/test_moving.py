# SPDX-License-Identifier: MIT
"""vCPUs that move from core to core while they run: by the monitor, by the appliance when a core has
nothing to do, and all the time by test.move."""

import re

import pytest

from appliance import CPU_MODELS, ENDS_BY_ITSELF, HASWELL, SKYLAKE, Run, linux, on_each_cpu, runs, vm
from debugger import HELLO_LIFE, Scenario, complaints

MOVED = re.compile(r"(\S+) vcpu (\d+): interrupts posted (\d+), injected \d+; woken \d+, moved (\d+)")


def moves(record, name):
    """How often each vCPU of a VM has moved, by the log at its end."""
    found = [MOVED.match(text) for text in record.texts("vm")]
    return [int(match[4]) for match in found if match and match[1] == name]


# ---- all the time ---------------------------------------------------------------------------------

STORM = ENDS_BY_ITSELF + vm("eight", "smp", vcpus=8, cmdline="storm=20000")
MILLION = ENDS_BY_ITSELF + vm("eight", "smp", vcpus=8, cmdline="storm=1000000")


def check_storm(record, count, least):
    record.check_done()
    record.check_passed("eight", "F6", "F8", "F11")
    assert [line for line in record.guest("eight") if line.endswith(
        f"a storm of {count} interrupts between 8 CPUs: {count} were taken")], record
    counts = moves(record, "eight")
    assert len(counts) == 8 and min(counts) >= least, record


@on_each_cpu(STORM, cpus=4, cmdline="test.move=50")
def test_storm_between_moving_vcpus(record):
    """F6, F8, F11: INIT, SIPI, NMIs and IPIs to vCPUs that run, sleep, wait and move: none lost, none
    taken twice."""
    check_storm(record, 20000, 100)


@pytest.mark.long
@on_each_cpu(MILLION, cpus=4, cmdline="test.move=100")
def test_storm_of_a_million_between_moving_vcpus(record):
    """F6, F11."""
    check_storm(record, 1000000, 1000)


def until_the_storm_is_over(console):
    console.until("eight ended: exit 0")
    console.until("again reset .*, starting it again", times=4)


@pytest.mark.long
@on_each_cpu(vm("again", "faults", vcpus=2, cmdline="reset") +
             vm("again3", "faults", vcpus=3, cmdline="triple") +
             vm("eight", "smp", vcpus=8, cmdline="storm=20000"), cmdline="test.move=100",
             script=until_the_storm_is_over, ends=False)
def test_vms_that_start_again_while_they_move(record):
    """D10, F6, F11: nobody is lost on the way, whatever state it was in."""
    record.check_sound()
    record.check_passed("eight", "F6", "F11")


DEVICES = (ENDS_BY_ITSELF + vm("x2apic", "devices") + vm("xapic", "devices", cmdline="xapic") +
           vm("modes"))


@pytest.mark.long
@on_each_cpu(DEVICES, cpus=2, cmdline="test.move=1000")
def test_devices_of_moving_vcpus(record):
    """B4, F10: timers go with the vCPU, and the guest's time is the same on each core."""
    record.check_done()
    for name in ["x2apic", "xapic"]:
        record.check_passed(name, "F10")
        assert moves(record, name)[0] > 10, record
    record.check_passed("modes", "B4")


BUSY = ("nproc; for i in $(seq 8); do (for j in $(seq 20); do cat /proc/uptime >/dev/null; done) & "
        "done; wait; echo 0 >/sys/devices/system/cpu/cpu2/online; nproc; "
        "echo 1 >/sys/devices/system/cpu/cpu2/online; nproc; grep -E 'SPU|ERR' /proc/interrupts; "
        "cat /sys/devices/system/clocksource/clocksource0/current_clocksource")


@pytest.mark.long
@runs(*(Run(ENDS_BY_ITSELF + linux("linux", run=BUSY, cmdline="loglevel=4", vcpus=4), cpu=cpu,
            cpus=cpus, cmdline="test.move=200") for cpu, cpus in ((SKYLAKE, 2), (HASWELL, 4))))
def test_linux_on_moving_vcpus(record):
    """F6, F11: it finds nothing to complain of, its clock included."""
    record.check_done()
    lines = record.guest("linux")
    assert [line for line in lines if line.isdigit()] == ["4", "3", "4"], record
    spurious = [line for line in lines if line.startswith("SPU:")]
    assert [line.split() for line in spurious] == \
        [["SPU:", "0", "0", "0", "0", "Spurious", "interrupts"]], record
    assert complaints(record, "linux") == spurious and "tsc" in lines, record
    assert min(moves(record, "linux")) > 1000, record


# ---- when a core has nothing to do ----------------------------------------------------------------

COUNT = "before=2 ticks=10 after=2 share=90"


def spinners(cores):
    """Two that spin, on core 0 both, once the one on core 1 has ended; and one that must stay."""
    return (ENDS_BY_ITSELF + vm("first", "count", cmdline=COUNT, cores=cores) +
            vm("short", "count", cmdline="ticks=1", cores="1") +
            vm("second", "count", cmdline="before=2 ticks=10 after=2", cores=cores))


@on_each_cpu(spinners("0-1"), cpus=2)
def test_idle_core_takes_work(record):
    """A11: with a core for each, both have it for themselves."""
    record.check_done()
    record.check_passed("first", "A11")
    assert sorted(moves(record, "first") + moves(record, "second")) == [0, 1], record
    assert moves(record, "short") == [0], record


@runs(Run(spinners("0").replace(" share=90", ""), cpus=2))
def test_idle_core_takes_nobody_who_may_not_go_there(record):
    """A11: both stay, and share their core."""
    record.check_done()
    for name in ["first", "second"]:
        record.check_passed(name, "A11")
        assert moves(record, name) == [0], record


# ---- by the monitor -------------------------------------------------------------------------------

MONITOR = Scenario("moving", vm("hello", cmdline="period=20") +
                   vm("storm", "smp", vcpus=4, cmdline="storm=60000") + vm("here", "spin", cores="1"),
                   cpus=CPU_MODELS, life={"hello": HELLO_LIFE})


@MONITOR.check
def test_running_vcpus_move(bench):
    """C4, F6: by hand, one after the other, while interrupts are on their way between them."""
    gdb = bench.attach("hello.elf")
    since = bench.now
    for turn in range(40):
        gdb(f"monitor move storm/{turn % 4} {turn // 4 % 2}")
    assert len(re.findall(r"^storm/\d .* moved [1-9]", gdb("monitor vcpus"), re.M)) == 4
    bench.detach(gdb)
    bench.wait(r"storm ended: exit 0", 0)
    assert "FAIL" not in bench.text[since:]


@MONITOR.check
def test_a_stopped_vcpu_moves(bench):
    """C4: it is as it was, on its new core: registers, steps, breakpoints."""
    gdb = bench.attach("hello.elf")
    gdb("break tick")
    gdb("continue")
    before = gdb("info registers")
    assert re.search("^hello/0 stopped on core 0", gdb("monitor vcpus"), re.M)
    assert gdb("monitor move 1") == "hello/0: core 0 -> core 1\n"
    assert gdb("info registers") == before
    assert re.search("^hello/0 stopped on core 1, .* moved 1$", gdb("monitor vcpus"), re.M)
    pc = gdb.value("$pc")
    gdb("stepi")
    assert gdb.value("$pc") > pc
    number = gdb.value("number")
    gdb("continue")
    assert gdb.value("number") == number + 1
    assert gdb("monitor move 0") == "hello/0: core 1 -> core 0\n"
    gdb("continue")
    assert gdb.value("number") == number + 2
    gdb("delete")
    bench.detach(gdb)


@MONITOR.check
def test_wrong_moves(bench):
    """Each says what is wrong, and nothing moves."""
    gdb = bench.attach("hello.elf")
    usage = "usage: move [VM/VCPU] CORE\n"
    assert gdb("monitor move") == gdb("monitor move x") == gdb("monitor move 1 2") == usage
    assert gdb("monitor move here/0") == gdb("monitor move here/0 ") == "no such vCPU\n"
    for which in ["storm/4 0", "strom/0 0", "/0 0", "storm/ 0", "storm/99999999999 0"]:
        assert gdb(f"monitor move {which}") == "no such vCPU\n"
    assert "may not run on core 0" in gdb("monitor move here/0 0")
    assert "may not run on core 2" in gdb("monitor move here/0 2")
    assert "may not run on core 100000" in gdb("monitor move hello/0 99999999999")
    assert re.search("^here/0 .* moved 0$", gdb("monitor vcpus"), re.M)
    bench.detach(gdb)
