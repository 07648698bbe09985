# SPDX-License-Identifier: MIT
"""docs/one-core.md: its configuration, and its figures in bytes."""

import re
import subprocess

from appliance import ROOT, Run, runs

PAGE = (ROOT / "docs/one-core.md").read_text()
GROUPS = ["control", "exit information", "guest state", "host state"]  # bits 11:10 of an encoding
WIDTHS = [2, 8, 4, 8]  # bytes; bits 14:13


def number(text):
    return int(text.replace(",", ""))


def sizes(expressions):
    """What gdb says of the C expressions in the hypervisor's own debug information."""
    words = [word for e in expressions for word in ("-ex", f"output sizeof({e})", "-ex", "echo \\n")]
    out = subprocess.run(["gdb", "-nx", "-batch", *words, ROOT / "build/vitrine.elf"],
                         capture_output=True, text=True, check=True).stdout
    return [int(line) for line in out.split()]


def test_bytes_of_types_and_members():
    rows = re.findall(r"^\|[^|]+\| ((?:`[\w. ]+` ?)+)\| ([\d,]+) \|", PAGE, re.M)
    wanted = {words: number(count) for words, count in rows}
    assert len(wanted) == len(rows) == 16
    named = {words: re.findall(r"`([^`]+)`", words) for words in wanted}
    every = [name for names in named.values() for name in names]
    found = dict(zip(every, sizes([
        name if name.startswith("struct ") else f"((struct vcpu *)0)->{name}" for name in every])))
    assert {words: sum(found[name] for name in names) for words, names in named.items()} == wanted


def test_bytes_of_pages():
    rows = dict(re.findall(r"^\| `struct (\w+)`[^|]*\| 4,096 \| ([\d,]+) \|", PAGE, re.M))
    assert sizes([f"struct {name}" for name in rows]) == [number(n) for n in rows.values()]
    assert set(rows) == {"vcpu", "vapic"}


def test_fields_of_the_vmcs():
    encodings = re.findall(r"^FIELD\(\w+, (0x\w+)\)$",
                           (ROOT / "src/vmx/vmcs_fields.h").read_text(), re.M)
    sums = {name: (0, 0) for name in GROUPS}
    for code in (int(text, 16) for text in encodings):
        group = GROUPS[code >> 10 & 3]
        fields, count = sums[group]
        sums[group] = fields + 1, count + WIDTHS[code >> 13 & 3]
    for name, (fields, count) in sums.items():
        assert re.search(rf"^\| {name} \| {fields} \| {count} \|", PAGE, re.M), (name, fields, count)


@runs(Run((ROOT / "config/one-core.conf").read_text()))
def test_its_configuration(record):
    """A11: the page's two guests keep their registers."""
    record.check_done()
    record.check_passed("left", "A11")
    record.check_passed("right", "A11")
