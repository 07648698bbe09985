# SPDX-License-Identifier: MIT
"""Debian's Linux as a guest."""

import re

from appliance import ENDS_BY_ITSELF, LINUX_ON_THE_CPU, ROOT, Run, linux, on_each_cpu, runs, vm

READY = "vitrine-guest: shell ready on ttyS0"
PROMPT = "linux1?:/# "

# What a look at Linux is: a command, and what has to be in its answer.
LOOKS = (
    ("uname -sm", r"^linux[|] Linux x86_64$"),
    ("echo $((6 * 7))", r"^linux[|] 42$"),
    ("nproc", r"^linux[|] 1$"),
    ("grep -c hypervisor /proc/cpuinfo", r"^linux[|] 1$"),
    ("cat /sys/devices/system/clocksource/clocksource0/current_clocksource", r"^linux[|] tsc$"),
    # Interrupts come where they should, and none that nobody wants.
    ("cat /proc/interrupts", r"^linux[|] +4: +[1-9]\d* +IO-APIC +4-edge +ttyS0$"),
    ("cat /proc/interrupts", r"^linux[|] LOC: +[1-9]\d* "),
    ("cat /proc/interrupts", r"^linux[|] SPU: +0 "),
    ("cat /proc/interrupts", r"^linux[|] ERR: +0$"),
    # The clock's alarm ends a sleep, by the SCI.
    ("cd /sys/class/rtc/rtc0; echo +2 > wakealarm; echo freeze > /sys/power/state; cd /; echo woken $?",
     r"^linux[|] woken 0$"),
    ("cd /sys/class/rtc/rtc0; echo +2 > wakealarm; echo mem > /sys/power/state; cd /; echo woken $?",
     r"^linux[|] woken 0$"),
    # The keyboard is found, and that there is no mouse.
    ("grep -c 'AT.*keyboard' /proc/bus/input/devices", r"^linux[|] 1$"),
    ("grep -c Mouse /proc/bus/input/devices", r"^linux[|] 0$"),
    # The time of day is the host's.
    ("test $(date +%s) -gt 1600000000 && echo late enough", r"^linux[|] late enough$"),
)


def at_the_shell(console):
    console.expect(READY)
    console.expect(PROMPT)
    for command, answer in LOOKS:
        text = console.shell(command)
        assert re.search(answer, text, re.M), f"{command}: {text}"
    errors = console.shell("dmesg -r | grep '^<[0-3]>'")
    errors = [line for line in errors.splitlines() if "| <" in line and not LINUX_ON_THE_CPU.search(line)]
    assert not errors, errors
    console.type("reboot\r")
    console.expect(READY)
    console.expect(PROMPT)
    console.type("poweroff\r")


@on_each_cpu(ENDS_BY_ITSELF + linux("linux", exit="", cmdline="loglevel=4"), script=at_the_shell)
def test_shell(record):
    """F10: a shell that answers, no errors in dmesg; reboot, and poweroff."""
    record.check_done()
    assert record.life("linux") == [
        "linux started", "linux reset (reset by a port), starting it again", "linux started",
        "linux ended: poweroff"], record
    assert not [text for text in record.texts("vm") if "where there is nothing" in text], record


@runs(Run(ENDS_BY_ITSELF + linux("linux", "cat /sys/hypervisor/type; mount -t sysfs none /sys; dmesg",
                                 kernel="vmlinux", memory="256M")))
def test_vmlinux(record):
    """The kernel as its build leaves it, by its PVH note, with an initrd and a command line."""
    record.check_done()
    assert record.ended("linux") == "poweroff", record
    lines = "\n".join(record.guest("linux"))
    assert "Command line: console=ttyS0 nokaslr" in lines, record
    assert re.search(r"RAMDISK: \[mem 0x", lines), record
    assert "Booting paravirtualized kernel on" in lines, record


@runs(Run(ENDS_BY_ITSELF + linux("linux", "seq 500", cmdline="quiet", cores="0") +
          vm("flood", "faults", cmdline="flood=3000", cores="1")))
def test_powers_off_when_all_is_written(record):
    """B6: its last line is through, however long others make it wait for the serial line."""
    record.check_done()
    lines = record.guest("linux")
    assert [int(line) for line in lines if line.isdigit()] == list(range(1, 501)), record
    assert "vitrine-guest: run ended with 0" in lines, record


def three_vms(console):
    """As somebody who has typed `make run`."""
    console.until(r"Ctrl-\] 1  linux1  \(has it now\)")
    console.until("linux1[|] .*shell ready.* 2 cpus")
    console.until("linux2[|] .*shell ready.* 1 cpus")
    console.until("hello[|] hello: tick 3 ")
    console.until("linux1:/# ")
    assert re.search("^linux1[|] 256$", console.shell("echo $((1 << 8))"), re.M)
    console.escape("k2")
    console.expect("keyboard: linux2")
    console.expect("linux2[|] linux2:/# ")
    assert re.search("^linux2[|] linux2 81$", console.shell("hostname; echo $(hostname) $((3**4))"), re.M)
    console.escape("h")
    console.expect(r"Ctrl-\] 2  linux2  \(has it now\)")
    console.escape("9")
    console.expect("there is no VM 9")
    console.type("poweroff\r")
    console.expect("linux2 ended: poweroff")
    console.escape("k1")
    console.expect("linux1[|] linux1:/# ")
    console.type("poweroff\r")
    console.expect("linux1 ended: poweroff")
    console.expect("hello[|] hello: tick")


@runs(Run((ROOT / "config/default.conf").read_text(), cpus=4, memory=2048, script=three_vms,
          ends=False))
def test_default_configuration(record):
    """B6: consoles on one line, focus and input moved by the escape key, help for it."""
    record.check_sound()
    assert record.ended("linux1") == record.ended("linux2") == "poweroff", record
    assert record.ended("hello") is None, record
    # busybox asks the terminal where its prompt is; among others that is not passed on.
    assert "\x1b[6n" not in record.console, record
    for line in ["linux1", "linux2", "hello"]:
        assert f"{line} started" in record.life(line), record
