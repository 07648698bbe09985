# SPDX-License-Identifier: MIT
"""The controls behind each item, as the VMCS and the bitmaps have them: what an item sets, and that
it sets nothing else."""

import re

from appliance import HASWELL, vm
from debugger import HELLO_LIFE, Scenario

NARROW = Scenario("narrow", vm("hello", cmdline="period=50"), long=(HASWELL,),
                  life={"hello": HELLO_LIFE})

MONITOR_TRAP_FLAG = 1 << 27
CONTROLS = re.compile(r"^((?:PIN_BASED|PRIMARY|SECONDARY|EXIT|ENTRY)_CONTROLS|EXCEPTION_BITMAP|"
                      r"PAGE_FAULT_\S+|CR[04]_MASK|CR3_TARGET\S+|PLE_\S+|IO_BITMAP_\S|MSR_BITMAP|"
                      r"EPT_POINTER|EXIT_MSR\S*|ENTRY_MSR\S*) +\S+ +(\S+)$", re.M)

# What of the controls an item changes: bits that are 1 with it and 0 without, and the reverse.
SETS = {
    "hlt": {},  # the hypervisor's own already, as are the next
    "rdpmc": {}, "monitor": {}, "mwait": {}, "wbinvd": {}, "extint": {},
    "cpuid": {}, "xsetbv": {},  # unconditional
    "io:0x80": {}, "io:0x3f8-0x3ff:w": {},
    "io": {"PRIMARY_CONTROLS": (1 << 24, 1 << 25)},
    "pause": {"PRIMARY_CONTROLS": (1 << 30, 0)},
    "invlpg": {"PRIMARY_CONTROLS": (1 << 9, 0)},
    "rdtsc": {"PRIMARY_CONTROLS": (1 << 12, 0)},
    "rdtscp": {"PRIMARY_CONTROLS": (1 << 12, 0)},
    "cr3:w": {"PRIMARY_CONTROLS": (1 << 15, 0)},
    "cr3:r": {"PRIMARY_CONTROLS": (1 << 16, 0)},
    "cr3:except:0x1000+0x2000:w": {"PRIMARY_CONTROLS": (1 << 15, 0), "CR3_TARGET_COUNT": (2, 0),
                                   "CR3_TARGET0": (0x1000, 0), "CR3_TARGET1": (0x2000, 0)},
    "cr8:w": {"PRIMARY_CONTROLS": (1 << 19, 0)},
    "cr8:r": {"PRIMARY_CONTROLS": (1 << 20, 0)},
    "dr": {"PRIMARY_CONTROLS": (1 << 23, 0)},
    "desc": {"SECONDARY_CONTROLS": (1 << 2, 0)},
    "rdrand": {"SECONDARY_CONTROLS": (1 << 11, 0)},
    "rdseed": {"SECONDARY_CONTROLS": (1 << 16, 0)},
    "cr0:pg": {"CR0_MASK": (1 << 31, 0)},
    "cr0:wp,ts": {"CR0_MASK": (1 << 16 | 1 << 3, 0)},
    "cr4:tsd": {"CR4_MASK": (1 << 2, 0)},
    "ud": {"EXCEPTION_BITMAP": (1 << 6, 0)},
    "pf": {"EXCEPTION_BITMAP": (1 << 14, 0)},
    "exception:pf:0x3:0x2": {"EXCEPTION_BITMAP": (1 << 14, 0), "PAGE_FAULT_ERROR_CODE_MASK": (3, 0),
                             "PAGE_FAULT_ERROR_CODE_MATCH": (2, 0)},
}

# MSRs that are read and written without an exit no more.
MSRS = {
    "msr:efer:w": (set(), {0xc0000080}),
    "msr:fs_base": ({0xc0000100}, {0xc0000100}),
    "msr:sysenter_cs:r": ({0x174}, set()),
    "msr:0xc0000100-0xc0000102:w": (set(), {0xc0000100, 0xc0000101, 0xc0000102}),
    "msr:0x8ff": (set(), set()),
}


def controls(gdb):
    """The controls, as the last entry had them."""
    gdb("stepi")
    found = {name: int(value, 16) for name, value in CONTROLS.findall(gdb("monitor vmcs"))}
    found["PRIMARY_CONTROLS"] &= ~MONITOR_TRAP_FLAG
    assert len(found) >= 18, found
    return found


def bitmaps(gdb):
    """Ports, MSRs read, MSRs written: what makes no exit."""
    lines = gdb("monitor bitmaps").splitlines()
    assert [line.split(":")[0] for line in lines] == \
        ["ports let through", "MSRs read without an exit", "MSRs written without an exit"], lines
    sets = []
    for line in lines:
        sets.append(set())
        for item in line.split(":")[1].split():
            first, _, last = item.partition("-")
            sets[-1].update(range(int(first, 16), int(last or first, 16) + 1))
    return sets


def changes(before, after):
    return {name: (after[name] & ~before[name], before[name] & ~after[name])
            for name in after if before[name] != after[name]}


@NARROW.check
def test_items_set_their_controls_alone(bench):
    """A1, A2, A3, A5, A6, A7, A10, A12."""
    gdb = bench.attach("hello.elf")
    gdb("monitor intercept remove all")
    before, maps = controls(gdb), bitmaps(gdb)
    possible = 0
    for item, expected in SETS.items():
        out = gdb(f"monitor intercept add {item}")
        if "this CPU has no control" in out:
            continue
        assert out.endswith("=count added\n"), out
        possible += 1
        assert changes(before, controls(gdb)) == expected, item
        assert bitmaps(gdb) == maps, item
        gdb("monitor intercept remove all")
        assert changes(before, controls(gdb)) == {}, item
    assert possible >= len(SETS) - 2  # an older CPU has no RDSEED exiting
    bench.detach(gdb)


@NARROW.check
def test_msr_items_set_their_bits_alone(bench):
    """A8, A9: of the MSR bitmap; the I/O bitmap has all ports for the hypervisor's own sake."""
    gdb = bench.attach("hello.elf")
    gdb("monitor intercept remove all")
    before, (ports, reads, writes) = controls(gdb), bitmaps(gdb)
    assert ports == set() and 0xc0000080 in reads & writes
    for item, (read, written) in MSRS.items():
        assert gdb(f"monitor intercept add {item}") == f"hello: {item}=count added\n"
        assert bitmaps(gdb) == [ports, reads - read, writes - written], item
        assert changes(before, controls(gdb)) == {}, item
        gdb("monitor intercept remove all")
        assert bitmaps(gdb) == [ports, reads, writes], item
    gdb("monitor intercept add msr")
    assert bitmaps(gdb) == [ports, set(), set()]
    gdb("monitor intercept remove all")
    bench.detach(gdb)
