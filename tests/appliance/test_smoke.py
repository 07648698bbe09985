# SPDX-License-Identifier: MIT
"""ci/smoke as others use it, with a configuration of their own, and QEMU without our launcher."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from appliance import ENDS_BY_ITSELF, LIMIT, ROOT, Run, make_iso, vm

sys.path.insert(0, str(ROOT / "ci"))

from launcher.machine import kvm_offers_vmx  # noqa: E402

HELLO = ENDS_BY_ITSELF + vm("mine", "hello", cmdline="ticks=2 period=5")
FOREVER = vm("mine", "hello", cmdline="period=300")
NO_VMX = "this CPU has no VMX (CPUID.1:ECX bit 5 is clear)"
no_vmx = pytest.mark.skipif(kvm_offers_vmx(), reason="this machine's KVM gives VMX to its guests")


def smoke(directory, config, *arguments):
    (directory / "my.conf").write_text(config)
    return subprocess.run(
        [ROOT / "ci/smoke", "--config", "my.conf", "--cpus", "2", "--log", "log", "--junit",
         "junit", *arguments], cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False)


def junit(directory):
    """Of the file: names of what was seen, and of what failed."""
    suite = ElementTree.parse(directory / "junit").getroot()
    failed = [case for case in suite.iter("testcase") if case.find("failure") is not None]
    assert suite.get("failures") == str(len(failed))
    assert suite.get("tests") == str(len(list(suite.iter("testcase"))))
    return ([case.get("name") for case in suite.iter("testcase") if case not in failed],
            [case.find("failure").text for case in failed])


def test_a_kernel_that_never_ends(tmp_path):
    """Lines and a breakpoint are waited for; then the machine is ended."""
    done = smoke(tmp_path, FOREVER, "--machine", "bochs", "--gdb-break", "mine=tick",
                 "--expect", "mine=hello: tick [23] ", "--expect", "mine=^hello: I am .* 1 CPUs")
    assert done.returncode == 0, done.stdout
    ended = r"\nsmoke: ok: Bochs with 2 CPUs: my\.conf; \d+ s\n\Z"
    assert re.search(ended, done.stdout), done.stdout
    assert junit(tmp_path) == ([
        "a VM has started", "mine has started", "gdb has stopped mine at tick",
        "mine: hello: tick [23] ", "mine: ^hello: I am .* 1 CPUs"], [])
    assert "mine| hello: tick 2 " in (tmp_path / "log").read_text()


def test_what_was_not_seen_is_named(tmp_path):
    """Where everything ends without it: a line that is not at the line's beginning."""
    done = smoke(tmp_path, HELLO, "--machine", "bochs", "--expect", "mine=^bye after")
    assert done.returncode == 1, done.stdout
    said = "not seen: mine: ^bye after"
    assert done.stdout.splitlines()[-1] == \
        f"smoke: FAILED: Bochs with 2 CPUs: {said}; the whole console is in log"
    assert "| mine| hello: bye after" in done.stdout
    assert junit(tmp_path) == (["a VM has started"], [said])


@no_vmx
def test_a_machine_without_vmx_is_named(tmp_path):
    done = smoke(tmp_path, HELLO, "--machine", "qemu")
    assert done.returncode == 1, done.stdout
    assert junit(tmp_path) == ([], [f"not seen: a VM has started (failed: {NO_VMX})"])


@pytest.mark.parametrize("config, arguments, complaint", [
    (FOREVER, [], "nothing to look for: my.conf has no `poweroff = when-all-stopped`"),
    (HELLO, ["--expect", "his=line"], "my.conf has no VM 'his'; it has: mine"),
    (HELLO, ["--gdb-break", "his=main"], "my.conf has no VM 'his'; it has: mine"),
    (HELLO, ["--expect", "mine"], "mine lacks its VM= or what is behind it"),
    (HELLO, ["--expect", "mine=("], "unterminated"),
    (HELLO, ["--config", "no/such.conf"], "no/such.conf"),
    (HELLO.replace("hello", "no-such-kernel"), [], "my.conf is not taken"),
    (HELLO, ["--log", "no/such/folder"], "no/such/folder"),
    (HELLO, ["--junit", "no/such/folder"], "no/such/folder"),
])
def test_wrong_usage_is_named_and_refused(tmp_path, config, arguments, complaint):
    done = smoke(tmp_path, config, *arguments)
    assert done.returncode == 2, done.stdout
    assert complaint in done.stdout
    assert "Traceback" not in done.stdout


def test_qemu_by_hand(tmp_path):
    """The command in docs/ci.md, without KVM."""
    command = re.findall(r"^```sh\n(qemu.*?)^```", (ROOT / "docs/ci.md").read_text(), re.M | re.S)
    iso = make_iso(Run(HELLO), tmp_path)
    for there, here in [("-accel kvm -cpu host", "-accel tcg -cpu max"), (":1234,", ":0,"),
                        ("build/vitrine.iso", str(iso))]:
        assert command[0].count(there) == 1
        command[0] = command[0].replace(there, here)
    done = subprocess.run(["bash", "-c", command[0]], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=LIMIT, check=False)
    last = done.stdout.decode(errors="replace").splitlines()[-1]
    assert done.returncode == 0, done.stderr
    assert last.endswith(f"appliance: done: failed: {NO_VMX}"), done.stdout
