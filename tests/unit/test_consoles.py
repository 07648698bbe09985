# SPDX-License-Identifier: MIT
"""The consoles on the host: the split stream taken apart, the view, the keys, the ptys."""

import contextlib
import ctypes
import os
import random
import select
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "ci"))

from launcher import consoles, split, view  # noqa: E402
from launcher.keys import Keys  # noqa: E402
from launcher.ports import Port  # noqa: E402

PATIENCE = 1800  # seconds of real time for the kernel to pass on what was written
READY = b"[   0.007349] core 0: console: Ctrl-] and a number shows that VM alone\r\n"
BEGUN = b"|begin 2\r\n|vm 1 one\r\n|vm 2 two-2\r\n"


# ---- the stream --------------------------------------------------------------------------------

def events(data, piece=None):
    """What a stream says of the data, given in pieces of this size; raw bytes and output joined."""
    stream, said = split.Stream(), []
    for at in range(0, len(data), piece or len(data)):
        for event in stream.feed(data[at:at + (piece or len(data))]):
            if said and isinstance(event, split.Raw) and isinstance(said[-1], split.Raw):
                event = split.Raw(said.pop().data + event.data)
            said.append(event)
    return said


@pytest.mark.parametrize("piece", [1, 2, 3, 7, None])
def test_the_stream_is_taken_apart(piece):
    text = (b"GRUB\r\n" + READY + BEGUN + b"one: # ls\\\r\none| a\\\\b\\e[1m\\\r\n"
            b"[   0.100000] core 1: vm: two-2 started\r\ntwo-2| \\x01\\n\\\r\none|  c\\\\\r\n|end\r\nx| y")
    assert events(text, piece) == [
        split.Raw(b"GRUB\r\n" + READY), split.Ready(), split.Begin(2),
        split.Machine(1, "one"), split.Machine(2, "two-2"),
        split.Output("one", b"# ls", True), split.Output("one", b"a\\b\x1b[1m", False),
        split.Line(b"[   0.100000] core 1: vm: two-2 started"),
        split.Output("two-2", b"\x01\n", False), split.Output("one", b" c\\\r\n", False),
        split.End(), split.Raw(b"x| y")]


@pytest.mark.parametrize("line", [b"three| x", b"../one| x", b"|vm 3 ../../etc/x", b"|vm 3 .",
                                  b"one|x", b"|begin", b"\xff\xfe| x"])
def test_what_is_not_of_the_stream_is_a_line(line):
    assert events(BEGUN + line + b"\r\n")[3:] == [split.Line(line)]


def test_a_stream_without_line_ends_is_bounded():
    stream = split.Stream()
    list(stream.feed(BEGUN))
    for _ in range(100):
        list(stream.feed(b"x" * 1000))
        assert len(stream._line) <= split.LONGEST_LINE + 1000


def test_an_appliance_that_starts_again_is_asked_again():
    assert split.Ready() in events(BEGUN + b"SeaBIOS\r\n" + READY)


# ---- what is shown of a line: the appliance's own code decides -------------------------------------

class Text(ctypes.Structure):
    """struct console_text"""

    _fields_ = [("held", ctypes.c_uint8 * 32), ("len", ctypes.c_uint), ("begun", ctypes.c_bool),
                ("coloured", ctypes.c_bool)]


@pytest.fixture(scope="module")
def appliances(tmp_path_factory):
    """A function that shows a line as the appliance does."""
    library = tmp_path_factory.mktemp("text") / "text.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-DHOST_BUILD=1", f"-I{ROOT}/src", "-o", library,
                    ROOT / "src/vm/console_text.c"], check=True)
    text = ctypes.CDLL(str(library))

    def show(line, whole=True):
        state, out, result = ctypes.byref(Text()), ctypes.create_string_buffer(80), b""
        for byte in line:
            count = text.console_text_byte(state, byte, out)
            result += out.raw[:count]
        count = text.console_text_end(state, out) if whole else 0
        return result + out.raw[:count]

    return show


PIECES = [b"\x1b", b"\x1b[", b"\x1b[31m", b"\x1b[0m", b"\x1b[6n", b"\x1b[2K", b"[", b"m", b";", b"?",
          b"1", b"\r", b"x", b"\t", b"\x9b", b"\xc2", b"\x80", b"\xa0", b"\xe2\x94", b"\xf0\x9f\x90\xa7",
          b"\xe2\x80", b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\xe2\x81\xa6", b"\xd8", b"\xd8\x9c",
          b"\xed", b"\xf4", b"\x07", b"\x7f", b"\\", "é".encode(), b"1" * 29, b"\x00"]


def test_host_and_appliance_show_the_same(appliances):
    chance = random.Random(3)
    for _ in range(4000):
        line = b"".join(chance.choices(PIECES, k=chance.randrange(8)))
        assert split.shown(line, True) == appliances(line), line
        assert split.shown(line, False) == appliances(line, False), line


def test_host_and_appliance_show_the_same_characters(appliances):
    """U+2028, bidi controls and all others."""
    for number in [*range(0x80, 0x3000), 0xfeff, 0x1f427]:
        character = chr(number).encode()
        assert split.shown(character, True) == appliances(character), hex(number)
    for number in (0x61c, 0x200e, 0x200f, *range(0x2028, 0x202f), *range(0x2066, 0x206a)):
        escaped = "".join(f"\\x{byte:02x}" for byte in chr(number).encode()).encode()
        assert split.shown(chr(number).encode(), True) == escaped, hex(number)


# ---- keys: as in test_console.c --------------------------------------------------------------------

@pytest.mark.parametrize("typed, vms, meaning", [
    (b"ls\r", 3, ["l", "s", "\r"]),
    (b"\x1d2x\x1da\x1dk1", 3, ["A2", "x", "all", "K1"]),
    (b"\x1d]x", 3, ["\x1d", "x"]),
    (b"\x1d\x1da\x1dk\x1d2", 3, ["all", "A2"]),
    (b"\x1d0\x1d2", 3, ["A2"]),
    (b"\x1dh\x1d?\x1dk?x", 3, ["help", "help", "help", "x"]),
    (b"\x1d12", 9, ["A1", "2"]),
    *((b"\x1d%02dx" % vm, 16, [f"A{vm}", "x"]) for vm in range(1, 17)),
    (b"\x1d2x\x1d9", 16, ["A2", "x", "A9"]),
    (b"\x1d1\rx", 16, ["A1", "x"]),
    (b"\x1d1l", 16, ["A1", "l"]),
    (b"\x1d1\x1da", 16, ["A1", "all"]),
    (b"\x1dk16\x1dk1\r", 16, ["K16", "K1"]),
    (b"\x1d0x", 16, ["help"]),
])
def test_keys_choose_vms_and_all_else_is_typed(typed, vms, meaning):
    said = {"type": lambda data: data.decode(), "alone": lambda n: f"A{n}",
            "keyboard": lambda n: f"K{n}", "all": lambda: "all", "help": lambda: "help"}
    assert [said[how](*what) for how, *what in Keys().feed(typed, vms)] == meaning


# ---- the view --------------------------------------------------------------------------------------

class Screen:
    """A view with two VMs, and what it has put and logged."""

    def __init__(self):
        self.put, self.log = bytearray(), bytearray()
        self.view = view.View(self.put.extend, self.log.extend)
        self.one, self.two = self.view.add_vm(1, "one"), self.view.add_vm(2, "two")

    def output(self, vm, data):
        """Returns what it brings to the terminal."""
        self.put.clear()
        self.view.output(vm, data, again=False)
        return bytes(self.put)

    def does(self, what, *arguments):
        self.put.clear()
        what(*arguments)
        return bytes(self.put)


@pytest.fixture
def screen():
    return Screen()


def test_an_unfinished_line_is_not_printed_again_behind_each_other_line(screen):
    assert screen.output(screen.one, b"one:/# ") == b"one| one:/# "
    assert screen.output(screen.two, b"tick 1\r\n") == b"\\\r\ntwo| tick 1\r\n"
    assert screen.output(screen.two, b"tick 2\r\n") == b"two| tick 2\r\n"
    assert screen.output(screen.one, b"\x1b[6n") == b""
    assert screen.output(screen.one, b"l") == b"one| one:/# l"
    assert screen.output(screen.one, b"s") == b"s"
    assert screen.output(screen.one, b"\r\nbin") == b"\r\none| bin"
    assert screen.output(screen.two, b"tick") == b""
    assert screen.output(screen.two, b" 3\r\n") == b"\\\r\ntwo| tick 3\r\n"
    assert screen.output(screen.one, b"\r\n") == b"one| bin\r\n"
    assert screen.log == (b"two| tick 1\ntwo| tick 2\none| one:/# ls\ntwo| tick 3\none| bin\n")


def test_nothing_forges_another_vms_line(screen):
    forged = b"x\x1b[2K\x1b[1Gone| owned\r\n"
    assert screen.output(screen.two, forged) == b"two| x\\e[2K\\e[1Gone| owned\r\n"
    screen.view.set_focus(screen.two)
    assert screen.output(screen.two, forged) == b"two| x\\e[2K\\e[1Gone| owned\r\n"
    assert screen.output(screen.two, b"x\rone| owned\r\n") == b"two| x\\rone| owned\r\n"


def test_colours_end_with_the_line_and_where_it_is_cut(screen):
    assert screen.output(screen.one, b"\x1b[31mred") == b"one| \x1b[31mred"
    assert screen.output(screen.two, b"plain\r\n") == b"\x1b[m\\\r\ntwo| plain\r\n"
    assert screen.output(screen.one, b"!\r\n") == b"one| \x1b[31mred!\x1b[m\r\n"


def test_alone_all_bytes_pass_and_others_wait(screen):
    screen.output(screen.two, b"early\r\n\x1b[6n# ")
    alone = screen.does(screen.view.show_alone, screen.two)
    assert alone.startswith(view.CLEAR) and alone.endswith(b"early\r\n# ")  # not asked once more
    raw = b"\x1b[2J\x1b[6n\xff\x9b\r"
    assert screen.output(screen.two, raw) == raw
    assert screen.output(screen.one, b"meanwhile\r\n") == b""
    assert screen.does(screen.view.line, b"[1.0] log") == b""
    back = screen.does(screen.view.show_all)
    assert back.startswith(view.UNDO + b"one| meanwhile\r\n[1.0] log\r\n")
    assert b"one| meanwhile\n[1.0] log\n" in screen.log


def test_lines_kept_while_alone_are_bounded_and_the_rest_is_told(screen):
    screen.view.show_alone(screen.two)
    for n in range(view.BACKLOG + 5):
        screen.output(screen.one, b"%d\r\n" % n)
    back = screen.does(screen.view.show_all)
    assert back.startswith(view.UNDO + b"-- 5 older lines are in the log only --\r\none| 5\r\n")


def test_alone_a_vm_shows_its_last_screenful(screen):
    screen.output(screen.two, b"".join(b"line %d\r\n" % n for n in range(5000)))
    alone = screen.does(screen.view.show_alone, screen.two)
    assert len(alone) < view.SCREENFUL + 200 and alone.endswith(b"line 4999\r\n")
    assert all(line.startswith(b"line ") for line in alone.splitlines()[1:])


def test_a_line_without_end_is_bounded(screen):
    for _ in range(50):
        screen.output(screen.one, b"\x1b[1;1Hx" * 20)
    assert len(screen.one.line) <= view.LONGEST_LINE and screen.log.startswith(b"one| \\e[1;1Hx")


def test_a_long_line_says_that_it_goes_on(screen):
    """On the screen and in the log, in pieces that bring all of it; no character is torn."""
    text = "é".encode() * 5000 + b"!"
    screen.output(screen.one, b"x")
    for at in range(0, len(text), 200):
        screen.output(screen.one, text[at:at + 200])
    shows = screen.output(screen.one, b"\r\nnext\r\n")
    assert shows.endswith(b"!\r\none| next\r\n")
    *pieces, last, _ = bytes(screen.log).splitlines()
    assert len(pieces) == 2 and all(
        piece.startswith(b"one| ") and piece.endswith(b"\\") and len(piece) > 4096 for piece in pieces)
    assert b"".join(piece[5:-1] for piece in pieces) + last[5:] == b"x" + text


def test_a_line_just_not_too_long_is_whole(screen):
    screen.output(screen.one, b"x" * view.LONGEST_LINE)
    screen.output(screen.one, b"\r\n")
    assert bytes(screen.log) == b"one| " + b"x" * view.LONGEST_LINE + b"\n"


# ---- all of it ----------------------------------------------------------------------------------

@pytest.fixture
def console(tmp_path, monkeypatch):
    """The consoles of an appliance, without a terminal; `screen` is what that would show."""
    with consoles_of(tmp_path, monkeypatch) as port:
        yield port


@contextlib.contextmanager
def consoles_of(tmp_path, monkeypatch):
    directory = tmp_path / "consoles"
    with open(os.devnull, "rb") as nothing, open(tmp_path / "out", "wb") as out:
        monkeypatch.setattr(sys, "stdin", nothing)
        monkeypatch.setattr(sys, "stdout", out)
        with contextlib.closing(consoles.ConsolesPort(directory)) as port:
            port.directory = directory
            yield port


@contextlib.contextmanager
def reader(port, name):
    fd = os.open(port.directory / name, os.O_RDWR | os.O_NOCTTY)
    try:
        yield fd
    finally:
        os.close(fd)


def carried(port, fd, last):
    """What a reader gets that has just come, or of what has just been sent, up to its last."""
    data = b""
    for member in port.members:
        member.check()
        member.flush()
    while not data.endswith(last):
        assert select.select([fd], [], [], PATIENCE)[0], data
        data += os.read(fd, 1 << 16)
        for member in port.members:
            member.flush()
    return data


def member(port, name):
    return next(member for member in port.members if member.vm.name == name)


def typed(port, name):
    """What was written to the VM's pty, as the appliance gets it."""
    port = member(port, name)
    assert select.select([port.read_fd], [], [], PATIENCE)[0]
    return port.read()


def test_the_appliance_is_asked_for_the_stream_when_it_is_ready(console):
    console.send(b"GRUB")
    assert console.last_words() == b""
    console.send(b"\r\n" + READY)
    assert console.last_words() == split.SPLIT and console.last_words() == b""


def test_each_vm_has_a_pty_with_its_bytes_as_they_are(console):
    console.send(BEGUN + b"one: early\r\ntwo-2| \\e[1m\\\\\\\r\n")
    with reader(console, "one") as one, reader(console, "two-2") as two:
        assert carried(console, one, b"\n") == b"early\r\n"
        assert carried(console, two, b"\\") == b"\x1b[1m\\"
        console.send(b"one| late\r\n")
        assert carried(console, one, b"\n") == b"late\r\n"
        os.write(two, b"a\x1db")
        os.write(one, b"c")
        assert typed(console, "two-2") == b"\x1dk02a\x1d]b"
        assert typed(console, "one") == b"\x1dk01c"
        os.write(one, b"d")
        assert typed(console, "one") == b"d"
    assert (console.directory / "../consoles.log").read_bytes() == b"one| late\n"


def test_who_comes_late_sees_what_was_missed_and_at_least_a_screenful(console):
    console.send(BEGUN + b"".join(b"one| line %d\r\n" % n for n in range(2000)))
    with reader(console, "one") as one:
        assert carried(console, one, b"line 1999\r\n").startswith(b"line 0\r\n")
        member(console, "one").input_ended()
    console.send(b"one| \\e[6n# \\\r\n")
    with reader(console, "one") as one:
        seen = carried(console, one, b"# ")
        assert seen.endswith(b"line 1999\r\n# ") and len(seen) <= view.SCREENFUL


def test_ptys_that_nobody_reads_are_bounded_and_hold_nothing_up(console):
    console.send(BEGUN)
    for _ in range(consoles.BACKLOG // 100):
        console.send(b"one| " + b"x" * 190 + b"\r\n")
        assert console.has_room() and member(console, "one").has_room()
        console.outgoing.clear()
    assert len(member(console, "one")._backlog) == consoles.BACKLOG


def test_the_end_of_a_vm_that_is_alone_shows_all(console):
    console.send(BEGUN)
    console._view.show_alone(console._view.vms[2])
    console.send(b"[   1.000000] core 0: vm: one ended: poweroff\r\n")
    assert console._view.alone
    console.send(b"[   1.000000] core 0: vm: two-2 ended: poweroff\r\n")
    assert not console._view.alone
    assert bytes(console.outgoing).endswith(b"two-2 ended: poweroff\r\n")


def test_links_go_with_it(console):
    console.send(BEGUN)
    assert sorted(os.listdir(console.directory)) == ["one", "two-2"]
    console.close()
    assert os.listdir(console.directory) == []
    console.close = lambda: None


@pytest.mark.parametrize("alone", [False, True])
def test_a_log_that_takes_no_more_is_given_up(tmp_path, monkeypatch, alone):
    """One message names it, on a line of its own, and all else goes on."""
    (tmp_path / "consoles.log").symlink_to("/dev/full")
    with consoles_of(tmp_path, monkeypatch) as port:
        port._log._file, full = open(os.devnull, "wb", buffering=0), port._log._file
        port.send(BEGUN + b"one| # \\\r\n")
        if alone:
            port._view.show_alone(port._view.vms[1])
        port._log._file = full
        port.outgoing.clear()
        port.send(b"two-2| a\r\none| ls\r\ntwo-2| b\r\n")
        word = f"-- {tmp_path}/consoles.log: No space left on device; nothing more is written there --"
        if not alone:
            assert bytes(port.outgoing) == f"\\\r\n{word}\r\ntwo-2| a\r\none| # ls\r\ntwo-2| b\r\n".encode()
            return
        assert bytes(port.outgoing) == b"ls\r\n"
        port._view.show_all()
        assert bytes(port.outgoing).endswith(f"{word}\r\ntwo-2| a\r\ntwo-2| b\r\n".encode())


def test_a_log_that_takes_nothing_from_the_start_is_told_once(tmp_path, monkeypatch):
    """The message does not stand behind what the firmware has left unfinished."""
    (tmp_path / "consoles.log").symlink_to("/dev/full")
    with consoles_of(tmp_path, monkeypatch) as port:
        port.send(b"Booting")
        port.send(b" ...\r\n" + READY)
        assert bytes(port.outgoing).count(b"No space left on device") == 1
        assert bytes(port.outgoing).startswith(b"Booting\r\n-- ")
        assert bytes(port.outgoing).endswith(READY)


GRUB = (b"\x1b[H\x1b[J\x1b[1;1H\x1bcBIOS\x1b[2;3f\x1b[?25l\x1b[31m red\x1b[m\r\n  Booting `Vitrine'\x1b(B\r\n\x1b7"
        b"\x1b[2J\x1b[K\x1b[A.\r\n")
GRUBS_TEXT = b"BIOS\x1b[31m red\x1b[m\r\n  Booting `Vitrine'\r\n.\r\n"


@pytest.mark.parametrize("piece", [1, 2, 3, 7, len(GRUB)])
def test_the_boot_menu_clears_no_screen(console, piece):
    """Where make run has said how to go on; nor that of who looks at the log."""
    for at in range(0, len(GRUB), piece):
        console.send(GRUB[at:at + piece])
    assert bytes(console.outgoing) == GRUBS_TEXT
    assert (console.directory / "../consoles.log").read_bytes() == GRUBS_TEXT.replace(b"\r", b"")


def test_the_boot_menu_is_as_it_is_for_who_types(console, monkeypatch):
    console.send(b"\x1b[H\x1b[")
    with monkeypatch.context() as patch:
        patch.setattr(Port, "read", lambda self: b"\x1b")
        assert console.read() == b"\x1b"
    console.send(b"J" + GRUB)
    assert bytes(console.outgoing) == b"\x1b[J" + GRUB
    assert (console.directory / "../consoles.log").read_bytes() == GRUBS_TEXT.replace(b"\r", b"")


def test_typed_keys_go_to_the_vm_that_has_the_keyboard(console, monkeypatch):
    def typed(data):
        monkeypatch.setattr(Port, "read", lambda self: data)
        return console.read()

    assert typed(b"\x1dx") == b"\x1dx"  # before the stream: to GRUB, or to the appliance
    console.send(BEGUN)
    assert typed(b"ls\r") == b"\x1dk01ls\r"
    assert typed(b"\x1d2") == b"" and console._view.alone.name == "two-2"
    assert typed(b"vi\x1d]\r") == b"\x1dk02vi\x1d]\r"
    assert typed(b"\x1da\x1dk1x") == b"\x1dk01x" and console._view.alone is None
    assert typed(b"\x1d7") == b"" and b"there is no VM 7" in console.outgoing


def test_a_command_before_the_stream_has_begun_waits_for_it(console, monkeypatch):
    """The appliance, which was asked for the stream, would end it."""
    def typed(data):
        monkeypatch.setattr(Port, "read", lambda self: data)
        return console.read()

    console.send(READY)
    assert console.last_words() == split.SPLIT
    assert typed(b"ls\x1d") == b"ls" and typed(b"2") == b""
    console.send(b"one| raw\r\n" + BEGUN[:-5])
    assert console.last_words() == b"" and not console._view.alone  # not all VMs are known
    console.send(BEGUN[-5:])
    assert console.last_words() == b"" and console._view.alone.name == "two-2"
    assert typed(b"vi\r") == b"\x1dk02vi\r"

    console.send(b"|end\r\n")
    assert typed(b"\x1d1") == b"\x1d1"  # somebody else wants it to be as it is


def test_keys_that_wait_for_a_stream_are_bounded(console, monkeypatch):
    """Where a boot menu waits too, which takes Ctrl-] for any key."""
    def typed(data):
        monkeypatch.setattr(Port, "read", lambda self: data)
        return console.read()

    console.send(READY)
    assert typed(b"\x1d" + b"x" * 15) == b""
    assert typed(b"\r") == b"\x1d" + b"x" * 15 + b"\r" and typed(b"\r") == b"\r"
