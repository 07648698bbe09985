# SPDX-License-Identifier: MIT
"""The appliance's console line as many: the split stream shown on this terminal, kept in a log, and
each VM's part of it on a pty."""

import contextlib
import os
import re
import time
import typing
from pathlib import Path

from . import split
from .claim import Claim
from .logfile import LogFile
from .keys import ESCAPE, Keys
from .ports import A_LOOK, GuestPty, TerminalPort, bytes_readable
from .ticks import Patience
from .view import View, Vm, last_screenful, repeated

FAREWELL = 5  # seconds that a terminal has to take the last, if it takes nothing
# Keys that wait for the stream, from Ctrl-] on: a command and a little more. Who types more than that
# has no stream to wait for, but may have a boot menu.
WAITING_KEYS = 16
BACKLOG = 1 << 18  # bytes of a VM's output that wait for who opens its pty
ENDED = re.compile(rb"\[ *\d+\.\d{6}\] core \d+: (?:vm: (\S+) ended|appliance: done|panic): ")


class VmPty(GuestPty):
    """A VM's console on a pty. Who comes sees what nobody has read yet, the last of it, and at least
    the last screenful."""

    def __init__(self, link: str, consoles: "ConsolesPort", vm: Vm) -> None:
        self._backlog = bytearray()
        self._taken = 0  # how many of them a program has read
        super().__init__(link, claims=False)
        self._consoles = consoles
        self.vm = vm

    def read(self) -> bytes:
        return self._consoles.input_for(self.vm, super().read())

    def has_room(self) -> bool:
        return True

    def send(self, data: bytes) -> None:
        self._backlog += data
        surplus = max(0, len(self._backlog) - BACKLOG)
        del self._backlog[:surplus]
        self._taken = max(0, self._taken - surplus)
        super().send(data)
        del self.outgoing[:-BACKLOG]

    def program_came(self) -> None:
        last = len(self._backlog) - last_screenful(self._backlog)
        self.outgoing[:] = repeated(self._backlog[min(self._taken, last):])

    def program_left(self, unread: int) -> None:
        self._taken = max(0, len(self._backlog) - len(self.outgoing) - unread)

    def drain(self, is_over: typing.Callable[[], object]) -> None:
        super().drain(is_over)
        # What is in the kernel's buffer dies with the master: let it be read first.
        if not self.is_attached:
            return
        slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        while bytes_readable(slave) > 0 and not is_over():
            time.sleep(A_LOOK)
        os.close(slave)


class ConsolesPort(TerminalPort):
    """The terminal, the log DIRECTORY.log and the ptys DIRECTORY/NAME."""

    def __init__(self, directory: Path, asks: bool = False) -> None:
        """asks: the appliance may have started long ago, and is asked for the stream at once."""
        directory.mkdir(exist_ok=True)
        self._claim = Claim(str(directory))  # and of its log
        self._directory = directory
        try:
            self._log = LogFile(f"{directory}.log", lambda text: self._view.note(f"-- {text} --"))
        except OSError:
            self._claim.close()
            raise
        super().__init__(raw_output=True)
        self._stream = split.Stream()
        self._view = View(super().send, self._log.write)
        self._keys = Keys()
        self._asked = asks
        self._words = split.SPLIT if asks else b""
        self._waiting_keys = b""
        self._missing = 0  # VMs that have not been named since the stream began
        self._input_for: int | None = None  # whose input the appliance takes what comes for
        self.members: list[VmPty] = []

    # ---- from the appliance --------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        for event in self._stream.feed(data):
            self._take(event)

    def _take(self, event: object) -> None:
        match event:
            case split.Raw(data):
                self._view.raw(data)
            case split.Ready():
                self._asked = True
                self._words += split.SPLIT
            case split.Begin(vms):
                self._input_for = None
                self._missing = vms
                self._take_waiting_keys()
            case split.End():
                self._asked = False
            case split.Machine(number, name):
                self._add(self._view.add_vm(number, name))
                self._missing -= 1
                self._take_waiting_keys()
            case split.Output(name, data, again):
                for member in self.members:
                    if member.vm.name == name:
                        member.send(data)
                        self._view.output(member.vm, data, again)
            case split.Line(text):
                ended = ENDED.match(text)
                if ended and (not ended[1] or self._is_alone(ended[1])):
                    self._view.show_all()
                self._view.line(text)

    def _is_alone(self, name: bytes) -> bool:
        return self._view.alone is not None and self._view.alone.name.encode() == name

    def _add(self, vm: Vm) -> None:
        if all(member.vm is not vm for member in self.members):
            self.members.append(VmPty(str(self._directory / vm.name), self, vm))

    # ---- to the appliance ----------------------------------------------------------------------

    def last_words(self) -> bytes:
        words, self._words = self._words, b""
        return words

    def input_for(self, vm: Vm, data: bytes) -> bytes:
        """The data as it has to be typed at the appliance's console."""
        if not data or not self._stream.is_split:
            return b""
        choice = b"" if self._input_for == vm.number else b"\x1dk%02d" % vm.number
        self._input_for = vm.number
        return choice + data.replace(bytes([ESCAPE]), bytes([ESCAPE]) + b"]")

    def read(self) -> bytes:
        keys = super().read()
        return self._typed(keys) if self._can_choose() else self._typed_before(keys)

    def _can_choose(self) -> bool:
        """Whether all VMs are known from which a key may choose."""
        return self._stream.is_split and self._missing <= 0

    def _typed_before(self, keys: bytes) -> bytes:
        """What the machine gets of keys that were typed before the stream began. It may have been
        asked for it already, and would end it by a command."""
        if self._asked:
            keys, self._waiting_keys = self._waiting_keys + keys, b""
            at = keys.find(ESCAPE)
            if at >= 0 and len(keys) - at <= WAITING_KEYS:
                keys, self._waiting_keys = keys[:at], keys[at:]
        if keys:
            self._view.pass_raw()
        return keys

    def _take_waiting_keys(self) -> None:
        if self._can_choose():
            keys, self._waiting_keys = self._waiting_keys, b""
            self._words += self._typed(keys)

    def _typed(self, keys: bytes) -> bytes:
        return b"".join(map(self._carry_out, self._keys.feed(keys, len(self._view.vms))))

    def _carry_out(self, key: tuple) -> bytes:
        match key:
            case "type", data:
                return self.input_for(self._view.focus, data) if self._view.focus else b""
            case "all",:
                self._view.show_all()
            case "help",:
                self._view.show_all()
                self._help()
            case how, number:
                vm = self._view.vms.get(number)
                if vm is None:
                    self._view.show_all()
                    self._view.say(f"-- there is no VM {number} --")
                elif how == "alone":
                    self._view.show_alone(vm)
                else:
                    self._view.say(f"-- keyboard: {vm.name} --")
                    self._view.set_focus(vm)
        return b""

    def _help(self) -> None:
        vms = self._view.vms.values()
        digits = 1 if len(vms) < 10 else 2
        for text in (
            "Ctrl-] and a number shows that VM alone and gives it the keyboard; Ctrl-] a shows all",
            *(f"  Ctrl-] {vm.number:0{digits}}  {vm.name}"
              f"{'  (has it now)' if vm is self._view.focus else ''}"
              f"  also on {self._directory}/{vm.name}" for vm in vms),
            "  Ctrl-] k and a number  gives it the keyboard only",
            "  Ctrl-] ]  sends Ctrl-] itself; Ctrl-] h  prints this; Ctrl-A x  ends all",
            f"  {self._directory}.log has what all have written",
        ):
            self._view.say(text)

    # ---- the end -------------------------------------------------------------------------------

    def drain(self, is_over: typing.Callable[[], object]) -> None:
        super().drain(is_over)
        for member in self.members:
            member.drain(is_over)

    def close(self) -> None:
        self._view.end()
        with contextlib.suppress(OSError):
            super().drain(Patience(None, 0, uncounted=FAREWELL).over)
        for member in self.members:
            member.close()
        self._log.close()
        self._claim.close()
        super().close()
