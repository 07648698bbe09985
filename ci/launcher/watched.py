# SPDX-License-Identifier: MIT
"""A running appliance, watched: what its console says is waited for, kept in a log and told."""

import re
import subprocess
import time
from pathlib import Path

from .process import dying_with_parent
from .ticks import LOOK, UNCOUNTED, Patience, Ticks

# Seconds of real time that gdb has in any case.
GDB_LEAST = 60
CI = Path(__file__).resolve().parent.parent


class Failure(Exception):
    """Something that should have been seen was not."""


class Watched:
    """ci/appliance as a child: what its console has said, and what is typed there."""

    def __init__(self, name: str, config: Path, line: Path, log: Path, limit: float,
                 options: list) -> None:
        """ci/appliance is given these options, and ends after `limit` thousand millions of ticks.
        The debugger's line becomes the file `line`, the console's text goes to `log`."""
        self.name = name  # of who watches
        self.config = config
        self.line = line
        self.limit = limit
        self.ticks = Ticks(line.with_name("ticks"))
        self.started = time.monotonic()
        self.output = b""  # without carriage returns
        self.position = 0  # behind what was waited for last
        self.seen: list[tuple[str, float]] = []  # what, and the seconds that it took
        self.log = open(log, "wb", buffering=0)
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

    def expect(self, pattern: str, what: str, anywhere: bool = False) -> re.Match:
        """Wait for the pattern, behind the last one or anywhere in the output."""
        while not (match := re.compile(pattern.encode(), re.M).search(
                self.output, 0 if anywhere else self.position)):
            if not self.read():
                raise Failure(f"not seen: {what}{self.complaint()}")
        if not anywhere:
            self.position = match.end()
        self.say(what)
        return match

    def expect_line(self, vm: str, pattern: str) -> None:
        """Wait for a line of the VM that has the pattern, anywhere in the output."""
        prefix, wanted, position = f"{vm}| ".encode(), re.compile(pattern.encode()), 0
        while True:
            *lines, _ = self.output[position:].split(b"\n")
            for line in lines:
                position += len(line) + 1
                if line.startswith(prefix) and wanted.search(line[len(prefix):]):
                    self.say(f"{vm}: {pattern}")
                    return
            if not self.read():
                raise Failure(f"not seen: {vm}: {pattern}{self.complaint()}")

    def say(self, what: str) -> None:
        before = sum(seconds for _, seconds in self.seen)
        self.seen.append((what, self.seconds() - before))
        self.tell(what)

    def type(self, text: str) -> None:
        try:
            self.process.stdin.write(text.encode())
        except BrokenPipeError:
            raise Failure(f"it had ended before this was typed: {text.strip()}") from None

    def debug(self, vm: str, *commands: str) -> str:
        """Have a gdb attach to the VM and carry the commands out. Returns what it says."""
        words = [word for command in commands for word in ("-ex", command)]
        patience, over, said = Patience(self.ticks, self.limit, GDB_LEAST), None, b""
        with subprocess.Popen(
                [CI / "gdb", "--config", self.config, "--line", self.line, "--patience",
                 str(UNCOUNTED), vm, "--", "-nx", "-batch", *words],
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
        """Wait until the appliance has ended; it has to be content."""
        while self.read():
            pass
        status = self.process.wait()
        if status != 0:
            raise Failure(f"ci/appliance ended with status {status}")

    def complaint(self) -> str:
        """What the appliance gave as the reason for its end, to be put behind what was missed."""
        said = re.search(rb"^\[[ \d.]+\] core \d+: appliance: done: (failed: .*)", self.output,
                         re.M)
        return f" ({said[1].decode(errors='replace')})" if said else ""

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def last_lines(self, count: int = 25) -> list[str]:
        return self.output.decode(errors="replace").splitlines()[-count:]
