# SPDX-License-Identifier: MIT
"""Tests of ci/appliance, with a tiny kernel in the appliance's place."""

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from appliance import LIMIT, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
LAUNCHER = ROOT / "ci" / "appliance"
FIXTURE = Path(__file__).resolve().parent / "launcher_fixture.c"
FIXTURE_FLAGS = (
    "-m32 -march=i686 -O1 -ffreestanding -fno-pic -fno-stack-protector "
    "-fcf-protection=none -fno-asynchronous-unwind-tables -nostdlib -static "
    "-Wl,--build-id=none -Wl,-Ttext-segment=0x100000"
).split()

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "ci"))

from launcher import interrupts, session, ticks  # noqa: E402
from launcher.qemu import rtc_base  # noqa: E402
from launcher.ports import (  # noqa: E402
    BACKLOG, HANG_UP, ConsolePty, DebuggerPty, EmulatorPort, FilePort, GuestPty, Port, TerminalPort,
)
from launcher.process import Emulator  # noqa: E402
from launcher.ticks import G, LOOK, STANDS_STILL, UNCOUNTED, Patience, Ticks  # noqa: E402
from launcher.verdict import LONGEST_LINE, Verdict  # noqa: E402

STARTED = b"[   0.000001] core 0: fixture: started\r\n"
DONE_OK = b"[   1.234567] core 0: appliance: done: ok\r\n"


# What is read from the console.

@pytest.mark.parametrize("line, text", [
    (b"[   1.234567] core 0: appliance: done: ok\r\n", "ok"),
    (b"[1.2] core 13: appliance: done: ok\n", "ok"),
    (b"[   1.234567] core 0:  appliance:  done:  ok  \r\n", "ok"),
    (b"[   1.234567] appliance: done: ok\r\n", "ok"),
    (b"[   1.234567] core 0: appliance: done: failed: a: b\r\n", "failed: a: b"),
    (b"one| [   1.234567] core 0: appliance: done: ok\r\n", None),
    (b"[   1.234567] core 0: vm: appliance: done: ok\r\n", None),
    (b" appliance: done: ok\r\n", None),
    (b"x\r[   1.234567] core 0: appliance: done: ok\r\n", None),
    (b"[   1.234567] core 0: appliance: done: ok", None),  # not ended yet
])
def test_verdict_of_a_line(line, text):
    verdict = Verdict()
    verdict.feed(line)
    assert verdict.text == text


def test_verdict_of_bytes_that_come_one_by_one():
    verdict = Verdict()
    for byte in STARTED + DONE_OK:
        verdict.feed(bytes([byte]))
    assert verdict.is_ok


def test_last_verdict_counts():
    verdict = Verdict()
    verdict.feed(DONE_OK + b"[   2.000000] core 0: appliance: done: failed: late\n")
    assert verdict.text == "failed: late"


def test_verdict_survives_an_endless_line():
    verdict = Verdict()
    verdict.feed(b"x" * 3 * LONGEST_LINE)
    verdict.feed(DONE_OK)
    assert not verdict.is_known
    verdict.feed(DONE_OK)
    assert verdict.is_ok


# The ptys.

@pytest.fixture
def console(tmp_path):
    with contextlib.closing(ConsolePty(str(tmp_path / "console"))) as port:
        yield port


@pytest.fixture
def debugger(tmp_path):
    with contextlib.closing(DebuggerPty(str(tmp_path / "gdb"))) as port:
        yield port


@contextlib.contextmanager
def client_of(link):
    fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
    try:
        yield fd
    finally:
        os.close(fd)


def test_console_keeps_output_for_a_later_reader(console):
    for letter in (b"a", b"b"):
        console.send(letter * 10)
        console.flush()
        with client_of(console.link) as fd:
            assert os.read(fd, 100) == letter * 10


def test_console_drops_the_oldest_and_never_waits(console):
    console.send(b"old")
    for _ in range(3):
        assert console.has_room()
        console.send(b"x" * (BACKLOG // 2))
    console.send(b"new")
    assert len(console.outgoing) == BACKLOG
    assert console.outgoing.endswith(b"new") and not console.outgoing.startswith(b"old")


def test_console_waits_at_its_end_for_a_reader_only(console):
    console.send(b"tail")
    console.flush()
    console.drain(lambda: pytest.fail("it waits for nobody"))
    looks, read = iter(range(10)), []

    def is_over():
        if next(looks, None) is None:
            read.append(os.read(fd, 100))

    with client_of(console.link) as fd:
        console.drain(is_over)
    assert read == [b"tail"]


def test_console_passes_all_bytes_as_they_are(console):
    every_byte = bytes(range(256))
    console.send(every_byte)
    console.flush()
    with client_of(console.link) as fd:
        assert os.read(fd, 1000) == every_byte
        os.write(fd, every_byte)
        assert console.read() == every_byte


def test_debugger_line_loses_what_nobody_hears(debugger):
    debugger.check()
    debugger.send(b"lost")
    debugger.flush()
    with client_of(debugger.link) as fd:
        debugger.check()
        debugger.send(b"heard")
        debugger.flush()
        assert os.read(fd, 100) == b"heard"
        debugger.send(b"not read by this one")
        debugger.flush()
    assert debugger.read() == b""
    with client_of(debugger.link) as fd:
        debugger.check()
        debugger.send(b"for the next")
        debugger.flush()
        assert os.read(fd, 100) == b"for the next"


def test_debugger_line_keeps_what_the_next_client_says_at_once(debugger, monkeypatch):
    """It comes between the last one's end and the throwing away of what that had not read."""
    flush, came = termios.tcflush, []

    def late(fd, queue):
        came.append(os.open(debugger.link, os.O_RDWR | os.O_NOCTTY))
        os.write(came[0], b"$?#3f")
        flush(fd, queue)

    with client_of(debugger.link):
        debugger.check()
    monkeypatch.setattr(termios, "tcflush", late)
    assert debugger.read() == b""
    monkeypatch.undo()
    debugger.check()
    assert debugger.read() == b"$?#3f"
    os.close(came[0])


def test_debugger_line_says_once_that_a_client_has_gone(debugger):
    assert debugger.last_words() == b""
    debugger.check()
    assert debugger.last_words() == b""
    with client_of(debugger.link):
        debugger.check()
        assert debugger.read() == b"" and debugger.last_words() == b""
    assert debugger.read() == b""
    assert debugger.last_words() == HANG_UP
    assert debugger.last_words() == b""
    body, checksum = HANG_UP[1:].split(b"#")
    assert sum(body) & 0xff == int(checksum, 16)


def test_debugger_line_passes_the_last_words_of_a_client_that_left(debugger):
    with client_of(debugger.link) as fd:
        os.write(fd, b"$k#6b")
    debugger.check()
    assert debugger.read() == b"$k#6b"
    assert debugger.read() == b""
    assert debugger.check()


def test_guests_line_brings_no_last_words(tmp_path):
    """A guest would take them for input."""
    with contextlib.closing(GuestPty(str(tmp_path / "com2"))) as port:
        with client_of(port.link) as fd:
            os.write(fd, b"ls")
        port.check()
        assert port.read() == b"ls" and port.read() == b"" and port.check()
        assert port.last_words() == b""


def test_a_link_is_replaced_but_a_file_is_not(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("gone")
    with contextlib.closing(ConsolePty(str(link))) as port:
        assert os.readlink(link) == port.path
    assert not os.path.lexists(link)
    link.write_text("precious")
    with pytest.raises(FileExistsError):
        ConsolePty(str(link))
    assert link.read_text() == "precious"


@pytest.mark.parametrize("typed, passed, wants_end", [
    ([b"ls\r\x1d1\x03"], b"ls\r\x1d1\x03", False),
    ([b"a\x01x"], b"a", True),
    ([b"\x01", b"x"], b"", True),
    ([b"\x01\x01x"], b"\x01x", False),
    ([b"\x01d"], b"\x01d", False),
])
def test_keys_of_the_terminal(typed, passed, wants_end):
    port = TerminalPort.__new__(TerminalPort)
    port._escaped = port.wants_end = False
    assert b"".join(port._without_commands(data) for data in typed) == passed
    assert port.wants_end == wants_end


def test_interrupts_that_nothing_answers(monkeypatch):
    """Ctrl-C belongs to the guest, and is said to where nothing comes of it."""
    now = [100.0]
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: now[0])
    seen = interrupts.Interrupts()

    def after(seconds, keys=b"", written=False):
        now[0] += seconds
        seen.typed(keys)
        if written:
            seen.written()
        return seen.due()

    assert not after(0, b"ls\r") and not after(9) and not seen.waiting()
    assert not after(0, b"\x03") and seen.waiting() and not after(1.9) and after(0.2)
    assert not after(9) and not seen.waiting()
    assert not after(0, b"\x03") and not after(1, written=True) and not after(9)  # it was answered
    assert not after(0, b"\x03") and not after(1, b"\r") and not after(9)  # another key, so no
    # Another VM writes, but the user is in earnest.
    assert not after(0, b"\x03", True) and not after(0, b"\x03", True) and after(0, b"\x03", True)


def test_rtc_base_of_qemu():
    assert rtc_base(946684800) == "2000-01-01T00:00:00"


# How long something is waited for.

class Clock:
    """A machine's count and real time, both as they are told."""

    def __init__(self, monkeypatch):
        self.count, self.seconds = 0, 1000.0
        monkeypatch.setattr(ticks.time, "monotonic", lambda: self.seconds)

    def read(self):
        return self.count

    def looks(self, patience, step, seconds=LOOK / 2, most=1_000_000):
        """How many looks see that the wait goes on, and why it then does not."""
        for look in range(most):
            self.seconds += seconds
            self.count = None if step is None else self.count + step
            if over := patience.over():
                return look, over
        return most, None


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_a_wait_has_its_ticks_however_long_they_take(clock):
    clock.count = 7 * G
    assert clock.looks(Patience(clock, 2), G // 1000) == (1999, "after 2 G ticks")
    assert clock.looks(Patience(clock, 2), G // 1000, seconds=STANDS_STILL) == \
        (1999, "after 2 G ticks")


def test_a_wait_for_the_computer_has_its_seconds_though_ticks_take_no_time(clock):
    assert clock.looks(Patience(clock, 2, 60), 10 * G) == (60 / (LOOK / 2) - 1, "after 2 G ticks")


def test_a_machine_that_makes_no_ticks_stands_still(clock):
    patience = Patience(clock, 2)
    assert clock.looks(patience, 1, most=10) == (10, None)
    assert clock.looks(patience, 0) == (
        STANDS_STILL / (LOOK / 2) - 1,
        f"in a machine that stands still: no tick in {STANDS_STILL} seconds")


def test_who_was_held_up_from_looking_has_not_waited(clock):
    for step in (0, None):
        patience = Patience(clock, 2, 60)
        assert clock.looks(patience, step, seconds=1000 * UNCOUNTED, most=100) == (100, None)


def test_a_wait_in_a_machine_that_does_not_count(clock):
    clock.count = None
    assert clock.looks(Patience(clock, 2), None) == \
        (UNCOUNTED / (LOOK / 2) - 1, f"after {UNCOUNTED} seconds")


def test_the_file_of_ticks(tmp_path):
    count = Ticks(tmp_path / "ticks")
    assert count.read() == 0  # no machine yet
    count.create(counts=True)
    count.write(5 * G)
    assert Ticks(tmp_path / "ticks").read() == 5 * G
    count.create(counts=False)
    assert count.read() is None


# A session, with a shell script in the emulator's place.

@pytest.fixture
def play(tmp_path):
    """A function that runs a session and returns it with its status and console."""

    def run(script, limit=None, seconds=None, counts=False):
        with contextlib.ExitStack() as stack:
            def opened(port):
                return stack.enter_context(contextlib.closing(port))

            signals = stack.enter_context(session.Signals())
            com1, com2 = opened(EmulatorPort()), opened(EmulatorPort())
            console = opened(FilePort(tmp_path / "console"))
            command = ["sh", "-c", script, "script", com1.path, com2.path]
            count = Ticks(tmp_path / "ticks")
            count.create(counts)
            patience = Patience(count, limit) if limit else None
            emulator = opened(Emulator(command, tmp_path, None))
            played = session.Session(emulator, [(com1, console), (com2, Port())], signals,
                                     session.Bounds(count, patience, seconds))
            status = played.run()
            assert is_gone(emulator.process.pid)
        return played, status, (tmp_path / "console").read_bytes()

    return run


COUNT_5_G = r"printf '\000\362\005\052\001\000\000\000' >ticks; "  # 5 G in 8 bytes, octal
SAY_OK = f"printf '{DONE_OK.decode().strip()}\\r\\n' >$1; "


def test_what_was_written_just_before_the_end_counts(play):
    played, status, console = play(SAY_OK)
    assert (status, played.message, console) == (0, None, DONE_OK)


def test_emulator_that_does_not_end_after_the_done_line_is_killed(play, monkeypatch):
    monkeypatch.setattr(session, "GRACE_UNCOUNTED", 0.3)
    played, status, _ = play(SAY_OK + "sleep 1000")
    assert (status, played.message) == (0, None)


def test_no_bound_counts_after_the_done_line(play, monkeypatch):
    monkeypatch.setattr(session, "GRACE", 0)
    monkeypatch.setattr(session, "GRACE_LEAST", 0.3)
    _, status, _ = play(SAY_OK + COUNT_5_G + "sleep 1000", limit=1, counts=True)
    assert status == 0


def test_ticks_count_before_it(play):
    played, status, _ = play(COUNT_5_G + "sleep 1000", limit=5, counts=True)
    assert (status, played.message) == (124, "not done after 5 G ticks")


def test_a_machine_that_stands_still_is_ended(play, monkeypatch):
    monkeypatch.setattr(ticks, "STANDS_STILL", 0.3)
    played, status, _ = play("sleep 1000", limit=5, counts=True)
    assert (status, played.message) == \
        (124, "not done in a machine that stands still: no tick in 0.3 seconds")


def test_seconds_count_before_it(play):
    played, status, _ = play("sleep 1000", seconds=0.3)
    assert (status, played.message) == (124, "not done after 0.3 seconds")


def test_end_of_the_emulator_is_told_with_its_last_lines(play):
    played, status, _ = play("seq 1000; echo cannot go on >&2; exit 3")
    assert status == 1
    assert "exit status 3" in played.message
    assert played.message.endswith("| 1000\n| cannot go on")
    assert "| 900" not in played.message


def test_killed_emulator_is_told(play):
    assert "SIGKILL" in play("kill -9 $$")[0].message


def test_nobody_at_the_debugger_holds_nothing_up(play):
    _, status, _ = play("yes | head -c 100000 >$2; " + SAY_OK)
    assert status == 0


# What cannot be started.

def launch(*arguments, **options):
    return subprocess.run(
        [LAUNCHER, *map(str, arguments)], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=LIMIT, **options,
    )


def test_help_names_every_option():
    result = launch("--help")
    assert result.returncode == 0
    for option in ("iso machine cpu cpus memory firmware console gdb limit timeout ticks".split()):
        assert f"--{option}" in result.stdout


@pytest.mark.parametrize("arguments, complaint", [
    (["--iso", "no/such.iso"], "no/such.iso"),
    (["--machine", "vax"], "vax"),
    (["--cpus", "0"], "not above 0"),
    (["--timeout", "-1"], "not above 0"),
    (["--frobnicate"], "frobnicate"),
    (["--iso", FIXTURE, "--machine", "bochs", "--firmware", "uefi"], "UEFI"),
    (["--iso", FIXTURE, "--machine", "bochs", "--cpus", "16"], "at most 15"),
    (["--iso", FIXTURE, "--machine", "bochs", "--medium", "virtio"], "boots from cd and disk"),
    (["--iso", FIXTURE, "--machine", "bochs", "--memory", "1"], "2 to 1048576 MB of memory, not 1"),
    (["--iso", FIXTURE, "--machine", "bochs", "--memory", "999999999"], "2 to 1048576 MB of memory"),
    (["--iso", FIXTURE, "--machine", "bochs", "--ips", "1"], "instructions per second, not 1"),
    (["--iso", FIXTURE, "--machine", "bochs", "--kvm", "a=b"], "--kvm is for --machine nested"),
    (["--iso", FIXTURE, "--machine", "bochs", "--accel", "tcg"], "--accel is for --machine qemu"),
    (["--iso", FIXTURE, "--machine", "qemu", "--kvm", "a=b"], "--kvm is for --machine nested"),
    (["--iso", FIXTURE, "--machine", "qemu", "--cpus", "289"], "q35 has at most 288 CPUs"),
    (["--iso", FIXTURE, "--rtc", "-1"], "-1 is not from 0 to"),
    (["--iso", FIXTURE, "--rtc", "999999999999"], "999999999999 is not from 0 to"),
    (["--iso", FIXTURE, "--ticks", "/nodir/x"], "--ticks /nodir/x: there is no such folder"),
    (["--iso", FIXTURE, "--gdb", "/nodir/x"], "appliance: /nodir/x: No such file or directory\n"),
    (["--iso", FIXTURE, "--com2", "/nodir/x"], "appliance: /nodir/x: No such file or directory\n"),
    (["--iso", FIXTURE, "--console", "/nodir/x"], "appliance: /nodir/x: No such file or directory\n"),
    (["--iso", FIXTURE, "--console", "pty:/nodir/x"], "appliance: /nodir/x: No such file or dir"),
    (["--iso", FIXTURE, "--consoles", "/nodir/x"], "appliance: /nodir/x: No such file or directory\n"),
    (["--iso", FIXTURE, "--log", "/nodir/x"], "appliance: /nodir/x: No such file or directory\n"),
])
def test_wrong_usage_is_named_and_refused(arguments, complaint):
    result = launch(*arguments)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr
    assert not Path("/nodir").exists()


@pytest.mark.skipif(os.path.exists("/dev/kvm"), reason="this machine has KVM")
def test_kvm_that_is_not_there_is_named():
    need("qemu-system-x86_64")
    result = launch("--iso", FIXTURE, "--machine", "qemu", "--accel", "kvm")
    assert (result.returncode, result.stderr) == (2, "appliance: --accel kvm: /dev/kvm is not there\n")


# Whole runs.

def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="session")
def kernel(tmp_path_factory):
    need("gcc", "grub-mkrescue", "xorriso", "mformat")
    path = tmp_path_factory.mktemp("kernel") / "fixture"
    subprocess.run(["gcc", *FIXTURE_FLAGS, "-o", path, FIXTURE], check=True)
    return path


@pytest.fixture(scope="session")
def iso(kernel, tmp_path_factory):
    """A function that makes an ISO whose kernel does the given words."""
    made = {}

    def make(words):
        if words not in made:
            directory = tmp_path_factory.mktemp("iso")
            grub = directory / "tree" / "boot" / "grub"
            grub.mkdir(parents=True)
            shutil.copy(kernel, directory / "tree" / "fixture")
            (grub / "grub.cfg").write_text(
                f"set timeout=0\nmenuentry fixture {{\n  multiboot2 /fixture {words}\n}}\n"
            )
            subprocess.run(
                ["grub-mkrescue", "-o", directory / "fixture.iso", directory / "tree",
                 "--install-modules=multiboot2 normal", "--fonts=", "--locales=", "--themes="],
                check=True, capture_output=True,
            )
            made[words] = directory / "fixture.iso"
        return made[words]

    return make


@pytest.fixture(params=["bochs", "qemu"])
def machine(request):
    if request.param == "qemu":
        need("qemu-system-x86_64")
    elif not Path("/usr/share/bochs/BIOS-bochs-latest").exists():
        pytest.skip("bochsbios is not installed")
    else:  # minutes, the first time, that are not the launcher's
        subprocess.run([ROOT / "ci" / "bochs"], check=True)
    return ["--machine", request.param, "--cpus", "1", "--memory", "256"]


@pytest.fixture
def qemu():
    need("qemu-system-x86_64")
    return ["--machine", "qemu", "--cpus", "1", "--memory", "256"]


@pytest.fixture
def started(tmp_path):
    """A function that starts the launcher and returns it with its emulator's pid."""
    launchers = []

    def heed_signals():
        """What runs in the background, or under nohup, ignores some of them."""
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    def start(*arguments, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "preexec_fn": heed_signals, **options}
        launcher = subprocess.Popen([LAUNCHER, *map(str, arguments)], **options)
        launchers.append(launcher)
        return launcher

    yield start
    for launcher in launchers:
        if launcher.poll() is None:
            launcher.terminate()
            launcher.wait(LIMIT)
        for stream in (launcher.stdout, launcher.stderr):
            if stream:
                stream.close()


def emulator_of(launcher):
    """The pid of the launcher's child, waited for."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
    return int(wait_for(lambda: children.read_text().split())[0])


def is_gone(pid):
    """Whether the process is no more; one that nobody has waited for yet is dead too."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"


def read_until(fd, wanted):
    """Read until the wanted bytes have come, and return all that came."""
    data = b""
    while wanted not in data:
        assert select.select([fd], [], [], LIMIT)[0], data
        data += os.read(fd, 4096)
    return data


def opened(link):
    wait_for(lambda: os.path.exists(link))
    return client_of(link)


def test_done_ok_is_status_0(machine, iso):
    result = launch(*machine, "--iso", iso("ok off"))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.encode().endswith(STARTED.replace(b"\r", b"") + DONE_OK.replace(b"\r", b""))


def test_done_failed_is_status_1_with_the_reason(machine, iso):
    result = launch(*machine, "--iso", iso("failed off"))
    assert result.returncode == 1
    assert result.stderr == "appliance: failed: no VM could start\n"


@pytest.mark.parametrize("words", ["guest off", "reset"])
def test_end_without_done_line_is_status_1(machine, iso, words):
    result = launch(*machine, "--iso", iso(words))
    assert result.returncode == 1
    assert "the emulator ended" in result.stderr


@pytest.mark.parametrize("options, what", [
    (["--console", "/dev/full"], "/dev/full"), (["--log", "/dev/full"], "/dev/full"),
    ([], "standard output")])
def test_a_full_disk_ends_no_machine(machine, iso, options, what):
    """What cannot be written any more is named, once, and the verdict is as ever."""
    if "--log" in options and "qemu" in machine:
        pytest.skip("QEMU logs nothing")
    with open("/dev/full", "w") as full:
        words = [LAUNCHER, *machine, "--iso", iso("ok off"), *options]
        result = subprocess.run(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                stdout=subprocess.DEVNULL if options else full, timeout=LIMIT)
        nobody = subprocess.run(words, stdin=subprocess.DEVNULL, stderr=full,
                                stdout=subprocess.DEVNULL if options else full, timeout=LIMIT)
    said = f"appliance: {what}: No space left on device; nothing more is written there\n"
    assert (result.returncode, result.stderr) == (0, said)
    assert nobody.returncode == 0


def test_timeout_is_status_124(qemu, iso, tmp_path):
    result = launch(*qemu, "--iso", iso("guest"), "--timeout", "2",
                    "--console", tmp_path / "console")
    assert result.returncode == 124
    assert "2 seconds" in result.stderr


def test_a_hang_is_told_by_ticks(machine, iso, tmp_path):
    result = launch(*machine, "--iso", iso("guest"), "--limit", "0.1", "--console", tmp_path / "console",
                    "--ticks", tmp_path / "ticks")
    assert (result.returncode, result.stderr) == (124, "appliance: not done after 0.1 G ticks\n")
    assert Ticks(tmp_path / "ticks").read() >= G // 10


def test_a_machine_that_was_held_up_goes_on(machine, iso, started, tmp_path):
    """It is stopped for longer than it runs otherwise: its ticks stand, and all comes as ever."""
    link, count = tmp_path / "console", Ticks(tmp_path / "ticks")
    launcher = started(*machine, "--iso", iso("echo ok off"), "--console", f"pty:{link}", "--limit",
                       "10", "--ticks", count.path)
    with opened(link) as fd:
        read_until(fd, STARTED)
        emulator = emulator_of(launcher)
        os.kill(emulator, signal.SIGSTOP)
        wait_for(lambda: Path(f"/proc/{emulator}/stat").read_text().rpartition(") ")[2][0] == "T")
        time.sleep(1)  # QEMU's last answer is kept
        before = count.read()
        time.sleep(4)
        assert count.read() == before and launcher.poll() is None
        os.kill(emulator, signal.SIGCONT)
        os.write(fd, b"q")
        read_until(fd, DONE_OK)
    assert launcher.wait(LIMIT) == 0


def test_slow_reader_loses_nothing(machine, iso, started):
    launcher = started(*machine, "--iso", iso("flood ok off"))
    launcher.wait(LIMIT)  # what it has said waits in the pipe
    output = launcher.communicate()[0]
    lines = re.findall(rb"flood (\d+)\r\n", output)
    assert [int(line) for line in lines] == list(range(1500))
    assert launcher.returncode == 0


def test_reader_that_went_away_ends_the_run(qemu, iso, started):
    launcher = started(*qemu, "--iso", iso("flood ok off"))
    emulator = emulator_of(launcher)
    launcher.stdout.close()
    launcher.stdout = None
    assert launcher.wait(LIMIT) == 1
    assert is_gone(emulator)


def test_terminal_that_was_closed_ends_the_run(qemu, iso, started):
    """A terminal that is not the launcher's controlling one gives no SIGHUP when it goes."""
    master, slave = pty.openpty()
    launcher = started(*qemu, "--iso", iso("flood"), stdout=slave)
    os.close(slave)
    emulator = emulator_of(launcher)
    os.read(master, 1)
    os.close(master)
    assert launcher.wait(LIMIT) == 1
    assert is_gone(emulator)


def test_console_pty(machine, iso, started, tmp_path):
    link = tmp_path / "console"
    launcher = started(*machine, "--iso", iso("echo ok off"), "--console", f"pty:{link}")
    with opened(link) as fd:
        read_until(fd, STARTED)
    with opened(link) as fd:  # closed and opened again, the line is still there
        os.write(fd, b"hello\r\x03\x1d")
        assert read_until(fd, b"\x1d") == b"hello\r\x03\x1d"
        os.write(fd, b"q")
        assert read_until(fd, DONE_OK) == b"q\r\n" + DONE_OK
    assert launcher.wait(LIMIT) == 0
    assert not os.path.lexists(link)


def test_unread_console_pty_holds_nothing_up(qemu, iso, tmp_path):
    result = launch(*qemu, "--iso", iso("flood ok off"), "--console", f"pty:{tmp_path}/console")
    assert (result.returncode, result.stderr) == (0, "")


def check_echo(fd, words, before=b""):
    """They come back; before them may be the end of what a client before said, and of what was said
    for it, if that was noticed to be gone."""
    echo = read_until(fd, words)
    said = [HANG_UP + before + more + words for more in (b"", HANG_UP)]
    assert any(whole.endswith(echo) for whole in said), echo


def test_debugger_pty(machine, iso, started, tmp_path):
    link, console = tmp_path / "gdb", tmp_path / "console"
    launcher = started(*machine, "--iso", iso("echo ok off"), "--gdb", link,
                       "--console", f"pty:{console}")
    with opened(console) as com1:
        read_until(com1, STARTED)
        for words in (b"$g#67", b"+$qSupported#37", b"\x03"):  # come, ask, go
            with opened(link) as fd:
                os.write(fd, words)
                check_echo(fd, words)
        with opened(link) as fd:  # killed before it heard the answer
            os.write(fd, b"half a pack")
        with opened(link) as fd:
            os.write(fd, b"next")
            check_echo(fd, b"next", b"half a pack")
        os.write(com1, b"q")
        assert launcher.wait(LIMIT) == 0
    assert not os.path.lexists(link)


@pytest.mark.parametrize("own", ["gdb", "consoles"])
def test_a_second_launcher_takes_nothing_from_the_first(qemu, iso, started, tmp_path, own):
    """It is refused with the name of what is in use, and by whom, and leaves all links as they are."""
    config = tmp_path / "my.conf"
    config.touch()
    places = {"gdb": tmp_path / "gdb", "consoles": tmp_path / "consoles"}

    def words(changed=""):
        return [*qemu, "--iso", iso("echo"), "--config", config, *(
            word for option, place in places.items()
            for word in (f"--{option}", f"{place}2" if option == changed else place))]

    def links():
        return {path.name: os.readlink(path) if path.is_symlink() else path.stat().st_ino
                for path in tmp_path.iterdir()}

    first = started(*words())
    read_until(first.stdout.fileno(), STARTED)
    before = links()
    assert before["gdb"].startswith("/dev/pts/") and before["gdb.config"] == str(config)
    said = (tmp_path / "consoles.log").read_bytes()
    second = launch("--timeout", "20", *words(changed="gdb" if own == "consoles" else "consoles"))
    assert second.returncode == 2
    assert second.stderr == f"appliance: {places[own]}: is in use by process {first.pid} ({config})\n"
    hints = subprocess.run([ROOT / "ci/gdb", "--how", "--line", places["gdb"]], capture_output=True,
                           text=True, check=False)
    assert (hints.returncode, hints.stdout) == (1, "")
    assert f"{places['gdb']} is in use by process {first.pid} ({config}): " in hints.stderr
    assert links() == before and said and (tmp_path / "consoles.log").read_bytes() == said
    first.terminate()
    assert first.wait(LIMIT) == 128 + signal.SIGTERM
    assert sorted(links()) == ["consoles", "consoles.log", "my.conf"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signal_ends_the_emulator_too(qemu, iso, started, tmp_path, number):
    link = tmp_path / "gdb"
    launcher = started(*qemu, "--iso", iso("echo"), "--gdb", link,
                       env={**os.environ, "TMPDIR": str(tmp_path)})
    emulator = emulator_of(launcher)
    wait_for(link.exists)
    launcher.send_signal(number)
    assert launcher.wait(LIMIT) == 128 + number
    assert is_gone(emulator)
    assert list(tmp_path.iterdir()) == []


def test_killed_launcher_takes_the_emulator_with_it(machine, iso, started, tmp_path):
    launcher = started(*machine, "--iso", iso("echo"),
                       env={**os.environ, "TMPDIR": str(tmp_path)})
    read_until(launcher.stdout.fileno(), STARTED)
    emulator = emulator_of(launcher)
    launcher.kill()
    wait_for(lambda: is_gone(emulator))


class Terminal:
    """A terminal in which the launcher runs in the foreground."""

    def __init__(self, *arguments):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(LAUNCHER, [str(LAUNCHER), *map(str, arguments)])

    def mode(self):
        return termios.tcgetattr(self.fd)

    def slave(self):
        """A slave of our own, which tells the mode after the launcher has gone."""
        return client_of(os.readlink(f"/proc/{self.pid}/fd/0"))

    def wait(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextlib.contextmanager
def terminal_with(*arguments):
    terminal = Terminal(*arguments)
    try:
        yield terminal
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(terminal.pid, signal.SIGKILL)
        os.close(terminal.fd)


def test_terminal_is_raw_and_ctrl_a_x_ends(qemu, iso):
    with terminal_with(*qemu, "--iso", iso("echo ok off")) as terminal:
        assert b"Ctrl-A x" in read_until(terminal.fd, STARTED.strip())
        assert not terminal.mode()[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
        os.write(terminal.fd, b"\x03\x1a\x1dz")
        assert read_until(terminal.fd, b"z").endswith(b"\x03\x1a\x1dz")
        os.write(terminal.fd, b"\x03\x03\x03")
        read_until(terminal.fd, b"appliance: Ctrl-C goes to the guest")
        with terminal.slave() as slave:
            os.write(terminal.fd, b"\x01x")
            read_until(terminal.fd, b"appliance: switched off")
            assert terminal.wait() == 130
            mode = termios.tcgetattr(slave)[3]
            assert mode & termios.ECHO and mode & termios.ICANON and mode & termios.ISIG


def test_consoles_on_a_terminal(qemu, iso, tmp_path):
    """The split stream is asked for, shown, kept in a log and on ptys."""
    consoles = tmp_path / "console"
    with terminal_with(*qemu, "--iso", iso("split ok off"), "--consoles", consoles) as terminal:
        assert STARTED in read_until(terminal.fd, b"one| # ")
        with opened(consoles / "one") as line:
            assert read_until(line, b"# ") == b"# "
            os.write(line, b"a")
            assert read_until(line, b"a") == b"\x1dk01a"
            read_until(terminal.fd, b"\\x1dk01a")
            os.write(terminal.fd, b"\x1d1")
            assert b"one alone" in read_until(terminal.fd, b"# \x1dk01a")
            with terminal.slave() as slave:
                os.write(terminal.fd, b"q")
                read_until(terminal.fd, DONE_OK)  # since that ends what is shown alone
                assert terminal.wait() == 0
                assert termios.tcgetattr(slave)[1] & termios.OPOST
    assert list(consoles.iterdir()) == []
    log = (tmp_path / "console.log").read_bytes()
    assert log.endswith(DONE_OK.replace(b"\r", b"") + b"one| # \\x1dk01aq\n"), log


def test_consoles_are_for_a_terminal():
    result = launch("--consoles", "x", "--console", "y")
    assert result.returncode == 2 and "--consoles is for" in result.stderr


def test_terminal_is_restored_after_an_ordinary_end(qemu, iso):
    with terminal_with(*qemu, "--iso", iso("echo ok off")) as terminal:
        read_until(terminal.fd, STARTED.strip())
        with terminal.slave() as slave:
            os.write(terminal.fd, b"q")
            read_until(terminal.fd, DONE_OK.strip())
            assert terminal.wait() == 0
            assert termios.tcgetattr(slave)[3] & termios.ECHO


@pytest.mark.parametrize("arguments", [
    ["--medium", "disk"], ["--cpus", "15"], ["--memory", "5120"], ["--rtc", "946684800"],
])
def test_other_ways_to_boot(machine, iso, arguments):
    result = launch(*machine, "--iso", iso("ok off"), *arguments)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [[], ["--medium", "usb"]])
def test_uefi(qemu, iso, arguments):
    if not any(Path("/usr/share/OVMF").glob("OVMF_CODE*.fd")):
        pytest.skip("ovmf is not installed")
    result = launch(*qemu, "--iso", iso("ok off"), "--firmware", "uefi", *arguments)
    assert result.returncode == 0


def test_bochs_repeats_exactly_from_a_fixed_clock(iso, tmp_path):
    if not Path("/usr/share/bochs/BIOS-bochs-latest").exists():
        pytest.skip("bochsbios is not installed")
    logs = []
    for run in range(2):
        log = tmp_path / f"log{run}"
        result = launch("--machine", "bochs", "--cpus", "1", "--iso", iso("ok off"),
                        "--rtc", "946684800", "--log", log)
        assert result.returncode == 0
        logs.append(re.search(r"(\d+).*quit_sim", log.read_text())[1])
    assert logs[0] == logs[1]
