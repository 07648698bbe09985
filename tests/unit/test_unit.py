# SPDX-License-Identifier: MIT
"""The unit tests in C, each program one test here. Their sources lie beside this file."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = [source.stem for source in sorted(Path(__file__).parent.glob("test_*.c"))]


@pytest.fixture(scope="module", autouse=True)
def built():
    subprocess.run([ROOT / "ci/foreign", "make", "-s", "-C", ROOT, "tests-built"], check=True)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_program_passes(program):
    done = subprocess.run([ROOT / "build" / "host" / program], cwd=ROOT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    assert done.returncode == 0, done.stdout
