# SPDX-License-Identifier: MIT
"""Files that keep what a run says: ci/launcher/logfile.py."""

import contextlib
import resource
import signal
import sys
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "ci"))

from launcher.logfile import LogFile  # noqa: E402


@contextlib.contextmanager
def room_for_ten():
    """No file can be longer than ten bytes, as if the disk were full then; what pytest itself writes
    its report to neither."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # Python's default
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_there_is_room_for_stays(tmp_path):
    said = []
    file = LogFile(tmp_path / "log", said.append)
    with room_for_ten():
        for _ in range(5):
            file.write(b"1234567")
    file.close()
    kept = (tmp_path / "log").read_bytes()
    assert kept == b"1234567123"
    assert said == [f"{tmp_path}/log: File too large; nothing more is written there"]


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        LogFile(tmp_path / "no" / "log", pytest.fail)
