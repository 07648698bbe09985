# SPDX-License-Identifier: MIT
"""The debugger's line, asked without a gdb: no VM is attached by it, and none stops."""

import errno
import os
import re
import select
import termios
import time
import tty
import typing

from .ports import HANG_UP

PATIENCE = 60  # seconds of real time; only what does not answer at all takes as long
AGAIN = 3  # the same, until what may have been lost is sent again
REPLY = re.compile(rb"\$([^#]*)#[0-9a-f]{2}")
RUN = re.compile(rb"(.)\*(.)", re.S)  # a character, and how often it comes


class Silence(Exception):
    """Nobody answers."""


def is_serial_line(path: str) -> bool:
    """Whether it is one, or a pty, which is used as one. A port without hardware is none."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return os.isatty(fd)
    finally:
        os.close(fd)


class StubLine:
    """The line, open."""

    def __init__(self, path: str, patience: int = 0) -> None:
        """`patience`: seconds for an answer, if not PATIENCE."""
        self._path = path
        self.patience = patience or PATIENCE
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)
        mode = termios.tcgetattr(self.fd)
        mode[4] = mode[5] = termios.B115200
        termios.tcsetattr(self.fd, termios.TCSANOW, mode)

    def close(self) -> None:
        os.close(self.fd)

    def monitor(self, command: str, pattern: str, waits: typing.Callable[[], None]) -> str:
        """Have a monitor command carried out. Returns its first answer that has the pattern: to what
        is sent a second time there may be two. `waits` is called when it takes long."""
        packet = b"qRcmd," + command.encode().hex().encode()
        packet = b"$%s#%02x" % (packet, sum(packet) & 0xFF)
        until = time.monotonic() + self.patience
        got, text, again = b"", "", 0.0
        while (now := time.monotonic()) < until:
            if now >= again:
                if again:
                    waits()
                self._write(packet)
                again = now + AGAIN
            if not select.select([self.fd], [], [], again - now)[0]:
                continue
            got += self._read()
            while match := REPLY.search(got):
                got = got[match.end():]
                self._write(b"+")
                answer = RUN.sub(lambda run: run[1] * (run[2][0] - 28), match[1]).decode("latin-1")
                if answer.startswith("E"):  # an earlier gdb has gone and left guests to run
                    self._write(HANG_UP + packet)
                elif answer.startswith("O") and answer != "OK":
                    text += from_hex(answer[1:])
                else:
                    text += from_hex(answer)
                    if re.search(pattern, text, re.M):
                        return text
                    text = ""
        raise Silence

    def _read(self) -> bytes:
        try:
            data = os.read(self.fd, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from None
        if not data:
            raise OSError(errno.EIO, "has been hung up", self._path)
        return data

    def _write(self, data: bytes) -> None:
        try:
            os.write(self.fd, data)
        except BlockingIOError:
            pass  # nobody takes it; it is sent again


def from_hex(text: str) -> str:
    try:
        return bytes.fromhex(text).decode(errors="replace")
    except ValueError:
        return ""
