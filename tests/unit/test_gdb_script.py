# SPDX-License-Identifier: MIT
"""ci/gdb on a line that another program has."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "ci"))

from launcher import holders  # noqa: E402
from launcher.ports import DebuggerPty  # noqa: E402

# Opens the line, says so, and has it until its input ends.
HOLDS = "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print(flush=True); sys.stdin.read()"


@pytest.fixture(name="line")
def _line(tmp_path):
    """The end of a debugger's line that the launcher has."""
    with contextlib.closing(DebuggerPty(str(tmp_path / "gdb"))) as port:
        yield port


@contextlib.contextmanager
def held(line):
    """Another program has the line meanwhile. Yields its process."""
    with subprocess.Popen([sys.executable, "-c", HOLDS, line.link], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.stdin.close()


def ci_gdb(line):
    done = subprocess.run([ROOT / "ci/gdb", "--line", line.link, "--patience", "1"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.splitlines()


def test_a_line_in_use_is_refused(line):
    """Who has it is named, and gets nothing of a second one's talk."""
    with held(line) as process:
        name = Path(f"/proc/{process.pid}/comm").read_text().strip()
        assert ci_gdb(line) == (1, [
            f"gdb: {line.link} is in use by process {process.pid} ({name}): one debugger at a time; "
            "quit that one first"])
        line.check()
        assert line.read() == b""


def test_a_line_is_free_when_its_user_has_gone(line):
    with held(line):
        pass
    status, said = ci_gdb(line)
    assert status == 1 and said[-1] == f"gdb: the appliance does not answer on {line.link}"
    line.check()
    assert b"qRcmd," in line.read()


def test_who_only_looks_does_not_count(line, monkeypatch):
    """A program that is about to go, as an earlier gdb, or the launcher that empties the line."""
    with held(line) as process:
        monkeypatch.setattr(holders.time, "sleep", lambda _: (process.stdin.close(), process.wait()))
        assert holders.holders(line.link) == {}


def test_who_opens_it_itself_does_not_count(line):
    opened = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
    assert holders.holders(line.link) == {}
    os.close(opened)
