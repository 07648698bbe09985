# SPDX-License-Identifier: MIT
"""Debian's Linux with several vCPUs, on as many cores and on fewer: images/load/try-cpus is what it
is tried with, and says what it sees."""

import re

import pytest

from appliance import (
    ENDS_BY_ITSELF, HASWELL, LINUX_ON_THE_CPU, LONG_TICKS, SKYLAKE, Run, linux,
)
from debugger import COMPLAINTS

# How much try-cpus does: rounds of the token that must not see a clock run backwards, each of three
# times; ms that timers are counted for, each of two; messages from each of hackbench's processes to
# each other.
QUICK = "rounds=20 ms=100 messages=4"
LONG = "rounds=500 ms=1000 messages=20"
LATE = 100_000  # us behind its time that a timer wakes a process at the latest


def config(vms, vcpus, effort):
    return ENDS_BY_ITSELF + "".join(
        linux(f"linux{i + 1}" if vms > 1 else "linux", run=f"{effort} try-cpus",
              cmdline="loglevel=4", initrd="load.gz", vcpus=vcpus) for i in range(vms))


def smp(vcpus, cpus, cpu=SKYLAKE, vms=1, effort=LONG, moves=""):
    name = f"{vcpus} on {cpus}" if vms == 1 else f"{vms} times {vcpus} on {cpus}"
    name += ", moving" if moves else ""
    run = Run(config(vms, vcpus, effort), cpus=cpus, cpu=cpu, memory=256 + 192 * vms,
              limit=LONG_TICKS, cmdline=moves)
    return pytest.param(run, marks=pytest.mark.long if effort == LONG else (),
                        id=f"{name}, {cpu.removeprefix('corei7_')}")


class Report:
    """What try-cpus has said in one VM."""

    def __init__(self, record, name):
        self.name = name
        self.lines = record.guest(name)
        self.words = {}  # what begins a line: the rests of the lines
        for line in self.lines:
            head, colon, rest = line.partition(": ")
            if colon:
                self.words.setdefault(head, []).append(rest)
        self.vcpus, self.rounds, self.ms = (int(self.words[word][0])
                                            for word in ["nproc", "rounds", "ms"])

    def __repr__(self):
        return "\n".join(self.lines)

    def counts(self, when):
        """Rows of /proc/interrupts: a count for each CPU."""
        rows = {}
        for row in self.words[when]:
            name, *counts = row.split()
            rows[name] = [int(count) for count in counts[:self.vcpus] if count.isdigit()]
        return rows

    def check_skew(self):
        """No clock was seen to run backwards from one CPU to another."""
        whole = f"{self.vcpus} cpus, {self.rounds * self.vcpus} passes, "
        assert self.words["skew"] == \
            [whole + "backwards: TSC 0 (0 ticks), clock 0 (0 ns)"] * 3, self

    def check_timers(self):
        """As many expirations as milliseconds, on each CPU. Returns how often each CPU woke for one."""
        woke = [0] * self.vcpus
        assert len(self.words["ticks"]) == 2 * self.vcpus, self
        for line in self.words["ticks"]:
            match = re.fullmatch(r"cpu (\d+): (\d+) in (\d+) to (\d+) ms, (\d+) reads, "
                                 r"latest (\d+) us", line)
            assert match, line
            cpu, count, least, most, reads, latest = map(int, match.groups())
            assert count >= self.ms and least <= count <= most and latest <= LATE, (line, self)
            woke[cpu] += reads
        return woke

    def check_interrupts(self, woke):
        """Each CPU got timer interrupts, at least as many as timers woke processes there, and IPIs
        of each kind; nobody got one that nobody wanted."""
        before, after = self.counts("before"), self.counts("after")
        grown = {name: [b - a for a, b in zip(before[name], after[name])] for name in before}
        for name in ["LOC", "RES", "CAL"]:
            assert len(grown[name]) == self.vcpus and all(n > 0 for n in grown[name]), (name, self)
        assert all(n >= m for n, m in zip(grown["LOC"], woke)), (grown, woke)
        assert sum(grown["4"]) > 0, self  # ttyS0
        # For each backtrace of all; the CPU that asks needs none.
        assert sum(grown["NMI"]) == 3 * (self.vcpus - 1), self
        assert set(after["SPU"]) == {0} and after["ERR"] == [0], self

    def check_backtraces(self):
        """An NMI to all shows each CPU, whatever it does."""
        for when in ["idle", "busy", "loaded"]:
            traces = [re.search(r"NMI backtrace for cpu (\d+)( skipped: idling at .*)?$", line)
                      for line in self.words[when]]
            assert sorted(int(match[1]) for match in traces) == list(range(self.vcpus)), (when, self)
            assert when != "busy" or not any(match[2] for match in traces), self

    def check_messages(self):
        """No complaint in dmesg, nor on the console; and the clock is known, not calibrated."""
        assert self.words["clocksource"] == ["tsc"], self
        assert self.words["NMI watchdog"] == ["0"], self
        messages = self.words["dmesg"]
        assert not [text for text in messages
                    if re.match("<[0-3]>", text) and not LINUX_ON_THE_CPU.search(text)], self
        shown = [line for line in self.lines if not re.match("(before|after): SPU", line)]
        assert not [line for line in shown if COMPLAINTS.search(line)], self
        assert any("tsc: Detected" in text for text in messages), self
        assert [re.sub(r"\.\..*", "", text.partition("] ")[2]) for text in messages
                if re.search("calibrat", text, re.I)] == \
            ["Calibrating delay loop (skipped), value calculated using timer frequency"], self

    def check(self):
        self.check_messages()
        self.check_skew()
        self.check_interrupts(self.check_timers())
        self.check_backtraces()
        assert self.words["switched 0"] == ["1"], self
        assert self.words["switched 1"] == [str(self.vcpus)], self
        assert self.words["forks"] == ["done"], self
        assert len(self.words["Time"]) == 2, self  # of hackbench
        assert "vitrine-guest: run ended with 0" in self.lines, self


# A vCPU goes to another core after each such time, in us.
MOVES = "test.move=3000"


# Two of these are short enough for each time.
@pytest.mark.parametrize(
    "record", [smp(2, 2, effort=QUICK), smp(2, 1, HASWELL, effort=QUICK),
               smp(2, 1), smp(2, 2, HASWELL),
               smp(4, 4), smp(4, 2), smp(4, 1), smp(4, 2, HASWELL),
               smp(8, 8), smp(8, 4), smp(8, 1), smp(8, 4, HASWELL),
               smp(4, 2, moves=MOVES), smp(4, 4, HASWELL, moves=MOVES)], indirect=True)
def test_cpus(record):
    """F3 to F6, F8, F9, F11: each vCPU takes its part in a load, sees the one clock, gets its timers
    and the others' interrupts and NMIs; goes away and comes back. Also while it moves."""
    record.check_done()
    report = Report(record, "linux")
    report.check()
    assert record.ended("linux") == "poweroff", record
    if record.run.cmdline:
        moves = [int(n) for text in record.texts("vm") for n in re.findall(r", moved (\d+)$", text)]
        assert len(moves) == report.vcpus and min(moves) > 100, record


@pytest.mark.parametrize("record", [smp(2, 4, vms=4), smp(2, 4, HASWELL, vms=4)], indirect=True)
def test_four_at_once(record):
    """F11: VMs that share the cores do not see each other."""
    record.check_done()
    for name in ["linux1", "linux2", "linux3", "linux4"]:
        report = Report(record, name)
        assert report.vcpus == 2, record
        report.check()
        assert record.ended(name) == "poweroff", record
