# SPDX-License-Identifier: MIT
"""The rows of the benchmark: each with its budget and the run that it is read from."""

from dataclasses import dataclass, field

COUNTERS = ("vmreads", "vmwrites", "msrs", "exits")


@dataclass(frozen=True)
class Row:
    """One measure."""

    name: str
    what: str
    run: str  # of ci/bench's runs
    unit: str = "ticks"
    budget: float | None = None  # the most that is allowed
    exits: int | None = None  # the most VM exits that are allowed


ROWS = [
    Row("cpuid", "CPUID", "bench", budget=100, exits=1),
    Row("vmcall", "VMCALL that does nothing", "bench", budget=85, exits=1),
    Row("vmcall-unknown", "VMCALL with a number that is none", "bench", budget=110, exits=1),
    Row("port", "read of an emulated port (0x4d0)", "bench", budget=140, exits=1),
    Row("port-write", "write of one", "bench", budget=450, exits=1),
    Row("port-wide", "write of four at once, of which two are absent", "bench", budget=660, exits=1),
    Row("port-absent", "read of a port where nothing is", "bench", budget=180, exits=1),
    Row("pmtimer", "read of the PM timer", "bench", budget=160, exits=1),
    Row("mmio", "read of an emulated device's memory", "bench", budget=400, exits=1),
    Row("mmio-absent", "read of memory where nothing is", "bench", budget=400, exits=1),
    Row("mmio-pair", "index written, data read", "bench", budget=800, exits=1),
    Row("mmio-pair-write", "index and data written", "bench", budget=800, exits=1),
    Row("port-pair", "index written, data read (CMOS RAM)", "bench", exits=1),
    Row("msr", "read of an intercepted MSR", "bench", budget=110, exits=1),
    Row("tscdeadline-set", "TSC-deadline timer set", "bench"),
    Row("tscdeadline-taken", "... and its interrupt taken", "bench"),
    Row("tscdeadline", "... both together", "bench", budget=400, exits=2),
    Row("self-ipi", "self-IPI and its EOI, x2APIC", "bench", budget=40, exits=0),
    Row("tpr", "write of the TPR, x2APIC", "bench", budget=40, exits=0),
    Row("eoi", "EOI of an interrupt, x2APIC", "bench", budget=40, exits=0),
    Row("hlt-wake", "HLT woken by its own IPI", "bench", budget=300, exits=1),
    # The sender's exit, and that of the handler which answers: none to take an interrupt.
    Row("ipi", "IPI to a running vCPU and back", "ipi", budget=200, exits=2),
    Row("ipi-xapic", "... through the xAPIC's page", "ipi-xapic", budget=200, exits=2),
    Row("ipi-halted", "IPI to a halted vCPU and back", "ipi", budget=800),
    Row("ipi-queued", "IPI to one queued on the same core and back", "switch"),
    Row("vcpu-switch", "switch between vCPUs on a core", "switch", budget=350),
    Row("vcpu-switch-2", "... with 2 that spin", "crowd"),
    Row("vcpu-switch-8", "... with 8 that spin", "crowd"),
    Row("vcpu-switch-32", "... with 32 that spin", "crowd"),
    Row("vcpu-switch-128", "... with 128 that spin", "crowd"),
    Row("vcpu-switch-8-asleep", "... with 2 that spin, 6 asleep", "crowd"),
    Row("vcpu-switch-32-asleep", "... with 2 that spin, 30 asleep", "crowd"),
    Row("vcpu-switch-128-asleep", "... with 2 that spin, 126 asleep", "crowd"),
    # What an item names is an exit, and what is beside it no more than without items.
    Row("caught-cpuid", "CPUID, with an item on it", "items", exits=1),
    Row("caught-port", "write of an emulated port", "items", exits=1),
    Row("caught-msr", "read of an MSR that exits anyway", "items", exits=1),
    Row("caught-efer", "read of EFER", "items", exits=1),
    Row("caught-cr0", "write that changes CR0.TS", "items", exits=1),
    Row("caught-cr3", "write of CR3", "items", exits=1),
    Row("caught-rdtsc", "RDTSC", "items", exits=1),
    Row("caught-invlpg", "INVLPG", "items", exits=1),
    Row("caught-exception", "UD2 and its handler", "items", exits=1),
    # The instruction then runs without the item, and its end is the second exit.
    Row("caught-dr", "read of DR0", "items", exits=2),
    Row("caught-desc", "SIDT", "items", exits=2),
    Row("caught-mem", "store to memory", "items", exits=2),
    Row("caught-mem-page", "... beside the item in its page", "items", exits=2),
    Row("beside-port", "port 0x4d0 with an item on 0x80", "items", exits=1),
    Row("free-port", "... without items", "items", exits=1),
    Row("beside-msr", "read of EFER with an item on MSR 0x1a0", "items", exits=0),
    Row("free-msr", "... without items", "items", exits=0),
    Row("beside-cr0", "change of CR0.MP with an item on TS", "items", exits=0),
    Row("free-cr0", "... without items", "items", exits=0),
    Row("beside-cr3", "write of CR3 with an item on reads", "items", exits=0),
    Row("free-cr3", "... without items", "items", exits=0),
    Row("beside-exception", "UD2 with an item on #BP", "items", exits=0),
    Row("free-exception", "... without items", "items", exits=0),
    Row("beside-mem", "store to the page behind an item's", "items", exits=0),
    Row("free-mem", "... without items", "items", exits=0),
    # Of a core over a second, beside vCPUs of other weights.
    Row("fairness", "largest deviation from a share by weight", "share", "%", budget=1),
    # The budget is a slice, 5 ms, at the 50 million ticks a second of that run.
    Row("wake-latency", "longest wait of one woken beside spinning ones", "wake", budget=250_000),
    Row("handover", "GRUB to the first guest instruction", "handover", budget=20_000_000),
    Row("linux-exits", "Linux booted to its shell: exits", "linux", "exits", budget=3000),
    Row("linux-root", "... its ticks in root mode", "linux", "%", budget=1),
    Row("binary", "size of the hypervisor's binary", "binary", "bytes", budget=512 * 1024),
]


@dataclass
class Measure:
    """What came out for a row. Without a value, `reason` says why."""

    row: Row
    value: float | None = None
    counts: dict = field(default_factory=dict)  # of COUNTERS, for one run of the row's operation
    reason: str = ""

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.row.budget is None:
            return ""
        exits = self.counts.get("exits", 0)
        over = self.value > self.row.budget or (
            self.row.exits is not None and exits > self.row.exits)
        return "over" if over else "ok"

    def as_json(self) -> dict:
        fields = {"name": self.row.name, "what": self.row.what, "unit": self.row.unit,
                  "value": self.value, "budget": self.row.budget, "verdict": self.verdict}
        if self.row.unit == "ticks":
            fields["ticks"] = self.value
        if self.row.exits is not None:
            fields["budget_exits"] = self.row.exits
        fields |= self.counts
        if self.reason:
            fields["reason"] = self.reason
        return fields


def shown(number: float | None) -> str:
    """A number for people: whole ones without a point, others with two digits behind it."""
    if number is None:
        return ""
    return f"{number:,.0f}" if number == int(number) else f"{number:,.2f}"


def table(measures: list[Measure]) -> str:
    """The measures as text, a line for each below a line of headings."""
    lines = [("", "measured", "budget", "", "VMREADs", "VMWRITEs", "MSRs", "exits")]
    for m in measures:
        unit = "" if m.row.unit == "ticks" else f" {m.row.unit}"
        lines.append((f"{m.row.name}: {m.row.what}",
                      shown(m.value) + unit if m.value is not None else "-",
                      shown(m.row.budget) + (unit if m.row.budget is not None else ""),
                      m.verdict, *(shown(m.counts.get(name)) for name in COUNTERS)))
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = []
    for number, cells in enumerate(lines):
        first, *others = cells
        padded = [first.ljust(widths[0])]
        padded += [cell.ljust(width) if index == 2 else cell.rjust(width)
                   for index, (cell, width) in enumerate(zip(others, widths[1:]))]
        text.append("  ".join(padded).rstrip())
        if number > 0 and measures[number - 1].reason:
            text.append(f"    {measures[number - 1].reason}")
    return "\n".join(text)
