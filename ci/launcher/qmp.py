# SPDX-License-Identifier: MIT
"""How many ticks have passed in QEMU, asked over its monitor (QMP).

With -icount a guest's time follows the instructions, and passes at once while no processor has any.
With -rtc clock=vm the machine's clock shows that time.
"""

import calendar
import json
import socket
import time

from .ports import Port
from .ticks import Ticks

# An instruction takes 2 to the power of this nanoseconds. Firmware and GRUB poll devices by the clock,
# which is slow with -icount: at 4 they take ten times as long as at 8.
SHIFT = 8
PAUSE = 0.2  # seconds between an answer and the next question
START = b'{"execute": "qmp_capabilities"}\n'
QUESTION = b'{"execute": "qom-get", "arguments": {"path": "/machine", "property": "rtc-time"}}\n'


class MonitorPort(Port):
    """QEMU's monitor: a socket whose other end QEMU inherits."""

    def __init__(self) -> None:
        super().__init__()
        self._own, self._qemus = socket.socketpair()
        self._own.setblocking(False)
        self.read_fd = self.write_fd = self._own.fileno()
        self.inherited = self._qemus.fileno()

    def options(self, shift: int = SHIFT) -> list[str]:
        """On QEMU's command line, beside `-rtc clock=vm`."""
        return ["-icount", f"shift={shift},sleep=off", "-chardev",
                f"socket,id=qmp,fd={self.inherited}", "-mon", "chardev=qmp,mode=control"]

    def close(self) -> None:
        self._own.close()
        self._qemus.close()


class ClockPort(Port):
    """Who asks there, and keeps the count."""

    def __init__(self, ticks: Ticks, shift: int = SHIFT) -> None:
        super().__init__()
        self._ticks = ticks
        self._ticks_per_second = 1_000_000_000 >> shift
        self._words = START
        self._ask_at: float | None = 0.0  # None: an answer is waited for
        self._unfinished = b""
        self._began: int | None = None  # what the clock showed first
        self._count = 0

    def last_words(self) -> bytes:
        words, self._words = self._words, b""
        if self._ask_at is not None and time.monotonic() >= self._ask_at:
            self._ask_at = None
            words += QUESTION
        return words

    def check(self) -> bool:
        return self._ask_at is not None

    def send(self, data: bytes) -> None:
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "tm_year" in (answer.get("return") or ()):
                self._take(answer["return"])
            elif "error" in answer:
                raise OSError(f"QEMU does not tell its time: {answer['error'].get('desc')}")

    def _take(self, tm: dict) -> None:
        self._ask_at = time.monotonic() + PAUSE
        shown = calendar.timegm((tm["tm_year"] + 1900, tm["tm_mon"] + 1, tm["tm_mday"],
                                 tm["tm_hour"], tm["tm_min"], tm["tm_sec"]))
        if self._began is None:
            self._began = shown
        count = (shown - self._began) * self._ticks_per_second
        if count > self._count:  # a guest may set the clock
            self._count = count
            self._ticks.write(count)
