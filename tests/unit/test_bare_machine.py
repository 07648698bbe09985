# SPDX-License-Identifier: MIT
"""ci/bare-machine: Debian 13 by it, and that it leaves nothing behind, however it ends. .ci/run has
Debian 12."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BARE_MACHINE = ROOT / "ci/bare-machine"
PATIENCE = 300  # seconds, for what takes one

sys.path.insert(0, str(ROOT / "ci"))
from bare import root, visit  # noqa: E402

can_try = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"],
                                        capture_output=True, check=False).returncode != 0,
    reason="needs root, and namespaces")


@pytest.mark.long
def test_the_first_commands_work_on_debian_13():
    done = subprocess.run([BARE_MACHINE, "--release", "trixie"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_readme_names_the_packages():
    """And no more than these."""
    assert visit.packages() == "apt-get install git make ca-certificates"


def test_archives_are_those_that_apt_has(monkeypatch):
    """Those of Debian that this machine's apt has, read as of the release that is wanted."""
    said = {"sh": "bookworm",
            "apt-get": "http://a/debian/ bookworm main\nhttp://a/debian/ bookworm-updates main\n"
                       "http://a/debian/ bookworm contrib\nhttp://b/security/ bookworm-security main\n"
                       "http://c/ cloud-bookworm main\nhttp://a/debian/ bookworm-backports main\n"}
    monkeypatch.setattr(root, "output", lambda *words: said[words[0]])
    assert root.archives("trixie") == [("http://a/debian/", "trixie"),
                                       ("http://a/debian/", "trixie-updates"),
                                       ("http://b/security/", "trixie-security")]
    said["apt-get"] = "http://c/ cloud-bookworm main\n"
    with pytest.raises(root.RootError, match="no archive of Debian's bookworm or trixie"):
        root.archives("trixie")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another")
def test_without_root_or_sudo_it_says_why():
    nobody = {"env": {"PATH": "/nonexistent"}, "user": 65534, "check": False}
    if subprocess.run(["/usr/bin/test", "-r", BARE_MACHINE], **nobody).returncode:
        pytest.skip("this tree is readable for root only")
    done = subprocess.run(["/usr/bin/python3", BARE_MACHINE], stdout=subprocess.PIPE, text=True,
                          **nobody)
    assert (done.returncode, done.stdout) == (2, "bare-machine: it makes a root directory and changes "
                                                 "into it: that wants root, or sudo\n")


@can_try
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_leaves_nothing_when_it_is_ended(tmp_path, number):
    """Ended while a debootstrap has mounted something and left a program in the background."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/debootstrap"
    script.write_text('#!/bin/sh\nmkdir "$4"\nmount -t tmpfs tmpfs "$4"\necho > "$4/file"\n'
                      f"setsid sleep 1000 &\necho > {tmp_path}/reached\nwait\n")
    script.chmod(0o755)
    log = open(tmp_path / "log", "w+")
    options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "env": {
        **os.environ, "TMPDIR": str(tmp_path), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}}
    process = subprocess.Popen([BARE_MACHINE], **options)
    wait_until((tmp_path / "reached").exists, log)
    process.send_signal(number)
    process.wait()
    wait_until(lambda: not inside(tmp_path), log)
    folders = list(tmp_path.glob("vitrine-bare-*"))
    if number == signal.SIGKILL:
        assert len(folders) == 1
        script.write_text("#!/bin/sh\nexit 1\n")
        assert subprocess.run([BARE_MACHINE], **options, check=False).returncode == 2
        folders = list(tmp_path.glob("vitrine-bare-*"))
    assert folders == [], Path(log.name).read_text()
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


def inside(place):
    """Processes that know of this folder by their environment."""
    return [entry.name for entry in Path("/proc").glob("[0-9]*")
            if f"TMPDIR={place}".encode() in environment(entry)]


def environment(process):
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def wait_until(condition, log):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, Path(log.name).read_text()
        time.sleep(0.2)
