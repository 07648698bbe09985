# SPDX-License-Identifier: MIT
"""Boots of the real appliance, and what is read from their consoles.

A test names a `Run`, a description of one boot; conftest.py carries runs out ahead of the tests
that want them, two at a time, and hands each test the `Record` of its run. Tests that name the same
run share its record. No result hangs on time: every wait is for something to appear, and is bounded
by the ticks of the emulated machine (`Patience`), however long these take.
"""

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pytest
from pexpect import fdpexpect

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "ci"))

from launcher.ticks import LOOK, Patience, Ticks  # noqa: E402

SKYLAKE = "corei7_skylake_x"
HASWELL = "corei7_haswell_4770"  # no posted interrupts: the software local APIC
ARRANDALE = "corei5_arrandale_m520"  # one of the first with unrestricted guest
CPU_MODELS = (SKYLAKE, HASWELL)

SERIAL_LINES = "console=com1,115200 gdb=com2,115200"
IPS = 50_000_000  # a byte on the serial line takes a quarter of the ticks that it takes by default
# Thousand millions of ticks, of which a machine makes one in 5 seconds when it has a processor for
# itself, or in one second when it idles. A run takes 1 to 10 of them.
TICKS = 100
LONG_TICKS = 400
ANSWER = 30  # for one answer of a machine
# Seconds that a wait has in any case, for gdb and other programs of this computer.
LEAST = 60
# Seconds of real time for what does not count; they tell a hang alone.
LIMIT = 3600
MENU = "/boot/grub/grub.cfg"  # in the ISO
BIOS = Path("/usr/share/bochs/BIOS-bochs-latest")
STATUS_TERMINATED = 128 + 15

LOG_LINE = re.compile(r"\[ *(?P<time>\d+\.\d{6})\] core (?P<core>\d+): (?P<part>[a-z-]+): (?P<text>.*)")
GUEST_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\| (?P<text>.*)")
VERDICT = re.compile(r"(PASS|FAIL|SKIP) ([A-Z]\d+): ")
SUMMARY = re.compile(r"(\d+) passed, (\d+) failed")

# Errors that Linux reports of the CPU that the emulator has, on bare metal as here.
LINUX_ON_THE_CPU = re.compile("RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable|"
                              "MDS CPU bug present and SMT on|L1TF CPU bug present and SMT on")

ENDS_BY_ITSELF = "[appliance]\npoweroff = when-all-stopped\n"


def vm(name, kernel=None, **keys):
    """A section of a configuration; the guest of the VM's name unless told otherwise."""
    lines = [f"[vm {name}]", f"kernel = {kernel or name}"]
    keys.setdefault("memory", "16M")
    lines += [f"{key} = {value}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def linux(name, run="", exit="poweroff", cmdline="", kernel="vmlinuz", **keys):
    """A VM with Debian's kernel that runs a command, and ends or gives a shell (exit="")."""
    words = [f"console=ttyS0 nokaslr cryptomgr.notests vm={name}", cmdline]
    if run:
        words.append(f'vitrine.run="{run}"')
    if exit:
        words.append(f"vitrine.exit={exit}")
    keys.setdefault("memory", "128M")
    keys.setdefault("initrd", "initrd.gz")
    return vm(name, kernel, cmdline=" ".join(filter(None, words)), **keys)


@dataclass(frozen=True)
class Run:
    """One boot: what is booted, in what machine, and who sits at its console."""

    config: str = field(repr=False)
    cpu: str | None = SKYLAKE
    cpus: int = 2
    memory: int = 512
    cmdline: str = ""  # beside `serial`
    serial: str = SERIAL_LINES
    machine: str = "bochs"
    kvm: str = ""  # parameters of kvm_intel in a nested machine
    firmware: str = "bios"
    medium: str = "cd"
    board: str = "q35"  # QEMU's
    accel: str = "tcg"  # QEMU's
    shared: bool = False  # the ISO is one file, made once, that all shared runs of its content boot
    script: object = None  # called with the Console while it runs
    ends: bool = True  # by itself; else it is ended after the script
    gdb: bool = False  # the debugger's line is the file `gdb` in the Console's directory
    com2: bool = False  # COM2, which a VM has, is the file `com2` there
    images: tuple = ()  # (name, bytes) beside the configuration
    grub: object = None  # called with the text of grub.cfg, returns what the ISO gets
    swapped: tuple = ()  # (name, bytes) that take an image's place when the ISO is made
    bios: object = None  # called with Bochs's BIOS, returns what takes its place
    limit: int = TICKS  # thousand millions of them, without a script

    def __str__(self):
        """The run's name in pytest's output."""
        model = (self.cpu or self.machine).removeprefix("corei7_")
        return "-".join(filter(None, [model, str(self.cpus), self.cmdline.rpartition("=")[2]]))


@dataclass(frozen=True)
class LogLine:
    time: float
    core: int
    part: str
    text: str


class Record:
    """What a run left: the launcher's exit status and messages, and the console's text."""

    def __init__(self, run, status, message, console):
        self.run = run
        self.status = status
        self.message = message
        self.console = console.decode(errors="replace").replace("\r\n", "\n")
        first = re.search(r"^\[ *\d+\.\d{6}\] ", self.console, re.MULTILINE)
        self.greeting = self.console[:first.start()] if first else self.console  # GRUB's
        self.lines = self.console[first.start():].splitlines() if first else []

    def __repr__(self):
        """What pytest shows of a record when an assertion about it fails."""
        return f"{self.message}status {self.status}, console:\n" + "\n".join(self.lines)

    @property
    def log(self):
        """The appliance's own lines."""
        matches = [LOG_LINE.fullmatch(line) for line in self.lines]
        return [LogLine(float(m["time"]), int(m["core"]), m["part"], m["text"]) for m in matches if m]

    def texts(self, part):
        """The texts of one part's log lines."""
        return [line.text for line in self.log if line.part == part]

    def life(self, name):
        """The log's texts about a VM's start, troubles and end, without the counts of its exits."""
        counts = re.compile(r"\S+ vcpu \d+: (\d+ exits|and |interrupts posted )")
        return [text for text in self.texts("vm")
                if text.startswith(f"{name} ") and not counts.match(text)]

    def when(self, part, text):
        """The times, in seconds since the appliance's start, of the log lines with this text."""
        return [line.time for line in self.log if (line.part, line.text) == (part, text)]

    def guest(self, name):
        """A guest's lines. One that was cut off and shown again counts once."""
        whole = []
        for line in self.lines:
            match = GUEST_LINE.fullmatch(line)
            if not match or match["name"] != name:
                continue
            if whole and whole[-1].endswith("\\") and match["text"].startswith(whole[-1][:-1]):
                whole.pop()
            whole.append(match["text"])
        return whole

    def ended(self, name):
        """How the VM ended, by the log; None when it did not."""
        ends = [text.removeprefix(f"{name} ended: ") for text in self.texts("vm")
                if text.startswith(f"{name} ended: ")]
        assert len(ends) < 2, self
        return ends[0] if ends else None

    def exits(self, name, vcpu=0):
        """A vCPU's exits by reason, from the log's end."""
        prefix = rf"{re.escape(name)} vcpu {vcpu}: "
        texts = [re.fullmatch(prefix + r"(?:\d+ exits:|and) (.*)", text) for text in self.texts("vm")]
        parts = [part.split() for text in texts if text for part in text[1].split(",")]
        assert parts, self
        return {reason: int(count) for reason, count in parts}

    @property
    def done(self):
        """The appliance's last word: "ok", or "failed: " and a reason."""
        assert self.log, self
        last = self.log[-1]
        assert last.part == "appliance" and last.text.startswith("done: "), self
        return last.text.removeprefix("done: ")

    def check_done(self):
        """The appliance ended by itself with every VM ended as configured."""
        assert self.status == 0, self
        assert self.done == "ok", self
        self.check_sound()

    def check_failed(self, reason):
        """The appliance ended by itself and says why that is a failure."""
        assert self.status == 1, self
        assert re.fullmatch(f"failed: {reason}", self.done), self
        assert f"appliance: {self.done}\n" in self.message, self
        self.check_sound()

    def check_sound(self):
        """Nothing that no run may have."""
        assert not self.texts("panic"), self

    def verdicts(self, name, kind="PASS"):
        return [line for line in self.guest(name) if line.startswith(f"{kind} ")]

    def check_passed(self, name, *ids):
        """All verdicts of the guest are PASS and as many as it counted; the ids are among them."""
        lines = self.guest(name)
        assert not self.verdicts(name, "FAIL"), self
        summary = [SUMMARY.match(line) for line in lines if SUMMARY.match(line)]
        assert len(summary) == 1, self
        passed = self.verdicts(name)
        assert int(summary[0][1]) == len(passed) > 0 and int(summary[0][2]) == 0, self
        seen = {VERDICT.match(line)[2] for line in passed}
        assert set(ids) <= seen, self
        assert self.ended(name) == "exit 0", self


class Console:
    """The terminal of a running appliance, for a run's script."""

    ESCAPE = "\x1d"  # Ctrl-]

    def __init__(self, link):
        self.directory = link.parent  # the run's own
        self.transcript = io.BytesIO()
        self.spawn = fdpexpect.fdspawn(os.open(link, os.O_RDWR | os.O_NOCTTY))
        self.spawn.logfile_read = self.transcript

    def patience(self):
        return Patience(Ticks(self.directory / "ticks"), TICKS, LEAST)

    def expect(self, pattern):
        """Waits for text that matches. Returns the match."""
        return expect(self.spawn, pattern, self.patience())

    def until(self, pattern, times=1):
        """Waits until the whole console, from its start, has as many matches."""
        patience = self.patience()
        while len(re.findall(pattern.encode(), self.transcript.getvalue())) < times:
            expect(self.spawn, r"[\s\S]+", patience)

    def type(self, text):
        self.spawn.send(text.encode() if isinstance(text, str) else text)

    def escape(self, key):
        self.type(self.ESCAPE + key)

    def shell(self, command):
        """Types a command into the shell of the VM that has the focus; returns what it wrote."""
        self.type(f"{command}; echo end''-of-command $?\r")
        match = self.expect(r"(?s)(.*?)end-of-command (\d+)")
        return match[1].decode(errors="replace").replace("\r", "")

    def rest(self):
        """Reads until the appliance has ended."""
        self.expect(pexpect.EOF)


def expect(spawn, pattern, patience, exact=False):
    """Waits until what a pexpect object reads matches, or its end for pexpect.EOF. Returns the
    match. Whoever goes on reading has to ask for more before the patience is over."""
    while True:
        try:
            (spawn.expect_exact if exact else spawn.expect)(pattern, timeout=LOOK / 2)
            return spawn.match
        except pexpect.TIMEOUT:
            if over := patience.over():
                raise pexpect.TIMEOUT(f"not seen {over}: {pattern}") from None


def end(spawn):
    """Ends a pexpect object's process, in whatever state it is."""
    if spawn.isalive():
        spawn.kill(signal.SIGKILL)
        spawn.wait()
    spawn.close()


def runs(*runs):
    """Parametrizes a test's `record` with these runs."""
    return pytest.mark.parametrize("record", runs, indirect=True, ids=str)


def on_each_cpu(config, **options):
    """Parametrizes a test's `record` with a run in each CPU model."""
    return runs(*(Run(config, cpu=cpu, **options) for cpu in CPU_MODELS))


def make_iso(run, directory):
    """The run's ISO, in a directory of its own."""
    config = directory / "test.conf"
    config.write_text(run.config)
    for name, content in run.images:
        (directory / name).write_bytes(content)
    iso = directory / "test.iso"
    made = subprocess.run(
        [ROOT / "ci/mkiso", "--config", config, "--output", iso,
         "--cmdline", " ".join(filter(None, [run.serial, run.cmdline]))],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    if run.grub:
        edit_menu(iso, run, directory)
    for name, content in run.swapped:
        (directory / name).write_bytes(content)
        subprocess.run([*edit(iso), "-map", directory / name, f"/boot/{name}"], check=True,
                       capture_output=True)
    return iso


def checksum(iso):
    return hashlib.sha256(iso.read_bytes()).hexdigest()


def edit(iso):
    """xorriso's words for another content of an ISO that goes on booting as before."""
    return ["xorriso", "-osirrox", "on", "-dev", iso, "-boot_image", "any", "keep"]


def edit_menu(iso, run, directory):
    """Another boot menu in an ISO."""
    menu = directory / "grub.cfg"
    subprocess.run([*edit(iso), "-extract", MENU, menu], check=True, capture_output=True)
    menu.chmod(0o644)
    before = menu.read_text()
    after = run.grub(before)
    assert after != before, before
    menu.write_text(after)
    subprocess.run([*edit(iso), "-map", menu, MENU], check=True, capture_output=True)


class Launcher:
    """ci/appliance at work, one process for each run; all of them end with the tests."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running = set()
        self._stopped = False
        self._isos = {}  # of the shared runs: path and checksum
        self._making = threading.Lock()

    def command(self, run, iso, directory, console):
        options = {
            "--iso": iso, "--machine": run.machine, "--cpus": run.cpus, "--memory": run.memory,
            "--firmware": run.firmware, "--console": console, "--medium": run.medium,
            "--ticks": directory / "ticks",
        }
        if not run.script:
            options["--limit"] = run.limit
        if run.machine == "nested":  # Linux has its timers; at a lower rate they take more
            options["--kvm"] = run.kvm
        else:
            options["--ips"] = IPS
        if run.cpu:
            options["--cpu"] = run.cpu
        if run.gdb:
            options["--gdb"] = iso.with_name("gdb")
        if run.com2:
            options["--com2"] = iso.with_name("com2")
        if run.machine == "qemu":
            options |= {"--accel": run.accel, "--board": run.board}
        if run.bios:
            options["--bios"] = iso.parent / "bios"
        words = [str(word) for option in options.items() for word in option]
        return [ROOT / "ci/appliance", *words]

    def carry_out(self, run, directory):
        """Boots the run and waits for its end. Returns its Record."""
        if run.shared:
            return self._with_shared_iso(run, directory)
        iso = make_iso(run, directory)
        if run.bios:
            (directory / "bios").write_bytes(run.bios(BIOS.read_bytes()))
        try:
            if run.script:
                return self._with_script(run, iso, directory)
            return self._without_script(run, iso, directory)
        finally:
            iso.unlink()

    def _with_shared_iso(self, run, directory):
        """For runs whose ISO is made of nothing but a configuration and a command line."""
        with self._making:
            content = run.config, run.serial, run.cmdline
            if content not in self._isos:
                iso = make_iso(run, directory)
                self._isos[content] = iso, checksum(iso)
        iso, before = self._isos[content]
        record = self._without_script(run, iso, directory)
        assert checksum(iso) == before, f"{run} has changed the ISO that others boot too"
        return record

    def _without_script(self, run, iso, directory):
        console = directory / "console"
        process = self._start(self.command(run, iso, directory, console))
        _, message = process.communicate()
        self._forget(process)
        return Record(run, process.returncode, message, console.read_bytes())

    def _with_script(self, run, iso, directory):
        link = directory / "pty"
        process = self._start(self.command(run, iso, directory, f"pty:{link}"))
        failure = "the script failed"
        try:
            wait_for(lambda: link.exists() or process.poll() is not None)
            console = Console(link)
            try:
                run.script(console)
                if not run.ends:
                    process.terminate()
                console.rest()
                failure = None
            except pexpect.ExceptionPexpect as error:
                failure = str(error).splitlines()[0]
        finally:
            if failure:
                process.terminate()
            _, message = process.communicate()
            self._forget(process)
        record = Record(run, process.returncode, message, console.transcript.getvalue())
        assert failure is None, f"{failure}\n{record!r}"
        return record

    def _start(self, command):
        with self._lock:
            if self._stopped:
                raise RuntimeError("the tests have ended")
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
            self._running.add(process)
            return process

    def _forget(self, process):
        with self._lock:
            self._running.discard(process)

    def stop(self):
        """Ends what is running; nothing more is started."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()


def wait_for(condition):
    """Waits for something that is no machine's doing."""
    patience = Patience(None, 0)
    while not (result := condition()):
        assert not patience.over(), "it did not come"
        time.sleep(0.02)
    return result
