# SPDX-License-Identifier: MIT
"""The ends of the serial lines: the emulator on one side, a user's program on the other.

A line is carried by two ports. What is read from one is sent to the other, which
keeps what cannot be written yet. A port that has no room is not sent to: the other
is then not read, and whoever writes there waits.
"""

import array
import contextlib
import errno
import fcntl
import os
import select
import sys
import termios
import time
import tty
import typing

from . import interrupts
from .claim import Claim
from .logfile import on_stderr, without

# Bytes kept for a reader that is slow or not there yet.
BACKLOG = 1 << 20
# What the appliance is told when a debugger has closed its line, since a serial line cannot tell:
# it lets the guests go.
HANG_UP = b"$vHangUp#b9"
# Seconds between two looks at a reader that takes nothing.
A_LOOK = 0.02
# A file takes no more: its disk, its owner's share of that, or a limit is full.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What a pipe takes without blocking once poll() has called it writable.
PIECE = select.PIPE_BUF


class Port:
    """One end of a line; without descriptors it is silent and swallows all."""

    read_fd: int | None = None
    write_fd: int | None = None
    # Others that carry this one's bytes with it; what is read from them has the same way.
    members: typing.Sequence["Port"] = ()
    newline = "\n"  # what ends a line of a message while this one has the terminal

    def __init__(self) -> None:
        self.outgoing = bytearray()

    def read(self) -> bytes:
        """What has come in, b"" when nothing has. May be called at any time."""
        if self.read_fd is None:
            return b""
        try:
            data = os.read(self.read_fd, 1 << 16)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self.input_ended()
        return data

    def input_ended(self) -> None:
        self.read_fd = None

    def reader_gone(self) -> None:
        self.input_ended()

    def has_room(self) -> bool:
        return len(self.outgoing) < BACKLOG

    def send(self, data: bytes) -> None:
        if self.write_fd is not None:
            self.outgoing += data

    def flush(self) -> None:
        """Write some of what waits. To be called when poll() says it will not block."""
        if not self.outgoing or self.write_fd is None:
            return
        try:
            written = os.write(self.write_fd, self.outgoing[:PIECE])
        except BlockingIOError:
            return
        except OSError as error:
            self.write_failed(error)
            return
        del self.outgoing[:written]

    def write_failed(self, error: OSError) -> None:
        """What waits cannot be written, and this is why."""
        if error.errno != errno.EIO:
            raise error
        self.reader_gone()  # a pty whose other end was closed

    def give_up(self) -> None:
        """Write nothing any more."""
        self.write_fd = None
        self.outgoing.clear()

    def check(self) -> bool:
        """Look for what poll() does not report; True if that needs doing regularly."""
        return False

    def last_words(self) -> bytes:
        """What the other end is to get that no program has said, once."""
        return b""

    def drain(self, is_over: typing.Callable[[], object]) -> None:
        """Give the reader until then to take what waits."""
        while self.outgoing and self.write_fd is not None and not is_over():
            if writable(self.write_fd, A_LOOK):
                self.flush()

    def close(self) -> None:
        pass


def writable(fd: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    return bool(poller.poll(seconds * 1000))


def open_raw_pty() -> tuple[int, int]:
    """A pty that passes all bytes as they are: master (not blocking) and slave."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave


class EmulatorPort(Port):
    """A serial line of the emulated machine: a pty whose slave the emulator opens.

    The slave stays open here, so that the line is there before the emulator opens
    it and what it wrote can still be read after its end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.master, self.slave = open_raw_pty()
        self.read_fd = self.write_fd = self.master
        self.path = os.ttyname(self.slave)

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


class FilePort(Port):
    """A console that is only written down, as far as the file takes it."""

    def __init__(self, path: str, tell: typing.Callable[[str], None] = on_stderr) -> None:
        """`tell` is given a word when the file takes no more."""
        super().__init__()
        self._path = path
        self._tell = tell
        self.write_fd = self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)

    def write_failed(self, error: OSError) -> None:
        if error.errno == errno.EPIPE:
            raise error  # it is no file, and who read it has gone
        self.give_up()
        self._tell(without(self._path, error))

    def close(self) -> None:
        os.close(self._file)


class LinePort(Port):
    """A serial line of this machine."""

    def __init__(self, path: str, baud: int) -> None:
        super().__init__()
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise OSError(errno.EINVAL, "no such baud rate", str(baud))
        self.read_fd = self.write_fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.is_gone = False
        try:
            tty.setraw(self.read_fd)
            mode = termios.tcgetattr(self.read_fd)
            mode[2] = (mode[2] | termios.CLOCAL | termios.CREAD) & ~termios.HUPCL
            mode[4] = mode[5] = speed
            termios.tcsetattr(self.read_fd, termios.TCSANOW, mode)
        except termios.error as error:
            self.close()
            raise OSError(errno.ENOTTY, "is not a serial line", path) from error

    def input_ended(self) -> None:
        self.is_gone = True

    def close(self) -> None:
        os.close(self.read_fd)


class TerminalPort(Port):
    """Standard input and output; as a terminal, in raw mode until closed.

    Ctrl-A is the one key that does not reach the appliance: Ctrl-A x ends the
    launcher, Ctrl-A Ctrl-A stands for Ctrl-A itself.
    """

    ESCAPE = 0x01

    def __init__(self, raw_output: bool = False) -> None:
        """raw_output: what is written has its carriage returns; and a terminal that takes nothing
        holds nobody up but who writes there."""
        super().__init__()
        self._raw_output = raw_output
        self.write_fd = self._output = sys.stdout.fileno()
        if raw_output and os.isatty(self._output):
            with contextlib.suppress(OSError):  # not blocking, without making it so for others
                self.write_fd = os.open(os.ttyname(self._output),
                                        os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        self.wants_end = False
        self._escaped = False
        self._interrupts = interrupts.Interrupts()
        self._saved_mode = None
        self.is_interactive = False
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._open_input(sys.stdin.fileno())

    def _open_input(self, fd: int) -> None:
        if os.isatty(fd):
            # In the background, touching or reading the terminal would stop us.
            if os.tcgetpgrp(fd) != os.getpgrp():
                return
            self._saved_mode = termios.tcgetattr(fd)
            mode = input_made_raw(self._saved_mode)
            if self._raw_output:
                mode[1] &= ~termios.OPOST
                self.newline = "\r\n"
            termios.tcsetattr(fd, termios.TCSADRAIN, mode)
            self.is_interactive = True
        self.read_fd = self._input = fd

    def read(self) -> bytes:
        data = super().read()
        if not self.is_interactive:
            return data
        data = self._without_commands(data)
        self._interrupts.typed(data)
        return data

    def send(self, data: bytes) -> None:
        if data:
            self._interrupts.written()
        super().send(data)

    def check(self) -> bool:
        if self._interrupts.due():
            super().send(interrupts.TOLD)
        return self._interrupts.waiting()

    def _without_commands(self, data: bytes) -> bytes:
        passed = bytearray()
        for byte in data:
            if self._escaped:
                self._escaped = False
                if byte in b"xX":
                    self.wants_end = True
                elif byte == self.ESCAPE:
                    passed.append(byte)
                else:
                    passed += bytes((self.ESCAPE, byte))
            elif byte == self.ESCAPE:
                self._escaped = True
            else:
                passed.append(byte)
        return bytes(passed)

    def write_failed(self, error: OSError) -> None:
        if error.errno not in FULL:
            super().write_failed(error)
            return
        self.give_up()
        on_stderr(f"appliance: {without('standard output', error)}", self.newline)

    def reader_gone(self) -> None:
        """The terminal was closed, and no SIGHUP told us: it is not our controlling one."""
        raise BrokenPipeError

    def close(self) -> None:
        if self._saved_mode is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._input, termios.TCSADRAIN, self._saved_mode)
            self.newline = "\n"
        if self.write_fd not in (self._output, None):
            os.close(self.write_fd)
            self.write_fd = self._output


def input_made_raw(mode: list) -> list:
    """The terminal mode in which each key arrives as it is typed.

    Output is still processed, for log lines and messages that end in a bare newline.
    """
    raw = list(mode)
    raw[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR
                | termios.INPCK | termios.ISTRIP | termios.IXON)
    raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    raw[6] = list(mode[6])
    raw[6][termios.VMIN] = 1
    raw[6][termios.VTIME] = 0
    return raw


class PtyPort(Port):
    """A pty for a program that comes and goes, found by a symbolic link, which no other process can
    replace meanwhile."""

    def __init__(self, link: str, claims: bool = True) -> None:
        """Not claims: the link is in a folder that its maker has claimed."""
        super().__init__()
        self._claim = Claim(link) if claims else None
        self.master, self.slave = open_raw_pty()
        self.read_fd = self.write_fd = self.master
        self.link = link
        self.path = os.ttyname(self.slave)
        try:
            make_link(self.path, link)
        except OSError:
            PtyPort.close(self)
            raise

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if os.readlink(self.link) == self.path:
                os.unlink(self.link)
        if self._claim:
            self._claim.close()
        os.close(self.master)
        if self.slave is not None:
            os.close(self.slave)


def make_link(target: str, link: str) -> None:
    """Make or replace a symbolic link, but nothing else that has its name."""
    if os.path.lexists(link) and not os.path.islink(link):
        raise FileExistsError(errno.EEXIST, "exists and is not a link", link)
    temporary = f"{link}.{os.getpid()}"
    try:
        os.symlink(target, temporary)
        os.replace(temporary, link)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise OSError(error.errno, error.strerror, link) from None


@contextlib.contextmanager
def link_to(target: str | None, link: str) -> typing.Iterator[None]:
    """A link that is there meanwhile; without a target, none that an earlier run has left. For whoever
    has claimed what it stands beside."""
    if target is None:
        if os.path.islink(link):
            os.unlink(link)
        yield
        return
    target = os.path.abspath(target)
    make_link(target, link)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if os.readlink(link) == target:
                os.unlink(link)


class NotesPort(Port):
    """Tells each line as it comes."""

    def __init__(self, tell: typing.Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell
        self._unfinished = b""

    def send(self, data: bytes) -> None:
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            self._tell(line.decode(errors="replace").strip())


class ConsolePty(PtyPort):
    """The console on a pty. It must not hold up the appliance when nobody reads it.

    The slave stays open here: what no program has taken waits for the next one, and
    the oldest is dropped when it becomes too much.
    """

    def has_room(self) -> bool:
        return True

    def send(self, data: bytes) -> None:
        super().send(data)
        del self.outgoing[: max(0, len(self.outgoing) - BACKLOG)]

    def drain(self, is_over: typing.Callable[[], object]) -> None:
        super().drain(is_over)
        # What is in the kernel's buffer dies with the master: let it be read first.
        while self._has_client() and bytes_readable(self.slave) != 0 and not is_over():
            time.sleep(A_LOOK)

    def _has_client(self) -> bool:
        """Whether a program has the slave open. Drops our own hold to find out."""
        os.close(self.slave)
        poller = select.poll()
        poller.register(self.master, 0)
        found = not any(event & select.POLLHUP for _, event in poller.poll(0))
        self.slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        return found


def bytes_readable(fd: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


class GuestPty(PtyPort):
    """A guest's line on a pty. As on a real line, what nobody hears is lost.

    The slave is not held open: the master then tells, by EIO, when no program has the
    line. poll() cannot wait for one to come, hence check().
    """

    def __init__(self, link: str, claims: bool = True) -> None:
        super().__init__(link, claims)
        os.close(self.slave)
        self.slave = None
        self.is_attached = True
        self.input_ended()

    def input_ended(self) -> None:
        if not self.is_attached:
            return
        self.is_attached = False
        self.read_fd = self.write_fd = None
        # What it had not read can be thrown away from the slave's side only.
        slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        self.program_left(bytes_readable(slave))
        self.outgoing.clear()
        termios.tcflush(slave, termios.TCIFLUSH)
        os.close(slave)

    def program_came(self) -> None:
        pass

    def program_left(self, unread: int) -> None:
        """It has not read so many bytes of what was written, nor what is still outgoing."""

    def check(self) -> bool:
        if not self.is_attached:
            poller = select.poll()
            poller.register(self.master, select.POLLIN)
            events = dict(poller.poll(0)).get(self.master, 0)
            # Bytes without a program: it came, wrote and went.
            if events & select.POLLIN or not events & select.POLLHUP:
                self.is_attached = True
                self.read_fd = self.write_fd = self.master
                self.program_came()
        return not self.is_attached


class DebuggerPty(GuestPty):
    """The debugger's line on a pty.

    A debugger that died in the middle of a packet must not leave the rest of it to
    the next one.
    """

    def __init__(self, link: str) -> None:
        super().__init__(link)
        self._last_words = b""

    def program_left(self, unread: int) -> None:
        self._last_words = HANG_UP

    def last_words(self) -> bytes:
        words, self._last_words = self._last_words, b""
        return words
