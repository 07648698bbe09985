# SPDX-License-Identifier: MIT
"""Devices of the host that a VM is given: COM2, whose other end is here."""

import re

import pytest

from appliance import (
    CPU_MODELS, ENDS_BY_ITSELF, SKYLAKE, STATUS_TERMINATED, Run, linux, on_each_cpu, runs, vm,
)
from debugger import Gdb, Wire

COM2_FREE = "console=com1,115200 gdb=none"
AT_A_TIME = 12  # bytes; a FIFO holds 16, however long the guest waits for its core


class Line(Wire):
    """The line to the guest `line`."""

    def __init__(self, console):
        super().__init__(console.directory / "com2")
        self.echoed = 0

    def started(self):
        self.read_until(rb"\[start\]")

    def command(self, letter):
        self.write(b"\x1b" + letter.encode())
        self.read_until(rb"\[%s\]" % letter.encode())

    def echo(self, rounds):
        for i in range(rounds):
            text = bytes(0x41 + (i + j) % 26 for j in range(AT_A_TIME))
            self.write(text)
            self.read_until(text)
            self.echoed += len(text)


def each_way(console):
    with Line(console) as line:
        line.started()
        line.echo(2)
        line.command("r")
        line.write(b"x")  # unread when it resets
        line.started()
        line.echo(20)
        for way in ["l", "p", "h", "c", "l", "i"]:
            line.command(way)
            line.echo(5)
        line.command("s")
        line.echo(5)
        line.command("e")
    console.rest()


@on_each_cpu(ENDS_BY_ITSELF + vm("line", vcpus=2, devices="com2"), serial=COM2_FREE, script=each_way,
             com2=True)
def test_interrupts_arrive_as_the_guests_own(record):
    """F9, A3: by the IOAPIC and the PIC, to a CPU that sleeps or runs, on the core that takes the
    host's interrupt or another one; after a reset too. No port access exits."""
    record.check_done()
    assert record.ended("line") == "exit 0" and not record.verdicts("line", "FAIL"), record
    life = record.life("line")
    counts = [int(text.split()[2]) for text in life if re.match(r"line com2: \d+ interrupts", text)]
    assert life[0] == "line has com2: port 2f8, IRQ 3 by core 0" and len(counts) == 2, record
    assert life.count("line started") == 2, record
    # 50 are let through in a millisecond, and one more at its end.
    asked = next(int(line.split()[2]) for line in record.guest("line") if " asked " in line)
    assert counts[1] < 500 + 51 * 21 < asked, record
    exits = "\n".join(text for text in record.texts("vm") if text.startswith("line vcpu 0"))
    printed = sum(len(line) for line in record.guest("line"))
    echoed = next(int(line.split()[2]) for line in record.guest("line") if "bytes received" in line)
    # Two for each character on the console; a byte that is echoed takes five port accesses.
    assert int(re.search(r"IO_INSTRUCTION (\d+)", exits)[1]) < 3 * printed < 3 * echoed, record


@pytest.mark.long
@on_each_cpu(ENDS_BY_ITSELF + vm("line", vcpus=2, devices="com2"), serial=COM2_FREE, script=each_way,
             com2=True, cmdline="test.move=200")
def test_interrupts_find_vcpus_that_move(record):
    """F9: five thousand times a second one goes to its next core."""
    record.check_done()
    assert record.ended("line") == "exit 0" and not record.verdicts("line", "FAIL"), record


@on_each_cpu(ENDS_BY_ITSELF + vm("line", vcpus=2, devices="com2", intercept="io:0x2f8-0x2ff"),
             serial=COM2_FREE, script=each_way, com2=True)
def test_port_accesses_that_are_caught_reach_the_device(record):
    """F9, A1: the guest has its line as if nothing were caught, and each access is a hit."""
    record.check_done()
    assert record.ended("line") == "exit 0" and not record.verdicts("line", "FAIL"), record
    caught = [text for text in record.texts("vm") if "intercept io:0x2f8-0x2ff" in text]
    echoed = next(int(line.split()[2]) for line in record.guest("line") if "bytes received" in line)
    assert int(caught[-1].split()[-2]) > 5 * echoed, record


def queued(console):
    with Line(console) as line:
        line.started()
        console.until("spinning with interrupts off")
        line.echo(20)
        line.command("l")
        line.echo(20)
        line.command("h")
        line.echo(20)
        line.command("e")
    console.until("line ended: exit 0")


@pytest.mark.parametrize("record", [
    pytest.param(Run(vm("spin") + vm("line", devices="com2"), cpu=cpu, cpus=1, serial=COM2_FREE,
                     script=queued, com2=True, ends=False),
                 id=cpu.removeprefix("corei7_"), marks=[] if cpu == SKYLAKE else [pytest.mark.long])
    for cpu in CPU_MODELS], indirect=True)
def test_interrupts_wait_for_a_queued_vcpu(record):
    """F9: the core is another VM's, which never lets go of it."""
    record.check_sound()
    record.check_passed("line", "F9")
    assert record.ended("spin") is None, record


HELLO = vm("hello", cmdline="ticks=2 period=5")


def wants(name, *devices):
    return vm(name, "hello", cmdline="ticks=2 period=5", devices=",".join(devices))


@runs(Run(ENDS_BY_ITSELF + wants("a", "com1") + wants("b", "com2") + HELLO))
def test_refuses_the_appliances_own_lines(record):
    """A3: named with line and key; the others start."""
    console = "devices: com1: it is the appliance's console (boot option console=)"
    debugger = "devices: com2: it is the debugger's line; gdb=none on the boot command line frees it"
    record.check_failed(f"a: {re.escape(console)}")
    assert record.texts("config") == [f"test.conf:6: {console}", f"test.conf:11: {debugger}"]
    assert f"a left out: {console}" in record.texts("vm"), record
    assert f"b left out: {debugger}" in record.texts("vm"), record
    assert record.ended("hello") == "exit 0", record


@pytest.mark.long
@runs(Run(ENDS_BY_ITSELF + wants("a", "com3") + wants("b", "com4") + HELLO),
      Run(ENDS_BY_ITSELF + wants("b", "com4") + HELLO, serial=COM2_FREE))
def test_refuses_what_is_not_there_or_shared(record):
    """A3: COM3 and COM4 have the interrupts of COM1 and COM2."""
    texts = " ".join(record.texts("config"))
    if record.run.serial == COM2_FREE:
        assert texts == "test.conf:6: devices: com4: this machine has no UART there", record
    else:
        assert "com3: it shares its interrupt with the appliance's console" in texts, record
        assert "com4: it shares its interrupt with the debugger's line" in texts, record
    record.check_failed("[ab]: devices: com[34]: .*")
    assert record.ended("hello") == "exit 0", record


def held(console):
    """gdb has the other line, where else the log would be."""
    console.expect("Booting `Vitrine'")
    with Line(console) as line, open(console.directory / "gdb-transcript", "w") as transcript:
        line.started()
        line.echo(2)
        gdb = Gdb(console.directory / "pty", None, transcript)
        gdb.connect()
        for _ in range(5):
            text = b"while it is held"[:AT_A_TIME]
            line.write(text)
            for _ in range(3):
                gdb("info registers rip")
                gdb("stepi")
            gdb.run_on()
            line.read_until(text)
            gdb.interrupt()
        gdb("detach")
        gdb.quit()
        line.echo(5)


@pytest.mark.long
@runs(*(Run(vm("line", devices="com2"), cpu=cpu, cpus=1, serial="console=none gdb=com1,115200",
            script=held, com2=True, ends=False) for cpu in CPU_MODELS))
def test_interrupts_wait_for_the_debugger(record):
    """F9: what comes while gdb holds the VM is there when it lets go."""
    assert record.status == STATUS_TERMINATED, record


def at_the_shell(console):
    console.expect("vitrine-guest: shell ready on ttyS0")
    found = console.shell("dmesg | grep ttyS")
    assert re.search(r"ttyS0 at I/O 0x3f8 \(irq = 4,.* is a 16550A", found), found
    assert re.search(r"ttyS1 at I/O 0x2f8 \(irq = 3,.* is a 16550A", found), found
    with Wire(console.directory / "com2") as wire:
        console.shell("stty -F /dev/ttyS1 115200 raw -echo; { cat /dev/ttyS1 >/dev/ttyS1 & }")
        counts = [irq_3(console)]
        for _ in range(20):
            wire.write(b"bytes for Linux")
            wire.read_until(b"bytes for Linux")
        counts.append(irq_3(console))
        assert counts[1] >= counts[0] + 20, counts
        console.shell("kill %1; { setsid getty -n -l /bin/sh 115200 ttyS1 vt100 & }")
        wire.write(b"echo $((6 * 7))\r")
        wire.read_until(rb"\n42\r")
        wire.write(b"tty\r")
        wire.read_until(rb"/dev/ttyS1\r")
    console.type("poweroff\r")
    console.rest()


def irq_3(console):
    """How often, by /proc/interrupts."""
    text = console.shell("cat /proc/interrupts")
    return int(re.search(r"^linux[|] +3: +(\d+) .*3-edge +ttyS1$", text, re.M)[1])


@pytest.mark.long
@on_each_cpu(ENDS_BY_ITSELF + linux("linux", exit="", devices="com2"), serial=COM2_FREE,
             script=at_the_shell, com2=True)
def test_linux_finds_the_port_and_uses_it(record):
    """F9: as ttyS1, by its own driver, with its own interrupt."""
    record.check_done()
    assert record.ended("linux") == "poweroff", record


def at_its_own_line(console):
    """No log, no other guests: what is here is Linux's, as on a PC."""
    console.expect("vitrine-guest: shell ready on ttyS0")
    text = console.shell("cat /proc/interrupts")
    first = int(re.search(r"^ +4: +(\d+) .*4-edge +ttyS0$", text, re.M)[1])
    text = console.shell("cat /proc/interrupts")
    assert int(re.search(r"^ +4: +(\d+) .*4-edge +ttyS0$", text, re.M)[1]) > first + 20
    console.type("poweroff\r")
    console.expect("reboot: Power down")


@pytest.mark.long
@runs(Run(linux("linux", exit="", devices="com1"), serial="console=none gdb=com2,115200",
          script=at_its_own_line, ends=False))
def test_linux_has_the_consoles_line(record):
    """F9: COM1 and IRQ 4, where the appliance has no console."""
    assert record.status == STATUS_TERMINATED, record
    assert "| " not in record.console, record
