# SPDX-License-Identifier: MIT
"""A user of such a root, at terminals, and what is left behind there."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

import pexpect

from .root import GROUP_TTY

# Seconds of real time for anything that is waited for: what takes longer hangs.
PATIENCE = 7200
PATIENCE_AT_END = 60


class MachineError(Exception):
    """Something did not do what it should."""


class Machine:
    """A root, and who sits there: root, or a user that has sudo and a locale that is not installed,
    as the ones of far machines are."""

    def __init__(self, root: Path, user: str, log: IO[str]) -> None:
        self.root = root
        self.log = log
        self.user = user
        self.id = 0 if user == "root" else 1000
        self.home = "/root" if user == "root" else f"/home/{user}"

    def as_root(self, *words: str) -> None:
        """A command that prepares the machine."""
        done = subprocess.run(["chroot", self.root, *words], stdin=subprocess.DEVNULL, check=False,
                              stdout=self.log, stderr=self.log, env={
                                  "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                                  "DEBIAN_FRONTEND": "noninteractive"})
        if done.returncode:
            raise MachineError(f"{' '.join(words)}: exit status {done.returncode}")

    def add_user(self) -> None:
        if self.id:
            self.as_root("apt-get", "--quiet", "--yes", "install", "sudo")
            self.as_root("useradd", "--create-home", "--uid", str(self.id), "--shell", "/bin/bash",
                         self.user)
            sudoers = self.root / "etc/sudoers.d" / self.user
            sudoers.write_text(f"{self.user} ALL=(ALL) NOPASSWD: ALL\n")
            sudoers.chmod(0o440)

    def terminal(self, command: str) -> pexpect.spawn:
        """A command at a terminal of its own, as after a login."""
        environment = {"HOME": self.home, "USER": self.user, "LOGNAME": self.user,
                       "SHELL": "/bin/bash", "TERM": "xterm"}
        if self.id:
            environment["LANG"] = "de_DE.UTF-8"

        def own_terminal() -> None:
            os.fchown(0, self.id, GROUP_TTY)

        self.log.write(f"\n{self.user}$ {command}\n")
        terminal = pexpect.spawn(
            "chroot", [f"--userspec={self.id}:{self.id}", f"--groups={self.id}", str(self.root),
                       "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environment.items()),
                       "/bin/bash", "-l", "-c", f"cd && {command}"],
            encoding="utf-8", codec_errors="replace", timeout=PATIENCE, dimensions=(200, 160),
            preexec_fn=own_terminal)
        terminal.logfile_read = self.log
        return terminal

    def command(self, command: str) -> str:
        """Carry a command out; it has to end well. Returns what it wrote."""
        terminal = self.terminal(command)
        self.end(terminal, command)
        return terminal.before

    @staticmethod
    def end(terminal: pexpect.spawn, what: str) -> None:
        """Wait for the end of a terminal's command."""
        terminal.expect(pexpect.EOF)
        terminal.close()
        if terminal.signalstatus:
            raise MachineError(f"{what}: ended by {signal.Signals(terminal.signalstatus).name}")
        if terminal.exitstatus:
            raise MachineError(f"{what}: exit status {terminal.exitstatus}")

    def check_nothing_runs(self) -> None:
        """Nothing that was started has been left: of all processes here only this one lives."""
        end = time.monotonic() + PATIENCE_AT_END
        while left := [text for text in map(living, Path("/proc").glob("[0-9]*")) if text]:
            if time.monotonic() > end:
                raise MachineError("still running: " + "; ".join(left))
            time.sleep(0.2)

    def size(self, path: str) -> int:
        """MB on disk of a path in the root."""
        done = subprocess.run(["du", "--summarize", "--one-file-system", "--block-size=1M",
                               self.root / path], stdout=subprocess.PIPE, text=True, check=True)
        return int(done.stdout.split()[0])


def living(process: Path) -> str:
    """The command line of another process that has not ended; "" else."""
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if state == "Z" or int(process.name) == os.getpid() else words.strip()
