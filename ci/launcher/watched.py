# SPDX-License-Identifier: MIT
"""A running appliance, watched: what its console says is waited for, kept in a log and told."""

import re
import subprocess
import time
from pathlib import Path

from .logfile import LogFile
from .process import dying_with_parent
from .session import STATUS_TIMED_OUT
from .ticks import LOOK, UNCOUNTED, Patience, Ticks

# Seconds of real time that gdb has in any case.
GDB_LEAST = 60
TRIPLE_FAULT = "has ended: reset (triple fault)"
CI = Path(__file__).resolve().parent.parent


class Failure(Exception):
    """Something that should have been seen was not."""


class Watched:
    """ci/appliance as a child: what its console has said, and what is typed there. What is to be seen
    is a plan of steps, by name, that are taken one after the other."""

    def __init__(self, name: str, plan: list[str], config: Path, line: Path, log: Path,
                 limit: float, options: list) -> None:
        """ci/appliance is given these options, and ends after `limit` thousand millions of ticks.
        The debugger's line becomes the file `line`, the console's text goes to `log`."""
        self.name = name  # of who watches
        self.plan = plan
        self.config = config
        self.line = line
        self.limit = limit
        self.may_fault: list[str] = []  # VMs that a triple fault may end
        self.ticks = Ticks(line.with_name("ticks"))
        self.started = time.monotonic()
        self.output = b""  # without carriage returns
        self.position = 0  # behind what was waited for last
        self.seen: list[float] = []  # of each step that was taken, its seconds
        self.log = LogFile(log, self.tell)
        self.process = subprocess.Popen(
            [CI / "appliance", "--gdb", line, "--ticks", self.ticks.path, "--limit", str(limit),
             *map(str, options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
            preexec_fn=dying_with_parent())
        self.tell("the machine starts: its firmware and GRUB, for a few seconds")

    def tell(self, what: str) -> None:
        print(f"{self.name}: {self.seconds():5.1f} s  {what}", flush=True)

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def read(self) -> bool:
        """Take some output; False at its end."""
        data = self.process.stdout.read(65536)
        self.log.write(data)
        self.output += data.replace(b"\r", b"")
        return bool(data)

    def expect(self, pattern: str, anywhere: bool = False, ends: bool = False) -> re.Match:
        """Take the next step: wait for the pattern, behind the last one or anywhere in the output.
        With `ends` the appliance has to end then, content."""
        while not (match := re.compile(pattern.encode(), re.M).search(
                self.output, 0 if anywhere else self.position)):
            if not self.read():
                raise Failure(f"not seen: {self.step()}{self.complaint()}")
        if not anywhere:
            self.position = match.end()
        if ends:
            self.end()
        self.done()
        return match

    def expect_line(self, vm: str, pattern: str) -> None:
        """The next step: a line of the VM that has the pattern, anywhere in the output."""
        prefix, wanted, position = f"{vm}| ".encode(), re.compile(pattern.encode()), 0
        while True:
            *lines, _ = self.output[position:].split(b"\n")
            for line in lines:
                position += len(line) + 1
                if line.startswith(prefix) and wanted.search(line[len(prefix):]):
                    self.done()
                    return
            if not self.read():
                raise Failure(f"not seen: {self.step()}{self.complaint()}")

    def step(self) -> str:
        """The step that comes next."""
        return self.plan[len(self.seen)]

    def done(self) -> None:
        """It was taken."""
        self.tell(self.step())
        self.seen.append(self.seconds() - sum(self.seen))

    def type(self, text: str) -> None:
        try:
            self.process.stdin.write(text.encode())
        except BrokenPipeError:
            raise Failure(f"it had ended before this was typed: {text.strip()}") from None

    def debug(self, vm: str, *commands: str) -> str:
        """Have a gdb attach to the VM and carry the commands out, up to the first that fails. Returns
        what it says."""
        script = self.line.with_name("commands")
        # Else gdb asks whether to wait for a function that is not there, and answers that itself.
        script.write_text("\n".join(["set breakpoint pending off", *commands, ""]))
        patience, over, said = Patience(self.ticks, self.limit, GDB_LEAST), None, b""
        with subprocess.Popen(
                [CI / "gdb", "--config", self.config, "--line", self.line, "--patience",
                 str(UNCOUNTED), vm, "--", "-nx", "-batch", "-x", script],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                preexec_fn=dying_with_parent()) as gdb:
            while not over and gdb.returncode is None:
                try:
                    said, _ = gdb.communicate(timeout=LOOK / 2)
                except subprocess.TimeoutExpired as expired:
                    said, over = expired.stdout or b"", patience.over()
            gdb.kill()
        if over:
            raise Failure(f"gdb was not done {over}, and said:\n{said.decode(errors='replace')}")
        return said.decode(errors="replace")

    def end(self) -> None:
        """Wait until the appliance has ended; it has to be content. To the appliance a triple fault is
        a reset, by which a VM may end; here it is a failure, but of the VMs that may."""
        while self.read():
            pass
        status = self.process.wait()
        if status != 0:
            raise Failure(f"ci/appliance ended with status {status}")
        faulted = [vm for vm, how in self.states().items()
                   if how == TRIPLE_FAULT and vm not in self.may_fault]
        if faulted:
            raise Failure(f"not seen: {self.step()} (ended by a triple fault: {', '.join(faulted)})")

    def log_lines(self) -> list[str]:
        """The appliance's own, without time and core."""
        return re.findall(r"^\[[ \d.]+\] core \d+: (.*)", self.output.decode(errors="replace"), re.M)

    def states(self) -> dict[str, str]:
        """Of each VM that has started: how it has ended, or that it still runs."""
        states: dict[str, str] = {}
        why: dict[str, str] = {}  # its last reset
        for line in self.log_lines():
            if reset := re.fullmatch(r"vm: (\S+) reset (\(.*\))", line):
                why[reset[1]] = reset[2]
            elif life := re.fullmatch(r"vm: (\S+) (?:started|ended: (.*))", line):
                reason = f" {why[life[1]]}" if life[2] == "reset" and life[1] in why else ""
                states[life[1]] = f"has ended: {life[2]}{reason}" if life[2] else "still runs"
        return states

    def complaint(self) -> str:
        """Why the appliance ended, to be put behind what was missed."""
        said = [line.removeprefix("appliance: done: ") for line in self.log_lines()
                if line.startswith("appliance: done: failed: ")]
        if self.process.wait() == STATUS_TIMED_OUT:
            said.append("its time, --limit or --timeout, is over; " + (", ".join(
                f"{vm} {state}" for vm, state in self.states().items()) or "no VM has started"))
        return f" ({'; '.join(said)})" if said else ""

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def last_lines(self, count: int = 25) -> list[str]:
        return self.output.decode(errors="replace").splitlines()[-count:]
