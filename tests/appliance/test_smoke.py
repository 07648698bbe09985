# SPDX-License-Identifier: MIT
"""ci/smoke as others use it, with a configuration of their own, and QEMU without our launcher."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import pytest

from appliance import ENDS_BY_ITSELF, LIMIT, ROOT, Run, make_iso, vm
from assembly import assemble

sys.path.insert(0, str(ROOT / "ci"))

from launcher.machine import kvm_offers_vmx  # noqa: E402
from launcher.session import STATUS_TIMED_OUT  # noqa: E402
from launcher.watched import Watched  # noqa: E402

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
    """Of the file: each case's name, and "" when it was seen, else why not."""
    suite = ElementTree.parse(directory / "junit").getroot()
    cases = list(suite.iter("testcase"))
    for kind in ("failure", "skipped"):
        count = suite.get("failures" if kind == "failure" else kind)
        assert count == str(sum(case.find(kind) is not None for case in cases))
    assert suite.get("tests") == str(len(cases))
    return [(case.get("name"), case[0].text or case[0].get("message") if len(case) else "")
            for case in cases]


def test_a_kernel_that_never_ends(tmp_path):
    """Lines and a breakpoint are waited for; then the machine is ended."""
    done = smoke(tmp_path, FOREVER, "--machine", "bochs", "--gdb-break", "mine=tick",
                 "--expect", "mine=hello: tick [23] ", "--expect", "mine=^hello: I am .* 1 CPUs")
    assert done.returncode == 0, done.stdout
    ended = r"\nsmoke: ok: Bochs with 2 CPUs: my\.conf; \d+ s\n\Z"
    assert re.search(ended, done.stdout), done.stdout
    assert junit(tmp_path) == [(name, "") for name in [
        "a VM has started", "mine has started", "gdb has stopped mine at tick",
        "mine: hello: tick [23] ", "mine: ^hello: I am .* 1 CPUs"]]
    assert re.match(r"smoke: +0\.\d s  the machine starts: its firmware and GRUB", done.stdout)
    assert "mine| hello: tick 2 " in (tmp_path / "log").read_text()


def test_a_function_that_is_not_there_is_named_at_once(tmp_path):
    """Not when the time is over, which is long."""
    done = smoke(tmp_path, FOREVER, "--machine", "bochs", "--gdb-break", "mine=tock")
    assert done.returncode == 1, done.stdout
    said = 'not seen: gdb has stopped mine at tock (Function "tock" not defined.)'
    assert f"\nsmoke: FAILED: Bochs with 2 CPUs: {said}; the whole console is in log\n" in done.stdout
    assert junit(tmp_path) == [("a VM has started", ""), ("mine has started", ""),
                               ("gdb has stopped mine at tock", said)]


def test_what_was_not_seen_is_named(tmp_path):
    """Where everything ends without it: a line that is not at the line's beginning."""
    done = smoke(tmp_path, HELLO, "--machine", "bochs", "--expect", "mine=^bye after")
    assert done.returncode == 1, done.stdout
    said = "not seen: mine: ^bye after"
    assert done.stdout.splitlines()[-1] == \
        f"smoke: FAILED: Bochs with 2 CPUs: {said}; the whole console is in log"
    assert "| mine| hello: bye after" in done.stdout
    assert junit(tmp_path) == [("a VM has started", ""), ("mine: ^bye after", said),
                               ("all VMs have ended as configured", "not come to")]


def test_what_takes_no_more_is_named(tmp_path):
    """Without the log the test goes on; the JUnit file is what it is for."""
    done = smoke(tmp_path, HELLO, "--machine", "bochs", "--log", "/dev/full", "--junit", "/dev/full")
    log = "/dev/full: No space left on device; nothing more is written there"
    assert done.stdout.count(log) == 1 and "  all VMs have ended as configured\n" in done.stdout
    assert done.stdout.splitlines()[-1] == "smoke: /dev/full: No space left on device"
    assert done.returncode == 2


@no_vmx
def test_a_machine_without_vmx_is_named(tmp_path):
    done = smoke(tmp_path, HELLO, "--machine", "qemu")
    assert done.returncode == 1, done.stdout
    assert junit(tmp_path) == [
        ("a VM has started", f"not seen: a VM has started (failed: {NO_VMX})"),
        ("all VMs have ended as configured", "not come to")]


def test_an_exit_code_is_named(tmp_path):
    (tmp_path / "three").write_bytes(assemble("mov $3, %al; out %al, $0xf4; hlt"))
    done = smoke(tmp_path, ENDS_BY_ITSELF + vm("mine", "three", format="flat"), "--machine", "bochs")
    assert done.returncode == 1, done.stdout
    said = "not seen: all VMs have ended as configured (failed: mine: its exit code is 3, not 0)"
    assert said in done.stdout.splitlines()[-1]
    assert junit(tmp_path) == [("a VM has started", ""), ("all VMs have ended as configured", said)]


IDT_EMPTY = assemble("lidt 0x7d00; ud2")  # there are zeros
RESET = assemble("mov $0xfe, %al; out %al, $0x64; hlt")  # by the keyboard controller


@pytest.mark.parametrize("code, options, status", [
    (IDT_EMPTY, [], 1),
    (IDT_EMPTY, ["--may-triple-fault", "mine"], 0),
    (RESET, [], 0),
])
def test_a_triple_fault_is_no_end_as_it_should_be(tmp_path, code, options, status):
    """A reset that was asked for is."""
    (tmp_path / "faults").write_bytes(code)
    config = ENDS_BY_ITSELF + vm("mine", "faults", format="flat", reset="stop")
    done = smoke(tmp_path, config, "--machine", "bochs", *options)
    assert done.returncode == status, done.stdout
    said = "not seen: all VMs have ended as configured (ended by a triple fault: mine)" if status else ""
    assert said in done.stdout.splitlines()[-1]
    assert junit(tmp_path) == [("a VM has started", ""), ("all VMs have ended as configured", said)]
    log = (tmp_path / "log").read_text()
    assert ": vm: mine ended: reset\n" in log and "appliance: done: ok" in log


@pytest.mark.parametrize("console, states", [
    (b"", "no VM has started"),
    (b"[   0.1] core 0: vm: a started\na| [   0.1] core 0: vm: a ended: exit 1\n"
     b"[   0.1] core 1: vm: b started\n[   0.2] core 1: vm: b ended: exit 7\n",
     "a still runs, b has ended: exit 7"),
    (b"[   0.1] core 0: vm: a started\n[   0.2] core 0: vm: a reset (triple fault), starting it again\n"
     b"[   0.2] core 0: vm: a started\n[   0.3] core 0: vm: a reset (reset by a port)\n"
     b"[   0.3] core 0: vm: a ended: reset\n", "a has ended: reset (reset by a port)"),
])
def test_a_time_out_is_named(console, states):
    """With the VMs that still run, and how the others have ended."""
    watched = Watched.__new__(Watched)
    watched.output = console
    watched.process = SimpleNamespace(wait=lambda: STATUS_TIMED_OUT)
    assert watched.complaint() == f" (its time, --limit or --timeout, is over; {states})"


@pytest.mark.parametrize("config, arguments, complaint", [
    (FOREVER, [], "nothing to look for: my.conf has no `poweroff = when-all-stopped`"),
    (HELLO, ["--expect", "his=line"], "my.conf has no VM 'his'; it has: mine"),
    (HELLO, ["--gdb-break", "his=main"], "my.conf has no VM 'his'; it has: mine"),
    (HELLO, ["--may-triple-fault", "his"], "my.conf has no VM 'his'; it has: mine"),
    (HELLO, ["--expect", "mine"], "mine lacks its VM= or what is behind it"),
    (HELLO, ["--expect", "mine=("], "unterminated"),
    (HELLO, ["--config", "no/such.conf"], "no/such.conf"),
    (HELLO.replace("hello", "no-such-kernel"), [], "my.conf is not taken"),
    (HELLO, ["--machine", "bochs", "--kvm", "a=b"], "--kvm is for --machine nested"),
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
