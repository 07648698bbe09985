# SPDX-License-Identifier: MIT
"""What a new user does: the README's first line, a clone, the first commands."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pexpect

from .machine import Machine, MachineError

README = Path(__file__).resolve().parent.parent.parent / "README.md"
SHELLS = ("linux1", "linux2")
BREAKPOINT = "__x64_sys_clock_nanosleep"

Tell = Callable[[str, float], None]


def packages() -> str:
    """What the README wants to be there, as it says it."""
    command = re.search(r"`(apt-get install [a-z -]+)`", README.read_text())
    if not command:
        raise MachineError("README.md names no packages: `apt-get install ...`")
    return command[1]


class Visit:
    """On one machine, once. What was seen is told, with the seconds that it took."""

    def __init__(self, machine: Machine, words: str, tell: Tell) -> None:
        """The words are on the command lines of make."""
        self.machine = machine
        self.words = words
        self.tell = tell
        self.since = time.monotonic()

    def seen(self, what: str) -> None:
        now = time.monotonic()
        self.tell(what, now - self.since)
        self.since = now

    def make(self, target: str) -> str:
        return f"cd vitrine && make {target} {self.words}".rstrip()

    def carry_out(self, bundle: str) -> None:
        sudo = "sudo " if self.machine.id else ""
        self.machine.command(f"{sudo}{packages()} --yes")
        self.seen(f"{sudo}{packages()}")
        self.machine.command(f"git clone {bundle} vitrine")
        self.seen("git clone")
        self.run()
        said = self.machine.command(self.make("smoke"))
        if not re.search(r"^smoke: ok: Bochs ", said, re.M):
            raise MachineError("make smoke does not say that it went well")
        self.machine.check_nothing_runs()
        self.seen(self.make("smoke").partition("&& ")[2])

    def run(self) -> None:
        """make run, from the first word to the end that Ctrl-A x brings."""
        console = self.machine.terminal(self.make("run"))
        console.expect(r"make: the first time takes about [a\d]+ minutes?, in (\d+) steps")
        self.seen(f"{self.make('run').partition('&& ')[2]} says: {console.after}")
        steps = int(console.match[1])
        said = ""
        for step in range(1, steps + 1):
            console.expect(rf"make: (step {step} of {steps}: [^\r\n]+)")
            if said:
                self.seen(said)
            said = console.match[1]
        console.expect(rf"{SHELLS[0]}:/# ")
        for name in SHELLS:
            self.prompt(console, name)
        self.seen(said)
        self.debug(console)
        self.seen("gdb")
        console.send("\x01x")
        self.machine.end(console, "make run")
        self.machine.check_nothing_runs()
        self.seen("Ctrl-A x")

    @staticmethod
    def prompt(console: pexpect.spawn, name: str) -> None:
        """Give this VM the keyboard: its shell prompts and answers."""
        number = SHELLS.index(name) + 1
        console.send(f"\x1d{number}\r")
        console.expect(rf"{name}:/# ")
        console.send(f"echo here is $((40 + {number}))\r")
        console.expect(rf"here is {40 + number}\b")
        console.expect(rf"{name}:/# ")

    def debug(self, console: pexpect.spawn) -> None:
        """The first VM, by the gdb that make run has installed, at another terminal."""
        gdb = self.machine.terminal("cd vitrine && make gdb")

        # It writes in colours, so that there may be more between two words.
        def type_and_see(command: str, answer: str) -> None:
            gdb.expect(r"\(gdb\) ")
            gdb.send(command + "\r")
            gdb.expect(answer)

        type_and_see("info threads", rf"Thread 1\.1 \({SHELLS[0]}/0 ")
        type_and_see(f"break {BREAKPOINT}", "Breakpoint 1 at ")
        type_and_see("continue", "Continuing")
        console.send("\x1d1")
        console.send("sleep 1; echo slept $((6 * 7))\r")
        gdb.expect(rf"hit Breakpoint 1, .*{BREAKPOINT}")
        type_and_see("x/i $pc", r"=> .*0x")
        type_and_see("stepi", r"0x.* in ")
        type_and_see("delete", "delete")
        type_and_see("detach", r"detached\]")
        type_and_see("quit", "quit")
        self.machine.end(gdb, "make gdb")
        console.expect(r"slept 42")
