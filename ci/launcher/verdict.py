# SPDX-License-Identifier: MIT
"""How the appliance ended, read from its console."""

import re

# `[   1.234567] core 0: appliance: done: ok`. A guest's lines begin with its name
# and `| `, so that no guest can write this one.
DONE_LINE = re.compile(
    rb"\[\s*\d+\.\d+\]\s*(?:core\s+\d+\s*:\s*)?appliance\s*:\s*done\s*:\s*(.*?)\s*$"
)
# No log line is longer; what follows in a longer line is not looked at.
LONGEST_LINE = 4096


class Verdict:
    """Fed the console's bytes as they come; knows the last `done` line among them."""

    def __init__(self) -> None:
        self.text: str | None = None  # "ok" or "failed: REASON"; None before that line
        self._line = bytearray()

    @property
    def is_known(self) -> bool:
        return self.text is not None

    @property
    def is_ok(self) -> bool:
        return self.text == "ok"

    def feed(self, data: bytes) -> None:
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self._append(piece)
            self._end_line()
        self._append(rest)

    def _append(self, piece: bytes) -> None:
        self._line += piece[: LONGEST_LINE - len(self._line)]

    def _end_line(self) -> None:
        match = DONE_LINE.match(self._line)
        if match:
            self.text = match[1].decode(errors="replace")
        self._line.clear()
