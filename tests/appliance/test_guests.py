# SPDX-License-Identifier: MIT
"""The project's own guests in the appliance: devices, paging modes, misbehaviour, shares of a core."""

import re

import pytest

from appliance import CPU_MODELS, ENDS_BY_ITSELF, STATUS_TERMINATED, Run, on_each_cpu, runs, vm
from assembly import assemble

HELLO = vm("hello", cmdline="ticks=3 period=10")

CHECKED = "test.checks=entries"


def in_each_lane(config, **options):
    """On each CPU, and with the SDM's checks before every VM entry."""
    return runs(*(Run(config, cpu=cpu, **options) for cpu in CPU_MODELS),
                Run(config, cmdline=CHECKED, **options))



@on_each_cpu(ENDS_BY_ITSELF + HELLO)
def test_hello(record):
    record.check_done()
    lines = record.guest("hello")
    assert "64-bit guest with 1 CPUs and 15 MiB" in lines[0], record
    assert lines[1].endswith("ticks=3 period=10"), record
    assert [line for line in lines if line.startswith("hello: tick 3 ")], record
    assert record.ended("hello") == "exit 0", record
    assert record.life("hello") == ["hello started", "hello exit 0xf4: 0", "hello ended: exit 0"]


# The text behind `text` to COM1, 0 to the exit port.
PRINT = """
        mov $0x3f8, %dx
        mov $text, %si
1:      lodsb
        test %al, %al
        jz 2f
        out %al, %dx
        jmp 1b
2:      xor %al, %al
        out %al, $0xf4
        hlt
"""


VIDEO = 4  # in the flags of a Multiboot 1 header: a video mode is wanted


def kludge_kernel(more_flags=0):
    """A Multiboot 1 kernel without ELF: its header says where it goes, with 4 bytes before it and a
    BSS behind it."""
    return assemble(f"""
        .set flags, {0x10000 | more_flags}
load:   .long 0
header: .long 0x1badb002, flags, -(0x1badb002 + flags)
        .long header, load, end, end + 4096, entry
entry:  {PRINT.replace("%si", "%esi")}
text:   .asciz "kludge ok\\n"
end:
""", bits=32, at=0x150000)


def boot_sector():
    """In real mode, at 0x7c00."""
    return assemble(f"""
        {PRINT}
text:   .asciz "sector ok\\n"
        .org 510
        .word 0xaa55
""", at=0x7c00)


def start(by, kernel="start", files=(), **keys):
    """A VM with the guest `start`, loaded by one of the protocols, which checks what it is told."""
    words = f"by={by} mib=17 files={len(files) + ('initrd' in keys)}"
    return (vm(f"{by}-{kernel.replace('.', '-')}", kernel, format=by, memory="17M", cmdline=words, **keys) +
            "".join(f"module = {text} {text}\n" for text in files))


# ELF32 and ELF64; by PVH an initrd is the first module, and has no text.
STARTS = (start("multiboot", files=["one", "two"]) + start("multiboot2", files=["one", "two"]) +
          start("multiboot2", "start.elf", files=["one"]) +
          start("pvh", initrd="none", files=["one"]) + start("pvh", "start.elf"))
started = in_each_lane(
    ENDS_BY_ITSELF + vm("kludge") + vm("video") + vm("sector", format="flat", load="0x7c00") + HELLO + STARTS,
    images=(("kludge", kludge_kernel()), ("video", kludge_kernel(VIDEO)), ("sector", boot_sector()),
            ("none", b"content of "), ("one", b"content of one"), ("two", b"content of two")))


@started
@pytest.mark.parametrize("name", ["kludge", "video", "sector"])
def test_kernels_without_elf(record, name):
    """B1: a Multiboot kernel by the addresses in its header, also one that wants a video mode, and a
    boot sector."""
    record.check_done()
    assert record.guest(name) == [f"{'sector' if name == 'sector' else 'kludge'} ok"], record
    assert record.ended(name) == "exit 0", record
    notes = [text for text in record.texts("config") if f"kernel: note: {name}: it wants a video mode" in text]
    assert len(notes) == (name == "video"), record


@started
@pytest.mark.parametrize("name", ["multiboot-start", "multiboot2-start", "multiboot2-start-elf",
                                  "pvh-start", "pvh-start-elf"])
def test_each_protocol(record, name):
    """B1: what Multiboot 1, Multiboot 2 and PVH tell, and how they start a kernel."""
    record.check_passed(name, "B1")


# A core each: they measure time.
DEVICES = (ENDS_BY_ITSELF + vm("x2apic", "devices", cores="0") +
           vm("xapic", "devices", cmdline="xapic", cores="1"))


@on_each_cpu(DEVICES)
@pytest.mark.parametrize("name", ["x2apic", "xapic"])
def test_devices(record, name):
    """F10: the board. F3, F4: the local APIC by software and by the APIC-access page.
    F5: by APIC-register virtualization and virtual-interrupt delivery. E2: all kinds of instructions
    on a hole, on the IOAPIC and on the local APIC's page, in 64-bit and in 32-bit code."""
    record.check_done()
    record.check_passed(name, "F10", "E2")
    on_devices = [line for line in record.verdicts(name, "PASS") if " as on RAM, " in line]
    assert len(on_devices) == (6 if name == "xapic" else 4), record
    assert record.guest(name)[0].endswith(f", {'xAPIC' if name == 'xapic' else 'x2APIC'}"), record
    assert "devices: this line went through ports 0xe9 and 0x402" in record.guest(name), record


TRAPS = (ENDS_BY_ITSELF + vm("traps", cores="0") +
         vm("pairs", "traps", cmdline="others", vcpus=2, cores="0,1"))


@in_each_lane(TRAPS)
def test_debug_traps(record):
    """D5: a single step's trap comes behind each instruction and iteration that is carried out for the
    guest, ends HLT, and goes before what else waits. D9: so does that of a breakpoint on data or I/O.
    F8: two NMIs at a time are two."""
    record.check_done()
    record.check_passed("traps", "D5", "D9")
    record.check_passed("pairs", "F8")


MISBEHAVIOUR = (
    ENDS_BY_ITSELF + vm("modes") +
    "".join(vm(word, "faults", cmdline=word, reset="stop")
            for word in ["ud", "pf", "port", "msr", "vmx", "mmio", "triple", "reset"]) +
    vm("mmio-xapic", "faults", cmdline="mmio xapic") +
    vm("exit0", "faults", cmdline="exit=0") + vm("exit7", "faults", cmdline="exit=7") +
    vm("exit255", "faults", cmdline="exit=255") + vm("hello", cmdline="ticks=20 period=10"))
misbehaviour = in_each_lane(MISBEHAVIOUR)


@misbehaviour
@pytest.mark.parametrize("name, ids", [
    ("modes", ["B4", "E7", "E8"]), ("port", ["A6"]), ("msr", ["A8", "A9"]), ("vmx", ["C6"]),
    ("mmio", ["E2"]), ("mmio-xapic", ["E2"]),
])
def test_verdicts(record, name, ids):
    """B4, E7, E8: a guest without paging, with each kind of it, and from real mode to long mode.
    A6, A8, A9, C6, E2: ports, MSRs, instructions and memory that no guest has."""
    record.check_passed(name, *ids)


@misbehaviour
@pytest.mark.parametrize("name, vector", [("ud", "6 #UD"), ("pf", "14 #PF")])
def test_exceptions_are_the_guests_own(record, name, vector):
    assert [line for line in record.guest(name) if line.startswith(f"unexpected vector {vector} ")]
    assert record.ended(name) == "exit 2", record


@misbehaviour
@pytest.mark.parametrize("value", [0, 7, 255])
def test_exit_value(record, value):
    assert f"exit{value} exit 0xf4: {value}" in record.texts("vm"), record
    assert record.ended(f"exit{value}") == f"exit {value}", record


@misbehaviour
def test_triple_fault_ends_with_a_record(record):
    """D10: that VM stops with a record, the rest runs on."""
    about = record.life("triple")
    assert "exit TRIPLE_FAULT" in about[1], record
    assert re.search(r"rip 0008:0000000000[0-9a-f]{6} rsp ", about[2]), record
    assert about[-2:] == ["triple reset (triple fault)", "triple ended: reset"], record


@misbehaviour
def test_reset_ends_where_it_stops(record):
    assert "reset reset (reset by a port)" in record.texts("vm"), record
    assert record.ended("reset") == "reset", record


@misbehaviour
def test_entries_are_checked_where_that_is_asked_for(record):
    """D2: before each of them."""
    said = "each VM entry is checked before it is made" in record.texts("vmm")
    assert said == (record.run.cmdline == CHECKED), record


@misbehaviour
def test_others_go_on(record):
    """The appliance's verdict names a VM that failed; the one that did nothing wrong is not hurt."""
    record.check_failed("(ud|pf|exit7|exit255): its exit code is [1-9][0-9]*, not 0")
    assert record.ended("hello") == "exit 0", record
    assert len([line for line in record.guest("hello") if "tick" in line]) == 21, record


# On a CPU without pages of 1 GiB.
LOST = (ENDS_BY_ITSELF + vm("modes") + vm("few", "faults", cmdline="lost=9999") +
        vm("ports", "faults", cmdline="lost=20000 again") +
        vm("memory", "faults", cmdline="lost=10000 memory") +
        vm("tables", "faults", cmdline="lost=10000 tables"))
lost = runs(Run(LOST, cpu="corei7_sandy_bridge_2600k"))


@lost
def test_pages_that_the_cpu_has_not(record):
    """B4, E7, E8: where there are no pages of 1 GiB nobody walks through one."""
    record.check_done()
    record.check_passed("modes", "B4", "E7", "E8")
    assert "PASS E8: a page of 1 GiB has a reserved bit set" in record.guest("modes"), record


@lost
@pytest.mark.parametrize("name, place, starts", [
    ("few", "", 1), ("ports", "port 2c8", 2), ("memory", "fffef000", 1), ("tables", "d0000000", 1)])
def test_accesses_where_nothing_is_are_told_of(record, name, place, starts):
    """E2, A6: at 10,000 of them, once a start, each element of a string instruction."""
    told = [text for text in record.texts("vm") if text.startswith(f"{name}: ")]
    about = rf"{name}: 10,000 accesses to {place}, where there is nothing; rip [0-9a-f]+"
    assert len(told) == (starts if place else 0), record
    assert all(re.fullmatch(about, text) for text in told), record
    assert record.ended(name) == "exit 0", record


def until_third_start(console):
    console.until("triple reset .triple fault., starting it again", times=3)
    console.until("reset reset .reset by a port., starting it again", times=3)
    console.until("hello ended: exit 0")


@on_each_cpu(vm("triple", "faults", cmdline="triple") + vm("reset", "faults", cmdline="reset") +
             vm("hello", cmdline="ticks=20 period=10"), script=until_third_start, ends=False)
def test_reset_starts_again(record):
    """D10: `reset = restart` is the default, for a triple fault too."""
    assert record.status == STATUS_TERMINATED
    record.check_sound()
    for name in ["triple", "reset"]:
        assert record.texts("vm").count(f"{name} started") >= 3, record
        assert record.ended(name) is None, record
        assert len(record.guest(name)) >= 3, record
    assert record.ended("hello") == "exit 0", record


# Its exit code is RFLAGS.IF.
IF_IS_ITS_CODE = """
        mov $0x7000, %sp
        pushf
        pop %ax
        shr $9, %ax
        and $1, %al
        out %al, $0xf4
        hlt
"""
REAL = assemble(IF_IS_ITS_CODE)
PROTECTED = assemble(IF_IS_ITS_CODE.replace("%sp", "%esp").replace("%ax", "%eax"), bits=32)


@runs(Run(ENDS_BY_ITSELF +
          vm("real-off", "real", format="flat") +
          vm("real-on", "real", format="flat", interrupts="on") +
          vm("protected-off", "protected", format="flat", load="0x100000", interrupts="off") +
          vm("protected-on", "protected", format="flat", load="0x100000", interrupts="on"),
          images=(("real", REAL), ("protected", PROTECTED))))
def test_interrupts_at_the_start(record):
    """A4: as the configuration says; off, if it does not."""
    for name in ["real", "protected"]:
        assert record.ended(f"{name}-off") == "exit 0", record
        assert record.ended(f"{name}-on") == "exit 1", record


def until_halted(console):
    console.until("halted with interrupts off")
    console.until("hello ended: exit 0")


@on_each_cpu(vm("hltoff", "faults", cmdline="hltoff") + vm("hello", cmdline="ticks=20 period=10"),
             cpus=1, script=until_halted, ends=False)
def test_halt_with_interrupts_off(record):
    """A1: it sleeps for good and says so once; its core is others'."""
    record.check_sound()
    about = "hltoff halted with interrupts off: only an NMI or a reset ends that"
    assert record.texts("vm").count(about) == 1, record
    assert record.guest("hltoff") == ["faults: HLT with interrupts off"], record
    assert record.ended("hello") == "exit 0", record


# More than the serial line's buffer, which is 128 KiB.
FLOOD = (ENDS_BY_ITSELF + vm("flood", "faults", cmdline="flood=700", cores="0") +
         vm("flood2", "faults", cmdline="flood=700", cores="1") +
         vm("hello", cmdline="ticks=20 period=100", cores="1"))


@pytest.mark.long
@runs(Run(FLOOD))
@pytest.mark.parametrize("name", ["flood", "flood2"])
def test_output_faster_than_the_line(record, name):
    """F10: the UART is full when the line is; nothing is lost, and the others go on."""
    record.check_done()
    lines = record.guest(name)
    assert [int(line.split()[1]) for line in lines] == list(range(700)), record
    assert {len(line) for line in lines} == {100}, record
    assert len([line for line in record.guest("hello") if "tick" in line]) == 21, record
    assert not [text for text in record.texts("console") if "lost" in text], record


def share(record, name):
    """Per cent of its core that a `count` guest got, by its own measurement."""
    return int(re.search(r"share (\d+) % of the core", "\n".join(record.guest(name)))[1])


SPINNING = (ENDS_BY_ITSELF + vm("spin", cmdline="seconds=2") +
            vm("count1", "count", cmdline="ticks=10") + vm("count2", "count", cmdline="ticks=10"))


@on_each_cpu(SPINNING, cpus=1)
def test_spinning_guest_does_not_keep_the_core(record):
    """A11: with interrupts off it takes its share and no more."""
    record.check_done()
    spun = record.when("vm", "spin ended: exit 0")[0]
    for name in ["count1", "count2"]:
        record.check_passed(name, "A11")
        assert record.when("vm", f"{name} ended: exit 0")[0] < spun, record
        assert 30 <= share(record, name) <= 36, record


SPAN = "before=4 ticks=10 after=14"  # measured while all three run
WEIGHTS = (ENDS_BY_ITSELF + vm("spin", cmdline="seconds=3", weight=300) +
           vm("light", "count", cmdline=SPAN, weight=100) +
           vm("heavy", "count", cmdline=SPAN, weight=200))


@on_each_cpu(WEIGHTS, cpus=1)
def test_weight_is_a_share(record):
    """A11: one, two and three sixths of a core."""
    record.check_done()
    spun = record.when("vm", "spin ended: exit 0")[0]
    for name in ["light", "heavy"]:
        assert record.when("vm", f"{name} ended: exit 0")[0] < spun, record
    assert 16 <= share(record, "light") <= 17, record
    assert 32 <= share(record, "heavy") <= 34, record


REGISTERS = (ENDS_BY_ITSELF + vm("sse", "state", cmdline="seed=1") +
             vm("avx", "state", cmdline="seed=2 avx=0") +
             vm("later", "state", cmdline="seed=3 avx=10") + vm("spin", cmdline="seconds=1"))
KEYS = (ENDS_BY_ITSELF + vm("keys", "state", cmdline="seed=1 pku=1") +
        vm("keys2", "state", cmdline="seed=2 pku=1") + vm("avx", "state", cmdline="seed=3 avx=5") +
        vm("spin", cmdline="seconds=1"))  # or the last one would wait for another for ever


@on_each_cpu(REGISTERS, cpus=1)
@pytest.mark.parametrize("name", ["sse", "avx", "later"])
def test_registers_that_stay_on_the_core(record, name):
    """A11, D9: each finds its own after others had the core."""
    record.check_done()
    record.check_passed(name, "A11", "D9")


@runs(Run(KEYS, cpu="corei7_icelake_u", cpus=1))
def test_protection_keys_stay_with_their_vcpu(record):
    """A11, D9: PKRU, which a guest may use with nothing of XCR0 turned on."""
    record.check_done()
    for name in ["keys", "keys2", "avx"]:
        record.check_passed(name, "A11", "D9")
        assert not record.verdicts(name, "SKIP"), record


WAKING = (ENDS_BY_ITSELF + vm("heavy", "spin", cmdline="seconds=3", weight=1000) +
          vm("light", "spin", cmdline="seconds=3", weight=1) +
          vm("hello", cmdline="ticks=20 period=20", weight=1000))


@on_each_cpu(WAKING, cpus=1)
def test_one_that_wakes_is_soon_on(record):
    """A11: among spinning ones of very different weights, one of which is far ahead of its share."""
    record.check_done()
    assert record.when("vm", "hello ended: exit 0")[0] < 1, record


LATER = (ENDS_BY_ITSELF + vm("count", cmdline="ticks=40") +
         vm("spin", cmdline="sleep=1000 seconds=1"))


@on_each_cpu(LATER, cpus=1)
def test_one_that_slept_has_no_credit(record):
    """A11: it takes turns with the other, which had the core for itself meanwhile."""
    record.check_done()
    longest = re.search(r"longest away \d+ TSC ticks \((\d+) us\)", "\n".join(record.guest("count")))
    assert int(longest[1]) < 20000, record


SMP = (ENDS_BY_ITSELF + vm("two", "smp", vcpus=2, cmdline="storm=1000") +
       vm("four", "smp", vcpus=4, cmdline="storm=1000"))
SMP_XAPIC = ENDS_BY_ITSELF + vm("four", "smp", vcpus=4, cmdline="xapic storm=1000")
STORM = ENDS_BY_ITSELF + vm("eight", "smp", vcpus=8, cmdline="storm=1000000")


@in_each_lane(SMP, cpus=2)
@pytest.mark.parametrize("name", ["two", "four"])
def test_guest_smp(record, name):
    """F11: INIT, SIPI, IPIs in all shorthands and destination modes. F6: none is lost to a sleeping
    vCPU. F8: NMIs to one vCPU."""
    record.check_done()
    record.check_passed(name, "F11", "F6", "F8")


@runs(*(Run(SMP, cpus=cpus) for cpus in (1, 4)))
def test_guest_smp_on_other_numbers_of_cores(record):
    """F6, F8, F11: as many cores as vCPUs, and one for all of them."""
    record.check_done()
    for name in ["two", "four"]:
        record.check_passed(name, "F11", "F6", "F8")


@runs(Run(SMP, cpus=1))
def test_waiting_vcpu_gives_its_core_away(record):
    """A2: PAUSE-loop exiting."""
    for name in ["two", "four"]:
        exits = [text for text in record.texts("vm") if text.startswith(f"{name} vcpu ")]
        assert [text for text in exits if re.search(r"\bPAUSE [1-9]", text)], record


WAITING = (ENDS_BY_ITSELF + vm("four", "smp", vcpus=4, cmdline="storm=3000") +
           vm("spin", cmdline="seconds=4"))


@runs(Run(WAITING, cpus=1))
def test_waiting_vcpus_keep_their_share(record):
    """A2, F6, F11: a vCPU that waits for another of its VM gives the core to that one, not to a spinner: the
    storm is over long before."""
    record.check_done()
    record.check_passed("four", "F6", "F11")
    assert record.when("vm", "four ended: exit 0") < record.when("vm", "spin ended: exit 0"), record


@on_each_cpu(SMP_XAPIC, cpus=2)
def test_guest_smp_xapic(record):
    """F3, F6, F8, F11: through the APIC's page."""
    record.check_done()
    record.check_passed("four", "F11", "F6", "F8")


@pytest.mark.long
@on_each_cpu(STORM, cpus=4)
def test_storm_of_a_million(record):
    """F6, F11: none lost, none twice, two vCPUs on each core."""
    record.check_done()
    record.check_passed("eight", "F6", "F11")
    assert [line for line in record.guest("eight")
            if line.endswith("a storm of 1000000 interrupts between 8 CPUs: 1000000 were taken")], record
