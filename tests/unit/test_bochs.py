# SPDX-License-Identifier: MIT
"""The emulator's cache: ci/bochs, with the emulator that the tests run in."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CI = Path(__file__).resolve().parent.parent.parent / "ci"
SCRIPTS = ("bochs", "bochs-build", "bochs-fixes.py", "foreign")


def run(*words, **environment):
    return subprocess.run(words, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


@pytest.mark.parametrize("name, there", [("bochs", True), ("foreign", True), ("bochs-build", False),
                                         ("bochs-fixes.py", False)])
def test_what_has_it_built_again(tmp_path, name, there):
    """What changes the binary, and not the messages around it."""
    assert run(CI / "bochs", "--path").returncode == 0
    for script in SCRIPTS:
        shutil.copy(CI / script, tmp_path)
    assert run(tmp_path / "bochs", "--check").returncode == 0
    with open(tmp_path / name, "a") as script:
        script.write("# changed\n")
    assert (run(tmp_path / "bochs", "--check").returncode == 0) == there


@pytest.mark.parametrize("where", ["VITRINE_CACHE", "XDG_CACHE_HOME", "HOME"])
def test_place_that_cannot_be_written_to(where):
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("VITRINE_CACHE", "XDG_CACHE_HOME", "HOME")}
    done = subprocess.run([CI / "bochs"], env=environment | {where: "/proc/none"}, text=True,
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "VITRINE_CACHE names another place" in done.stderr
