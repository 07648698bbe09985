# SPDX-License-Identifier: MIT
"""What is on the machine's screen, without a serial line: why the appliance does not run, and a
panic's report. In QEMU's own emulator, which has no VMX."""

import contextlib
import os
import shutil

import pytest

from appliance import ENDS_BY_ITSELF, Run, vm
from screen import NO_LETTER, Machine

pytestmark = pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None,
                                reason="needs qemu-system-x86_64")

HELLO = ENDS_BY_ITSELF + vm("hello", cmdline="ticks=2 period=5")
NO_VMX = "appliance: done: failed: this CPU has no VMX (CPUID.1:ECX bit 5 is clear)"
NO_LONG_MODE = "vitrine: this CPU has no 64-bit mode"


def dots(menu):
    """A boot menu that has the BIOS set up a screen of dots too."""
    return menu.replace("gfxpayload=text", "gfxpayload=auto")


def run(**options):
    return Run(HELLO, machine="qemu", **{"cpu": None, **options})


SCREENS = {
    "text": (run(), "screen: VGA text, 80 x 25"),
    "dots": (run(grub=dots), "x800, 32 bits a dot"),
    "uefi": (run(firmware="uefi"), "x800, 32 bits a dot"),
}


def check_rows(rows):
    """Letters alone, and no row is left out."""
    assert not [row for row in rows if NO_LETTER in row], "\n".join(rows)
    used = [row for row in rows if row]
    assert rows[:len(used)] == used, "\n".join(rows)


@pytest.mark.parametrize("screen", SCREENS)
def test_says_why_it_refuses(screen, tmp_path):
    """B1, C1: and it stays there to be read."""
    which, line = SCREENS[screen]
    with Machine(which, tmp_path) as machine:
        rows = machine.until("appliance: the machine goes off in 60 seconds")
        check_rows(rows)
        text = "".join(row if len(row) == 80 else row + " " for row in rows)
        assert NO_VMX in text and "smp: 2 of 2 cores online" in text, rows
        assert line in rows[0], rows
        assert not machine.is_off


@pytest.mark.parametrize("screen", SCREENS)
def test_shows_a_panic(screen, tmp_path):
    """The whole report, from the first line to the last; then the machine goes off."""
    which, _ = SCREENS[screen]
    which = Run(**{**vars(which), "cmdline": "test.fault=ud hold=2"})
    with Machine(which, tmp_path) as machine:
        machine.until_off()
        rows = machine.text()
        check_rows(rows)
        text = "\n".join(rows)
        for wanted in ["panic: exception 6 (#UD invalid opcode) in root mode", "panic: rax ",
                       "panic: r12 ", "  #0 ffffffff8", " undefined_opcode+", " boot_core_main+",
                       "done: failed: exception 6", "the machine goes off in 2 seconds"]:
            assert wanted in text, text


@pytest.mark.parametrize("screen", ["text", "dots"])
def test_a_cpu_without_long_mode(screen, tmp_path):
    """Told in 32-bit mode. (UEFI's CPUs have it.)"""
    which = Run(**{**vars(SCREENS[screen][0]), "cpu": "pentium3"})
    with Machine(which, tmp_path) as machine:
        rows = machine.until(NO_LONG_MODE)
        assert rows[0].startswith(NO_LONG_MODE), rows


def test_can_be_left_alone(tmp_path):
    """And without a screen nobody is waited for."""
    with Machine(run(cmdline="screen=off"), tmp_path) as machine:
        machine.until_off()
        assert "core 0" not in "\n".join(machine.text())


@pytest.mark.long
def test_a_serial_line_that_takes_nothing(tmp_path):
    """It is given up after a while, and the screen does not wait for it. (The other end of its pipe
    reads nothing, and the pipe is full.)"""
    for end in ["in", "out"]:
        os.mkfifo(tmp_path / f"com1.{end}")
    pipe = os.open(tmp_path / "com1.out", os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, bytes(512))
    with Machine(run(), tmp_path, "-chardev", "pipe,id=com1,path=com1",
                 "-serial", "chardev:com1") as machine:
        machine.until("appliance: done: failed: ")
        assert not machine.is_off
        machine.until_off()
    os.close(pipe)
