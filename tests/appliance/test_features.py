# SPDX-License-Identifier: MIT
"""Each VMX feature that the appliance uses, taken away: another way, or a clear refusal (C1)."""

import pytest

from appliance import ARRANDALE, ENDS_BY_ITSELF, HASWELL, SKYLAKE, Run, vm

# A core each: they measure time.
GUESTS = (ENDS_BY_ITSELF + vm("devices", cores="0") + vm("smp", vcpus=2, cores="1") +
          vm("modes", cores="1") + vm("vmx", "faults", cmdline="vmx", cores="1"))
HELLO = ENDS_BY_ITSELF + vm("hello", cmdline="ticks=2 period=5")

REPLACED = [
    "SECONDARY_VPID", "PIN_PREEMPTION_TIMER", "SECONDARY_VIRTUAL_INTERRUPT_DELIVERY",
    "SECONDARY_APIC_REGISTERS", "SECONDARY_APIC_ACCESSES", "SECONDARY_X2APIC",
    "PIN_POSTED_INTERRUPTS", "PRIMARY_TPR_SHADOW", "SECONDARY_RDTSCP", "SECONDARY_INVPCID",
    "SECONDARY_PAUSE_LOOP_EXITING",
]
NEEDED = {
    "SECONDARY_EPT": "this CPU has no EPT with four levels",
    "SECONDARY_UNRESTRICTED_GUEST": "this CPU has no unrestricted guest mode",
    "PRIMARY_MSR_BITMAPS": "this CPU has no MSR or I/O bitmaps",
    "PRIMARY_IO_BITMAPS": "this CPU has no MSR or I/O bitmaps",
    "ENTRY_LOAD_EFER": "this CPU cannot switch IA32_EFER and IA32_PAT",
    "EXIT_ACKNOWLEDGE_INTERRUPT": "this CPU cannot exit on interrupts and acknowledge them",
    "PIN_NMI_EXITING": "this CPU cannot tell when a guest can take an interrupt or an NMI",
    "PIN_VIRTUAL_NMIS": "this CPU cannot tell when a guest can take an interrupt or an NMI",
    "EXIT_LOAD_PAT": "this CPU cannot switch IA32_EFER and IA32_PAT",
}


# The ways that differ most; the others only in the long tests.
SHORT = ("PIN_PREEMPTION_TIMER", "SECONDARY_VIRTUAL_INTERRUPT_DELIVERY",
         "PRIMARY_TPR_SHADOW,PIN_PREEMPTION_TIMER", "SECONDARY_EPT", "EXIT_ACKNOWLEDGE_INTERRUPT")


def without(names, config=GUESTS, cpu=SKYLAKE):
    return pytest.param(Run(config, cpu=cpu, cmdline=f"vmx.disable={names}"), id=names,
                        marks=[] if names in SHORT else [pytest.mark.long])


@pytest.mark.parametrize("record", [*map(without, REPLACED),
                                    without("PRIMARY_TPR_SHADOW,PIN_PREEMPTION_TIMER", cpu=HASWELL)],
                         indirect=True)
def test_guests_do_not_miss_it(record):
    for name in record.run.cmdline.partition("=")[2].split(","):
        assert f"{name} is treated as absent (vmx.disable)" in record.texts("vmx"), record
    for name in ["devices", "smp", "modes", "vmx"]:
        record.check_passed(name)
    record.check_done()


@pytest.mark.parametrize("record", [
    pytest.param(Run(GUESTS, cpu=ARRANDALE), id="as it is", marks=pytest.mark.long),
    pytest.param(Run(GUESTS, cpu=ARRANDALE, cmdline="vmx.disable=PIN_PREEMPTION_TIMER"),
                 id="PIN_PREEMPTION_TIMER"),
], indirect=True)
def test_an_older_cpu(record):
    """C1: without XSAVE, TSC-deadline timer, EPT's accessed flags, APICv and INVPCID."""
    for name in ["devices", "smp", "modes", "vmx"]:
        record.check_passed(name)
    record.check_done()


@pytest.mark.parametrize("record", [Run(HELLO, cmdline="vmx.disable=POSTED_INTERRUPTS,PIN_EPT")],
                         indirect=True, ids=str)
def test_a_name_that_is_none(record):
    for name in record.run.cmdline.partition("=")[2].split(","):
        assert f"vmx.disable: there is no control {name}" in record.texts("vmx"), record
    record.check_done()


@pytest.mark.parametrize("record", [without(name, HELLO) for name in NEEDED], indirect=True)
def test_refused_without_it(record):
    record.check_failed(NEEDED[record.run.cmdline.partition("=")[2]] + ".*")
    assert not [text for text in record.texts("vm") if "started" in text], record
