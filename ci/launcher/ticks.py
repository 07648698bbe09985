# SPDX-License-Identifier: MIT
"""How far an emulated machine has come, and bounds of waits that are counted by that.

What is waited for in a machine has so many of its ticks, however long these take: a computer that
does other work too makes it slow, and changes nothing else. A machine whose count stands has hung.
"""

import struct
import time
from pathlib import Path

G = 1_000_000_000
COUNT = struct.Struct("=Q")

# Seconds of real time. They tell a hang alone: a machine makes millions of ticks in each of them.
STANDS_STILL = 900  # without a tick
UNCOUNTED = 1800  # for a wait in a machine that does not count
# Between two looks at the clock no more of them count, for who looks late was held up too.
LOOK = 1.0


class Ticks:
    """A file with a machine's count, 8 bytes; it is empty when the machine does not count."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, counts: bool) -> None:
        """To be called before the machine is started."""
        self.path.write_bytes(COUNT.pack(0) if counts else b"")

    def write(self, count: int) -> None:
        with open(self.path, "r+b", buffering=0) as file:
            file.write(COUNT.pack(count))

    def read(self) -> int | None:
        """The count; None when there is none, 0 before the machine was started."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                data = file.read(COUNT.size)
        except FileNotFoundError:
            return 0
        return COUNT.unpack(data)[0] if data else None


class Patience:
    """The bound of one wait, from its making on. Who waits has to look at `over` twice a second."""

    def __init__(self, ticks: Ticks | None, most: float, seconds: float = 0,
                 uncounted: float = UNCOUNTED) -> None:
        """It is over after `most` thousand millions of ticks, but not before so many `seconds` of
        real time: they are for the programs of this computer that take part, since a machine that
        waits for them may make its ticks in no time. `uncounted` seconds where nothing counts."""
        self._ticks = ticks
        self._most = most
        self._least_seconds = seconds
        self._uncounted = uncounted
        self._first = self._last = ticks.read() if ticks else None
        self._looked = time.monotonic()
        self._seconds = self._still = 0.0

    def over(self) -> str | None:
        """Why the wait is over; None: it is not."""
        now = time.monotonic()
        passed = min(now - self._looked, LOOK)
        self._looked = now
        self._seconds += passed
        count = self._ticks.read() if self._ticks else None
        if count is None:
            return f"after {self._uncounted:g} seconds" if self._seconds >= self._uncounted else None
        self._still = self._still + passed if count == self._last else 0.0
        self._last = count
        if self._still >= STANDS_STILL:
            return f"in a machine that stands still: no tick in {STANDS_STILL:g} seconds"
        if count - (self._first or 0) >= self._most * G and self._seconds >= self._least_seconds:
            return f"after {self._most:g} G ticks"
        return None
