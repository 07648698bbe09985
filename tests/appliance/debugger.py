# SPDX-License-Identifier: MIT
"""Stock gdb at the debugger's line of a running appliance.

A `Scenario` is one boot and the checks that are made in it one after the other, each with a gdb of
its own. They are carried out ahead of the tests, like every Run; a test is then what became of its
check:

    HELLO = Scenario("hello", vm("hello"))

    @HELLO.check
    def test_attach(bench):
        gdb = bench.attach("hello.elf")
        assert "Thread 1.1" in gdb("info threads")
        bench.detach(gdb)

After each check the guests whose sign of life the scenario knows must go on.
"""

import contextlib
import functools
import os
import re
import threading
import time
import traceback
from pathlib import Path

import pexpect
import pytest

from appliance import ANSWER, CPU_MODELS, LEAST, LOOK, ROOT, Patience, Run, Ticks, end, expect

IMAGES = ROOT / "build" / "images"
PROMPT = "<gdb> "
NEVER = 1000000  # seconds; gdb would count them by a clock

HELLO_LIFE = r"hello: tick \d+ "
STEPS_LIFE = r"steps: round \d+: "
LINUX_LIFE = r"linux\| \d+\.\d\d \d+\.\d\d"  # /proc/uptime, from LINUX_LOOP
LINUX_LOOP = "while :; do cat /proc/uptime; usleep 20000; done"

# What Linux says when time or a CPU seems to have stood still, or worse.
COMPLAINTS = re.compile(
    r"soft lockup|hard LOCKUP|hung_task|blocked for more than|rcu.*(stall|kthread starved)|"
    r"clocksource.*(unstable|skew|watchdog)|Marking clocksource|Marking TSC|timekeeping watchdog|"
    r"WARNING: CPU|BUG:|Oops|Kernel panic|spurious|nobody cared|unexpected|segfault|trap int3", re.I)


def patience(line):
    """For one answer of the machine whose line or console this is."""
    return Patience(Ticks(Path(line).with_name("ticks")), ANSWER, LEAST)


class Gdb:
    """A gdb process with a prompt."""

    SETTINGS = ("set pagination off", "set width 0", "set confirm off", "set style enabled off",
                "set print thread-events off", f"set remotetimeout {NEVER}",
                "set tcp auto-retry off", f"set prompt {PROMPT}")

    def __init__(self, line, symbols, transcript):
        self.line = line
        words = ["-q", "-nx", *(word for s in self.SETTINGS for word in ("-ex", s))]
        if symbols:
            words.append(str(IMAGES / symbols))
        self.process = pexpect.spawn("gdb", words, encoding="utf-8", codec_errors="replace",
                                     echo=False, maxread=65536,
                                     env={**os.environ, "TERM": "dumb", "INPUTRC": "/dev/null"})
        self.process.delaybeforesend = None
        self.process.logfile = transcript
        self.wait()

    def __call__(self, command):
        """Carries a command out. Returns what gdb says to it."""
        self.send(command)
        return self.wait()

    def send(self, command):
        """Gives a command, and does not wait for its end."""
        self.process.sendline(command)

    def wait(self):
        """Waits for the prompt. Returns what came before it."""
        try:
            expect(self.process, PROMPT, patience(self.line), exact=True)
        except pexpect.ExceptionPexpect as error:
            kind = "gdb has ended" if isinstance(error, pexpect.EOF) else str(error)
            raise AssertionError(f"{kind} after {self.process.before!r}") from None
        text = self.process.before.replace("\r", "")
        self.process.logfile.flush()
        return text

    def expect(self, pattern):
        return expect(self.process, pattern, patience(self.line))

    def connect(self):
        out = self(f"target extended-remote {self.line}")
        assert out.startswith("Remote debugging using") and len(out.splitlines()) > 1, out
        return out

    def value(self, expression):
        """An expression's value as a number."""
        out = self(f"output/x {expression}")
        assert re.fullmatch(r"0x[0-9a-f]+", out.strip()), out
        return int(out, 16)

    def text(self, expression):
        return self(f"output {expression}").strip()

    def walk(self, count):
        """The places that as many steps lead to."""
        places = []
        for _ in range(count):
            self("stepi")
            places.append(self.value("$pc"))
        return places

    def interrupt(self):
        """Ctrl-C at gdb. Returns what it says when the guests have stopped."""
        self.process.sendintr()
        return self.wait()

    def run_on(self):
        """Continues, and returns when the guests run."""
        self.send("continue")
        self.expect("Continuing.")

    def kill(self):
        """SIGKILL to gdb."""
        end(self.process)

    def quit(self):
        """Lets gdb end in its own way: it detaches from what it had attached."""
        self.process.sendline("quit")
        self.expect(pexpect.EOF)
        self.process.close()
        assert self.process.exitstatus == 0


class Wire:
    """The debugger's line as bytes, for what gdb would not say."""

    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.got = b""

    def close(self):
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def packet(body):
        body = body.encode() if isinstance(body, str) else body
        return b"$%s#%02x" % (body, sum(body) & 0xff)

    def write(self, data):
        bound = patience(self.path)
        while data:
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(self.fd, data):]
                continue
            assert not (over := bound.over()), f"the line takes no more {over}"
            time.sleep(0.01)

    def read_until(self, pattern):
        """Reads until the bytes match; returns the match. What is behind it waits for the next."""
        bound = patience(self.path)
        while not (match := re.search(pattern, self.got, re.S)):
            with contextlib.suppress(BlockingIOError):
                if data := os.read(self.fd, 4096):  # nothing: the launcher opens the line anew
                    self.got += data
                    continue
            assert not (over := bound.over()), f"{pattern} not seen {over}, but {self.got!r}"
            time.sleep(0.01)
        self.got = self.got[match.end():]
        return match

    def ask(self, body):
        """A packet and its reply, acknowledged, with its runs undone."""
        self.write(self.packet(body))
        reply = self.read_until(rb"\$([^#]*)#..")[1]
        self.write(b"+")
        return re.sub(r"(.)\*(.)", lambda run: run[1] * (ord(run[2]) - 28), reply.decode())


class Bench:
    """A running appliance with its console and its debugger's line: what a check gets."""

    def __init__(self, console, scenario):
        self.console = console
        self.scenario = scenario
        self.line = console.directory / "gdb"
        self.life = dict(scenario.life)  # VM: pattern of its sign of life
        self.text = ""
        self.ended = False
        self.gdbs = []
        self.transcript = open(console.directory / "gdb-transcript", "w+", encoding="utf-8")
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            try:
                data = self.console.spawn.read_nonblocking(65536, timeout=LOOK)
            except pexpect.TIMEOUT:
                continue
            except (pexpect.EOF, OSError, ValueError):
                break
            with self._news:
                self.text += data.decode(errors="replace").replace("\r", "")
                self._news.notify_all()
        with self._news:
            self.ended = True
            self._news.notify_all()

    # ---- the console ---------------------------------------------------------------------------

    @property
    def now(self):
        """The end of the console's text, to be waited from."""
        with self._news:
            return len(self.text)

    def wait(self, pattern, since=None, times=1):
        """Waits for text on the console, from now on or since an earlier `now`. Returns the last
        match."""
        compiled = re.compile(pattern, re.M)
        bound = patience(self.line)
        with self._news:
            at = len(self.text) if since is None else since
            while times > 0:
                match = compiled.search(self.text, at)
                if match:
                    at = match.end()
                    times -= 1
                    continue
                assert not self.ended, f"the appliance has ended before it said {pattern}"
                assert not (over := bound.over()), f"{pattern} not seen {over}"
                self._news.wait(LOOK / 2)
        return match

    def type(self, text):
        self.console.type(text)

    def goes_on(self, *names, times=2):
        """The guests show signs of life: all that should, or these."""
        since = self.now
        for name in names or self.life:
            self.wait(self.life[name], since, times)

    def stands(self, name, action):
        """Carries out an action, during which a guest that gdb has stopped says nothing: while the
        others go on, what it was about to say at the stop may come, and no more."""
        others = [other for other in self.life if other != name]
        since = self.now
        action()
        self.goes_on(*others, times=4)
        with self._news:
            said = set(re.findall(self.life[name], self.text[since:]))
        assert len(said) <= 1, f"{name} was stopped, and said {said}"

    # ---- gdb -----------------------------------------------------------------------------------

    def gdb(self, symbols=None):
        """A gdb that is not connected."""
        self.transcript.write("\n======== gdb\n")
        gdb = Gdb(self.line, symbols, self.transcript)
        self.gdbs.append(gdb)
        return gdb

    def attach(self, symbols=None, pid=1):
        """A gdb that has one VM attached, by default the first."""
        gdb = self.gdb(symbols)
        gdb.connect()
        if pid != 1:
            gdb("detach")
            out = gdb(f"attach {pid}")
            assert f"process {pid}" in out, out
        return gdb

    def detach(self, gdb):
        out = gdb("detach")
        assert re.search(r"Detaching from|Detached from|\[Inferior \d+ \(.*\) detached\]", out), out
        gdb.quit()

    @staticmethod
    def symbols(name):
        return IMAGES / name

    def wire(self):
        return Wire(self.line)

    # ---- between checks ------------------------------------------------------------------------

    def carry_out(self, check):
        """Makes a check, and whatever became of it, gets ready for the next one."""
        self.transcript.write(f"\n######## {check.__name__}\n")
        since, began = self.now, time.monotonic()
        try:
            check(self)
            if not self.ended:
                self.goes_on()
            return None
        except BaseException:
            return self._story(traceback.format_exc(limit=-6), since)
        finally:
            self.transcript.write(f"\n[{time.monotonic() - began:.1f} s]\n")
            self._clean_up()

    def _story(self, what, since):
        self.transcript.flush()
        self.transcript.seek(0)
        session = self.transcript.read().rpartition("\n######## ")[2]
        return (f"{what}\n---- gdb said:\n{session[-3000:]}\n---- the console, from the check's "
                f"beginning:\n{self.text[since:][:1000]}\n[...]\n{self.text[since:][-1500:]}")

    def _clean_up(self):
        left = [gdb for gdb in self.gdbs if gdb.process.isalive()]
        for gdb in self.gdbs:
            end(gdb.process)
        self.gdbs.clear()
        if left and not self.ended:  # a check that failed: let everything run
            with contextlib.suppress(AssertionError, OSError), self.wire() as wire:
                wire.ask("qSupported:multiprocess+")
                wire.ask("D")


class Player:
    """Makes the checks of one run, in the thread that carries the run out."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.wanted = []
        self.results = {}

    def __call__(self, console):
        bench = Bench(console, self.scenario)
        try:
            self.results[None] = self._begin(bench)
            for check in self.scenario.checks:
                if check not in self.wanted or self.results[None] is not None:
                    continue
                self.results[check] = bench.carry_out(check)
        finally:
            # The reader has the console until the appliance ends; what follows finds it at its end.
            console.rest = bench._reader.join
            bench.transcript.close()
            (console.directory / "console").write_text(bench.text)

    def _begin(self, bench):
        try:
            bench.wait("gdb: waiting on the serial line", 0)
            if self.scenario.prepare:
                self.scenario.prepare(bench)
            if bench.life:
                bench.goes_on()
        except BaseException:
            return bench._story(traceback.format_exc(limit=-6), 0)
        return None


class Scenario:
    """One boot in each of some CPU models, and the checks that are made in it in their order. With
    the models in `long` that takes long."""

    def __init__(self, name, config, cpus=CPU_MODELS, long=(), life=(), prepare=None,
                 processors=2, **options):
        self.name = name
        self.life = dict(life)
        self.prepare = prepare
        self.checks = []
        self.runs = [pytest.param(Run(config, cpu=cpu, script=Player(self), gdb=True, ends=False,
                                      cpus=processors, **options), marks=[pytest.mark.long] if cpu in long else [])
                     for cpu in cpus]

    def __repr__(self):
        return self.name

    def check(self, function):
        """Makes a test of a check."""
        self.checks.append(function)

        @functools.wraps(function)
        def test(record, request):
            results = request.node.callspec.params["record"].script.results
            story = results[None] or results[function]
            if story is not None:
                pytest.fail(story, pytrace=False)

        del test.__wrapped__  # or pytest would look for the check's parameters
        test.check = function
        return pytest.mark.parametrize("record", self.runs, indirect=True, ids=self._id)(test)

    def _id(self, run):
        return f"{self.name}-{(run.cpu or run.machine).removeprefix('corei7_').partition('_')[0]}"

    def check_console(self, function):
        """Makes a test of the whole run's Record."""
        return pytest.mark.parametrize("record", self.runs, indirect=True, ids=self._id)(function)


def complaints(record, name):
    """The lines in which a Linux complains."""
    return [line for line in record.guest(name) if COMPLAINTS.search(line)]
