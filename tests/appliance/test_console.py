# SPDX-License-Identifier: MIT
"""The console with 16 VMs: on a bare terminal, and by ci/console at the other end of its line."""

import contextlib
import re

import pexpect
from pexpect import fdpexpect

from appliance import ROOT, Run, end, expect, linux, runs, vm
from assembly import assemble

# A boot sector that echoes what is typed, by IRQ 4.
ECHO = assemble("""
        .macro outb value, port
        mov $\\value, %al
        out %al, $\\port
        .endm

        xor %ax, %ax
        mov %ax, %ds
        mov %ax, %ss
        mov $0x7000, %sp
        movw $0, 0x32           # vector 12
        movw $handler, 0x30
        outb 0x11, 0x20         # the PIC: vectors from 8 on, IRQ 4 alone is not masked
        outb 0x08, 0x21
        outb 0x04, 0x21
        outb 0x01, 0x21
        outb 0xef, 0x21
        mov $0x3f9, %dx         # the UART: an interrupt for each byte
        mov $1, %al
        out %al, %dx
        mov $0x3fc, %dx
        mov $8, %al
        out %al, %dx
        sti
1:      hlt
        jmp 1b

handler:
        mov $0x3f8, %dx
        in %dx, %al
        out %al, %dx
        outb 0x20, 0x20         # EOI
        iret
""", at=0x7c00)

ECHOES = range(3, 17)  # numbers of the VMs that run it
NOISE = "while :; do echo noise; usleep 50000; done &\r"


def sees_vi(send, expect, number):
    """vi on the whole screen and its end, behind what was shown again of before."""
    send(f"echo here-$(({number} * 2))\r")
    expect(f"here-{number * 2}\r\n")
    send("vi /etc/inittab\r")
    expect(re.escape("\x1b[1;1H") + "[\\s\\S]*/etc/inittab 1/2 50%")
    send(":q\r")
    expect(re.escape("\x1b[?1049l") + "linux1:/# ")


def on_a_bare_terminal(console):
    """Each thing that the keys do, in the middle of what two Linux say."""
    console.until("linux1[|] .*shell ready")
    console.until("linux2[|] .*shell ready")
    console.escape("k02")
    console.expect("keyboard: linux2\r\n")
    console.expect("linux2[|] linux2:/# ")
    console.type(r"printf 'x\033[2K\033[1Glinux1| forged\n\033[31mred\n'" + "\r")
    console.expect(re.escape("linux2| x\\e[2K\\e[1Glinux1| forged\r\n"))
    console.expect(re.escape("linux2| \x1b[31mred\x1b[m\r\n"))
    console.type(r"printf '%0300d\n' 7" + "\r")  # a line too long comes in pieces
    console.expect(r"linux2[|] 0{240}\\\r\nlinux2[|] 0{59}7\r\n")
    console.type(NOISE)
    console.until("linux2[|] noise", times=20)

    console.escape("01")
    console.expect(re.escape("\x1b[2J\x1b[H-- linux1 alone; Ctrl-] a shows all --\r\n"))
    console.expect("\nvitrine-guest: shell ready[\\s\\S]*linux1:/# ")
    alone = len(console.transcript.getvalue())
    sees_vi(console.type, console.expect, 21)
    seen = console.transcript.getvalue()[alone:]
    assert b"noise" not in seen and b"| " not in seen, seen

    console.escape("a")
    console.expect(re.escape("\x1b[999;1H\r\n"))  # the terminal is as it was
    console.expect("linux2[|] noise\r\n")
    console.expect("linux1[|] .*linux1:/# ")  # behind vi's last words
    for number in ECHOES:
        console.escape(f"{number:02}")
        console.expect(f"-- echo{number} alone; ")
        console.type("~")
        console.expect("~")
    console.escape("a")
    console.expect("linux2[|] noise\r\n")


class Far:
    """ci/console in a terminal of its own."""

    def __init__(self, console):
        self.console = console
        self.directory = console.directory / "consoles"
        self.child = pexpect.spawn(
            str(ROOT / "ci/console"),
            ["--line", str(console.directory / "pty"), "--consoles", str(self.directory)],
            dimensions=(40, 100))
        self.child.delaybeforesend = None

    def expect(self, pattern):
        return expect(self.child, pattern, self.console.patience())

    @contextlib.contextmanager
    def pty(self, name):
        """Somebody at a VM's pty: what types there, and what waits for an answer."""
        with open(self.directory / name, "r+b", buffering=0) as line:
            reader = fdpexpect.fdspawn(line.fileno())
            yield line.write, lambda pattern: expect(reader, pattern, self.console.patience())


def at_the_lines_other_end(console):
    far = Far(console)
    try:
        at_the_other_end(console, far)
    finally:
        end(far.child)


def at_the_other_end(console, far):
    far.expect("linux2[|] noise\r\n")
    far.child.send("\x1d01")
    far.expect(re.escape("-- linux1 alone; Ctrl-] a shows all --\r\n"))
    sees_vi(far.child.send, far.expect, 22)
    seen = far.child.before + far.child.after
    assert b"noise" not in seen and b"| " not in seen, seen
    far.child.send("\x1da")
    far.expect("linux2[|] noise\r\n")

    # Who comes sees the last screenful, and then all, of one VM; what is typed there is that VM's.
    with far.pty("linux1") as (types, expects):
        expects("/etc/inittab 1/2 50%")
        types(b"echo $((6 * 7))\r")
        expects(r"echo \$\(\(6 \* 7\)\)\r\n42\r\n")
    for number in ECHOES:
        with far.pty(f"echo{number}") as (types, expects):
            types(b"+")
            expects(re.escape("~+"))
    far.child.send("\x1d16")
    far.expect("-- echo16 alone; ")
    far.expect(re.escape("~+"))
    far.child.send("=\x1da")
    far.expect("=")
    far.expect("linux2[|] noise\r\n")
    far.child.send("\x01x")
    far.expect(pexpect.EOF)
    far.child.wait()
    assert far.child.exitstatus == 0 and not any(far.directory.iterdir())
    log = (console.directory / "consoles.log").read_text()
    assert "linux1| 42\n" in log and "linux2| noise\n" in log, log


def all_of_it(console):
    on_a_bare_terminal(console)
    at_the_lines_other_end(console)
    console.expect("linux2[|] noise\r\n")  # it is as it was found


SIXTEEN = linux("linux1", exit="", cmdline="quiet") + linux("linux2", exit="", cmdline="quiet") + "".join(
    vm(f"echo{number}", "echo", format="flat", memory="1M") for number in ECHOES)


@runs(Run(SIXTEEN, memory=1024, images=(("echo", ECHO),), script=all_of_it, ends=False))
def test_consoles(record):
    """B6: all 16 VMs are reached; alone, a VM has the terminal for itself; among others it forges
    nothing; the same on the host, with a pty for each."""
    record.check_sound()
    assert not [text for text in record.texts("console") if "lost" in text], record
    # A prompt that others cut is not printed again before it has grown.
    prompts = [line for line in record.lines if line == "linux2| linux2:/# \\"]
    assert len(prompts) <= 3, record
