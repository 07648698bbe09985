# SPDX-License-Identifier: MIT
"""Bochs, as ci/bochs builds it."""

import os
import shutil
import subprocess
from pathlib import Path

from .ports import Port
from .process import dying_with_parent
from .ticks import Ticks
from .wanted import UsageError, Wanted

BOCHS_BUILDER = Path(__file__).resolve().parent.parent / "bochs"
BOCHS_BIOS = Path("/usr/share/bochs/BIOS-bochs-latest")
BOCHS_VGA_BIOS = Path("/usr/share/vgabios/vgabios.bin")
BOCHS_MEDIA = ("cd", "disk")
BOCHS_MOST_CPUS = 15
BOCHS_MEMORY = (2, 1 << 20)  # MB, from and to; with less, it falls over
BOCHS_RATE = (1_000_000, (1 << 32) - 1)  # instructions per second
BOCHS_MOST_HOST_MEMORY = 2048  # MB; a guest's memory beyond it is swapped to a file
BOCHS_MEMORY_BLOCK = 2048  # KB
# With the features that the appliance wants most; see `ci/bochs-build` for the emulator.
BOCHS_CPU = "corei7_skylake_x"
# Instructions per second of virtual time: about what it does in real time.
BOCHS_IPS = 200_000_000

# MSRs that the CPU models lack, all bits readable and writable: microcode revision
# (Linux declines the TSC-deadline timer below a certain one), DEBUGCTL (each VM exit
# would log an error), MPERF and APERF.
BOCHS_MSRS = """\
0x08b 0 02007006 00000000 00000000 00000000 ffffffff ffffffff
0x1d9 0 00000000 00000000 00000000 00000000 00000000 00000000
0x0e7 0 00000000 00000000 00000000 00000000 00000000 00000000
0x0e8 0 00000000 00000000 00000000 00000000 00000000 00000000
"""


class Bochs:
    """Bochs, built by ci/bochs."""

    name = "Bochs"
    lines = 2  # serial ones
    counts = True  # the ticks that have passed
    inherited: tuple[int, ...] = ()  # descriptors that its process has to get

    def __init__(self, wanted: Wanted) -> None:
        if wanted.firmware == "uefi":
            raise UsageError("Bochs has no UEFI firmware; use --machine qemu")
        if wanted.medium not in BOCHS_MEDIA:
            raise UsageError(f"Bochs boots from {' and '.join(BOCHS_MEDIA)}; use --machine qemu")
        if wanted.cpus > BOCHS_MOST_CPUS:
            raise UsageError(f"Bochs has at most {BOCHS_MOST_CPUS} CPUs")
        for what, number, (least, most) in (("MB of memory", wanted.memory, BOCHS_MEMORY),
                                            ("instructions per second", wanted.ips, BOCHS_RATE)):
            if not least <= number <= most:
                raise UsageError(f"Bochs takes {least} to {most} {what}, not {number}")
        for file in (wanted.bios, BOCHS_VGA_BIOS):
            if not file.exists():
                raise UsageError(f"{file} is missing; `ci/deps run` installs it")
        self.wanted = wanted
        self.extra: list[str] = []  # lines of its configuration
        self.cpu = wanted.cpu or BOCHS_CPU
        self.binary = self._built_binary()
        models = self._cpu_models()
        if self.cpu not in models:
            raise UsageError(
                f"Bochs has no CPU model '{self.cpu}'. It has: {', '.join(models)}"
            )

    @staticmethod
    def _built_binary() -> str:
        """Path of the emulator. Takes minutes the first time, and tells what it does."""
        result = subprocess.run(
            [BOCHS_BUILDER, "--path"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=dying_with_parent(),
        )
        if result.returncode != 0:
            raise UsageError("the emulator Bochs could not be built")
        return result.stdout.strip()

    def _cpu_models(self) -> list[str]:
        listing = subprocess.run(
            [self.binary, "--help", "cpu"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ).stdout
        # "Supported CPU models:", an empty line, a name a line, an empty line.
        return listing.partition("CPU models:")[2].strip().partition("\n\n")[0].split()

    def counter(self, ticks: Ticks) -> list[tuple[Port, Port]]:
        """Lines of a session that keep the count of its ticks: it does so itself, in the file
        `ticks` of its directory."""
        return []

    def command(self, directory: Path, lines: list[str]) -> list[str]:
        """Fill the directory, where the command is to be run, and return the command."""
        (directory / "msrs").write_text(BOCHS_MSRS)
        (directory / "bochsrc").write_text(self._bochsrc(directory, lines))
        return ["env", "BOCHS_TICKS=ticks", self.binary, "-q", "-f", "bochsrc"]

    def _bochsrc(self, directory: Path, lines: list[str]) -> str:
        wanted = self.wanted
        rtc = "utc" if wanted.rtc is None else str(wanted.rtc)
        return "\n".join([
            "display_library: nogui",
            "panic: action=fatal",
            "error: action=report",
            # Thousands of lines, which take their time, that nobody reads without a log.
            f"info: action={'report' if wanted.log else 'ignore'}",
            "debug: action=ignore",
            f"cpu: model={self.cpu}, count={wanted.cpus}, ips={wanted.ips}, "
            "reset_on_triple_fault=0, ignore_bad_msrs=1, msrs=msrs",
            # As fast as it can: virtual time follows the instructions alone.
            f"clock: sync=none, time0={rtc}",
            f"memory: guest={wanted.memory}, "
            f"host={min(wanted.memory, BOCHS_MOST_HOST_MEMORY)}, "
            # Its start takes the square of the number of blocks.
            f"block_size={BOCHS_MEMORY_BLOCK}",
            # Without its boot menu, for which it waits three seconds of virtual time.
            f"romimage: file={wanted.bios}, options=fastboot",
            f"vgaromimage: file={BOCHS_VGA_BIOS}",
            "speaker: enabled=0",
            "mouse: enabled=0",
            *self._media(directory),
            *self.extra,
            *(f"com{number}: enabled=1, mode=term, dev={line}"
              for number, line in enumerate(lines, 1)),
            "",
        ])

    def _media(self, directory: Path) -> list[str]:
        medium = directory / "medium"
        if self.wanted.medium == "cd":
            medium.symlink_to(self.wanted.iso)
            return ["ata0-master: type=cdrom, path=medium, status=inserted", "boot: cdrom"]
        # A copy, since the disk can be written to; of whole cylinders, since
        # otherwise what is beyond the last one does not exist.
        cylinder = 16 * 63 * 512
        shutil.copyfile(self.wanted.iso, medium)
        cylinders = -(-medium.stat().st_size // cylinder)
        os.truncate(medium, cylinders * cylinder)
        geometry = f"cylinders={cylinders}, heads=16, spt=63"
        return [f"ata0-master: type=disk, path=medium, mode=flat, {geometry}", "boot: disk"]
