# SPDX-License-Identifier: MIT
"""The benchmark's rows side by side: under Vitrine, and under KVM with QEMU as it comes and with
parts of it off."""

from dataclasses import dataclass, field

from benchmark.rows import ROWS, Row, shown


@dataclass(frozen=True)
class Lane:
    """A hypervisor that the rows are measured under, a column of the table."""

    name: str  # its key in the JSON
    title: str
    module: str = ""  # parameters of Linux's module kvm_intel


VITRINE = Lane("vitrine", "Vitrine")
KVM = Lane("kvm", "KVM")
LANES = [VITRINE, KVM, Lane("kvm-no-apicv", "KVM, no APICv", "enable_apicv=0")]


@dataclass(frozen=True)
class KvmRun:
    """One start of QEMU in a machine of so many CPUs; the counterpart of a run of ci/bench."""

    vcpus: int = 1
    cpus: int = 1  # of the machine; of one, all vCPUs take turns on it, of more, each has its own
    words: str = ""
    lanes: tuple = tuple(lane.name for lane in LANES[1:])


RUNS = {
    "bench": KvmRun(),
    "switch": KvmRun(vcpus=2, words="switch=1"),
    "wake": KvmRun(vcpus=4, words="wake"),
    "linux": KvmRun(lanes=(KVM.name,)),
    "ipi": KvmRun(vcpus=2, cpus=2),
    "ipi-xapic": KvmRun(vcpus=2, cpus=2, words="xapic"),
}

# Why a row, or all rows of a run, cannot be compared.
WHY_NOT = {
    "crowd": "its two VMs go through their phases by a clock that began for both at once; QEMU "
             "starts each VM's own",
    "items": "KVM has no counterpart of the items of `intercept`",
    "share": "its three VMs measure the same second by a clock that began for all at once; QEMU "
             "starts each VM's own",
    "handover": "KVM's guests are started by a program, after a Linux",
    "linux-root": "KVM does not count the ticks it spends",
    "binary": "Linux, KVM and QEMU are not one binary",
}


def why_not(row: Row) -> str:
    """Why the row has no counterpart under KVM; "" if it has one."""
    return WHY_NOT.get(row.name) or WHY_NOT.get(row.run, "")


COMPARED = [row for row in ROWS if not why_not(row)]


@dataclass
class Comparison:
    """What came out for a row: a value for each lane, or the reason why there is none."""

    row: Row
    values: dict = field(default_factory=dict)
    reasons: dict = field(default_factory=dict)

    def ratio(self, lane: Lane) -> float | None:
        """How many times Vitrine's value that lane's is."""
        base, value = self.values.get(VITRINE.name), self.values.get(lane.name)
        return value / base if base and value is not None else None

    @property
    def is_complete(self) -> bool:
        return all(lane.name in self.values for lane in lanes_of(self.row))

    def as_json(self) -> dict:
        fields = {"name": self.row.name, "what": self.row.what, "unit": self.row.unit}
        if why_not(self.row):
            return fields | {"reason": why_not(self.row)}
        fields["cpus"] = RUNS[self.row.run].cpus
        for lane in lanes_of(self.row):
            fields[lane.name] = self.values.get(lane.name)
            ratio = self.ratio(lane)
            if lane is not VITRINE:
                fields[f"ratio-{lane.name}"] = ratio if ratio is None else round(ratio, 2)
            if lane.name in self.reasons:
                fields[f"reason-{lane.name}"] = self.reasons[lane.name]
        return fields


def lanes_of(row: Row) -> list[Lane]:
    """The lanes in which the row is measured."""
    return [lane for lane in LANES
            if lane is VITRINE or (not why_not(row) and lane.name in RUNS[row.run].lanes)]


def ratio_shown(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:,.2f}" if ratio < 10 else f"{ratio:,.0f}"


def table(comparisons: list[Comparison]) -> str:
    """The comparisons as text, a line for each; below it the rows that have no counterpart."""
    lines = [["", "Vitrine"]]
    for lane in LANES[1:]:
        lines[0] += [lane.title, "ratio"]
    notes = []
    for c in comparisons:
        unit = "" if c.row.unit == "ticks" else f" {c.row.unit}"
        cells = [f"{c.row.name}: {c.row.what}"]
        for lane in LANES:
            value = c.values.get(lane.name)
            missing = "-" if lane in lanes_of(c.row) else ""
            cells.append(shown(value) + unit if value is not None else missing)
            if lane is not VITRINE:
                cells.append(ratio_shown(c.ratio(lane)))
        lines.append(cells)
        notes += [f"{c.row.name} under {lane.title}: {c.reasons[lane.name]}"
                  for lane in LANES if lane.name in c.reasons]
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = ["  ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:]))])
            .rstrip() for first, *rest in lines]
    return "\n".join(text + [f"not measured: {note}" for note in notes] + not_compared())


def not_compared() -> list[str]:
    """A line for each reason why rows have no counterpart, with their names."""
    rows: dict = {}
    for row in ROWS:
        if why_not(row):
            rows.setdefault(why_not(row), []).append(row.name)
    return [f"not compared: {', '.join(names)}: {reason}" for reason, names in rows.items()]
