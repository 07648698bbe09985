# SPDX-License-Identifier: MIT
"""The split stream of the appliance's console taken apart (docs/consoles.md), and what of a guest's
output is shown among others', as src/vm/console_text.c has it."""

import re
import typing
from dataclasses import dataclass

SPLIT = b"\x1ds"  # asks the appliance for the stream
ALL = b"\x1da"  # and for what it sends without being asked

# The appliance says this at its start, when it can be asked.
READY = re.compile(rb"\[ *\d+\.\d{6}\] core \d+: console: Ctrl-\] and a number ")
BEGIN = re.compile(rb"\|begin (\d{1,2})")
VM = re.compile(rb"\|vm (\d{1,2}) ([A-Za-z0-9_][A-Za-z0-9_-]{0,30})")
CHUNK = re.compile(rb"([A-Za-z0-9_-]{1,31})([|:]) (.*)", re.S)
CONTINUED = re.compile(rb"(?<!\\)(?:\\\\)*\\\Z")
ESCAPED = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.S)
BYTES = {b"e": b"\x1b", b"r": b"\r", b"n": b"\n", b"\\": b"\\"}
LONGEST_LINE = 4096


@dataclass(frozen=True)
class Raw:
    """Bytes that came before the stream."""

    data: bytes


@dataclass(frozen=True)
class Begin:
    """The stream begins; so many VMs and what they wrote last follow."""

    vms: int


@dataclass(frozen=True)
class End:
    """Somebody has ended the stream; raw bytes follow."""


@dataclass(frozen=True)
class Machine:
    """There is a VM of this number and name."""

    number: int
    name: str


@dataclass(frozen=True)
class Output:
    """What a VM has written; again: before the stream began."""

    name: str
    data: bytes
    again: bool


@dataclass(frozen=True)
class Line:
    """A line of the appliance's own, without its end."""

    text: bytes


@dataclass(frozen=True)
class Ready:
    """The appliance can be asked for the stream."""


def decoded(text: bytes) -> bytes:
    """A chunk's text as the guest wrote it."""
    def meant(match: re.Match) -> bytes:
        what = match[1]
        return bytes([int(what[1:], 16)]) if what[:1] == b"x" and len(what) == 3 else \
            BYTES.get(what, what)

    continued = CONTINUED.search(text)
    data = ESCAPED.sub(meant, text[:-1] if continued else text)
    return data if continued else data + b"\r\n"


class Stream:
    """Fed the line's bytes as they come, says what they mean."""

    def __init__(self) -> None:
        self.is_split = False
        self._line = b""  # that has not ended
        self._passed = 0  # bytes of it that were given as Raw
        self._names: set[bytes] = set()

    def feed(self, data: bytes) -> typing.Iterator[object]:
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self._line += piece
            yield from self._end_line()
        self._line += rest
        if not self.is_split and not self._line.startswith(b"|"):
            yield from self._pass()
        if len(self._line) > LONGEST_LINE:
            yield from self._end_line() if self.is_split else self._pass()
            self._line, self._passed = self._line[:0], 0

    def _pass(self) -> typing.Iterator[object]:
        data = self._line[self._passed:]
        self._passed = len(self._line)
        if data:
            yield Raw(data)

    def _end_line(self) -> typing.Iterator[object]:
        line = self._line.rstrip(b"\r")
        if begin := BEGIN.fullmatch(line):
            self.is_split = True
            self._names.clear()
            yield Begin(int(begin[1]))
        elif self.is_split:
            yield from self._split_line(line)
        else:
            self._line += b"\n"
            yield from self._pass()
            if READY.match(line):
                yield Ready()
        self._line, self._passed = b"", 0

    def _split_line(self, line: bytes) -> typing.Iterator[object]:
        machine, chunk = VM.fullmatch(line), CHUNK.fullmatch(line)
        if machine:
            self._names.add(machine[2])
            yield Machine(int(machine[1]), machine[2].decode())
        elif chunk and chunk[1] in self._names:
            yield Output(chunk[1].decode(), decoded(chunk[3]), chunk[2] == b":")
        elif line == b"|end":
            self.is_split = False
            yield End()
        else:
            yield Line(line)
            if READY.match(line):  # it has started again
                yield Ready()


# What may pass to a terminal that is shared: a colour, text in UTF-8 without controls and without
# U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069.
COLOUR = rb"\x1b\[[0-9:;]{0,29}m"
QUERY = rb"\x1b\[[\x20-\x3f]{0,30}[nc]"
TEXT = (rb"(?:[\t\x20-\x7e]|\xc2[\xa0-\xbf]|\xd8[\x80-\x9b\x9d-\xbf]|[\xc3-\xd7\xd9-\xdf][\x80-\xbf]"
        rb"|\xe2(?:\x80[\x80-\x8d\x90-\xa7\xaf-\xbf]|\x81[\x80-\xa5\xaa-\xbf]|[\x82-\xbf][\x80-\xbf])"
        rb"|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1\xe3-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
        rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})+")
TOKEN = re.compile(rb"(?P<colour>" + COLOUR + rb")|(?P<query>" + QUERY + rb")|(?P<text>" + TEXT
                   + rb")|(?P<other>.)", re.S)
# What may become one of these when more has come.
HELD = re.compile(rb"(?:\x1b(?:\[[\x20-\x3f]{0,30})?|\r+|[\xc2-\xdf]|\xe0[\xa0-\xbf]?|\xed[\x80-\x9f]?"
                  rb"|[\xe1-\xec\xee\xef][\x80-\xbf]?|\xf0(?:[\x90-\xbf][\x80-\xbf]?)?"
                  rb"|[\xf1-\xf3][\x80-\xbf]{0,2}|\xf4(?:[\x80-\x8f][\x80-\xbf]?)?)\Z")
NAMES = {0x1b: b"\\e", **{7 + i: b"\\" + bytes([name]) for i, name in enumerate(b"abtnvfr")}}


def shown(line: bytes, whole: bool) -> bytes:
    """A guest's line as it is shown among others'; not whole: as far as it is sure."""
    line = line.rstrip(b"\r") if whole else HELD.sub(b"", line)
    parts, coloured = [], False
    for token in TOKEN.finditer(line):
        part = token[0]
        if token.lastgroup == "query" or (part == b"\r" and not parts):
            continue
        if token.lastgroup == "colour":
            coloured = bool(part[2:-1].strip(b"0;"))
        elif token.lastgroup == "other":
            part = NAMES.get(part[0], b"\\x%02x" % part[0])
        parts.append(part)
    return b"".join(parts) + (b"\x1b[m" if whole and coloured else b"")
