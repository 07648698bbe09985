# SPDX-License-Identifier: MIT
"""The local APIC, its interrupts between vCPUs, NMIs and start-up, by the guest `apic`: with APICv,
without it, and with each capability taken away."""

import re

import pytest

from appliance import ENDS_BY_ITSELF, HASWELL, SKYLAKE, Run, on_each_cpu, runs, vm

MODES = ("x2apic", "xapic")
TIMES = 1000  # counted.c does each thing so often
SETUP = 60  # more exits than that the start of a CPU does not take

# A core each: they measure time.
ALONE = (ENDS_BY_ITSELF + vm("x2apic", "apic", cores="0") +
         vm("xapic", "apic", cmdline="xapic", cores="1"))

# Two vCPUs and more on a core. The listener must hear nothing of all that, broadcasts included.
TOGETHER = (ENDS_BY_ITSELF + vm("listener", "apic", cmdline="only=listen", vcpus=2) +
            vm("x2apic", "apic", cmdline="only=destinations", vcpus=4) +
            vm("xapic", "apic", cmdline="only=destinations xapic", vcpus=5) +
            vm("start-x2apic", "apic", cmdline="only=startup", vcpus=3) +
            vm("start-xapic", "apic", cmdline="only=startup xapic", vcpus=3) +
            vm("bsp", "apic", cmdline="only=startup bsp", vcpus=2, reset="stop"))

OTHERS = [*MODES, *(f"start-{name}" for name in MODES), "bsp"]


def end_listening(console):
    """The listener has the keyboard."""
    for name in OTHERS:
        console.until(rf"vm: {name} ended: .*\n")
    console.type("\r")
    console.rest()


# A core for each vCPU: nothing but what they do themselves makes them leave the guest.
COUNTED = (ENDS_BY_ITSELF + vm("x2apic", "apic", cmdline="only=exits", vcpus=2, cores="0-1") +
           vm("xapic", "apic", cmdline="only=exits xapic", vcpus=2, cores="2-3"))

# What has to do with interrupts and timers, and is not there on every CPU.
ABSENT = ["PIN_POSTED_INTERRUPTS", "PIN_PREEMPTION_TIMER", "PRIMARY_TPR_SHADOW",
          "SECONDARY_APIC_ACCESSES", "SECONDARY_X2APIC", "SECONDARY_APIC_REGISTERS",
          "SECONDARY_VIRTUAL_INTERRUPT_DELIVERY", "SECONDARY_VPID", "SECONDARY_PAUSE_LOOP_EXITING"]
APICV = {"PIN_POSTED_INTERRUPTS", "PRIMARY_TPR_SHADOW", "SECONDARY_APIC_ACCESSES",
         "SECONDARY_APIC_REGISTERS", "SECONDARY_VIRTUAL_INTERRUPT_DELIVERY"}


def with_each_taken_away(config, **options):
    """A run for each of these controls, on a CPU that has them all, and without a few at once on
    one that has few."""
    lanes = [(name, SKYLAKE) for name in ABSENT]
    lanes += [("PRIMARY_TPR_SHADOW,PIN_PREEMPTION_TIMER,SECONDARY_VPID", HASWELL)]
    return pytest.mark.parametrize("record", [
        pytest.param(Run(config, cpu=cpu, cmdline=f"vmx.disable={names}", **options), id=names,
                     marks=pytest.mark.long) for names, cpu in lanes], indirect=True)


def absent(record):
    """What the run's CPU is treated as not having."""
    names = set(filter(None, record.run.cmdline.partition("=")[2].split(",")))
    return names | ({"PIN_POSTED_INTERRUPTS"} if record.run.cpu == HASWELL else set())


def check_local_apic(record, name):
    record.check_passed(name, "F3", "F4", "F5", "F8")
    ended = re.search(r"apic: (\d+) level-triggered interrupts were ended",
                      "\n".join(record.guest(name)))
    assert int(ended[1]) >= 10, record
    if absent(record) & (APICV | ({"SECONDARY_X2APIC"} if name == "x2apic" else set())):
        assert "VIRTUALIZED_EOI" not in record.exits(name), record
    else:  # the EOI-exit bitmap has these and no others
        assert record.exits(name)["VIRTUALIZED_EOI"] == int(ended[1]), record


def check_together(record):
    record.check_done()
    for name in MODES:
        record.check_passed(name, "F6", "F8", "F11")
        record.check_passed(f"start-{name}", "F11")
    assert "bsp reset (INIT to the boot processor)" in record.life("bsp"), record
    assert record.ended("bsp") == "reset", record
    record.check_passed("listener", "F11")


def check_counted(record, name):
    record.check_passed(name, "F5", "F6")
    gone = absent(record)
    count = record.exits(name, 1)
    posted = re.search(rf"^{name} vcpu 1: interrupts posted (\d+), injected (\d+);",
                       "\n".join(record.texts("vm")), re.MULTILINE)
    assert int(posted[1]) >= TIMES, record
    # MOV to CR8 is virtualized by the TPR shadow alone.
    assert (count.get("CR_ACCESS", 0) >= TIMES) == ("PRIMARY_TPR_SHADOW" in gone), record
    # By instructions: 3 * TIMES writes of the TPR, twice TIMES self-IPIs, and each interrupt's EOI.
    writes = count.get("WRMSR" if name == "x2apic" else "EPT_VIOLATION", 0)
    if gone & APICV:
        assert writes >= 8 * TIMES, record
        assert count["EXTERNAL_INTERRUPT"] >= TIMES, record
        assert int(posted[2]) >= 3 * TIMES, record
    elif name == "x2apic" and "SECONDARY_X2APIC" in gone:
        assert writes >= 8 * TIMES, record
        assert count.get("EXTERNAL_INTERRUPT", 0) < SETUP and int(posted[2]) == 0, record
    else:
        assert sum(count.values()) < SETUP, record
        assert int(posted[2]) == 0, record


local_apic = pytest.mark.parametrize("name", MODES)


@on_each_cpu(ALONE)
@local_apic
def test_local_apic(record, name):
    """F3: modes and what each keeps, LVT, errors, timer, ExtINT. F4: TPR, CR8 and PPR. F5: nested
    interrupts, EOI, level-triggered ones by the IOAPIC. F8: NMIs blocked and latched."""
    record.check_done()
    check_local_apic(record, name)


@on_each_cpu(TOGETHER, script=end_listening)
def test_between_vcpus(record):
    """F11: every destination, INIT and start-up; nothing leaves the VM. F6: whatever state the
    receiver is in. F8: NMIs to one vCPU and to several."""
    check_together(record)


@on_each_cpu(COUNTED, cpus=4)
@local_apic
def test_exits(record, name):
    """F4, F5: with APICv, TPR writes, EOIs and self-IPIs cost no exit. F6: nor does an IPI cost its
    receiver one. Without it they do."""
    record.check_done()
    check_counted(record, name)


@with_each_taken_away(ALONE)
def test_local_apic_without(record):
    """F3, F4, F5, F8: the same, whatever the CPU has not."""
    record.check_done()
    for name in MODES:
        check_local_apic(record, name)


@with_each_taken_away(TOGETHER, script=end_listening)
def test_between_vcpus_without(record):
    """F6, F8, F11."""
    check_together(record)


@with_each_taken_away(COUNTED, cpus=4)
def test_exits_without(record):
    """F4, F5, F6: the exits come back with what was taken away, and only those."""
    record.check_done()
    for name in MODES:
        check_counted(record, name)


# More than one cluster of x2APIC's logical IDs (16 each), flat with all its 8, all on one core.
MANY = (ENDS_BY_ITSELF + vm("x2apic", "apic", cmdline="only=destinations", vcpus=20) +
        vm("xapic", "apic", cmdline="only=destinations xapic", vcpus=8) +
        vm("many-xapic", "apic", cmdline="only=destinations xapic", vcpus=18))


@pytest.mark.long
@on_each_cpu(MANY, cpus=4)
def test_many_destinations(record):
    """F6, F8, F11: clusters."""
    record.check_done()
    for name in ["x2apic", "xapic", "many-xapic"]:
        record.check_passed(name, "F6", "F8", "F11")


@pytest.mark.long
@runs(*(Run(TOGETHER, cpus=cpus, script=end_listening) for cpus in (1, 4)))
def test_between_vcpus_on_other_numbers_of_cores(record):
    """F6, F8, F11: all vCPUs on one core, and most of them on a core of their own."""
    check_together(record)
