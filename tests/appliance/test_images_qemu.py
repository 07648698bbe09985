# SPDX-License-Identifier: MIT
"""The guests of images/ under plain QEMU, without the appliance: an independent check of what the
appliance is later tested with. QEMU's own emulator, so any machine can run this."""

import gzip
import os
import shutil
import subprocess
import sys
import termios
import tty

import pexpect
import pytest
from pexpect import fdpexpect

from appliance import LEAST, LOOK, ROOT, Patience, Ticks, expect

from launcher.qmp import ClockPort, MonitorPort

IMAGES = ROOT / "build" / "images"
# Thousand millions of instructions: more than a guest has come near to, and what one is looked at
# that does not end.
MOST, ENOUGH = 20, 0.2

# What isa-debug-exit makes of the values that a guest writes to port 0xf4.
OK, FAILED, EXCEPTION = 1, 3, 5

pytestmark = pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None,
                                reason="needs qemu-system-x86_64")


@pytest.fixture(scope="module", autouse=True)
def images():
    subprocess.run([ROOT / "ci/foreign", "make", "-s", "-C", ROOT, "images"], check=True,
                   stdout=subprocess.DEVNULL)


def qemu(*arguments, memory=128):
    return ["qemu-system-x86_64", "-accel", "tcg", "-m", str(memory), "-display", "none",
            "-chardev", "stdio,id=com1,signal=off", "-serial", "chardev:com1", "-monitor", "none",
            "-no-reboot",
            "-device", "isa-debug-exit,iobase=0xf4", *map(str, arguments)]


class Machine:
    """QEMU at work, with its first serial line on a pty. Where it counts, time goes by instructions:
    what a guest measures does not depend on who else uses this computer."""

    SHIFT = 4

    def __init__(self, directory, *arguments, memory=128, counts=True):
        self.ticks = Ticks(directory / "ticks")
        self.ticks.create(counts)
        self.monitor, self.clock = MonitorPort(), ClockPort(self.ticks, self.SHIFT)
        if counts:
            arguments = *self.monitor.options(self.SHIFT), "-rtc", "clock=vm", *arguments
        master, slave = os.openpty()
        tty.setraw(slave)
        mode = termios.tcgetattr(slave)
        mode[1] = 0  # QEMU turns on what is set of output's changes
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        self.process = subprocess.Popen(
            qemu(*arguments, memory=memory), stdin=slave, stdout=slave,
            pass_fds=(self.monitor.inherited,))
        os.close(slave)
        self.console = fdpexpect.fdspawn(master, encoding="utf-8")
        self.send = self.console.send

    def read(self):
        """Its ticks, as far as they are told."""
        self.monitor.send(self.clock.last_words())
        self.monitor.flush()
        self.clock.send(self.monitor.read())
        return self.ticks.read()

    def expect(self, pattern, exact=False):
        return expect(self.console, pattern, Patience(self, MOST, LEAST), exact)

    def expect_exact(self, text):
        self.expect(text, exact=True)

    def goes_on(self, most):
        """What it says until it ends; None: it does not."""
        patience = Patience(self, most)
        while not patience.over():
            try:
                self.console.expect(pexpect.EOF, timeout=LOOK / 2)
                return self.console.before
            except pexpect.TIMEOUT:
                pass
        return None

    def close(self):
        self.process.kill()
        self.process.wait()
        self.console.close()
        self.monitor.close()


@pytest.fixture
def machines(tmp_path_factory):
    """A function that starts a Machine. All of them end with the test."""
    started = []

    def start(*arguments, **options):
        started.append(Machine(tmp_path_factory.mktemp("qemu"), *arguments, **options))
        return started[-1]

    yield start
    for machine in started:
        machine.close()


@pytest.fixture
def begin(machines):
    """A function that starts a guest with these words on its command line."""
    return lambda guest, words="", cpus=1: machines(
        "-kernel", IMAGES / guest, "-append", words, "-smp", cpus)


@pytest.fixture
def run(begin):
    """The same, and returns the guest's exit status and lines at its end."""

    def run_to_its_end(*what, **cpus):
        machine = begin(*what, **cpus)
        machine.expect(pexpect.EOF)
        return machine.process.wait(), machine.console.before.splitlines()

    return run_to_its_end


@pytest.fixture
def check_verdicts(run):
    """For a guest whose every verdict is PASS, and whose summary counts what it printed."""
    return lambda *what, **cpus: checked(*run(*what, **cpus))


def checked(status, lines):
    text = "\n".join(lines)
    assert not [line for line in lines if line.startswith("FAIL")], text
    passed = len([line for line in lines if line.startswith("PASS")])
    assert passed > 0 and lines[-1].startswith(f"{passed} passed, 0 failed"), text
    assert status == OK
    return lines


def test_hello(run):
    status, lines = run("hello", "ticks=3 period=100", cpus=3)
    assert status == OK
    assert "64-bit guest with 3 CPUs and 127 MiB" in lines[0]
    assert lines[1].endswith("ticks=3 period=100")
    assert [line for line in lines if line.startswith("hello: tick 3 ")]


def test_start_by_multiboot(check_verdicts):
    check_verdicts("start", "by=multiboot mib=128 files=0")


def test_spin_ends_when_told_to(run):
    status, lines = run("spin", "seconds=1")
    assert status == OK
    assert lines == ["spin: spinning with interrupts off", "spin: spun for 1 seconds"]


def test_spin_without_an_end(begin):
    machine = begin("spin")
    machine.expect_exact("spin: spinning with interrupts off\r\n")
    assert machine.goes_on(ENOUGH) is None and machine.console.before == ""


def test_count(check_verdicts):
    lines = check_verdicts("count", "ticks=5")
    assert [line for line in lines if line.startswith("count: ")][4] == "count: 5"


def test_count_fails_below_its_share(run):
    status, lines = run("count", "ticks=2 share=101")
    assert status == FAILED
    assert lines[-1] == "1 passed, 1 failed"


def test_bench(run):
    status, lines = run("bench", "iterations=20")
    rows = dict(line.split()[1:] for line in lines if line.startswith("bench "))
    assert status == OK
    assert {"cpuid", "port", "pmtimer", "mmio", "msr", "self-ipi", "hlt-wake"} <= set(rows)
    assert all(ticks.isdigit() for ticks in rows.values())
    assert "bench: vmcall is absent" in lines


@pytest.mark.parametrize("words", ["port", "vmx qemu"])
def test_faults_survived(check_verdicts, words):
    check_verdicts("faults", words)


@pytest.mark.parametrize("words", ["msr", "mmio"])
def test_faults_of_which_qemu_thinks_otherwise(run, words):
    status, lines = run("faults", words)
    assert status in (OK, FAILED)
    assert " passed, " in lines[-1]


@pytest.mark.parametrize("words, vector", [("ud", "6 #UD"), ("pf", "14 #PF")])
def test_faults_by_exception(run, words, vector):
    status, lines = run("faults", words)
    assert status == EXCEPTION
    assert [line for line in lines if line.startswith(f"unexpected vector {vector} ")]


@pytest.mark.parametrize("words", ["triple", "reset"])
def test_faults_that_reset(run, words):
    assert run("faults", words)[0] == 0  # -no-reboot: QEMU ends


def test_faults_halt_with_interrupts_off(begin):
    machine = begin("faults", "hltoff")
    machine.expect_exact("HLT with interrupts off\r\n")
    assert machine.goes_on(ENOUGH) is None and machine.console.before == ""


def test_faults_exit_value(run):
    assert run("faults", "exit=7")[0] == 2 * 7 + 1


def test_modes(check_verdicts):
    check_verdicts("modes", "qemu")


def test_devices(check_verdicts):
    check_verdicts("devices", "qemu")


@pytest.mark.parametrize("cpus", [1, 4, 8])
def test_smp(check_verdicts, cpus):
    lines = check_verdicts("smp", cpus=cpus)
    assert f"PASS F11: {cpus} of {cpus} CPUs are up, xAPIC" in lines


@pytest.mark.parametrize("part, cpus", [
    ("priorities", 1), ("extint", 1), ("nmi", 1),
    pytest.param("destinations", 4, marks=pytest.mark.long),
])
def test_apic(check_verdicts, part, cpus):
    check_verdicts("apic", f"qemu only={part}", cpus)


# Linux.

@pytest.fixture
def linux(machines):
    def start(words, cpus=1, initrd="initrd.gz"):
        return machines("-kernel", IMAGES / "vmlinuz", "-initrd", IMAGES / initrd, "-append",
                        f"console=ttyS0 quiet {words}", "-smp", cpus, memory=256, counts=False)

    return start


def test_linux_shell_and_poweroff(linux):
    release = (IMAGES / "kernel.release").read_text().strip()
    child = linux("vm=alpha", cpus=2)
    child.expect_exact(f"vitrine-guest: shell ready on ttyS0 (Linux {release}, 2 cpus)")
    child.expect_exact("alpha:/# ")
    child.send("echo $((6 * 7)) $(hostname)\n")
    child.expect("\n42 alpha\r")
    child.expect_exact("alpha:/# ")
    child.send("sh -c 'echo begun; exec sleep 1000'\n")
    child.expect("\nbegun\r")
    child.send("\x03")  # job control: Ctrl-C ends the sleep and not the shell
    child.expect_exact("alpha:/# ")
    child.send("exit\n")
    child.expect_exact("shell ready on ttyS0")
    child.expect_exact("alpha:/# ")
    child.send("poweroff -f\n")
    child.expect(pexpect.EOF)


def test_linux_runs_a_command_and_powers_off(linux):
    child = linux('vitrine.run="echo one two; false" vitrine.exit=poweroff')
    child.expect_exact("one two")
    child.expect_exact("vitrine-guest: run ended with 1")
    child.expect_exact("Power down")
    child.expect(pexpect.EOF)


def test_linux_has_a_load(linux):
    child = linux('vitrine.run="rounds=10 ms=50 messages=5 try-cpus" vitrine.exit=poweroff', cpus=2,
                  initrd="load.gz")
    for text in ("nproc: 2", "skew: 2 cpus, 20 passes, ", "ticks: cpu 1: ", "Time: ",
                 "switched 0: 1", "switched 1: 2", "run ended with 0"):
        child.expect_exact(text)
    child.expect(pexpect.EOF)


def test_linux_reboots(linux):
    child = linux("vitrine.exit=reboot")
    child.expect_exact("Restarting system")
    child.expect(pexpect.EOF)


# What the tools make.

def test_initrd_is_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        subprocess.run([ROOT / "images" / "mkinitrd", "--tree", ROOT / "images" / "load",
                        tmp_path / name], check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert gzip.decompress((tmp_path / "one").read_bytes()).startswith(b"070701")
    assert b"try-cpus" in gzip.decompress((tmp_path / "one").read_bytes())


def test_initrd_refuses_a_dynamic_busybox(tmp_path):
    done = subprocess.run([ROOT / "images" / "mkinitrd", tmp_path / "out", sys.executable],
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "dynamically" in done.stderr
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(shutil.which("gdb") is None, reason="needs gdb")
def test_symbols_of_linux():
    done = subprocess.run(
        ["gdb", "-batch", "-nx", "-ex", "break start_kernel", "-ex", "info symbol schedule",
         "-ex", "x/s &linux_banner", "-ex", "x/2i start_kernel", IMAGES / "vmlinux.sym.elf"],
        capture_output=True, text=True, check=True)
    release = (IMAGES / "kernel.release").read_text().strip()
    assert "Breakpoint 1 at 0xffffffff8" in done.stdout
    assert "schedule in section .text" in done.stdout
    assert f"Linux version {release} " in done.stdout
    assert "<start_kernel+" in done.stdout


def damaged(kind):
    image = bytearray((IMAGES / "vmlinuz").read_bytes())
    if kind == "header only":
        return image[:4096]
    if kind == "cut short":
        return image[:len(image) // 2]
    if kind == "not a kernel":
        return image[4096:]
    start = len(image) // 2
    image[start:start + 4096] = bytes(4096)
    return image


@pytest.mark.parametrize("kind, reason", [
    ("header only", "cut short"), ("cut short", "cut short"), ("not a kernel", "neither a bzImage"),
    ("holes in it", ""),
])
def test_symbols_refuse_a_damaged_kernel(tmp_path, kind, reason):
    source = tmp_path / "vmlinuz"
    source.write_bytes(damaged(kind))
    done = subprocess.run([ROOT / "images" / "kallsyms", source, tmp_path / "out"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"kallsyms: {source}: ") and reason in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["vmlinuz"]
