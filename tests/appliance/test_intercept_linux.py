# SPDX-License-Identifier: MIT
"""Debian's Linux with each item of interception counted and passed, alone and all at once: it comes
up, runs a command and switches itself off as if nothing were caught."""

import pytest
from appliance import ENDS_BY_ITSELF, LONG_TICKS, Run, linux
from test_intercept import logged

# Each with the fewest and the most hits that are plausible from start to power-off; None: any.
ITEMS = {
    "hlt": (1, None), "pause": (1, None), "ple:0x80:0x1000": (0, None), "extint": (0, None),
    "exception:pf": (500, None), "exception:pf:0x10:0x10": (0, None), "exception:gp": (0, 1000),
    "exception:ud": (0, 1000), "exception:db": (0, 1000), "exception:bp": (1, 1000),
    "exception:nm": (0, 1000),
    "io": (500, None), "io:0x3f8:w": (50, None), "io:0x80": (0, None), "msr": (100, None),
    "msr:efer:w": (1, 20), "msr:0xc0000080-0xc0000084:w": (4, 100), "msr:kernel_gs_base": (0, None),
    "cr0": (1, None), "cr0:pg": (1, 20), "cr0:wp": (1, None), "cr4": (1, None), "cr4:pge": (1, None),
    "cr3": (100, None), "cr3:r": (1, None), "cr8": (0, 100),
    "rdtsc": (100, None), "rdtscp": (0, None), "rdpmc": (0, 10), "rdrand": (0, None),
    "rdseed": (0, None), "invlpg": (0, None), "monitor": (0, 0), "mwait": (0, 0), "wbinvd": (0, 100),
    "xsetbv": (1, 20), "desc": (4, None), "dr": (1, None), "cpuid": (20, None),
    "mem:0x100000+0x10": (0, None),
}
TOGETHER = [item for item in ITEMS if item not in (  # 32 at most: what others have in them
    "exception:pf:0x10:0x10", "io:0x80", "msr:0xc0000080-0xc0000084:w", "cr0:wp", "cr4:pge", "cr3:r",
    "rdpmc", "msr:kernel_gs_base")]
AT_ONCE = 8  # VMs in one boot


def guest(name, items, action):
    suffix = "" if action == "count" else f"={action}"
    return linux(name, run="sleep 1", cmdline="quiet", intercept=", ".join(
        item + suffix for item in items))


def boots():
    """Runs of some VMs each, and the VMs' names, items and action."""
    guests = [(f"one{number}", [item], "count") for number, item in enumerate(ITEMS)]
    guests += [("all", TOGETHER, "count"), ("all-pass", TOGETHER, "pass")]
    for first in range(0, len(guests), AT_ONCE):
        some = guests[first:first + AT_ONCE]
        run = Run(ENDS_BY_ITSELF + "".join(guest(*one) for one in some), memory=2048,
                  limit=LONG_TICKS)
        for name, items, action in some:
            named = items[0] if len(items) == 1 else name
            yield pytest.param(run, name, items, action, id=named)


@pytest.mark.long
@pytest.mark.parametrize("record, name, items, action", [*boots()], indirect=["record"])
def test_linux(record, name, items, action):
    """A1 to A3, A5 to A10, A12: it does not notice, and hits are as many as is plausible."""
    assert "vitrine-guest: run ended with 0" in "\n".join(record.guest(name)), record
    assert record.ended(name) == "poweroff", record
    hits = logged(record, name)
    assert set(hits) == set(items), record
    for item, (how, count) in hits.items():
        low, high = ITEMS[item]
        assert how == action and low <= count and (high is None or count <= high), (item, count)
