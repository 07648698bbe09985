# SPDX-License-Identifier: MIT
"""The consoles' keys, as src/vm/console_keys.c has them."""

import typing

ESCAPE = 0x1D  # Ctrl-]


class Keys:
    """Fed what is typed, says what it means: ("type", bytes), ("all",), ("help",), ("alone", N) or
    ("keyboard", N)."""

    def __init__(self) -> None:
        self._typed = ""  # of a command: "]", "k" and a digit, as far as they have come

    def feed(self, data: bytes, vms: int) -> typing.Iterator[tuple]:
        for byte in data:
            yield from self._take(byte, vms)

    def _take(self, byte: int, vms: int) -> typing.Iterator[tuple]:
        before, self._typed, key = self._typed, "", chr(byte)
        if before[-1:] == "1" and not key.isdecimal():
            yield self._number(before, 1)
            if key == "\r":
                return
            before = ""
        if byte == ESCAPE:
            self._typed = "]"
        elif before == "":
            yield "type", bytes([byte])
        elif before[-1] == "0" and key.isdecimal():
            yield self._number(before, int(key))
        elif before[-1] == "1":
            yield self._number(before, 10 + int(key))
        elif before[-1] in "]k" and (key == "0" or key == "1" and vms >= 10):
            self._typed = before + key
        elif before[-1] in "]k" and key in "123456789":
            yield self._number(before, int(key))
        elif before == "]":
            yield from self._command(key)
        else:
            yield "help",

    @staticmethod
    def _number(before: str, number: int) -> tuple:
        return ("keyboard" if "k" in before else "alone"), number

    def _command(self, key: str) -> typing.Iterator[tuple]:
        if key == "k":
            self._typed = "]k"
        elif key == "a":
            yield "all",
        elif key == "]":
            yield "type", bytes([ESCAPE])
        else:
            yield "help",
