# SPDX-License-Identifier: MIT
"""ci/prepare, by which make run and others get what they need, with a ci/deps and a ci/bochs that only
say that they were called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CI = Path(__file__).resolve().parent.parent.parent / "ci"


@pytest.fixture
def tree(tmp_path):
    """Where nothing is there yet: two packages are missing, the emulator, and what is built."""
    (tmp_path / "ci").mkdir()
    (tmp_path / "bin").mkdir()
    for name in "prepare", "tied":
        shutil.copy(CI / name, tmp_path / "ci")

    def script(name, text):
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)

    script("ci/deps", '[ "$1" != --missing ] || { cat missing 2>/dev/null; exit 0; }; echo deps "$@" >&2')
    script("ci/bochs", '[ "$1" != --check ] || { [ -e built ]; exit; }; echo bochs "$@" >&2; eval "$BOCHS"')
    script("bin/nproc", "echo 2")
    (tmp_path / "missing").write_text("gcc\ngdb\n")
    return tmp_path


def start(tree, machine="bochs", command=("sh", "-c", "echo building >&2"), bochs=""):
    return subprocess.Popen(
        ["ci/prepare", "run", machine, "booting", *command], cwd=tree, text=True,
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={"PATH": f"{tree}/bin:{os.environ['PATH']}", "BOCHS": bochs})


def said(process):
    return process.communicate()[1].splitlines()


def test_the_first_time_each_step_is_told(tree):
    """How long in all, and before each step which one it is."""
    lines = said(start(tree))
    assert lines == [
        "make: the first time takes about 5 minutes, in 4 steps; later it begins with the last",
        "make: step 1 of 4: installing 2 packages and what they need, about a minute",
        "deps run",
        "make: step 2 of 4: building the emulator Bochs, about 4 minutes",
        "bochs",
        "make: step 3 of 4: building the appliance and its guests, and bringing Debian's Linux, "
        "about a minute",
        "building",
        "make: step 4 of 4: booting",
    ]


def test_later_nothing_is_said(tree):
    """Nothing is said; packages and what is built are looked at all the same."""
    (tree / "missing").unlink()
    (tree / "built").touch()
    (tree / "build/images").mkdir(parents=True)
    (tree / "build/vitrine.bin").touch()
    (tree / "build/images/vmlinux.sym.elf").touch()
    assert said(start(tree)) == ["deps run", "building"]


def test_what_is_there_or_not_needed_is_no_step(tree):
    """QEMU needs no Bochs; and what is there already is no step."""
    (tree / "missing").unlink()
    lines = said(start(tree, "qemu"))
    assert [line[:17] for line in lines] == [
        "make: the first t", "deps run", "make: step 1 of 2", "building", "make: step 2 of 2"]


def test_a_step_that_fails_ends_it(tree):
    """What fails ends it, and the exit status tells."""
    process = start(tree, bochs="exit 3")
    assert said(process)[-1] == "bochs" and process.returncode == 3
    process = start(tree, command=["false"])
    assert "step 4" not in said(process)[-1] and process.returncode == 1


@pytest.mark.parametrize("where", ["bochs", "command"])
def test_a_signal_ends_what_was_started(tree, where):
    """make hands a signal to its own children, not to theirs; those end all the same."""
    if where == "command":
        (tree / "built").touch()
    process = start(tree, command=["sh", "-c", "echo started >&2; exec sleep 300"],
                    bochs="echo started >&2; exec sleep 300")
    while process.stderr.readline() != "started\n":
        assert process.poll() is None
    process.terminate()
    process.communicate()  # they have its stderr as long as they live


def test_a_signal_ends_what_is_only_being_started(tree):
    """Who dies while a child is being started takes it along too: setpriv comes when it is dead."""
    (tree / "built").touch()
    late = tree / "bin/setpriv"
    late.write_text('#!/bin/sh\necho late >&2\nwhile kill -0 $PPID; do sleep 0.05; done 2>&-\n'
                    'PATH=${PATH#*:} exec setpriv "$@"\n')
    late.chmod(0o755)
    process = start(tree, command=["sh", "-c", "echo started >&2; exec sleep 300"])
    while process.stderr.readline() != "late\n":
        assert process.poll() is None
    process.terminate()
    process.wait()
    assert "started" not in process.stderr.read()
