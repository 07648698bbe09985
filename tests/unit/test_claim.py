# SPDX-License-Identifier: MIT
"""What one process at a time can have: ci/launcher/claim.py."""

import contextlib
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

CI = Path(__file__).resolve().parent.parent.parent / "ci"

sys.dont_write_bytecode = True
sys.path.insert(0, str(CI))

from launcher.claim import Claim, claimant, told  # noqa: E402

OTHER = """import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from launcher.claim import Claim
claim = Claim(sys.argv[2])
print("has it", flush=True)
sys.stdin.read()
claim.close()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that has claimed tmp_path/line."""
    with subprocess.Popen([sys.executable, "-c", OTHER, CI, tmp_path / "line", "--config", "its.conf"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "has it\n"
        yield process
        process.kill()


def test_who_has_it_is_named(other, tmp_path):
    name = str(tmp_path / "line")
    with pytest.raises(OSError) as refused:
        Claim(name)
    assert refused.value.errno == errno.EBUSY
    assert told(refused.value) == f"{name}: is in use by process {other.pid} (its.conf)"
    assert claimant(name) == f"process {other.pid} (its.conf)"
    (tmp_path / "here").symlink_to(tmp_path)
    with pytest.raises(OSError):
        Claim(str(tmp_path / "here" / "line"))
    Claim(str(tmp_path / "line2")).close()
    assert claimant(name)


@pytest.mark.parametrize("end", ["closed", "killed"])
def test_it_is_free_again_when_that_process_has_ended(other, tmp_path, end):
    if end == "killed":
        other.kill()
    other.communicate()
    assert (tmp_path / "line.lock").exists() == (end == "killed")
    assert claimant(str(tmp_path / "line")) is None
    with contextlib.closing(Claim(str(tmp_path / "line"))):
        assert claimant(str(tmp_path / "line")) is None  # no other one
    assert os.listdir(tmp_path) == []


def test_one_process_has_a_name_once(tmp_path):
    name = str(tmp_path / "line")
    with contextlib.closing(Claim(name)):
        with pytest.raises(OSError, match="is named twice"):
            Claim(name)
    Claim(name).close()


def test_where_nothing_can_be_made_it_is_told(tmp_path):
    with pytest.raises(FileNotFoundError) as refused:
        Claim(str(tmp_path / "no" / "line"))
    assert told(refused.value) == f"{tmp_path}/no/line: No such file or directory"
