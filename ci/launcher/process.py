# SPDX-License-Identifier: MIT
"""Starting the emulator so that it cannot outlive the launcher, and ending it."""

import collections
import contextlib
import ctypes
import os
import signal
import subprocess
import typing
from pathlib import Path

from .logfile import LogFile

PR_SET_PDEATHSIG = 1
LOG_LINES_SHOWN = 20

libc = ctypes.CDLL(None, use_errno=True)


def dying_with_parent(death_signal: int = signal.SIGTERM) -> typing.Callable[[], None]:
    """What a child runs before exec, to get the signal when the launcher is gone.

    That is for the launcher's own death by SIGKILL; on all other ways out the
    launcher ends its children itself.
    """
    parent = os.getpid()

    def before_exec() -> None:
        libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return before_exec


def interrupted_make() -> bool | None:
    """Whether make, which has started this process, has got SIGINT and waits for it to end; None: no
    make has.

    A terminal sends that signal to both. `kill -INT` sends it to make alone, which passes it on to
    nobody, and while it waits has it blocked and its own way with it given up, as nobody else has.
    """
    try:
        text = Path(f"/proc/{os.getppid()}/status").read_text()
    except OSError:  # it has gone
        return None
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    if status["Name"] != "make":
        return None
    blocked, ignored, caught = (bool(int(status[field], 16) & 1 << signal.SIGINT - 1)
                                for field in ("SigBlk", "SigIgn", "SigCgt"))
    return blocked and not ignored and not caught


class Emulator:
    """The emulator's process, with what it prints, which is kept in the log."""

    def __init__(self, command: list[str], directory: Path, log: LogFile | None,
                 inherited: tuple[int, ...] = ()) -> None:
        die = dying_with_parent(signal.SIGKILL)

        def before_exec() -> None:
            # A group of its own: the terminal's Ctrl-C is not for the emulator.
            os.setpgid(0, 0)
            die()

        self.last_lines: collections.deque[str] = collections.deque(maxlen=LOG_LINES_SHOWN)
        self._unfinished = b""
        self._log = log
        self.process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=before_exec,
            pass_fds=inherited,
        )
        self.output_fd: int | None = self.process.stdout.fileno()
        os.set_blocking(self.output_fd, False)

    def read_output(self) -> bool:
        """Take what the emulator has printed; False if there was nothing."""
        if self.output_fd is None:
            return False
        try:
            data = os.read(self.output_fd, 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self.output_fd = None
            return False
        if self._log:
            self._log.write(data)
        *lines, rest = (self._unfinished + data).split(b"\n")
        self._unfinished = rest[-4096:]
        self.last_lines.extend(line.decode(errors="replace") for line in lines[-LOG_LINES_SHOWN:])
        return True

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def how_it_ended(self) -> str:
        status = self.process.returncode
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"exit status {status}"

    def kill(self) -> None:
        """End it now, with all that it may have started. There is nothing to save."""
        if not self.has_ended():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def close(self) -> None:
        self.kill()
        self.process.stdout.close()
