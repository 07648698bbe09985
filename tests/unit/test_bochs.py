# SPDX-License-Identifier: MIT
"""The emulator's builder and cache: ci/bochs, with the patches and the emulator that the tests run
in."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CI = ROOT / "ci"
SCRIPTS = ("bochs", "bochs-build", "foreign")
PATCHES = sorted((CI / "bochs-patches").iterdir())
RELEASE = re.search(r"^version=(\S+)$", (CI / "bochs").read_text(), re.M)[1]


def run(*words, **environment):
    return subprocess.run(words, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


@pytest.mark.parametrize("name, there", [
    ("bochs", True), ("foreign", True), ("bochs-build", False),
    *((f"bochs-patches/{patch.name}", False) for patch in (PATCHES[0], PATCHES[-1]))])
def test_a_changed_recipe_has_it_built_again(tmp_path, name, there):
    """What changes the binary, and not the messages around it."""
    assert run(CI / "bochs", "--path").returncode == 0
    for script in SCRIPTS:
        shutil.copy(CI / script, tmp_path)
    shutil.copytree(CI / "bochs-patches", tmp_path / "bochs-patches")
    assert run(tmp_path / "bochs", "--check").returncode == 0
    with open(tmp_path / name, "a") as script:
        script.write("# changed\n")
    assert (run(tmp_path / "bochs", "--check").returncode == 0) == there


@pytest.mark.parametrize("where", ["VITRINE_CACHE", "XDG_CACHE_HOME", "HOME"])
def test_a_place_that_cannot_be_written_to_is_named(where):
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("VITRINE_CACHE", "XDG_CACHE_HOME", "HOME")}
    done = subprocess.run([CI / "bochs"], env=environment | {where: "/proc/none"}, text=True,
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "VITRINE_CACHE names another place" in done.stderr


# ---- the patches ------------------------------------------------------------------------------------

def test_patches_are_numbered_in_their_order():
    numbers = [re.fullmatch(r"(\d{4})(-[a-z0-9]+)+\.patch", patch.name)[1] for patch in PATCHES]
    assert numbers == [f"{number:04}" for number in range(1, len(PATCHES) + 1)]


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_header_says_what_why_and_which_test_shows_it(patch):
    header, separator, _ = patch.read_text().partition("\n--- a/")
    assert separator, "no unified diff"
    paragraphs = header.strip().split("\n\n")
    assert re.fullmatch(r"Subject: [\w-]+: \S.{10,}", paragraphs[0]), paragraphs[0]
    assert len(paragraphs) >= 4, "wants what is wrong, and what the patch does about it"
    release, *tests = paragraphs[-1].splitlines()
    assert release == f"For: Bochs {RELEASE}"
    assert tests
    for line in tests:
        file, test = re.fullmatch(r"(?:Shown|Exercised)-by: (tests/[\w/]+\.py)::(\w+)", line).groups()
        assert f"\ndef {test}(" in (ROOT / file).read_text(), line


@pytest.fixture(name="build")
def _build(tmp_path):
    """A function that has a copy of ci/bochs take a file for the emulator's source, and apply these
    patches. Returns how that went, and the file as the compiler would have had it, or None."""
    def build(source, *patches):
        ci, unpacked, tarball = tmp_path / "ci", tmp_path / "bochs", tmp_path / "source.tar.xz"
        (ci / "bochs-patches").mkdir(parents=True)
        for number, patch in enumerate(patches, 1):
            (ci / f"bochs-patches/{number:04}-change.patch").write_text(patch)
        unpacked.mkdir()
        (unpacked / "file").write_text(source)
        (unpacked / "COPYING").touch()
        subprocess.run(["tar", "-C", tmp_path, "-cJf", tarball, unpacked.name], check=True)
        checksum = hashlib.sha256(tarball.read_bytes()).hexdigest()
        scripts = {
            "bochs": re.sub(r"^(tarball_sha256)=.*$", rf"\1={checksum}",
                            (CI / "bochs").read_text(), flags=re.M),
            "bochs-build": f'#!/bin/bash\ncp "$1/file" {tmp_path} && cp /bin/true "$1/bochs"\n'}
        for name, text in scripts.items():
            (ci / name).write_text(text)
            (ci / name).chmod(0o755)
        done = run(ci / "bochs", "--tarball", tarball, VITRINE_CACHE=str(tmp_path / "cache"))
        compiled = tmp_path / "file"
        return done, compiled.read_text() if compiled.exists() else None
    return build


def change(before, after, context="beside"):
    return (f"Subject: {before} to {after}\n\n--- a/file\n+++ b/file\n@@ -1,2 +1,2 @@\n"
            f"-{before}\n+{after}\n {context}\n")


def test_patches_are_applied_one_after_the_other(build):
    done, text = build("one\nbeside\n", change("one", "two"), change("two", "three"))
    assert (done.returncode, text) == (0, "three\nbeside\n"), done.stdout
    assert "bochs: applying 2 patches\n" in done.stdout


@pytest.mark.parametrize("second", [
    pytest.param(change("one", "three"), id="the-line-is-another"),
    pytest.param(change("two", "three", "elsewhere"), id="the-context-is-another"),
    pytest.param(change("one", "two"), id="applied-already"),
    pytest.param(change("two", "three").replace("/file", "/none"), id="no-such-file"),
    pytest.param("Subject: nothing\n", id="no-diff")])
def test_a_patch_that_does_not_apply_is_named(build, second):
    done, text = build("one\nbeside\n", change("one", "two"), second, change("three", "four"))
    assert (done.returncode, text) == (1, None)
    assert re.findall(r"0\d{3}\S*\.patch.*", done.stdout) == [
        "0002-change.patch failed. The last lines of its log:"], done.stdout
