# SPDX-License-Identifier: MIT
"""In QEMU with nested KVM, which runs in Bochs: with all that KVM offers, and without APICv. The
whole of `make smoke-nested` is beside this; here are the project's own guests, which look closer."""

import dataclasses
import re
import subprocess

import pytest

from appliance import ENDS_BY_ITSELF, ROOT, SKYLAKE, Run, vm
from test_intercept import CARRIED_OUT, carried_out, check_hits

LANES = {"apicv": "", "no-apicv": "enable_apicv=0"}
PATHS = {"apicv": "posted-interrupt descriptors",
         "no-apicv": "injection from the software local APIC"}

GUESTS = {"modes": ["B4", "E7"], "port": ["A6"], "msr": ["A8", "A9"], "vmx": ["C6"], "mmio": ["E2"]}
INTERRUPTS = {"x2apic": ["F6", "F8", "F11"], "xapic": ["F6", "F8", "F11"], "startup": ["F11"]}

ALONE = (
    ENDS_BY_ITSELF + vm("modes") + vm("hello", cmdline="ticks=3 period=10") +
    "".join(vm(word, "faults", cmdline=word, reset="stop") for word in [*list(GUESTS)[1:], "triple"]))
# Their CPUs take turns on two cores, which take turns themselves: not too many, they have limits.
TOGETHER = (
    ENDS_BY_ITSELF + vm("x2apic", "apic", cmdline="only=destinations", vcpus=3) +
    vm("xapic", "apic", cmdline="only=destinations xapic", vcpus=2) +
    vm("startup", "apic", cmdline="only=startup", vcpus=2))


def in_each_lane(run):
    return pytest.mark.parametrize("record", [
        pytest.param(dataclasses.replace(run, machine="nested", cpu=None, kvm=kvm), id=lane,
                     marks=pytest.mark.long) for lane, kvm in LANES.items()], indirect=True)


@in_each_lane(Run(ALONE))
def test_guests(record):
    """B4, E7, A6, A8, A9, C6, E2, D10."""
    for name, ids in GUESTS.items():
        record.check_passed(name, *ids)
    assert record.ended("hello") == "exit 0", record
    assert record.ended("triple") == "reset", record
    lane = next(lane for lane, kvm in LANES.items() if kvm == record.run.kvm)
    assert f"interrupts by {PATHS[lane]};" in "\n".join(record.texts("vmx")), record
    record.check_done()


@in_each_lane(Run(TOGETHER))
def test_interrupts(record):
    """F6, F8, F11."""
    for name, ids in INTERRUPTS.items():
        record.check_passed(name, *ids)
    record.check_done()


@in_each_lane(carried_out("count", SKYLAKE))
def test_interception(record):
    """A1, A2, A5 to A12: as KVM carries them out."""
    for name, _, items, ids in CARRIED_OUT:
        record.check_passed(name, *ids)
        check_hits(record, name, items)
    record.check_done()


@pytest.mark.long
@pytest.mark.parametrize("record", [
    Run(vm("hello", cmdline="period=300"), machine="nested", cpu=None)], indirect=True, ids=str)
def test_a_hang_is_told_by_ticks(record):
    """What never ends is ended after so many ticks, however long these took."""
    assert record.status == 1, record
    running = [(int(ticks), int(exits)) for ticks, exits in re.findall(
        r"nested: (\d+) M ticks: running, (\d+) exits to KVM", record.message)]
    assert len(running) > 10 and running == sorted(running), record
    failed = re.search(r"nested: (\d+) M ticks: failed: not done after 40 G ticks", record.message)
    assert failed and int(failed[1]) >= 40000, record


@pytest.mark.long
@pytest.mark.parametrize("lane", ["apicv", "no-apicv", "no-ad"])
def test_smoke(lane):
    """B1: from a CD and as a disk, under SeaBIOS and OVMF. C1: each control has a way without it."""
    done = subprocess.run([ROOT / "ci/smoke-nested", lane], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(rf"^smoke-nested: lane {lane}: ok; ", done.stdout, re.M), done.stdout
    assert re.search(r"nested: \d+ M ticks: running, \d+ exits to KVM", done.stdout), done.stdout
