# SPDX-License-Identifier: MIT
"""ci/gdb, without an appliance: what it says, and what it refuses."""

import contextlib
import os
import pty
import re
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def line():
    """A pty that nobody has open but its master, and its name."""
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    os.set_blocking(master, False)
    os.close(slave)
    return master, name


def gdb(directory, *words, patience=2, names=("mine",)):
    """Its exit status, what it writes on both outputs, and the seconds that it took."""
    (directory / "my.conf").write_text("".join(f"[vm {name}]\nkernel = k\n" for name in names))
    began = time.monotonic()
    done = subprocess.run([ROOT / "ci/gdb", "--config", "my.conf", "--patience", str(patience), *words],
                          cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - began


@pytest.mark.parametrize("line", ["/dev/null", "/dev/zero", "file", "pipe"])
def test_what_is_no_serial_line_is_refused_at_once(tmp_path, line):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    status, said, seconds = gdb(tmp_path, "--line", line, patience=1800)
    assert (status, said) == (1, f"gdb: {line}: is not a serial line\n")
    assert seconds < 900


def test_how_long_it_waits_is_told(tmp_path):
    master, name = line()
    status, said, _ = gdb(tmp_path, "--line", name, patience=5)
    assert status == 1 and re.fullmatch(
        r"gdb: waiting for the appliance to answer on (\S+), for 5 seconds at most\n"
        r"gdb: the appliance does not answer on \1\n", said), said
    os.close(master)


def test_a_line_that_is_hung_up_is_not_waited_for(tmp_path):
    """Nor does it take the processor meanwhile."""
    master, name = line()
    (tmp_path / "my.conf").write_text("[vm mine]\nkernel = k\n")
    with subprocess.Popen([ROOT / "ci/gdb", "--config", "my.conf", "--patience", "1800", "--line", name],
                          cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as process:
        asked = b""
        while not asked:
            assert process.poll() is None
            time.sleep(0.02)
            with contextlib.suppress(OSError):  # nobody has it open
                asked = os.read(master, 1)
        os.close(master)
        said = process.stderr.read()
    assert process.returncode == 1
    assert re.search(rf"^gdb: {name}: (has been hung up|Input/output error)$", said, re.M), said


@pytest.mark.parametrize("count, keys", [
    (1, "Ctrl-] 1   shows the first VM alone (2: the second, ...)"),
    (9, "Ctrl-] 1   shows the first VM alone (2: the second, ...)"),
    (10, "Ctrl-] 01   shows the first VM alone (02: the second, ...)"),
    (16, "Ctrl-] 01   shows the first VM alone (02: the second, ...)")])
def test_keys_are_those_that_the_console_takes(tmp_path, count, keys):
    """With ten VMs and more they are two digits: launcher/keys.py."""
    status, said, _ = gdb(tmp_path, "--how", "--line", "gdb", names=[f"n{i}" for i in range(count)])
    assert status == 0 and f"\n  {keys}; " in said, said
