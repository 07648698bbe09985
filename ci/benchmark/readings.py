# SPDX-License-Identifier: MIT
"""Reads the rows out of what the runs wrote on the appliance's console."""

import re
import struct
from pathlib import Path

from .rows import COUNTERS, Measure, Row

# A guest's lines have its name before them under the appliance, and nothing elsewhere.
TICKS = re.compile(r"^(?:\w+\| )?bench ([a-z0-9-]+) (\d+)$", re.M)
COUNTS = re.compile(r"^\w+\| count ([a-z0-9-]+) (\d+) (\d+) (\d+) (\d+) (\d+)$", re.M)
COMPLAINT = re.compile(r"^(?:\w+\| )?bench: ([a-z0-9-]+)(?: is absent)?: (.*)$", re.M)
SHARE = re.compile(r"^(\w+)\| share (\d+) (\d+)$", re.M)
FIRST_ENTRY = re.compile(r"vmm: first guest instruction (\d+) ticks after the hand-over")
EXITS = re.compile(r"vm: \w+ vcpu 0: (\d+) exits")
RUNTIME = re.compile(r"vm: \w+ vcpu 0: (\d+) ticks on its core")
SO_FAR = re.compile(r"vm: so far: (\d+) VMREADs, (\d+) VMWRITEs, (\d+) MSR accesses, (\d+) exits, "
                    r"(\d+) ticks in root mode")
LOADED = 1  # PT_LOAD


def guest_ticks(row: Row, *consoles: str) -> Measure:
    """A row that the guest images/bench prints: its ticks on the first console, if on none of them
    it has a complaint."""
    measure = Measure(row)
    for name, complaint in (found for text in consoles for found in COMPLAINT.findall(text)):
        if name == row.name:
            measure.reason = complaint
            return measure
    ticks = dict(TICKS.findall(consoles[0]))
    if row.name in ticks:
        measure.value = int(ticks[row.name])
    else:
        measure.reason = "the guest did not come so far"
    return measure


def guest_row(row: Row, plain: str, counting: str) -> Measure:
    """The same with ticks from the plain build, the rest from the one that counts."""
    measure = guest_ticks(row, plain, counting)
    if measure.value is None:
        return measure
    for name, runs, *counts in COUNTS.findall(counting):
        if name == row.name:
            each = [int(count) / int(runs) for count in counts]
            measure.counts = dict(zip(COUNTERS, (int(n) if n == int(n) else n for n in each)))
    if not measure.counts and row.exits is not None:
        return Measure(row, reason="its exits were not counted")
    return measure


def handover(row: Row, plain: str) -> Measure:
    found = FIRST_ENTRY.search(plain)
    if not found:
        return Measure(row, reason="no guest was entered")
    return Measure(row, int(found[1]))


def fairness(row: Row, plain: str, weights: dict) -> Measure:
    """By how much, in percent of a core, the share of a VM that spins differs from what its weight
    gives it; of all VMs the largest."""
    shares = {name: 100 * int(ticks) / int(of) for name, ticks, of in SHARE.findall(plain)}
    if set(shares) != set(weights):
        return Measure(row, reason="not every guest came to its end")
    total = sum(weights.values())
    return Measure(row, max(abs(shares[name] - 100 * weights[name] / total) for name in weights))


def exits_of_linux(row: Row, console: str) -> Measure:
    """A whole boot's exits."""
    exits = EXITS.search(console)
    if not exits or "vm: linux ended: poweroff" not in console:
        return Measure(row, reason="Linux did not come to its end")
    return Measure(row, int(exits[1]))


def linux(row: Row, counting: str) -> Measure:
    """What a whole boot costs: its exits, or root mode's share of its ticks, of which the counting
    itself is a part."""
    measure, runtime = exits_of_linux(row, counting), RUNTIME.search(counting)
    so_far = SO_FAR.search(counting)
    if measure.value is None:
        return measure
    if not runtime or not so_far:
        return Measure(row, reason="nothing was counted")
    if row.unit == "%":
        return Measure(row, 100 * int(so_far[5]) / int(runtime[1]))
    measure.counts = {c: int(n) for c, n in zip(COUNTERS, so_far.groups())}
    return measure


def pages_loaded(elf: bytes) -> int:
    """How many bytes of memory the pages have that a loader fills from a 64-bit ELF file."""
    table, = struct.unpack_from("<Q", elf, 32)
    size, number = struct.unpack_from("<HH", elf, 54)
    pages: set[int] = set()
    for at in range(table, table + size * number, size):
        kind, = struct.unpack_from("<I", elf, at)
        address, in_file = struct.unpack_from("<QQ", elf, at + 24)
        if kind == LOADED and in_file > 0:
            pages.update(range(address >> 12, (address + in_file + 4095) >> 12))
    return len(pages) * 4096


def binary(row: Row, path: Path) -> Measure:
    """The file that GRUB loads, and of it what lands in memory, whichever is more."""
    content = path.read_bytes()
    return Measure(row, max(len(content), pages_loaded(content)))
