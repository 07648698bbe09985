# SPDX-License-Identifier: MIT
"""Guests that do what they should not (images/hostile): each comes to the end that is its own, and
nobody else notices."""

import re

import pytest

from appliance import (
    CPU_MODELS, ENDS_BY_ITSELF, HASWELL, LINUX_ON_THE_CPU, Run, linux, on_each_cpu, runs, vm,
)
from debugger import COMPLAINTS

# What each part of the guest is given; some need a second CPU.
PARTS = {
    "memory": "", "ports": "stride=7", "strings": "", "msrs": "", "registers": "",
    "hypercalls": "", "caches": "", "devices": "", "apic": "", "timers": "", "output": "",
    "vmx": "", "tables": "", "garbage": "", "ipis": "", "wakes": "",
}
ON_TWO = ("vmx", "tables", "garbage", "ipis", "wakes", "die")

# Garbage may end its VM in many ways, all of which are the VM's own: it finds a port that ends it,
# faults thrice, or comes upon something that only real memory can answer.
ENDS_OF_GARBAGE = re.compile(
    r"exit \d+|reset|poweroff|crash: (no emulation for the instruction .*|event \w+ cannot be delivered: .*|"
    r"an instruction that touches a device cannot be emulated .*|unexpected VM exit 9 \(TASK_SWITCH\))")


def hostile(name, part=None, **keys):
    """A VM that does one part, with words for it."""
    part = part or name
    words = f"part={part} {keys.pop('words', PARTS.get(part, ''))}"
    return vm(name, "hostile", cmdline=words, vcpus=2 if part in ON_TWO else 1, **keys)


def alone(seed, **words):
    return ENDS_BY_ITSELF + "".join(
        hostile(part, reset="stop", words=f"seed={seed} {words.get(part, PARTS[part])}")
        for part in PARTS)


def check_part(record, name):
    if name == "garbage":
        assert ENDS_OF_GARBAGE.fullmatch(record.ended(name)), record
        assert not record.verdicts(name, "FAIL"), record
        return
    assert not record.verdicts(name, "FAIL"), record
    assert record.ended(name) == "exit 0", record
    if name != "output":  # of which much is not to be read
        assert "PASS D10: " in "\n".join(record.guest(name)), record


@pytest.mark.parametrize(
    "record", [Run(alone(1)),
               pytest.param(Run(alone(2), cpu=HASWELL), marks=pytest.mark.long),
               pytest.param(Run(alone(3, ports=""), cpus=1), marks=pytest.mark.long),
               pytest.param(Run(alone(4, garbage="rounds=300"), cpus=4), marks=pytest.mark.long)],
    indirect=True, ids=str)
@pytest.mark.parametrize("part", PARTS)
def test_each_part(record, part):
    """D10, A6 to A10, C6, E2: what no guest has is answered as hardware answers; who does it comes to
    its end, and the appliance to its own."""
    record.check_sound()
    assert record.log[-1].text.startswith("done: "), record
    check_part(record, part)


# How a VM ends by what happens in a mode.
TRIPLE, NOT_RAM = "reset", r"crash: event \w+ cannot be delivered: \w+ is not RAM"
DEATHS = {
    ("real", "limits"): TRIPLE, ("real", "stack"): TRIPLE,
    ("protected", "limits"): TRIPLE, ("protected", "gates"): TRIPLE, ("protected", "stack"): NOT_RAM,
    ("protected", "task"): r"crash: unexpected VM exit 9 \(TASK_SWITCH\)",
    ("protected", "vector"): r"crash: no emulation for the instruction 0f 10( \w\w)+, which touches d0000000",
    ("v86", "gates"): TRIPLE,
    ("paged", "gates"): TRIPLE, ("paged", "stack"): TRIPLE,
    ("pae", "limits"): TRIPLE, ("pae", "stack"): TRIPLE,
    ("long", "limits"): TRIPLE, ("long", "stack"): TRIPLE, ("long", "cr3"): TRIPLE,
}


def dying():
    vms = [hostile(f"{mode}-{way}", "die", words=f"mode={mode} way={way}", reset="stop")
           for mode, way in DEATHS]
    return ENDS_BY_ITSELF + "".join(vms) + vm("hello", cmdline="ticks=20 period=10")


@on_each_cpu(dying())
@pytest.mark.parametrize("death", DEATHS, ids="-".join)
def test_death_in_each_mode(record, death):
    """D10: that VM stops with a record, the rest runs on."""
    record.check_sound()
    name = "-".join(death)
    assert re.fullmatch(DEATHS[death], record.ended(name)), record
    about = record.life(name)
    assert re.match(rf"{name} vcpu 1: exit ", about[1]), record
    if DEATHS[death] == TRIPLE:
        assert about[-2] == f"{name} reset (triple fault)", record
    assert record.ended("hello") == "exit 0", record


# On core 0 beside others of as much weight in all, which keep it as busy as they can: one of them
# from the other core. Its own measurement counts all that interrupts it for more than 300 ticks.
PACE = (ENDS_BY_ITSELF +
        vm("count", cmdline="gap=300 before=2 ticks=8 period=20", cores="0", weight=200) +
        hostile("wakes", words="passes=0", cores="0,1") +
        hostile("timers", words="passes=0", cores="0"))


def until_counted(console):
    console.until("count[|] [0-9]+ passed")


@runs(Run(PACE, script=until_counted, ends=False))
def test_pace(record):
    """A11: interrupts and start-up IPIs without end, sent to vCPUs that share its core, and timers
    that are always due, take no more from a guest than others' share."""
    record.check_sound()
    assert not record.verdicts("count", "FAIL"), record
    share = int(re.search(r"share (\d+) % of the core", "\n".join(record.guest("count")))[1])
    assert share >= 42, record


# What goes on for ever beside Linux, which has as much weight as all of them.
BESIDE = ["nmispin", "timers", "garbage", "wakes", "ipis", "registers", "output", "triple"]


def beside_linux(core):
    text = linux("linux", cores=core, weight=100 * len(BESIDE), run="try-steady", initrd="load.gz",
                 cmdline="loglevel=4")
    for name in BESIDE:
        if name == "nmispin":
            text += vm(name, "hostile", cmdline=name, cores="0")
        elif name == "triple":
            text += vm(name, "faults", cmdline=name, cores="0")
        else:
            text += hostile(name, words="passes=0", cores="0")
    return ENDS_BY_ITSELF + text


def until_linux_ended(console):
    console.until(r"vm: linux ended: .*\n")


# With one CPU a tick is an instruction: there the pace is exact. Half is its share, of which others'
# interrupts take some where there are no posted ones.
@pytest.mark.long
@pytest.mark.parametrize("record, pace", [
    (Run(beside_linux("0"), cpu=cpu, cpus=1, memory=1024, script=until_linux_ended, ends=False), 38)
    for cpu in CPU_MODELS] + [
    (Run(beside_linux("1"), cpus=2, memory=1024, script=until_linux_ended, ends=False), 0),
], indirect=["record"], ids=str)
def test_linux_keeps_its_pace(record, pace):
    """A11, D10: its memory, a file, its share of the CPU; and it has nothing to complain about."""
    name = "linux"
    record.check_sound()
    assert record.ended(name) == "poweroff", record
    lines = record.guest(name)
    assert "steady: checksum ok" in lines and "file: ok" in lines, record
    assert int(re.search(r"pace (\d+) %", "\n".join(lines))[1]) >= pace, record
    assert [re.sub(" +", " ", line) for line in lines if re.match("count: (SPU|ERR)", line)] == \
        ["count: SPU: 0 Spurious interrupts", "count: ERR: 0"], record
    assert not [line for line in lines if line.startswith("dmesg: ")
                and not LINUX_ON_THE_CPU.search(line)], record
    assert not [line for line in lines if COMPLAINTS.search(line)
                and not line.startswith("count: ")], record
