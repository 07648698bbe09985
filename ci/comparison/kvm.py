# SPDX-License-Identifier: MIT
"""Measures under KVM: Linux with QEMU in the emulator, which carries out the runs one after the
other, in a machine of one CPU and then in one of two."""

import contextlib
import re
import shlex
from pathlib import Path

from benchmark.readings import guest_ticks
from benchmark.rows import Measure, Row
from benchmark.runs import CLOCK, LINUX_CMDLINE, Failure, say
from launcher.bochs import BOCHS_BIOS
from launcher.nested import LIMIT, LinuxWithKvm
from launcher.ports import EmulatorPort, FilePort, NotesPort, Port
from launcher.process import Emulator
from launcher.session import STATUS_SIGNAL, Bounds, Session, Signals
from launcher.ticks import Patience, Ticks
from launcher.wanted import Wanted

from .rows import LANES, RUNS, Lane

FUNCTIONS = Path(__file__).resolve().parent / "in-linux"
MEMORY = 1024  # MB of the machine
# For Linux: MWAIT on one CPU does not see what another stores, in Bochs.
WORDS = "idle=halt"

BEGIN = re.compile(r"^compare: begin (\S+) (\S+)$")
END = re.compile(r"^compare: end (\S+) (\S+): status (\d+)$")
EXITS = re.compile(r"^linux exits (\d+)$", re.M)
# A guest's exit code 0, as QEMU's isa-debug-exit makes it its own.
STATUS_OK = "1"


def plan(cpus: int) -> str:
    """The script for a machine with so many CPUs, as calls of the functions in in-linux."""
    calls = []
    for lane in LANES:
        runs = {name: run for name, run in RUNS.items()
                if run.cpus == cpus and lane.name in run.lanes}
        if runs:
            calls.append(f"lane {lane.name} {lane.module}".rstrip())
        for name, run in runs.items():
            calls.append(f"linux {shlex.quote(LINUX_CMDLINE)}" if name == "linux"
                         else f"bench {name} {run.vcpus} {run.words}".rstrip())
    return "\n".join([*calls, ""])


def sections(console: str) -> dict:
    """What the console has of each lane's runs that came to their end, by (lane, run)."""
    found, name, lines = {}, None, []
    for line in console.splitlines():
        begin, end = BEGIN.match(line), END.match(line)
        if begin:
            name, lines = (begin[1], begin[2]), []
        elif end and name == (end[1], end[2]):
            if name[1] == "linux" or end[3] == STATUS_OK:
                found[name] = "\n".join(lines) + "\n"
            name = None
        else:
            lines.append(line)
    return found


def read(row: Row, lane: Lane, found: dict) -> Measure:
    """The row's measure in this lane, from the sections of its run's console."""
    text = found.get((lane.name, row.run))
    if text is None:
        return Measure(row, reason="its QEMU did not come to a good end")
    if row.run != "linux":
        return guest_ticks(row, text)
    exits = EXITS.search(text)
    if not exits or "reboot: Power down" not in text:
        return Measure(row, reason="Linux did not come to its end")
    return Measure(row, int(exits[1]))


def run(machine: LinuxWithKvm, directory: Path) -> str:
    """Run the machine, which was prepared in the directory, to its end, and say how it gets on.
    Returns what it sent on COM1."""
    console = directory / "console"
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(Signals())
        lines = [stack.enter_context(contextlib.closing(EmulatorPort()))
                 for _ in range(machine.lines)]
        file = stack.enter_context(contextlib.closing(FilePort(str(console))))
        ticks = Ticks(directory / "ticks")
        ticks.create(machine.counts)
        patience = Patience(ticks, 2 * LIMIT)  # Linux ends it sooner, and says so
        command = machine.command(directory, [line.path for line in lines])
        emulator = stack.enter_context(contextlib.closing(Emulator(command, directory, None)))
        session = Session(emulator, list(zip(lines, (file, Port(), NotesPort(say)))), signals,
                          Bounds(ticks, patience))
        status = session.run()
    if status > STATUS_SIGNAL:
        raise Failure(session.message)
    return console.read_text(errors="replace").replace("\r\n", "\n")


def measure(cpus: int, images: Path, ips: int, directory: Path) -> tuple[dict, str]:
    """Carry out all runs of the machine with so many CPUs, which executes `ips` instructions a
    second. Returns the sections of its console, and that whole."""
    machine = LinuxWithKvm(Wanted(
        iso=Path(), cpu=None, cpus=cpus, memory=MEMORY, firmware="bios", accel="kvm", ips=ips,
        medium="cd", board="", rtc=CLOCK, log=False, bios=BOCHS_BIOS, kvm=""))
    machine.prepare(directory, [images / name for name in ("bench", "vmlinuz", "initrd.gz")],
                    FUNCTIONS.read_text() + plan(cpus), WORDS)
    console = run(machine, directory)
    return sections(console), console
