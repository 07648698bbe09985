# SPDX-License-Identifier: MIT
"""What ci/bench-compare plans for the Linux with KVM, reads from its console, and shows."""

import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ci"))

from benchmark.readings import guest_ticks  # noqa: E402
from benchmark.rows import ROWS  # noqa: E402
from comparison import kvm  # noqa: E402
from comparison.picture import svg  # noqa: E402
from comparison.rows import (  # noqa: E402
    COMPARED, KVM, LANES, RUNS, VITRINE, WHY_NOT, Comparison, lanes_of, table, why_not,
)

ROW = {row.name: row for row in ROWS}
NO_APICV = LANES[2]
CONSOLE = """compare: begin kvm bench
qemu-system-x86_64: -accel kvm: warning: Number of SMP cpus requested (2)
bench: 200 runs of each, less 6 ticks for reading the TSC, x2APIC
bench cpuid 1137
bench: eoi is absent: no x2APIC
bench: done
compare: end kvm bench: status 1
compare: begin kvm switch
bench vcpu-switch 11477
compare: end kvm switch: status 124
compare: begin kvm linux
linux exits 6120
[    1.234567] reboot: Power down
compare: end kvm linux: status 143
compare: begin kvm-no-apicv bench
bench cpuid 1138
"""


def comparison(name, *values):
    return Comparison(ROW[name], {lane.name: v for lane, v in zip(LANES, values)})


def test_every_row_is_compared_or_has_a_reason():
    assert {row.name for row in COMPARED} | {row.name for row in ROWS if why_not(row)} == set(ROW)
    assert {row.run for row in COMPARED} == set(RUNS)
    assert set(WHY_NOT) <= {row.run for row in ROWS} | set(ROW)


def test_sections_are_those_that_ended_well():
    found = kvm.sections(CONSOLE)
    assert set(found) == {("kvm", "bench"), ("kvm", "linux")}
    assert kvm.read(ROW["cpuid"], KVM, found).value == 1137
    assert kvm.read(ROW["linux-exits"], KVM, found).value == 6120


@pytest.mark.parametrize("name, lane, reason", [
    ("eoi", KVM, "no x2APIC"),
    ("vmcall", KVM, "the guest did not come so far"),
    ("vcpu-switch", KVM, "its QEMU did not come to a good end"),
    ("cpuid", NO_APICV, "its QEMU did not come to a good end"),
])
def test_what_is_not_measured_has_a_reason(name, lane, reason):
    measure = kvm.read(ROW[name], lane, kvm.sections(CONSOLE))
    assert (measure.value, measure.reason) == (None, reason)


def test_linux_has_to_power_itself_off():
    found = kvm.sections(CONSOLE.replace("reboot: Power down", "Kernel panic"))
    assert kvm.read(ROW["linux-exits"], KVM, found).value is None


def test_both_hypervisors_consoles_are_read_alike():
    assert guest_ticks(ROW["cpuid"], "bench| bench cpuid 97\n").value == 97
    assert guest_ticks(ROW["cpuid"], "bench cpuid 97\n").value == 97


def test_the_plans_have_every_run_once_in_each_lane():
    both = kvm.plan(1) + kvm.plan(2)
    for name, run in RUNS.items():
        call = "linux " if name == "linux" else f"bench {name} {run.vcpus}"
        calls = [line for line in both.splitlines() if f"{line} ".startswith(f"{call} ".rstrip())]
        assert len(calls) >= len(run.lanes), name
    assert kvm.plan(1).startswith("lane kvm\nbench bench 1\n")
    assert "lane kvm-no-apicv enable_apicv=0\n" in kvm.plan(2)
    for cpus in (1, 2):
        script = kvm.FUNCTIONS.read_text() + kvm.plan(cpus)
        subprocess.run(["sh", "-n"], input=script.encode(), check=True)


def test_the_ratio_is_theirs_to_ours():
    c = comparison("cpuid", 100, 1250)
    assert (c.ratio(KVM), c.ratio(NO_APICV), c.is_complete) == (12.5, None, False)
    assert comparison("cpuid", 0, 5, 5).ratio(KVM) is None
    assert comparison("cpuid", 1, 2, 3).is_complete and comparison("linux-exits", 1, 2).is_complete


def test_json_has_every_lane_or_the_reason():
    fields = comparison("cpuid", 97, 1137, 1138).as_json()
    assert (fields["vitrine"], fields["kvm"], fields["kvm-no-apicv"]) == (97, 1137, 1138)
    assert (fields["ratio-kvm"], fields["cpus"]) == (11.72, 1)
    c = comparison("cpuid", 97)
    c.reasons["kvm"] = "why"
    assert (c.as_json()["kvm"], c.as_json()["reason-kvm"]) == (None, "why")
    assert comparison("binary").as_json()["reason"] == WHY_NOT["binary"]


def test_table_has_every_row():
    comparisons = [comparison(row.name, 10, 1230, 1) for row in COMPARED]
    comparisons[0].values = {VITRINE.name: 97}
    comparisons[0].reasons[KVM.name] = "it rained"
    text = table(comparisons)
    lines = text.splitlines()
    for row, line in zip(COMPARED, lines[1:]):
        assert line.startswith(f"{row.name}: ")
    assert lines[2].split()[-4:] == ["1,230", "123", "1", "0.10"]
    assert f"not measured: {COMPARED[0].name} under KVM: it rained" in lines
    for row in ROWS:
        assert why_not(row) == "" or row.name in text.partition("not compared: ")[2], row.name


def test_picture_is_xml_and_has_every_row_with_its_values():
    comparisons = [comparison(row.name, 10 + n, 1000 + n, 20000 + n)
                   for n, row in enumerate(COMPARED)]
    picture = xml.fromstring(svg(comparisons, "A < B"))
    words = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    for n, row in enumerate(COMPARED):
        assert row.name in words and any(word.split()[0] == str(10 + n) for word in words)
        assert any(word.startswith(f"1,{n:03}") for word in words)
    bars = [element for element in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(bars) == 1 + len(LANES) + 3 * len(COMPARED)
    assert len(lanes_of(ROW["linux-exits"])) == 2


def test_a_longer_bar_is_a_larger_value():
    picture = xml.fromstring(svg([comparison("cpuid", 10, 100, 1000)], ""))
    widths = [float(element.get("width"))
              for element in picture.iter("{http://www.w3.org/2000/svg}rect")][-3:]
    assert [width / widths[0] for width in widths] == pytest.approx([1, 2, 3], abs=0.01)
