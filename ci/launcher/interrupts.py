# SPDX-License-Identifier: MIT
"""Ctrl-C at a console belongs to the guest. Who types it where nothing answers is told so."""

import time

CTRL_C = 0x03
ANSWER = 2.0  # seconds in which something is written, or nothing answers
IN_A_ROW = 3  # so often without another key, whatever is written meanwhile
TOLD = b"\r\nappliance: Ctrl-C goes to the guest; Ctrl-A x switches the machine off\r\n"


class Interrupts:
    """Told of what is typed and what is written, it knows when to say that."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._until: float | None = None

    def typed(self, keys: bytes) -> None:
        for key in keys:
            self._in_a_row = self._in_a_row + 1 if key == CTRL_C else 0
            self._until = time.monotonic() + ANSWER if key == CTRL_C else None

    def written(self) -> None:
        self._until = None

    def waiting(self) -> bool:
        return self._until is not None

    def due(self) -> bool:
        """Once for each time."""
        late = self._until is not None and time.monotonic() >= self._until
        if not late and self._in_a_row < IN_A_ROW:
            return False
        self._until, self._in_a_row = None, 0
        return True
