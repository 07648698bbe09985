# SPDX-License-Identifier: MIT
"""What a terminal shows of the consoles: all VMs, in marked lines, or one alone."""

import collections
import re
import typing

from .split import HELD, QUERY, shown

GOES_ON = b"\\"
SCREENFUL = 8192  # bytes of a VM's output that are shown again
LONGEST_LINE = 4096  # bytes, after which a line that goes on is cut
LONGEST_HELD = 64  # the same, that have to be seen together
LONGEST_PARTIAL = 240  # a line that goes on is no prompt: it is shown when it is whole
BACKLOG = 200  # lines that are kept while a VM is alone

# What a guest may have done to the terminal while it had it alone, undone: src/vm/console_show.c.
UNDO = (b"\x18\x1b\\\x0f\x1b(B\x1b[!p\x1b[?1049l\x1b[?1000;1002;1003;1004;1006;2004l\x1b[?1l\x1b>"
        b"\x1b[?25h\x1b[?7h\x1b[4l\x1b[r\x1b[m\x1b[999;1H\r\n")
CLEAR = b"\x1b[2J\x1b[H"


def last_screenful(data: bytes) -> int:
    """How much of the end of a VM's output is a screenful that can be shown."""
    if len(data) <= SCREENFUL:
        return len(data)
    begin = len(data) - SCREENFUL
    line = data.find(b"\n", begin, begin + SCREENFUL // 2) + 1
    return len(data) - (line or max(begin, data.find(b"\x1b", begin)))


def repeated(data: bytes) -> bytes:
    """Output that is shown again: without what the terminal would answer, to nobody who asks."""
    return re.sub(QUERY, b"", data)


class Vm:
    """A VM's console: its line, and what was last written."""

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.mark = f"{name}| ".encode()
        self.last = bytearray()
        self.line = b""  # that has not ended
        self.shown = b""  # of it

    def keep(self, data: bytes) -> None:
        self.last += data
        del self.last[:-2 * SCREENFUL]


# What moves the cursor or clears the screen: all of a terminal's commands but colours.
MOVES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-ln-~]|[()].|[=>78cDEHM])", re.S)
MOVES_HELD = re.compile(rb"\x1b(?:\[[0-?]{0,30}[ -/]?|[()])?\Z")


class Unmoved:
    """Text without these, as it comes in pieces."""

    def __init__(self) -> None:
        self.held = b""  # what may become one of them

    def feed(self, data: bytes) -> bytes:
        data = MOVES.sub(b"", self.held + data)
        begun = MOVES_HELD.search(data)
        self.held = begun[0] if begun else b""
        return data[:len(data) - len(self.held)]


class View:
    """Puts what comes from the consoles on a terminal, and each line that is whole into a log."""

    def __init__(self, put: typing.Callable[[bytes], None],
                 log: typing.Callable[[bytes], None]) -> None:
        self._put = put
        self._log = log
        self.vms: dict[int, Vm] = {}
        self.focus: Vm | None = None  # has the keyboard
        self.alone: Vm | None = None
        self._passes_raw = False
        self._unfinished: Vm | None = None  # whose partial line stands on the screen
        self._unmoved = Unmoved()
        self._raw_is_open = False  # the cursor stands behind something that came before the VMs
        self._backlog: collections.deque[bytes] = collections.deque(maxlen=BACKLOG)
        self._dropped = 0

    def add_vm(self, number: int, name: str) -> Vm:
        vm = self.vms.get(number)
        if vm is None or vm.name != name:
            vm = self.vms[number] = Vm(number, name)
        vm.line = vm.shown = b""
        if self.focus is None or self.focus.number == number:
            self.focus = vm
        return vm

    def raw(self, data: bytes) -> None:
        """What came before the VMs were there: a boot menu clears the screen, on which is how to go
        on. Nothing does until a key was typed, as for that menu."""
        text = self._unmoved.feed(data)
        self._put(data if self._passes_raw else text)
        if text:
            self._raw_is_open = not text.endswith(b"\n")
        self._log(text.replace(b"\r", b""))

    def pass_raw(self) -> None:
        """A key was typed."""
        if not self._passes_raw:
            self._put(self._unmoved.held)
        self._passes_raw = True

    def line(self, text: bytes) -> None:
        """A line of the appliance's own."""
        self._whole_line(shown(text, True))

    def output(self, vm: Vm, data: bytes, again: bool) -> None:
        vm.keep(data)
        if vm is self.alone:
            self._put(data)
        *ended, rest = data.split(b"\n")
        for piece in ended:
            vm.line += piece
            self._end_line(vm, again)
        vm.line += rest
        while len(vm.line) > LONGEST_LINE:
            self._cut_line(vm, again)
        if not again:
            self._show_partial(vm)

    def _cut_line(self, vm: Vm, again: bool) -> None:
        """Bring the beginning of a line out, with a sign that it goes on; not in the middle of what
        has to be seen together."""
        held = HELD.search(vm.line[LONGEST_LINE - LONGEST_HELD:LONGEST_LINE])
        end = LONGEST_LINE - (len(held[0]) if held else 0)
        rest = vm.line[end:]
        vm.line = vm.line[:end]
        self._end_line(vm, again, GOES_ON)
        vm.line = rest

    def _end_line(self, vm: Vm, again: bool, sign: bytes = b"") -> None:
        text = shown(vm.line, True) + sign
        vm.line = b""
        if not again:
            self._whole_line(text, vm)
        vm.shown = b""

    def _whole_line(self, text: bytes, vm: Vm | None = None) -> None:
        line = (vm.mark if vm else b"") + text
        self._log(line + b"\n")
        if self.alone:
            if vm is not self.alone:
                self._add_to_backlog(line)
        elif vm is not None and vm is self._unfinished and text.startswith(vm.shown):
            self._put(text[len(vm.shown):] + b"\r\n")
            self._unfinished = None
        else:
            self._leave_line()
            self._put(line + b"\r\n")

    def _add_to_backlog(self, line: bytes) -> None:
        self._dropped += len(self._backlog) == BACKLOG
        self._backlog.append(line)

    def _leave_line(self) -> None:
        """Leaves the partial line that is on the screen, if any."""
        if self._raw_is_open:
            self._put(b"\r\n")
        self._raw_is_open = False
        if self._unfinished:
            self._put((b"\x1b[m" if b"\x1b" in self._unfinished.shown else b"") + b"\\\r\n")
        self._unfinished = None

    def _show_partial(self, vm: Vm) -> None:
        if self.alone or vm is not self.focus or not vm.line:
            return
        text = shown(vm.line, False)
        if text == vm.shown or len(text) > LONGEST_PARTIAL:
            return  # it has been shown, if only before another line
        if vm is self._unfinished and text.startswith(vm.shown):
            self._put(text[len(vm.shown):])
        else:
            self._leave_line()
            self._put(vm.mark + text)
        self._unfinished, vm.shown = vm, text

    # ---- what is shown -------------------------------------------------------------------------

    def set_focus(self, vm: Vm) -> None:
        self.focus = vm
        if not self.alone and vm is not self._unfinished:
            vm.shown = b""
            self._show_partial(vm)

    def show_alone(self, vm: Vm) -> None:
        self._leave_line()
        if self.alone:
            self._put(UNDO)
        self.focus = self.alone = vm
        self._put(CLEAR + f"-- {vm.name} alone; Ctrl-] a shows all --\r\n".encode())
        self._put(repeated(vm.last[-last_screenful(vm.last):]))

    def show_all(self) -> None:
        if not self.alone:
            return
        self._put(UNDO)
        self.alone = None
        if self._dropped:
            self._put(f"-- {self._dropped} older lines are in the log only --\r\n".encode())
        for line in self._backlog:
            self._put(line + b"\r\n")
        self._backlog.clear()
        self._dropped = 0
        self.focus.shown = b""
        self._show_partial(self.focus)

    def say(self, text: str) -> None:
        """A line for whoever looks at the terminal."""
        self._leave_line()
        self._put(text.encode() + b"\r\n")

    def note(self, text: str) -> None:
        """A line that can wait until all VMs are shown. It is not in the log."""
        if self.alone:
            self._add_to_backlog(text.encode())
        else:
            self.say(text)

    def end(self) -> None:
        """Nothing more comes: what is left of lines, and the terminal as it was."""
        self.show_all()
        self._leave_line()
        for vm in self.vms.values():
            if vm.line:
                self._log(vm.mark + shown(vm.line, True) + b"\n")
