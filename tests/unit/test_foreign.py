# SPDX-License-Identifier: MIT
"""Builds that are not ours, started from ours: ci/foreign, and the rule that nothing goes past it."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FOREIGN = ROOT / "ci/foreign"
OURS = ["DEBUG=0", "CFLAGS=x", "LDFLAGS=x", "CXX=false", "AR=false", "B=elsewhere", "-k", "-j1"]


def run(words, **options):
    return subprocess.run(words, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **options)


@pytest.fixture
def builds(tmp_path):
    """A build like ours, which starts one like Bochs's: archives, old suffix rules, ar's own name."""
    (tmp_path / "Makefile").write_text(
        "MAKEFLAGS += --no-builtin-rules\nall:\n\t$(START) make -C another\n")
    (tmp_path / "another").mkdir()
    (tmp_path / "another/Makefile").write_text(
        "all: lib.a(vga.o)\n\tenv\n.cc.o:\n\tcp $< $@\n")
    (tmp_path / "another/vga.cc").touch()
    return tmp_path


def test_another_build_knows_nothing_of_ours(builds):
    done = run([FOREIGN, "make", "-C", builds, f"START={FOREIGN}", *OURS])
    assert done.returncode == 0, done.stdout
    names = {line.partition("=")[0] for line in done.stdout.splitlines() if "=" in line}
    assert names.isdisjoint({"DEBUG", "CFLAGS", "LDFLAGS", "CXX", "AR", "B", "START", "MAKEOVERRIDES"})
    # What a make that starts afresh tells its children: the directory's option and the level.
    assert "MAKELEVEL=1\n" in done.stdout and "MAKEFLAGS=w\n" in done.stdout


def test_without_it_that_build_fails(builds):
    """Else the test above could not."""
    done = run([FOREIGN, "make", "-C", builds, "START="])
    assert done.returncode != 0 and "vga.o" in done.stdout


def test_of_the_users_variables_only_places_pass():
    """Of the compiler's and configure's none passes; where to find things does."""
    own = {"CC": "x", "CPATH": "x", "LIBS": "x", "CONFIG_SITE": "x", "MAKEFILES": "x"}
    kept = {"HOME": "/a b", "http_proxy": "p", "VITRINE_CACHE": "c", "PATH": os.environ["PATH"]}
    done = run([FOREIGN, "env"], env=own | kept)
    assert set(done.stdout.splitlines()) == {f"{name}={value}" for name, value in kept.items()}
    assert run([FOREIGN]).returncode == 2
    assert run([FOREIGN, "false"]).returncode == 1


def test_ours_keeps_its_flags(tmp_path):
    """CFLAGS and LDFLAGS of the command line are not taken for a bare-metal program."""
    said = [run([FOREIGN, "make", "-C", ROOT, f"B={tmp_path}", f"{tmp_path}/obj/flags", *words])
            for words in ([], ["CFLAGS=x", "LDFLAGS=x", "-e"])]
    assert [done.returncode for done in said] == [0, 0], said
    flags = (tmp_path / "obj/flags").read_text()
    assert "-ffreestanding" in flags and " x " not in flags
    done = run([FOREIGN, "make", "-n", "-C", ROOT, f"B={tmp_path}", f"{tmp_path}/vitrine.elf",
                "LDFLAGS=--not-ours", "CFLAGS=--not-ours"])
    assert done.returncode == 0 and "--gc-sections" in done.stdout
    assert "--not-ours" not in done.stdout


def test_jobs_are_as_many_as_was_asked_for(tmp_path):
    """As many as there are processors, but one when that is what was asked for."""
    for words, jobs in (["JOBS=3"], "-j3"), (["JOBS=3", "-j1"], ""), (["JOBS=3", "-j2"], ""):
        done = run([FOREIGN, "make", "-n", "--eval=said: ; @echo '$(SUBMAKE)'", "-C", ROOT,
                    f"B={tmp_path}", "said", *words])
        assert done.stdout.count("-j3") == (1 if jobs else 0), done.stdout


@pytest.mark.parametrize("name, text, lines", [
    ("one", "#!/bin/bash\nmake -s\n", [2]),
    ("one", "#!/bin/sh\ncd x && CC=cc ./configure --x\nif make; then :; fi\n", [2, 3]),
    ("one", "#!/bin/bash\nmust \"doing it\" make all\nexec env A=b make\nx=$(make -n)\n", [2, 3, 4]),
    ("one", "#!/bin/bash\n\"$here/foreign\" make all\nci/foreign make # make\n", []),
    ("one", "#!/bin/bash\nneed g++ make\nfail \"a; make x\" 'x; make x'\ncat <<'END'\nmake run\nEND\n",
     []),
    ("one", "#!/usr/bin/python3\nrun(['make', '-s'])\nspawn('make run')\n", [2, 3]),
    ("one", "#!/usr/bin/python3\nrun([FOREIGN, 'make'])\nsay('make iso builds it')\n", []),
    ("one.py", "spawn(f'make run CONFIG={x}')\nrun((f'{x}/configure', 1))\n", [1]),
    ("one.mk", "make:\n\t@$(MAKE) x\n\t+@make x\n\tcd x; ./configure\n", [3, 4]),
])
def test_a_build_of_others_without_it_is_named(tmp_path, name, text, lines):
    (tmp_path / name).write_text(text)
    done = run([ROOT / "ci/check-foreign", tmp_path / name])
    assert [int(line.split(":")[1]) for line in done.stdout.splitlines()] == lines
    assert done.returncode == (1 if lines else 0)
