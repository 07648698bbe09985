# SPDX-License-Identifier: MIT
"""ci/bench-compare: the guest images/bench under Vitrine and under Linux's KVM, in the emulator."""

import json
import subprocess
import sys
import xml.etree.ElementTree as xml

import pytest
from appliance import ROOT

sys.path.insert(0, str(ROOT / "ci"))

from benchmark.rows import ROWS  # noqa: E402
from comparison.rows import COMPARED, lanes_of, why_not  # noqa: E402

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """What it wrote: its table, bench-compare.json by names, the picture, the consoles."""
    directory = tmp_path_factory.mktemp("compare")
    files = {kind: directory / kind for kind in ("json", "svg", "log")}
    options = [word for kind, file in files.items() for word in (f"--{kind}", file)]
    result = subprocess.run([ROOT / "ci/bench-compare", *options], capture_output=True, text=True,
                            check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    text = {kind: file.read_text() for kind, file in files.items()}
    return result.stdout, {row["name"]: row for row in json.loads(text["json"])}, text


def test_every_row_has_its_figures_or_a_reason(compared):
    table, rows, _ = compared
    assert list(rows) == [row.name for row in ROWS]
    for row in ROWS:
        if why_not(row):
            assert rows[row.name]["reason"] and row.name in table.partition("not compared: ")[2]
            continue
        figures = [rows[row.name][lane.name] for lane in lanes_of(row)]
        assert len(figures) >= 2 and all(figure > 0 for figure in figures), rows[row.name]
        assert f"\n{row.name}: " in table


def test_the_ratio_is_that_of_the_figures(compared):
    for row in COMPARED:
        fields = compared[1][row.name]
        assert fields["ratio-kvm"] == pytest.approx(fields["kvm"] / fields["vitrine"], abs=0.01)


def test_round_trips_are_plausible(compared):
    """Each is an exit under both; the local APIC's registers are none where there is APICv."""
    rows = compared[1]
    for name in ("cpuid", "vmcall", "port", "pmtimer", "mmio", "msr", "hlt-wake", "ipi"):
        assert rows[name]["vitrine"] < rows[name]["kvm"] < 20_000, rows[name]
    for name in ("self-ipi", "tpr", "eoi"):
        assert max(rows[name]["vitrine"], rows[name]["kvm"]) < 100, rows[name]
        assert rows[name]["kvm-no-apicv"] > 100 or name == "tpr", rows[name]


def test_the_guest_under_kvm_finds_no_counters(compared):
    """KVM answers an unknown hypercall with -1000, which once was taken for a count."""
    under_kvm = compared[2]["log"].partition("compare: begin")[2]
    assert "bench cpuid" in under_kvm and "count cpuid" not in under_kvm


def test_the_picture_has_every_row(compared):
    picture = xml.fromstring(compared[2]["svg"])
    words = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    for row in COMPARED:
        assert row.name in words
