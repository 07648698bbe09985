# SPDX-License-Identifier: MIT
"""What is on the machine's screen, without a serial line: why the appliance does not run, and a
panic's report, in QEMU's own emulator, which has no VMX; and the log while guests run."""

import base64
import contextlib
import dataclasses
import gzip
import os
import shlex
import shutil

import pytest

from appliance import ENDS_BY_ITSELF, Run, make_iso, vm
from screen import NO_LETTER, Machine, read_picture, wanted_of

from comparison.kvm import run as carry_out
from launcher.nested import LINUX_MEMORY, LinuxWithKvm
from launcher.qemu import Qemu

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
    which = dataclasses.replace(which, cmdline="test.fault=ud hold=2")
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
    which = dataclasses.replace(SCREENS[screen][0], cpu="pentium3")
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


# In Linux with KVM: the machine, without a launcher, until COM1 has had each text; then a picture of
# its screen goes out on Linux's COM1, a second of its time later.
IN_LINUX = """
mkfifo monitor
{qemu} -no-shutdown -serial file:com1 -monitor stdio <monitor >answers &
exec 3>monitor
picture() {{
    until grep -qF "$1" com1; do
        kill -0 $! || exit 1
        usleep 200000
    done
    sleep 1
    echo "screendump picture" >&3
    echo "info status" >&3
    pictures=$((pictures + 1))
    until [ "$(grep -c 'VM status' answers)" -eq $pictures ]; do usleep 200000; done
    gzip -c picture | base64 >/dev/ttyS0
    echo =end= >/dev/ttyS0
}}
{pictures}
echo quit >&3
wait
"""
SECOND_LIFE = "vmm: this core sees to console, debugger and the ends of VMs from now on"


@pytest.mark.long
def test_while_guests_run(tmp_path):
    """In QEMU with nested KVM: what the log gets then is on the screen too, drawn by the housekeeping core,
    and, when that is lost, by the next."""
    config = vm("one", "hello", cmdline="ticks=2 period=20") + \
        vm("beside", "hello", cmdline="period=300", cores=1)
    which = Run(config, cmdline="test.fault=core-ud test.after=6000", firmware="uefi", cpu=None)
    (tmp_path / "made").mkdir()
    wanted = wanted_of(which, make_iso(which, tmp_path / "made"), accel="kvm")
    (tmp_path / "inner").mkdir()
    qemu = Qemu(wanted).command(tmp_path / "inner", [])
    linux = LinuxWithKvm(dataclasses.replace(wanted, cpus=1, memory=wanted.memory + LINUX_MEMORY,
                                             firmware="bios"))
    waits = ["vm: one ended: exit 0", SECOND_LIFE]
    script = IN_LINUX.format(qemu=shlex.join(qemu),
                             pictures="\n".join(f"picture '{text}'" for text in waits))
    linux.prepare(tmp_path, list((tmp_path / "inner").iterdir()), script)
    *pictures, _ = carry_out(linux, tmp_path).split("=end=")
    before, after = [read_picture(gzip.decompress(base64.b64decode(text))) for text in pictures]
    for rows in before, after:
        check_rows(rows)
        text = "\n".join(rows)
        assert "vm: beside started" in text and waits[0] in text, text
    assert "is lost" not in "\n".join(before), before
    text = "\n".join(after)
    assert "panic: core 0 is lost, with " in text and " undefined_opcode+" in text, text
    assert f"core 1: {SECOND_LIFE}" in text, text
