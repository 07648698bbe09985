# SPDX-License-Identifier: MIT
"""Interception as the configuration chooses it, by the guest `intercept`: it
does what an item catches and what is beside it, looks at what comes of it, and says how many hits
each item is to have; the appliance's log says how many there were."""

import re
import subprocess

import pytest

from appliance import ENDS_BY_ITSELF, HASWELL, ROOT, SKYLAKE, Run, on_each_cpu, runs, vm

LINES_PER_SECOND = 20
IMAGE = ROOT / "build/images/intercept.elf"

ALL = ("A1", "A2", "A3", "A5", "A6", "A7", "A8", "A9", "A10", "A12")
OWN_CR3 = "0x0"  # what the guest's runtime loads into CR3
if IMAGE.exists():
    symbols = subprocess.run(["nm", IMAGE], capture_output=True, text=True, check=True).stdout
    OWN_CR3 = hex(int(re.search(r"^([0-9a-f]+) \w pml4$", symbols, re.MULTILINE)[1], 16))

# Items that hold for one part of the guest or several. Each says which hits it wants of them.
EXCEPTIONS = [f"exception:{name}" for name in
              ("de", "db", "bp", "of", "br", "ud", "nm", "np", "ss", "gp", "pf", "mf", "ac", "xm")]
EXCEPTIONS += ["exception:gp:0xffff:0x0", "exception:gp:0xffff:0x1230"]
ERROR_CODES = [f"exception:pf:{mask}:{match}" for mask, match in
               (("0x1", "0x0"), ("0x1", "0x1"), ("0x2", "0x2"), ("0x4", "0x4"), ("0x10", "0x10"),
                ("0x8", "0x8"), ("0x1f", "0x2"), ("0x1f", "0x0"), ("0x7", "0x7"))]
PORTS = ["io:0x2c8", "io:0x2c8:r", "io:0x2c8:w", "io:0x2c8-0x2cb:r", "io:0x2c8-0x2cb:w",
         "io:0x2c7:r", "io:0x2c9", "io:0x2cc-0x2cf", "io:0x2c4-0x2d3",
         "io:0x21", "io:0x21:r", "io:0x21:w", "io:0xa1:r", "io:0xa1:w"]
MSRS = [f"msr:{name}{access}" for access in ("", ":r", ":w") for name in
        ("star", "lstar", "fs_base", "kernel_gs_base", "0xc0000081-0xc0000084", "0x174-0x176",
         "0x12345", "0x5")]
X2APIC = [f"msr:{name}{access}" for access in ("", ":r", ":w") for name in
          ("efer", "star", "x2apic_tpr", "x2apic_eoi", "x2apic_self_ipi")]
X2APIC += ["msr:0xc0000080-0xc0000084:w"]
CR0 = ["cr0", *(f"cr0:{bits}" for bits in ("ts", "mp", "em", "ne", "wp", "am", "em,ts", "pg"))]
CR4 = ["cr4", *(f"cr4:{bits}" for bits in ("tsd", "de", "pge", "pce", "tsd,pce", "pae"))]
CR3 = ["cr3", "cr3:r", "cr3:w", "cr3:except:0x800000+0x801000:w", f"cr3:except:{OWN_CR3}:w"]
CR8 = ["cr8", "cr8:r", "cr8:w"]
INSTRUCTIONS = ["rdtsc", "rdtscp", "rdpmc", "rdrand", "rdseed", "invlpg", "monitor", "mwait",
                "wbinvd", "xsetbv"]
TABLES = ["desc", "desc:r", "desc:w", "dr", "dr:r", "dr:w", "cpuid"]
USER = ["hlt", "pause", "rdtsc", "invlpg", "wbinvd", "cr8", "dr", "msr:star", "io:0x2c8", "desc:r",
        "desc:w", "cpuid"]
MEMORY = ["mem:0x800100+0x10", "mem:0x800100+0x10:r", "mem:0x800100+0x10:w", "mem:0x8001ff+0x1:r",
          "mem:0x800180+0x8:w", "mem:0x800ffe+0x4", "mem:0x800700+0x100"]
GATES = ["mem:0x808000+0x600:r", "mem:0x808580+0x10:r", "mem:0x808587+0x1:r", "mem:0x808800+0x8:r"]
CODE = ["mem:0x804100+0x4:x", "mem:0x804100+0x4:rx"]
BOTH = ["mem:0x806040+0x8:w", "msr:star:w", "msr:star:r", "cr0:pg"]


def caught(name, parts, items, action="count", words="", **keys):
    """A VM that runs these parts of the guest with these items, all with one action."""
    suffix = "" if action == "count" else f"={action}"
    if items:
        keys["intercept"] = ", ".join(item + suffix for item in items)
    return vm(name, "intercept", cmdline=f"part={parts} {words}".strip(), reset="stop", **keys)


def stated(record, name):
    """By the guest: {item: hits that it is to have}."""
    lines = [line.split() for line in record.guest(name) if line.startswith("hits ")]
    return {item: int(count) for _, item, count in lines}


def logged(record, name):
    """By the appliance: {item: (action, hits that it had)}."""
    pattern = re.compile(rf"{re.escape(name)}: intercept ([^=]*)(?:=(\w+))?: (\d+) hits")
    matches = [pattern.fullmatch(text) for text in record.texts("vm")]
    return {m[1]: (m[2] or "count", int(m[3])) for m in matches if m}


def check_hits(record, name, items, action="count"):
    wanted = stated(record, name)
    assert set(items) <= set(wanted), record
    hits = logged(record, name)
    assert hits == {item: (action, wanted[item]) for item in items}, record


def without(items, record):
    """The items that the run's CPU has a control for."""
    return [item for item in items if item != "rdseed" or record.run.cpu != HASWELL]


# ---- nothing caught ----------------------------------------------------------------------------

PLAIN = ENDS_BY_ITSELF + vm("all", "intercept") + vm("both", "intercept", cmdline="part=both", vcpus=2)


@on_each_cpu(PLAIN)
def test_without_items(record):
    """A1 to A3, A5 to A12: what the guest wants of itself holds where nothing is caught."""
    record.check_done()
    record.check_passed("all", *ALL)
    record.check_passed("both", "A11")
    absent = ["SKIP A12: no RDSEED"] if record.run.cpu == HASWELL else []
    assert record.verdicts("all", "SKIP") == absent, record


# ---- carried out as if not caught: count and pass --------------------------------------------

# Name, parts, items, ids of verdicts.
CARRIED_OUT = [
    ("halts", "hlt,pause", ["hlt", "pause"], ["A1", "A2"]),
    ("exceptions", "traps,faults,pagefaults", EXCEPTIONS + ERROR_CODES, ["A5"]),
    ("df", "doublefault", ["exception:df"], ["A5"]),
    ("gp-pf", "doublefault", ["exception:gp", "exception:pf"], ["A5"]),
    ("nested", "doublefault", [f"exception:{name}" for name in ("gp", "np", "pf", "df")], ["A5"]),
    ("ports", "io,pic", PORTS, ["A6", "A7"]),
    ("msrs", "msr", [*MSRS, "exception:gp"], ["A8"]),
    ("efer", "efer,x2apic", X2APIC, ["A8", "A9"]),
    ("cr0", "cr0", CR0, ["A10"]),
    ("control", "pg,cr4,cr3,cr8", ["cr0:pg", *CR4, *CR3, *CR8], ["A10"]),
    ("instructions", ",".join(INSTRUCTIONS), INSTRUCTIONS, ["A12"]),
    ("tables", "desc,dr,cpuid", TABLES, ["A12"]),
    ("user", "user", USER, ["A12"]),
    ("memory", "mem,delivery", [*MEMORY, *GATES], ["A12"]),
    ("code", "exec", CODE, ["A12"]),
    ("both", "both", BOTH, ["A11"]),
]


def carried_out(action, cpu):
    config = ENDS_BY_ITSELF
    for name, parts, items, _ in CARRIED_OUT:
        items = [item for item in items if item != "rdseed" or cpu == SKYLAKE]
        config += caught(name, parts, items, action, vcpus=2 if name == "both" else 1)
    return Run(config, cpu=cpu)


each_carried_out = pytest.mark.parametrize("name, items, ids", [
    pytest.param(name, items, ids, id=name) for name, _, items, ids in CARRIED_OUT])


@runs(carried_out("count", SKYLAKE), carried_out("count", HASWELL))
@each_carried_out
def test_count(record, name, items, ids):
    """A1, A2, A5 to A12: the guest cannot tell, and each item has as many hits as it is to have."""
    record.check_passed(name, *ids)
    check_hits(record, name, without(items, record))


@runs(*(pytest.param(carried_out("pass", cpu), marks=pytest.mark.long) for cpu in (SKYLAKE, HASWELL)))
@each_carried_out
def test_pass(record, name, items, ids):
    record.check_passed(name, *ids)
    check_hits(record, name, without(items, record), "pass")


# ---- denied and ignored ------------------------------------------------------------------------

# Name, parts, the items that deny or ignore, the accesses that they have.
REFUSED = [
    ("halts", "hlt,pause", ["hlt", "pause"], ""),
    ("accesses", "io,msr,cr0,cr4,cr8,dr",
     ["io:0x2c8", "msr:star", "cr0:ts", "cr4:tsd", "cr8", "dr"], ""),
    ("reads", "io,msr,cr8,dr", ["io:0x2c8:r", "msr:star:r", "cr8:r", "dr:r"], "r"),
    ("writes", "io,msr,cr8,dr", ["io:0x2c8:w", "msr:star:w", "cr8:w", "dr:w"], "w"),
    ("cr3-reads", "cr3", ["cr3:r"], "r"),
    ("cr3-writes", "cr3", [f"cr3:except:{OWN_CR3}:w"], "w"),
    ("instructions", ",".join(INSTRUCTIONS), INSTRUCTIONS, ""),
    ("tables", "desc", ["desc:r"], ""),
    ("memory", "mem", ["mem:0x800100+0x10"], ""),
    ("memory-reads", "mem", ["mem:0x800100+0x10:r"], "r"),
    ("memory-writes", "mem", ["mem:0x800100+0x10:w"], "w"),
    ("delivery", "delivery", ["mem:0x808580+0x10:r"], "r"),
    ("code", "exec", ["mem:0x804100+0x4:x"], "x"),
    ("traps", "traps", ["exception:bp", "exception:of", "exception:db"], ""),
]
IMPOSSIBLE = {"deny": ["traps"], "ignore": ["code", "delivery"]}


def refused(action, cpu):
    config = ENDS_BY_ITSELF
    for name, parts, items, access in REFUSED:
        if name in IMPOSSIBLE[action]:
            continue
        items = [item for item in items if item != "rdseed" or cpu == SKYLAKE]
        words = f"expect={action}" + (f" access={access}" if access else "")
        config += caught(name, parts, items, action, words)
    return Run(config, cpu=cpu)


def each_refused(action):
    return pytest.mark.parametrize("name, items", [
        pytest.param(name, items, id=name) for name, _, items, _ in REFUSED
        if name not in IMPOSSIBLE[action]])


def refused_runs(action):
    return pytest.mark.parametrize("record", [
        refused(action, SKYLAKE),
        pytest.param(refused(action, HASWELL), marks=pytest.mark.long)], indirect=True, ids=str)


@refused_runs("deny")
@each_refused("deny")
def test_deny(record, name, items):
    """A1, A2, A5 to A12: each denied one raises its fault and does nothing, the others are done."""
    record.check_passed(name)
    check_hits(record, name, without(items, record), "deny")


@refused_runs("ignore")
@each_refused("ignore")
def test_ignore(record, name, items):
    """A1, A2, A5 to A12: reads give zero, writes vanish."""
    record.check_passed(name)
    check_hits(record, name, without(items, record), "ignore")


# ---- logged ------------------------------------------------------------------------------------

# Name, parts, items; of each item all that its lines say, or None.
LOGGED = [
    ("halts", "hlt,pause", {"hlt": ["HLT"] * 7, "pause": ["PAUSE"] * 11}),
    ("efer", "efer", {"msr:efer:w": [f"WRMSR 0xc0000080, value {value:#x}" for value in
                                     (0x100, *[0x501, 0x500] * 4, 1 << 63 | 0x500, 0x400)]}),
    ("control", "pg,cr3", {
        "cr0:pg": [f"MOV to CR0, value {value:#x}" for value in (0x80010011, *[0x10011, 0x80010011] * 3)],
        "cr3:except:0x800000+0x801000:w": [f"MOV to CR3, value {value}" for value in
                                           (OWN_CR3, *["0x802000"] * 4, "0x800008", OWN_CR3)]}),
    ("faults", "faults", {
        "exception:ud": ["exception 6"] * 3,
        "exception:np": ["exception 0xb, error code 0x40"] * 2,
        "exception:gp:0xffff:0x1230": ["exception 0xd, error code 0x1230"] * 2}),
    ("tables", "cpuid,dr", {"cpuid": None, "dr:w": None}),
    ("memory", "mem,exec", {
        "mem:0x8001ff+0x1:r": None, "mem:0x800100+0x10:w": None,
        "mem:0x804100+0x4:x": [f"fetch at 0x80410{n}, 1 byte, linear 0x80410{n}" for n in range(4)] * 3}),
    ("port", "pic", {"io:0x21:w": None}),
]


def logging():
    config = ENDS_BY_ITSELF
    for name, parts, items in LOGGED:
        config += caught(name, parts, items, "log")
    return Run(config)


@runs(logging())
@pytest.mark.parametrize("name, items", [pytest.param(name, items, id=name)
                                         for name, _, items in LOGGED])
def test_log(record, name, items):
    """A line for each hit that tells vCPU, place, operands and value, 20 in a second, and then how
    many there were more."""
    record.check_passed(name)
    check_hits(record, name, items, "log")
    texts = record.texts("intercept")
    for item, wanted in items.items():
        prefix = re.escape(f"{name} vcpu 0: {item} at ") + "[0-9a-f]+: "
        lines = [re.sub(prefix, "", text) for text in texts if re.match(prefix, text)]
        more = [re.fullmatch(re.escape(f"{name}: {item}") + r"(?:=log)?: (\d+) more, not shown", text)
                for text in texts]
        more = sum(int(match[1]) for match in more if match)
        count = logged(record, name)[item][1]
        if item.startswith("io:"):  # OUTS has a line for all its elements
            assert [line for line in lines if line == "OUT 0x21, 1 byte, value 0xfb"], record
        else:
            assert len(lines) + more == count and (count <= LINES_PER_SECOND or more > 0), record
        assert wanted is None or lines == wanted, record


# ---- as narrow as the CPU can ------------------------------------------------------------------

TIMING = {"EXTERNAL_INTERRUPT", "PREEMPTION_TIMER", "INTERRUPT_WINDOW"}
TABLE_EXITS = ("GDTR_IDTR_ACCESS", "LDTR_TR_ACCESS")

# Name, parts; the items, one in each VM, and the reasons of the exits that it adds.
NARROW = [
    ("msr", "msr", [("msr:fs_base:w", "WRMSR"), ("msr:kernel_gs_base:r", "RDMSR")]),
    ("efer", "efer", [("msr:efer:w", "WRMSR")]),
    ("cr", "pg,cr4,cr3,cr8", [("cr0:pg", "CR_ACCESS"), ("cr4:tsd", "CR_ACCESS"),
                              ("cr3:except:0x800000+0x801000:w", "CR_ACCESS"), ("cr8:r", "CR_ACCESS")]),
    ("pf", "pagefaults", [("exception:pf:0x2:0x2", "EXCEPTION_OR_NMI")]),
    ("other", "rdtsc,desc,dr", [("rdtsc", "RDTSC"), ("desc", *TABLE_EXITS), ("dr", "MOV_DR")]),
]


def narrow(cpu):
    config = ENDS_BY_ITSELF
    for name, parts, items in NARROW:
        config += caught(name, parts, [])
        for number, (item, *_) in enumerate(items):
            config += caught(f"{name}-{number}", parts, [item])
    return Run(config, cpu=cpu)


@pytest.mark.parametrize("record", [
    narrow(SKYLAKE), pytest.param(narrow(HASWELL), marks=pytest.mark.long)], indirect=True, ids=str)
@pytest.mark.parametrize("name, number, item, reasons", [
    pytest.param(name, number, item, reasons, id=item)
    for name, _, items in NARROW for number, (item, *reasons) in enumerate(items)])
def test_narrow(record, name, number, item, reasons):
    """A8, A9, A10, A5, A12: as many exits more as hits, for the item's reason alone."""
    caught_name = f"{name}-{number}"
    record.check_passed(name)
    record.check_passed(caught_name)
    check_hits(record, caught_name, [item])
    before, after = record.exits(name), record.exits(caught_name)
    more = {reason: after.get(reason, 0) - before.get(reason, 0)
            for reason in {*before, *after} - TIMING}
    hits = stated(record, name)[item]
    assert sum(more.pop(reason, 0) for reason in reasons) == hits, record
    assert more.pop("MONITOR_TRAP_FLAG", 0) in (0, hits), record  # the CPU itself carries some out
    assert not any(more.values()), (more, record)


# ---- what has no exact number, or concerns all of a kind ---------------------------------------

# The first that denies or ignores prevails, and all count.
OVERLAPPING = ["io:0x2c4-0x2d3=pass", "io:0x2c8=deny", "io:0x2c8:r=ignore", "io:0x2c8:w=pass",
               "io:0x2c8-0x2cb:r", "io:0x2c8-0x2cb:w"]
KINDS = (
    ENDS_BY_ITSELF +
    caught("ple", "ple", ["ple:0x80:0x1000"]) + caught("apart", "apart", ["ple:0x80:0x1000"]) +
    caught("extint", "extint", ["extint"]) +
    caught("base", "pause", ["io", "msr", "io:0x3f8-0x3ff", "io:0x3f8:w"]) +
    caught("every", "io,msr", ["io", "msr", "io:0x3f8-0x3ff", "io:0x3f8:w"]) +
    caught("ignored", "cpuid", ["cpuid"], "ignore", "expect=ignore") +
    caught("denied", "cpuid", ["cpuid"], "deny") +
    caught("overlap", "io", OVERLAPPING, words="expect=deny") +
    caught("gate", "delivery", ["mem:0x808580+0x10:r"], "ignore") +
    caught("seed", "rdseed", ["rdseed"]))


@on_each_cpu(KINDS)
def test_pause_loops(record):
    """A2: a loop exits, PAUSEs that are far apart do not."""
    for name in ("ple", "apart"):
        record.check_passed(name, "A2")
    hits = logged(record, "ple")["ple:0x80:0x1000"][1]
    assert 0 < hits == record.exits("ple")["PAUSE"], record
    assert logged(record, "apart")["ple:0x80:0x1000"][1] == 0, record


@on_each_cpu(KINDS)
def test_external_interrupts(record):
    """A3: they are the host's; the guest sees its own timer's alone."""
    record.check_passed("extint", "A3")
    hits = logged(record, "extint")["extint"][1]
    assert hits == record.exits("extint").get("EXTERNAL_INTERRUPT", 0) > 0, record


@on_each_cpu(KINDS)
def test_every_port_and_msr(record):
    """A6, A7, A8: all are caught; what the parts do comes to what all VMs do to start and to print."""
    record.check_passed("every", "A6", "A7", "A8")
    wanted = stated(record, "every")
    hits = {name: {item: count for item, (_, count) in logged(record, name).items()}
            for name in ("base", "every")}
    for name in hits:
        printed = sum(len(line) + 2 for line in record.guest(name))
        assert hits[name]["io:0x3f8:w"] == printed + 1, record  # 1: the low half of the divisor
    assert (hits["every"]["io"] - hits["every"]["io:0x3f8-0x3ff"] - wanted["io:0x2c4-0x2d3"]
            == hits["base"]["io"] - hits["base"]["io:0x3f8-0x3ff"]), record
    done = sum(wanted[f"msr:{msr}"] for msr in ("0xc0000081-0xc0000084", "fs_base", "kernel_gs_base",
                                                "0x174-0x176", "0x12345", "0x5"))
    assert hits["every"]["msr"] - done == hits["base"]["msr"] > 0, record


@on_each_cpu(KINDS)
def test_overlapping(record):
    """A6, A7: several items for one access."""
    record.check_passed("overlap", "A6", "A7")
    wanted, hits = stated(record, "overlap"), logged(record, "overlap")
    assert [f"{item}={action}".removesuffix("=count") for item, (action, _) in hits.items()] == (
        OVERLAPPING), record
    assert all(count == wanted[item] > 0 for item, (_, count) in hits.items()), record


@on_each_cpu(KINDS)
def test_cpuid(record):
    """A12: a guest whose every CPUID gives zeros finds no x2APIC; one that is refused it ends."""
    record.check_passed("ignored", "A12")
    check_hits(record, "ignored", ["cpuid"], "ignore")
    assert "unexpected vector 13 #GP error 0x0" in record.guest("denied")[0], record
    assert logged(record, "denied") == {"cpuid": ("deny", 1)}, record
    assert record.ended("denied") == "exit 2", record


@on_each_cpu(KINDS)
def test_delivery_that_is_to_be_ignored(record):
    """A12: what a gate is when it is ignored cannot be said; the VM ends, and the log says of what."""
    assert record.ended("gate") == (
        "crash: event 80000058 cannot be delivered: its access to 808580 is to be ignored"), record
    assert logged(record, "gate") == {"mem:0x808580+0x10:r": ("ignore", 1)}, record


@on_each_cpu(KINDS)
def test_item_that_the_cpu_has_no_control_for(record):
    """A12: such a VM is left out, with the item and the reason."""
    if record.run.cpu == SKYLAKE:
        record.check_passed("seed", "A12")
        return
    assert ("seed left out: 'rdseed': this CPU has no control to catch it (secondary "
            "processor-based, bit 16)") in record.texts("vm"), record


# ---- HLT let through -------------------------------------------------------------------------------

THROUGH = (ENDS_BY_ITSELF + vm("alone", "intercept", cmdline="part=hlt", hlt="through", cores="1") +
           vm("first", "hello", cmdline="ticks=20 period=10", hlt="through", cores="0") +
           vm("second", "hello", cmdline="ticks=20 period=10", hlt="through", cores="0"))


@on_each_cpu(THROUGH, cpus=2)
def test_hlt_let_through(record):
    """A1: the core itself halts, and wakes; two that halt so take turns all the same."""
    record.check_done()
    record.check_passed("alone", "A1")
    for name in ["alone", "first", "second"]:
        assert "HLT" not in record.exits(name), record
        assert record.ended(name) == "exit 0", record


BETWEEN = (ENDS_BY_ITSELF +
           vm("x2apic", "apic", cmdline="only=destinations", vcpus=2, hlt="through", cores="0-1") +
           vm("smp", vcpus=2, hlt="through", cores="2-3"))


@pytest.mark.parametrize("record", [Run(BETWEEN, cpus=4, cpu=SKYLAKE)], indirect=True, ids=str)
def test_ipis_wake_who_halts_without_an_exit(record):
    """A1, F6: each has a core, so that an IPI finds it halted in the guest."""
    record.check_done()
    for name in ["x2apic", "smp"]:
        record.check_passed(name)
        assert "HLT" not in record.exits(name), record


def until_found_halted(console):
    console.until("hltoff halted with interrupts off: only an NMI or a reset ends that")
    console.until("hello ended: exit 0")


@on_each_cpu(vm("hltoff", "faults", cmdline="hltoff", hlt="through") +
             vm("hello", cmdline="ticks=20 period=10"), cpus=1, script=until_found_halted, ends=False)
def test_halted_for_good_without_an_exit(record):
    """A1: it is found out, said once, and others have their turns."""
    record.check_sound()
    about = "hltoff halted with interrupts off: only an NMI or a reset ends that"
    assert record.texts("vm").count(about) == 1, record
