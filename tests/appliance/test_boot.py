# SPDX-License-Identifier: MIT
"""From the boot loader to VMs on every core, or to a clear refusal."""

import itertools
import os
import re
import shutil
import subprocess

import pytest

from appliance import (
    ARRANDALE, CPU_MODELS, ENDS_BY_ITSELF, GUEST_LINE, HASWELL, LOG_LINE, ROOT, SKYLAKE, Run,
    make_iso, on_each_cpu, runs, vm,
)
from assembly import assemble

HELLO = ENDS_BY_ITSELF + vm("hello", cmdline="ticks=2 period=5")


def a_vm_for_each(cpus):
    return ENDS_BY_ITSELF + "".join(
        vm(f"vm{i}", "hello", cmdline="ticks=2 period=60") for i in range(cpus))


FIRST_LINE = 300  # millions of ticks; with firmware's and GRUB's waits it was 1,000


def test_nothing_waits_by_the_clock_before_the_first_line(tmp_path):
    """From power-on until the appliance has set up its serial lines, at the launcher's own rate."""
    log = tmp_path / "emulator"
    subprocess.run([ROOT / "ci/appliance", "--machine", "bochs", "--cpus", "1", "--log", log,
                    "--iso", make_iso(Run(HELLO), tmp_path)],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    tick = re.search(r"^(\d+)i\[SER *\] com2: FIFO enabled", log.read_text(), re.M)[1]
    assert int(tick) < FIRST_LINE * 10 ** 6


MATRIX = [pytest.param(Run(a_vm_for_each(cpus), cpu=cpu, cpus=cpus), id=f"{cpu}-{cpus}",
                       marks=[pytest.mark.long] if cpus == 15 else [])
          for cpu, cpus in itertools.product(CPU_MODELS, (1, 2, 4, 8, 15))]


@pytest.mark.parametrize("record", MATRIX, indirect=True)
def test_boots_and_runs_a_vm_on_every_core(record):
    """B1, B2, B3: all cores online, each in VMX operation and with work of its own."""
    record.check_done()
    names = [text.removesuffix(" started") for text in record.texts("vm")
             if text.endswith(" started")]
    cpus = len(names)
    assert re.fullmatch(f"{cpus} of {cpus} cores online, x2APIC", record.texts("smp")[0]), record
    assert sorted(line.core for line in record.log if line.text.endswith(" started")) == \
        list(range(cpus)), record
    assert ("the TSCs of all cores agree" in record.texts("smp")) == (cpus > 1), record
    for name in names:
        assert record.ended(name) == "exit 0", record


@pytest.mark.parametrize("record", MATRIX, indirect=True)
def test_no_page_is_writable_and_executable(record):
    """B4: the live page tables, walked."""
    found = [re.fullmatch(r"host paging: (\d+) pages, (\d+) of them writable and executable", text)
             for text in record.texts("boot")]
    pages = next(filter(None, found))
    assert int(pages[1]) > 100 and int(pages[2]) == 0, record


@pytest.mark.parametrize("record", MATRIX, indirect=True)
def test_every_line_says_whose_it_is(record):
    strangers = [line for line in record.lines
                 if not LOG_LINE.fullmatch(line) and not GUEST_LINE.fullmatch(line)]
    assert not strangers, record
    by_core = sorted(record.log, key=lambda line: line.core)
    for _, lines in itertools.groupby(by_core, lambda line: line.core):
        times = [line.time for line in lines]
        assert times == sorted(times), record


@runs(Run(a_vm_for_each(2), cmdline="test.fault=skew"))
def test_tscs_that_do_not_agree(record):
    """B3: by how much is said, of each core; guests run."""
    record.check_done()
    said = [re.match(r"core 1's TSC is (\d+) ticks ahead of the boot core's: ", text)
            for text in record.texts("smp")]
    assert [99000 <= int(match[1]) <= 100000 for match in said if match] == [True], record
    assert "the TSCs of all cores agree" not in record.texts("smp"), record


@runs(Run(a_vm_for_each(2), cmdline="test.fault=cpu"),
      Run(a_vm_for_each(2), cmdline="test.fault=cpu", cpu=ARRANDALE))
def test_goes_on_without_a_core_that_does_not_come_up(record):
    """B3: the MADT has a third CPU, with an APIC ID above 254; it is named."""
    record.check_done()
    assert record.texts("smp")[0] == "core 2 (APIC ID 300) did not come up", record
    assert record.texts("smp")[1].startswith("2 of 3 cores online"), record
    for name in ["vm0", "vm1"]:
        assert record.ended(name) == "exit 0", record
    assert {line.core for line in record.log if line.text.endswith(" started")} == {0, 1}, record


# One ISO everywhere: one file, made once, boots in all these machines.

@on_each_cpu(HELLO, shared=True, medium="disk")
def test_boots_from_a_disk(record):
    """B1: the same ISO, written to a disk."""
    record.check_done()


@runs(Run(HELLO, shared=True, cpus=1))
def test_boots_from_a_cd(record):
    """B1."""
    record.check_done()


@runs(*(Run(HELLO, cpu=cpu, cmdline="vmx.show=controls") for cpu in (SKYLAKE, HASWELL)))
def test_says_which_features_are_in_use(record):
    """C1."""
    text = "\n".join(record.texts("vmx"))
    posted = "haswell" not in str(record.run)
    for group in ["pin-based", "primary", "secondary", "exit", "entry"]:
        assert f"{group} controls in use:" in text, record
    assert ("interrupts by posted-interrupt descriptors" in text) == posted, record
    assert ("interrupts by injection from the software local APIC" in text) == (not posted), record
    assert "slices by the preemption timer" in text, record


# QEMU's own emulator has no VMX.

NO_VMX = r"this CPU has no VMX \(CPUID\.1:ECX bit 5 is clear\)"
needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None,
                                reason="needs qemu-system-x86_64")
needs_kvm = pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK),
                               reason="needs /dev/kvm")


def in_qemu(name, *marks, **options):
    options = {"cpu": None, "cpus": 4, "machine": "qemu", **options}
    return pytest.param(Run(HELLO, shared=True, **options), id=name, marks=[needs_qemu, *marks])


@pytest.mark.parametrize("record", [
    in_qemu("bios-cd"), in_qemu("bios-cd-1-cpu", cpus=1), in_qemu("bios-cd-pc", board="pc"),
    in_qemu("bios-disk", medium="disk"), in_qemu("bios-disk-pc", medium="disk", board="pc"),
    in_qemu("bios-usb", medium="usb"), in_qemu("bios-virtio", medium="virtio"),
    in_qemu("uefi-cd", firmware="uefi"), in_qemu("uefi-usb", firmware="uefi", medium="usb"),
    in_qemu("uefi-disk", pytest.mark.long, firmware="uefi", medium="disk"),
    in_qemu("uefi-virtio", pytest.mark.long, firmware="uefi", medium="virtio"),
    in_qemu("uefi-cd-pc", pytest.mark.long, firmware="uefi", board="pc"),
    in_qemu("64-cpus", cpus=64), in_qemu("255-cpus", cpus=255, memory=1024),
    in_qemu("kvm", needs_kvm, pytest.mark.long, accel="kvm", cpu="host,-vmx"),
], indirect=True)
def test_refuses_a_cpu_without_vmx(record):
    """B1, B3, C1: under both firmwares, from all that a machine boots from, on both of QEMU's
    boards, when all cores are online."""
    record.check_failed(NO_VMX)
    cpus = record.run.cpus
    assert re.fullmatch(f"{cpus} of {cpus} cores online, x?2?x?APIC", record.texts("smp")[0]), record
    assert [line.part for line in record.log[-2:]] == ["smp", "appliance"], record


def feature_control(boot, others):
    """A BIOS that puts these values into IA32_FEATURE_CONTROL (1: lock, 4: VMX), not 5."""
    def patched(bios):
        for bits, value in [(32, boot), (16, others)]:  # the other cores begin in real mode
            code, instead = (assemble(f"mov $0x3a, %ecx; rdmsr; or ${v}, %eax; wrmsr", bits)
                             for v in (5, value))
            assert bios.count(code) == 1
            bios = bios.replace(code, instead)
        return bios
    return patched


@runs(Run(HELLO, cpus=4, bios=feature_control(1, 1)))
def test_refuses_vmx_that_firmware_locked_off(record):
    """C2."""
    record.check_failed(r"firmware has locked VMX off \(IA32_FEATURE_CONTROL\); "
                        r"enable VT-x in its set-up")
    assert record.texts("smp")[0].startswith("4 of 4 cores online"), record


@runs(Run(HELLO, cpus=4, bios=feature_control(0, 0)))
def test_turns_vmx_on_where_firmware_left_that_open(record):
    """C2."""
    record.check_done()


@runs(Run(a_vm_for_each(3), cpus=3, bios=feature_control(5, 1)))
def test_cores_with_vmx_locked_off_run_no_guests(record):
    """C2, B3: they are named, and the others go on."""
    record.check_done()
    refused = "this core runs no guests: firmware has locked VMX off on this core"
    assert [line.core for line in sorted(record.log, key=lambda line: line.core)
            if line.text.startswith(refused)] == [1, 2], record
    for i in range(3):
        assert record.ended(f"vm{i}") == "exit 0", record
    assert {line.core for line in record.log if line.text.endswith(" started")} == {0}, record
