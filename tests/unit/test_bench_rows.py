# SPDX-License-Identifier: MIT
"""What ci/bench reads from the consoles of its runs, how it judges it, and what it shows."""

import struct
import sys
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ci"))

from benchmark.readings import fairness, guest_row, handover, linux, pages_loaded  # noqa: E402
from benchmark.rows import ROWS, Measure, Row, table  # noqa: E402

CPUID = Row("cpuid", "CPUID", "bench", budget=100, exits=1)
PLAIN = """[   0.014024] core 0: vm: bench started
bench| bench: 200 runs of each, less 6 ticks for reading the TSC, x2APIC
bench| bench cpu\\
[   0.014500] core 0: vm: another line in between
bench| bench cpuid 97
bench| bench: pmtimer is absent: the FADT names no port
bench| bench: self-ipi: 199 interrupts taken in 200 runs
bench| bench self-ipi 18
"""
COUNTING = """bench| bench cpuid 131
bench| count cpuid 2 10 4 1 2
"""
LINUX = """[   1.486320] core 0: vm: linux vcpu 0: 3000 exits: CPUID 1191, IO_INSTRUCTION 915
[   1.486344] core 0: vm: linux vcpu 0: 1400000000 ticks on its core
[   1.486349] core 0: vm: so far: 27277 VMREADs, 8566 VMWRITEs, 173 MSR accesses, 3000 exits, \
7000000 ticks in root mode
[   1.486357] core 0: vm: linux ended: poweroff
"""


def test_ticks_are_the_plain_builds_and_counts_those_of_one_run():
    measure = guest_row(CPUID, PLAIN, COUNTING)
    assert measure.value == 97
    assert measure.counts == {"vmreads": 5, "vmwrites": 2, "msrs": 0.5, "exits": 1}
    assert measure.verdict == "ok"


@pytest.mark.parametrize("name, reason", [
    ("pmtimer", "the FADT names no port"),
    ("self-ipi", "199 interrupts taken in 200 runs"),
    ("vmcall", "the guest did not come so far"),
])
def test_what_is_not_measured_has_a_reason(name, reason):
    measure = guest_row(Row(name, name, "bench", budget=1), PLAIN, COUNTING)
    assert (measure.value, measure.verdict, measure.reason) == (None, "not measured", reason)
    assert reason in table([measure])


def test_a_row_whose_exits_are_limited_wants_them_counted():
    assert guest_row(CPUID, PLAIN, "").verdict == "not measured"


@pytest.mark.parametrize("value, exits, verdict", [
    (100, 1, "ok"), (101, 1, "over"), (100, 2, "over"), (None, 1, "not measured"),
])
def test_a_value_or_an_exit_above_the_budget_is_over(value, exits, verdict):
    assert Measure(CPUID, value, {"exits": exits}).verdict == verdict


def test_without_a_budget_there_is_no_verdict():
    assert Measure(Row("x", "x", "bench"), 5).verdict == ""


def test_the_handover_is_read_from_the_log():
    row = Row("handover", "", "handover", budget=20)
    line = "[   0.044748] core 0: vmm: first guest instruction 19 ticks after the hand-over\n"
    assert handover(row, line).verdict == "ok"
    assert handover(row, "").verdict == "not measured"


def test_linux_counts_when_it_has_ended_well():
    exits, share = (row for row in ROWS if row.run == "linux")
    measure = linux(exits, LINUX)
    assert (measure.value, measure.counts["vmreads"], measure.verdict) == (3000, 27277, "ok")
    assert linux(share, LINUX).value == pytest.approx(0.5)
    assert linux(exits, LINUX.replace("poweroff", "crash: x")).verdict == "not measured"


def test_fairness_is_the_largest_deviation_in_percent_of_the_core():
    row = Row("fairness", "fairness", "share", "%", budget=1)
    shares = "light| share 240 1000\nlight| bench: done\nheavy| share 745 1000\n"
    measure = fairness(row, shares, {"light": 1, "heavy": 3})
    assert (measure.value, measure.verdict) == (pytest.approx(1.0), "ok")
    assert fairness(row, shares.replace("240", "239"), {"light": 1, "heavy": 3}).verdict == "over"
    assert fairness(row, shares, {"light": 1, "heavy": 3, "middle": 2}).verdict == "not measured"


def test_pages_loaded_counts_what_is_in_the_file():
    def segment(kind, address, in_file, in_memory, runs_at=0x800000):
        return struct.pack("<IIQQQQQQ", kind, 0, 0, runs_at, address, in_file, in_memory, 16)

    segments = [segment(1, 0x100000, 0x1001, 0x1001), segment(1, 0x103000, 0x10, 0x80000),
                segment(1, 0x103010, 0x20, 0x20, runs_at=0x104000),
                segment(1, 0x200000, 0, 0x1000), segment(4, 0, 0x5000, 0x5000)]
    header = bytearray(64)
    struct.pack_into("<Q", header, 32, 64)
    struct.pack_into("<HH", header, 54, 56, len(segments))
    assert pages_loaded(bytes(header) + b"".join(segments)) == 3 * 4096


def test_table_and_json_have_every_row():
    measures = [Measure(row, 1234567.5, {"exits": 1}) for row in ROWS]
    lines = table(measures).splitlines()
    assert len(lines) == 1 + len(ROWS)
    for row, line, measure in zip(ROWS, lines[1:], measures):
        assert line.startswith(f"{row.name}: ") and "1,234,567.50" in line
        fields = measure.as_json()
        assert (fields["name"], fields["budget"], fields["exits"]) == (row.name, row.budget, 1)
        assert ("ticks" in fields) == (row.unit == "ticks")
    assert len({row.name for row in ROWS}) == len(ROWS)
