# SPDX-License-Identifier: MIT
"""Faults in root mode while the VMMs run: the core is lost, and what is elsewhere goes on."""

import re
import shutil
import subprocess
import sys

import pytest

from appliance import (
    ENDS_BY_ITSELF, HASWELL, ROOT, SKYLAKE, Record, Run, linux, make_iso, runs, vm, wait_for,
)
from debugger import HELLO_LIFE, Scenario, complaints

sys.path.insert(0, str(ROOT / "ci"))

from launcher.qemu import OVMF_PAIRS, QEMU  # noqa: E402

UD = r"exception 6 \(#UD invalid opcode\) in root mode at [0-9a-f]{16}"


def lives(name):
    return rf"{name}\| {HELLO_LIFE}"


def goes_on(name, core, **keys):
    return vm(name, "hello", cmdline="period=20", cores=core, **keys)


def lost(bench):
    bench.wait(r"beside ended: crash: core \d was lost: ", 0)


BACKTRACE_DEPTH = 24


def check_report(record, core, reason, function):
    """The log has the whole story of the core that was lost."""
    lines = record.texts("panic")
    assert re.fullmatch(rf"core {core} is lost, with (no vCPU|\w+/\d):", lines[0]), record
    assert re.match(reason, lines[1]), record
    frames = [line.split() for line in lines if line.startswith("  #")]
    assert frames[0][0] == "#0" and frames[0][2].startswith(f"{function}+"), record
    if len(frames) < BACKTRACE_DEPTH:  # to where the core began
        assert re.match(r"(boot_core_main|start_core64)\+", frames[-1][2]), record
        assert not any(line.startswith("  (") for line in lines), record
    if not reason.startswith(("asked for", "src/")):  # a panic, in which no registers count
        assert any(line.startswith("rax ") for line in lines), record


# ---- values that no CPU takes -----------------------------------------------------------------------

# By the VM's number (vcpu/selftest.h); all share core 0 with one that nothing happens to.
REFUSED = {
    "dr6": "the CPU does not take DR6 = 1ffff0ff0",
    "kernel-gs": "the CPU does not take IA32_KERNEL_GS_BASE = 8000000000000000",
    "lstar": "the CPU does not take IA32_LSTAR = 800000000000",
    "xcr0": "the CPU does not take XCR0 = 5",
    "mxcsr": "the CPU does not take MXCSR = ffffffff",
    "xstate": r"the CPU does not take XSTATE_BV = 40000000\w{8}",
    "rip": "VM entry would be refused: GUEST_RIP = 1000000000000: .*",
}


@runs(Run(ENDS_BY_ITSELF + "".join(vm(name, "spin", cores="0") for name in REFUSED) +
          vm("good", "count", cmdline="ticks=20 period=20", cores="0"),
          cpus=1, cmdline="test.fault=guest-values"))
def test_a_value_that_faults_ends_its_vm_alone(record):
    """D2, D10: the record names register and value; the core goes on with the VM beside them."""
    record.check_failed("dr6: the CPU does not take .*")
    record.check_sound()
    for name, reason in REFUSED.items():
        assert re.fullmatch(f"crash: {reason}", record.ended(name)), record
    assert record.ended("good") == "exit 0", record


# ---- the boot core, and gdb after it ---------------------------------------------------------------

# `beside` has a vCPU on core 0 that waits for its start-up IPI, and one on core 1.
BOOT_CORE = Scenario("boot-core", vm("here", "hello", cmdline="period=20", cores="0") +
                     goes_on("beside", "0-1", vcpus=2) + goes_on("stays", "1") +
                     goes_on("other", "2"),
                     cpus=(SKYLAKE,), processors=3, prepare=lost,
                     life={"stays": lives("stays"), "other": lives("other")},
                     cmdline="test.fault=core-ud test.core=0 test.after=300")


@BOOT_CORE.check
def test_the_console_is_another_cores(bench):
    since = bench.now
    bench.type("\x1dh")
    bench.wait("core [12]: console: Ctrl-] and a number", since)


@BOOT_CORE.check
def test_gdb_after_the_loss(bench):
    """It stops, steps and asks what is left, and is told of what is not."""
    gdb = bench.gdb("hello.elf")
    out = gdb.connect()  # to the first VM that has not ended
    assert "Thread 3.1 (stays/0 " in gdb("info threads"), out
    gdb("break tick")
    assert "Breakpoint 1, tick (" in gdb("continue")
    before = gdb.value("$pc")
    gdb("stepi")
    assert gdb.value("$pc") != before
    gdb("delete")
    bench.stands("stays", lambda: None)
    out = gdb("monitor cores")
    assert re.search(rf"^core 0 .*: lost: {UD}$", out, re.M), out
    assert re.search(r"^core 1 .*: idle|runs stays/0", out, re.M), out
    gdb("add-inferior")
    gdb("inferior 2")
    out = gdb("attach 1")
    assert "failed" in out, out
    gdb("inferior 1")
    bench.detach(gdb)


@BOOT_CORE.check_console
def test_the_vms_of_a_lost_core_end(record):
    """The one whose only vCPU ran there, and the one with a vCPU asleep there."""
    check_report(record, 0, UD, "undefined_opcode")
    assert re.fullmatch(rf"crash: core 0 was lost: {UD}", record.ended("here")), record
    assert re.fullmatch(rf"crash: core 0 was lost: {UD}", record.ended("beside")), record
    assert record.ended("stays") is None and record.ended("other") is None, record
    assert {line.core for line in record.log if line.text.startswith("here ended")} <= {1, 2}


# ---- another core --------------------------------------------------------------------------------

def fault(name, cpu=SKYLAKE, core=1, period=20):
    """VM `stays` is elsewhere and ends by itself, long after the loss."""
    config = (ENDS_BY_ITSELF + vm("busy", "spin", cores=core) +
              vm("stays", "hello", cmdline=f"ticks=60 period={period}", cores="2"))
    return Run(config, cpu=cpu, cpus=3,
               cmdline=f"watchdog=1 test.core={core} test.after=300 test.fault={name}")


LOST = {"core-ud": (UD, "undefined_opcode"),
        "core-pf": (r"exception 14 \(#PF page fault\) in root mode at \w+, error code 2",
                    "write_nowhere"),
        "core-df": (r"exception 8 \(#DF double fault\) in root mode", "grow_stack"),
        "core-panic": ("asked for by test.fault", "do_panic"),
        "core-log": (UD, "fault_with_log"),
        "core-screen": (r"exception 14 \(#PF page fault\) in root mode at \w+, error code 2",
                        "surface_put"),
        "core-assert": (r"src/smp/lost_test\.c:\d+: assertion failed: \(lost_next\(.*== this_core\(\)",
                        "assert_another_core"),
        "core-loop": ("stuck for 1 s in root mode at", "loop")}


@pytest.mark.parametrize("record", [
    fault("core-ud", cpu=HASWELL),
    pytest.param(fault("core-pf"), marks=pytest.mark.long),
    pytest.param(fault("core-df", core=0), marks=pytest.mark.long),
    pytest.param(fault("core-panic"), marks=pytest.mark.long),
    fault("core-assert"),
    fault("core-loop", period=60),
    pytest.param(fault("core-loop", cpu=HASWELL, core=0, period=60), marks=pytest.mark.long),
    fault("core-log", core=0), fault("core-screen", core=0)], indirect=True, ids=str)
def test_vms_elsewhere_go_on_to_their_end(record):
    """Also when the core is stuck, when it has the log's lock, which is taken from it, and when it
    draws: the next one does not draw."""
    name = record.run.cmdline.rpartition("=")[2]
    core = int(re.search(r"test.core=(\d)", record.run.cmdline)[1])
    reason, function = LOST[name]
    assert record.status == 1, record
    check_report(record, core, reason, function)
    assert record.texts("panic")[0] == f"core {core} is lost, with busy/0:", record
    assert re.match(rf"crash: core {core} was lost: ", record.ended("busy")), record
    assert record.ended("stays") == "exit 0", record
    ticks = [line for line in record.guest("stays") if line.startswith("hello: tick ")]
    assert len(ticks) == 60, record
    loss = next(line.time for line in record.log if line.part == "panic")
    assert loss < record.when("vm", "stays ended: exit 0")[0], record
    assert record.done.startswith(f"failed: core {core} was lost: "), record


@pytest.mark.long
@runs(Run(ENDS_BY_ITSELF +
          linux("goes", "while :; do md5sum /bin/busybox; done", vcpus=2, cores="1-2") +
          linux("stays", "md5sum /bin/busybox; sleep 6; md5sum /bin/busybox", vcpus=2, cores="0,2"),
          cpus=3, cmdline="test.core=1 test.after=6000 test.fault=core-ud"))
def test_linux_beside_a_lost_core(record):
    """It shares its other core with a VM that has lost one, and neither sees nor says anything."""
    assert record.ended("goes").startswith("crash: core 1 was lost: "), record
    assert record.ended("stays") == "poweroff", record
    sums = [line for line in record.guest("stays") if line.endswith(" /bin/busybox")]
    assert len(sums) == 2 and sums[0] == sums[1], record
    assert not complaints(record, "stays"), record
    loss, = [line.time for line in record.log if line.text.startswith("core 1 is lost, with ")]
    assert loss < record.when("vm", "stays ended: poweroff")[0], record


@pytest.mark.parametrize("record", [fault("core-held")], indirect=True, ids=str)
def test_a_lock_of_a_lost_core_is_the_end(record):
    """What it guards may be half written."""
    assert record.status == 1, record
    check_report(record, 1, UD, "fault_with_lock")
    assert re.fullmatch(f"failed: core 1 was lost with a lock held: {UD}", record.done), record
    frames = [line.split()[2] for line in record.texts("panic") if line.startswith("  #")]
    assert any(frame.startswith("want_lock+") for frame in frames), record


@pytest.mark.parametrize("record", [fault("core-interrupt")], indirect=True, ids=str)
def test_a_backtrace_goes_through_an_interrupt(record):
    """To what was interrupted, and on to what had called that."""
    check_report(record, 1, UD, "undefined_opcode")
    frames = [line.split()[2].partition("+")[0] for line in record.texts("panic")
              if line.startswith("  #")]
    assert frames[:4] == ["undefined_opcode", "trap_dispatch", "dispatch",
                          "fault_in_interrupt"], record
    assert "timers_run" in frames, record


# ---- what is left to the next start ----------------------------------------------------------------

LEFT = "the last start left a record: "


def left(record):
    """What the next start says that the last one had left."""
    return [text.removeprefix(LEFT) for text in record.texts("boot") if text.startswith(LEFT)]


@runs(Run(ENDS_BY_ITSELF + vm("busy", "hello", cmdline="ticks=25 period=20", cores="1") +
          vm("stays", "hello", cmdline="ticks=25 period=20", cores="0"),
          cmdline="test.core=1 test.after=300 panic=reboot test.fault=core-ud,once"))
def test_the_next_start_prints_it(record):
    """It is the same text. The start after the reset finds no fault to make, and ends well."""
    check_report(record, 1, UD, "undefined_opcode")
    assert left(record) == record.texts("panic"), record
    starts = [text for text in record.texts("appliance") if text.startswith("starts again: ")]
    assert len(starts) == 1, record
    assert re.fullmatch(f"starts again: failed: core 1 was lost: {UD}", starts[0]), record
    assert record.status == 0 and record.done == "ok", record


@runs(Run(vm("hello"), cmdline="panic=stay test.fault=panic", script=lambda console: console.until(
    "appliance: done: failed: asked for by test.fault"), ends=False))
def test_it_stays_if_it_is_to(record):
    """The launcher ends the machine."""
    assert "ended by SIGTERM" in record.message or "asked for" in record.message, record
    assert not left(record), record


@pytest.mark.skipif(shutil.which(QEMU) is None, reason="needs QEMU")
@pytest.mark.parametrize("firmware", ["bios", pytest.param("uefi", marks=pytest.mark.long)])
def test_firmware_leaves_it_alone(firmware, tmp_path):
    """SeaBIOS and OVMF, with a fault before VMX is looked for, which QEMU's emulator has not. Each
    record is printed by one start only: the third finds none, and so makes the fault again."""
    run = Run(vm("hello"), cmdline="panic=reboot test.fault=ud,once")
    iso, console = make_iso(run, tmp_path), tmp_path / "console"
    command = [QEMU, "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "512",
               "-no-user-config", "-nodefaults", "-display", "none", "-vga", "std", "-no-shutdown",
               "-serial", f"file:{console}", "-cdrom", iso, "-monitor", "stdio"]
    if firmware == "uefi":
        code, variables = next(pair for pair in OVMF_PAIRS if all(file.exists() for file in pair))
        shutil.copyfile(variables, tmp_path / "variables")
        command += ["-drive", f"if=pflash,format=raw,readonly=on,file={code}",
                    "-drive", f"if=pflash,format=raw,file={tmp_path / 'variables'}"]

    def ends():
        return console.exists() and len(re.findall(rb"appliance: done: .*\n", console.read_bytes()))

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as qemu:
        try:
            wait_for(lambda: ends() == 1)
            qemu.stdin.write("system_reset\ncont\n")
            qemu.stdin.flush()
            wait_for(lambda: ends() == 2)
        finally:
            qemu.kill()
    record = Record(run, 0, "", console.read_bytes())
    panic = record.texts("panic")
    assert len(panic) > 12 and sum(bool(re.match(UD, line)) for line in panic) == 2, record
    assert left(record) == panic, record
    assert "this CPU has no VMX" in record.done, record
