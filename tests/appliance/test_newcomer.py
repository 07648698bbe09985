# SPDX-License-Identifier: MIT
"""What README tells a newcomer, done word by word: its kernel, its commands, its sessions."""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pexpect
import pytest

from appliance import LIMIT, ROOT, vm, wait_for

README = (ROOT / "README.md").read_text()
PROMPT = "(gdb) "
# Where the guest stands when gdb comes, and what its counters have come to, is another each time.
VARIES = re.compile(r"0x[0-9a-f]+|(?<= = )\d+|(?<=@entry=)\d+|(?<=process )\d+")
HERE = "/home/me/vitrine"  # in README
ENVIRONMENT = {**os.environ, "TERM": "dumb"}


def blocks(kind):
    """README's blocks: of a language, or the indented ones."""
    if kind:
        return re.findall(rf"^```{kind}\n(.*?)^```", README, re.M | re.S)
    return [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", README, re.M)]


def block_with(text, kind=""):
    found = [block for block in blocks(kind) if text in block]
    assert len(found) == 1, (text, found)
    return found[0]


@pytest.fixture
def typed(tmp_path):
    """A function that starts a command of README's in a terminal, under a shell that stays. All of them
    end with the test."""
    started = []

    def type_in(command, directory=ROOT):
        child = pexpect.spawn("/bin/bash", ["-c", f"{ROOT}/ci/foreign {command}; echo status $?; read"], cwd=directory, env=ENVIRONMENT,
                              encoding="utf-8", codec_errors="replace", timeout=LIMIT,
                              dimensions=(50, 200))
        child.delaybeforesend = None
        child.logfile_read = open(tmp_path / f"terminal{len(started)}", "w", encoding="utf-8")
        started.append(child)
        return child

    yield type_in
    for child in started:
        with contextlib.suppress(OSError, pexpect.ExceptionPexpect):
            child.terminate(force=True)
        child.logfile_read.close()


def replay(child, session):
    """Types README's commands at gdb's prompt, and checks that gdb says what stands there."""
    begin, *steps = re.split(r"^\(gdb\) ", session, flags=re.M)
    child.expect_exact(PROMPT)
    said = child.before.replace("\r", "")
    # The frame is another each time.
    assert said.splitlines()[:2] == begin.strip().splitlines()[1:3], said
    assert "warning" not in said, said
    for step in steps:
        command, _, wanted = step.partition("\n")
        child.sendline(command)
        child.expect_exact(command)
        child.expect_exact(PROMPT)
        said = VARIES.sub("N", child.before.replace("\r", "").replace(str(ROOT), HERE).strip())
        assert said == VARIES.sub("N", wanted.strip()), child.before
    child.sendline("quit")
    child.expect_exact("status 0")


def own_kernel(directory):
    """README's kernel, made as README says, and the configuration for it."""
    (directory / "my-kernel.c").write_text(block_with("my-kernel.c", "c"))
    subprocess.run(["bash", "-c", block_with("gcc -m32")], cwd=directory, check=True)
    (directory / "my.conf").write_text(block_with("[vm mine]"))


def test_a_kernel_of_ones_own(typed, tmp_path):
    """README's 32-bit kernel with a breakpoint by line; `make gdb` is told nothing but the line."""
    own_kernel(tmp_path)
    line = f"LINE={tmp_path}/gdb"
    machine = typed(f"make run CONFIG={tmp_path}/my.conf MACHINE=bochs {line}")
    machine.expect(r"in another terminal, debugs mine; VM=NAME another VM.*?(/\S*ci/gdb \S+ \S+ mine)"
                   r".*?(gdb \S+ -ex '[^']*')")
    anywhere, by_hand = machine.match[1], machine.match[2]
    machine.expect("mine| another round")
    # In a folder of neither, and first by hand: ci/gdb has the VM shown as its symbols want it.
    for command in (by_hand, anywhere):
        gdb = typed(command, "/")
        gdb.expect_exact(PROMPT)
        assert re.search(r"kernel|count|put", gdb.before) and "rror" not in gdb.before, gdb.before
        gdb.sendline("show architecture")
        gdb.expect_exact('(currently "i386")')
        gdb.sendline("detach")
        gdb.expect_exact("detached]")
        gdb.sendline("quit")
        gdb.expect_exact("status 0")
    session = block_with("path/to/my-kernel...").replace("path/to", str(tmp_path))
    replay(typed(f"make gdb {line}"), session.replace("build/gdb", f"{tmp_path}/gdb"))
    machine.send("\x01x")
    machine.expect_exact("appliance: switched off\r\nstatus 0")
    assert not os.path.lexists(tmp_path / "gdb.config")


def test_the_session_with_hello(typed, tmp_path):
    """README's, and straight to a VM that is not the first."""
    (tmp_path / "my.conf").write_text(vm("other", "hello") + vm("hello", cmdline="period=200"))
    line = f"LINE={tmp_path}/gdb"
    machine = typed(f"make run CONFIG={tmp_path}/my.conf MACHINE=bochs {line}")
    machine.expect(r"hello\| hello: tick")
    replay(typed(f"make gdb VM=hello {line}"),
           block_with("$ make gdb VM=hello\n").replace("using build/gdb", f"using {tmp_path}/gdb"))
    machine.send("\x01x")
    machine.expect_exact("status 0")


# All ways out.

def descendants(pid):
    """The processes that a process has started, and they in turn, with their commands."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*"):
        for child in map(int, (task / "children").read_text().split()):
            with contextlib.suppress(OSError):
                found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                found |= descendants(child)
    return found


def one_with(text, processes):
    return next((pid for pid, command in processes.items() if text in command), None)


def is_gone(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"


def close_terminal(child, _):
    os.close(child.child_fd)


WAYS_OUT = {
    "Ctrl-A x": lambda child, _: child.send("\x01x"),
    "the terminal is closed": close_terminal,
    "make is told to end": lambda _, all: os.kill(one_with("make run", all), signal.SIGTERM),
    "make is interrupted": lambda _, all: os.kill(one_with("make run", all), signal.SIGINT),
    "make is killed": lambda _, all: os.kill(one_with("make run", all), signal.SIGKILL),
    "the launcher is killed": lambda _, all: os.kill(one_with("ci/appliance", all), signal.SIGKILL),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_nothing_outlives_make_run(typed, tmp_path, way):
    (tmp_path / "my.conf").write_text(vm("hello"))
    child = typed(f"make run CONFIG={tmp_path}/my.conf MACHINE=bochs LINE={tmp_path}/gdb")
    assert child.expect_exact(["appliance: Bochs", "status"]) == 0, child.before  # keys are taken
    wait_for(lambda: one_with("bochsrc", descendants(child.pid)))
    processes = descendants(child.pid)
    WAYS_OUT[way](child, processes)
    wait_for(lambda: all(is_gone(pid) for pid in processes))


@pytest.mark.parametrize("way", ["Ctrl-C", "make is told to end", "make is killed"])
def test_nothing_outlives_the_building(typed, tmp_path, way):
    """The first time on a machine, where the emulator is not there yet; here it is not built, since
    another seems to build it."""
    (tmp_path / "my.conf").write_text(vm("hello"))
    (tmp_path / "cache").mkdir()
    with open(tmp_path / "cache" / "bochs.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = typed(f"env VITRINE_CACHE={tmp_path}/cache make run CONFIG={tmp_path}/my.conf "
                      "MACHINE=bochs")
        wait_for(lambda: one_with("flock 9", descendants(child.pid)))
        processes = descendants(child.pid)
        (WAYS_OUT | {"Ctrl-C": lambda child, _: child.send("\x03")})[way](child, processes)
        wait_for(lambda: all(is_gone(pid) for pid in processes))


# What make says.

def made(*words):
    """What make says, its exit status, and how many lines are its own."""
    done = subprocess.run([ROOT / "ci/foreign", "make", "-C", ROOT, "--no-print-directory", *words],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    return done.returncode, done.stdout, len(re.findall(r"^make.*:|^Makefile:", done.stdout, re.M))


@pytest.mark.parametrize("goal", ["run", "iso"])
def test_an_empty_config_is_said_at_once(goal):
    status, text, lines = made(goal, "CONFIG=")
    assert (status, lines) == (2, 1)
    assert re.fullmatch(r"Makefile:\d+: \*\*\* CONFIG= is empty; it names a configuration, "
                        r"and left out it is config/default.conf\.  Stop\.\n", text)


@pytest.mark.parametrize("goal", [[], ["run"], ["tools"], ["unit"]])
def test_a_file_where_the_build_goes_is_said_at_once(tmp_path, goal):
    (tmp_path / "build").touch()
    status, text, lines = made(*goal, f"B={tmp_path}/build")
    assert (status, lines) == (2, 1)
    assert re.fullmatch(rf"Makefile:\d+: \*\*\* {tmp_path}/build is there and is no folder, which is where all "
                        r"that is built goes; `make clean` removes it\.  Stop\.\n", text), text
    assert made("clean", f"B={tmp_path}/build")[0] == 0 and not (tmp_path / "build").exists()


def test_an_error_is_told_and_little_more(tmp_path):
    """Of make's own, which cannot be had to say nothing, there is one line, however deep it was."""
    (tmp_path / "my.conf").write_text(vm("hello", memory="many"))
    status, said, own = made("-s", "iso", f"CONFIG={tmp_path}/my.conf")
    assert (status, own) == (2, 1) and said.splitlines()[-2].startswith("mkiso: "), said


def test_silence_when_asked(tmp_path):
    """In a build from nothing, which is not carried out."""
    nothing = "-n", f"B={tmp_path}", "tools"
    assert 'echo "  CC      src/main.c"' in made(*nothing)[1]
    status, said, _ = made("-s", *nothing)
    assert status == 0 and "src/main.c" in said and 'echo "' not in said


@pytest.mark.parametrize("built, listed, wanted", [(False, False, 1), (True, False, 0),
                                                   (False, True, 0)])
def test_a_single_test_builds_what_it_boots(pytestconfig, monkeypatch, built, listed, wanted):
    """As CONTRIBUTING says, after `make clean`; not when make has built it, nor for a list of tests."""
    builds = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: builds.append(command))
    monkeypatch.delenv("BUILT", raising=False)
    if built:
        monkeypatch.setenv("BUILT", "yes")
    config = SimpleNamespace(addinivalue_line=lambda *_: None,
                             option=SimpleNamespace(collectonly=listed))
    for plugin in pytestconfig.pluginmanager.get_plugins():
        if getattr(plugin, "__file__", None) == str(ROOT / "tests/appliance/conftest.py"):
            plugin.pytest_configure(config)
    assert len(builds) == wanted and all(command[-1] == "test-parts" for command in builds)
