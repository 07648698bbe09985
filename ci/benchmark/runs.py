# SPDX-License-Identifier: MIT
"""The boots of the appliance that rows are read from."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from launcher.process import dying_with_parent

from .readings import FIRST_ENTRY

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"
CLOCK = 1_700_000_000  # what the real-time clock starts at, so that runs repeat exactly
LIMIT = 100  # thousand millions of ticks for one run; the longest takes less than 10

ENDS = "[appliance]\npoweroff = when-all-stopped\n"
BENCH = f"{ENDS}[vm bench]\nkernel = bench\nmemory = 16M\n"
WEIGHTS = {"light": 100, "middle": 200, "heavy": 300}
SHARE = ENDS + "".join(
    f"[vm {name}]\nkernel = bench\nmemory = 16M\ncores = 0\nweight = {weight}\ncmdline = share\n"
    for name, weight in WEIGHTS.items())
# As many vCPUs as a VM can have, twice.
CROWD = f"""{BENCH}vcpus = 64
cores = 0
cmdline = crowd
[vm crowd]
kernel = bench
memory = 16M
vcpus = 64
cores = 0
cmdline = crowd first=64
"""
# VMs that share a core, so that it is one boot. What a row is compared with is measured beside it.
ITEMS = ENDS + "".join(
    f"[vm {name}]\nkernel = bench\nmemory = 16M\ncores = 0\ncmdline = items={name}\n"
    + (f"intercept = {items}\n" if items else "")
    for name, items in {
        "free": "",
        "caught": "cpuid, io:0x80, msr:misc_enable:r, msr:efer:r, cr0:ts, cr3:w, invlpg, dr, desc,"
                  " ud, mem:0x800100+0x10:w",
        "beside": "io:0x80, msr:misc_enable, cr0:ts, cr3:r, bp, mem:0x800100+0x10:w",
        "tsc": "rdtsc",
    }.items())
LINUX_CMDLINE = 'console=ttyS0 quiet rdinit=/bin/busybox -- sh -c "exec busybox poweroff -f"'
LINUX = f"""{ENDS}[vm linux]
kernel = vmlinuz
initrd = initrd.gz
cmdline = {LINUX_CMDLINE}
memory = 256M
"""


class Failure(Exception):
    """The benchmark cannot go on."""


@dataclass(frozen=True)
class Run:
    """One boot of the appliance."""

    config: str
    cpus: int = 1
    builds: tuple = ("plain", "counting")
    until: object = None  # a pattern; when the console has it, that is enough
    ips: int = 50_000_000  # a slower clock, so a shorter boot: firmware and GRUB wait by it


RUNS = {
    "bench": Run(BENCH),
    "switch": Run(f"{BENCH}vcpus = 2\ncores = 0\ncmdline = switch=1\n"),
    # A slow clock makes slices short in ticks; what a switch costs in ticks is the same.
    "crowd": Run(CROWD, ips=10_000_000),
    "share": Run(SHARE, builds=("plain",)),
    "wake": Run(f"{BENCH}vcpus = 4\ncores = 0\ncmdline = wake\n", builds=("plain",)),
    "items": Run(ITEMS),
    "ipi": Run(f"{BENCH}vcpus = 2\ncores = 0-1\n", cpus=2),
    "ipi-xapic": Run(f"{BENCH}vcpus = 2\ncores = 0-1\ncmdline = xapic\n", cpus=2),
    "handover": Run((ROOT / "config/default.conf").read_text(), cpus=4, builds=("plain",),
                    until=FIRST_ENTRY),
    # Its exits are the same in either build. At this speed its timer interrupts come, counted in
    # instructions, about as often as on a processor of today.
    "linux": Run(LINUX, builds=("counting",), ips=1_000_000_000),
}


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def boot(run: Run, kernel: Path, directory: Path) -> str:
    """Carry out a run with this kernel. Returns what the console showed."""
    config, iso, console = directory / "bench.conf", directory / "bench.iso", directory / "console"
    config.write_text(run.config)
    console.write_bytes(b"")
    made = subprocess.run([ROOT / "ci/mkiso", "--config", config, "--output", iso,
                           "--kernel", kernel], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise Failure(made.stderr.strip())
    command = [ROOT / "ci/appliance", "--machine", "bochs", "--iso", iso, "--console", console,
               "--cpus", str(run.cpus), "--ips", str(run.ips), "--limit", str(LIMIT),
               "--rtc", str(CLOCK)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, preexec_fn=dying_with_parent()) as process:
        enough = False
        try:
            while process.poll() is None and not enough:
                text = console.read_text(errors="replace")
                enough = run.until is not None and run.until.search(text) is not None
                time.sleep(0.1)
        finally:
            process.terminate()
            _, message = process.communicate()
        if not enough and process.returncode != 0:
            say(message.strip())
    return console.read_text(errors="replace").replace("\r\n", "\n")
