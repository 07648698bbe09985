# SPDX-License-Identifier: MIT
"""The machines that the appliance boots in: which one, and the command that starts it."""

import fcntl
import os
import shutil
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .process import dying_with_parent

BOCHS_BUILDER = Path(__file__).resolve().parent.parent / "bochs"
BOCHS_BIOS = Path("/usr/share/bochs/BIOS-bochs-latest")
BOCHS_VGA_BIOS = Path("/usr/share/vgabios/vgabios.bin")
BOCHS_MEDIA = ("cd", "disk")
BOCHS_MOST_CPUS = 15
BOCHS_MOST_HOST_MEMORY = 2048  # MB; a guest's memory beyond it is swapped to a file
BOCHS_MEMORY_BLOCK = 2048  # KB
# With the features that the appliance wants most; see `ci/bochs` for the emulator.
BOCHS_CPU = "corei7_skylake_x"
# Instructions per second of virtual time: about what it does in real time.
BOCHS_IPS = 200_000_000

QEMU = "qemu-system-x86_64"
QEMU_BOARDS = ("q35", "pc")
# Only a hard disk cannot be told that it is read-only: what is written to it is thrown away.
QEMU_MEDIA = {
    "cd": ("readonly=on", ["ide-cd,bus=ide.0"]),
    "disk": ("snapshot=on", ["ide-hd,bus=ide.0"]),
    "usb": ("readonly=on", ["qemu-xhci", "usb-storage"]),
    "virtio": ("readonly=on", ["virtio-blk-pci"]),
}
# Newer packages have only the first pair, older ones only the second.
OVMF_PAIRS = [
    (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    (Path("/usr/share/OVMF/OVMF_CODE.fd"), Path("/usr/share/OVMF/OVMF_VARS.fd")),
]

KVM_GET_SUPPORTED_CPUID = 0xC008AE05
KVM_CPUID_ENTRIES = 256
CPUID_1_ECX_VMX = 1 << 5

# MSRs that the CPU models lack, all bits readable and writable: microcode revision
# (Linux declines the TSC-deadline timer below a certain one), DEBUGCTL (each VM exit
# would log an error), MPERF and APERF.
BOCHS_MSRS = """\
0x08b 0 02007006 00000000 00000000 00000000 ffffffff ffffffff
0x1d9 0 00000000 00000000 00000000 00000000 00000000 00000000
0x0e7 0 00000000 00000000 00000000 00000000 00000000 00000000
0x0e8 0 00000000 00000000 00000000 00000000 00000000 00000000
"""


class UsageError(Exception):
    """What was asked for cannot be had."""


@dataclass(frozen=True)
class Wanted:
    """The machine to be emulated."""

    iso: Path
    cpu: str | None
    cpus: int
    memory: int
    firmware: str
    accel: str
    ips: int
    medium: str  # what the ISO is presented as
    board: str  # QEMU's
    rtc: int | None
    log: bool  # the emulator's own log is wanted
    bios: Path  # Bochs's


def kvm_offers_vmx() -> bool:
    """Whether a KVM guest can be a hypervisor itself. /dev/kvm alone does not tell."""
    header = struct.Struct("=II")  # struct kvm_cpuid2: entries, padding
    entry = struct.Struct("=7I12x")  # function, index, flags, eax, ebx, ecx, edx
    answer = bytearray(header.size + KVM_CPUID_ENTRIES * entry.size)
    header.pack_into(answer, 0, KVM_CPUID_ENTRIES, 0)
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.ioctl(kvm, KVM_GET_SUPPORTED_CPUID, answer)
    except OSError:
        return False
    finally:
        os.close(kvm)
    entries, _ = header.unpack_from(answer)
    for number in range(entries):
        function, _, _, _, _, ecx, _ = entry.unpack_from(
            answer, header.size + number * entry.size
        )
        if function == 1:
            return bool(ecx & CPUID_1_ECX_VMX)
    return False


def choose(machine: str) -> str:
    """`bochs` or `qemu` for `auto`: QEMU where it can have VMX and is installed."""
    if machine != "auto":
        return machine
    return "qemu" if shutil.which(QEMU) and kvm_offers_vmx() else "bochs"


class Bochs:
    """Bochs, built by ci/bochs."""

    name = "Bochs"

    def __init__(self, wanted: Wanted) -> None:
        if wanted.firmware == "uefi":
            raise UsageError("Bochs has no UEFI firmware; use --machine qemu")
        if wanted.medium not in BOCHS_MEDIA:
            raise UsageError(f"Bochs boots from {' and '.join(BOCHS_MEDIA)}; use --machine qemu")
        if wanted.cpus > BOCHS_MOST_CPUS:
            raise UsageError(f"Bochs has at most {BOCHS_MOST_CPUS} CPUs")
        for file in (wanted.bios, BOCHS_VGA_BIOS):
            if not file.exists():
                raise UsageError(f"{file} is missing; `ci/deps run` installs it")
        self.wanted = wanted
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

    def command(self, directory: Path, com1: str, com2: str) -> list[str]:
        """Fill the directory, where the command is to be run, and return the command."""
        (directory / "msrs").write_text(BOCHS_MSRS)
        (directory / "bochsrc").write_text(self._bochsrc(directory, com1, com2))
        return [self.binary, "-q", "-f", "bochsrc"]

    def _bochsrc(self, directory: Path, com1: str, com2: str) -> str:
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
            f"romimage: file={wanted.bios}",
            f"vgaromimage: file={BOCHS_VGA_BIOS}",
            "speaker: enabled=0",
            "mouse: enabled=0",
            *self._media(directory),
            f"com1: enabled=1, mode=term, dev={com1}",
            f"com2: enabled=1, mode=term, dev={com2}",
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


class Qemu:
    """QEMU, with KVM where that gives VMX to its guests."""

    name = "QEMU"

    def __init__(self, wanted: Wanted) -> None:
        if not shutil.which(QEMU):
            raise UsageError(f"{QEMU} is missing; `ci/deps run` installs it")
        self.wanted = wanted
        self.accel = wanted.accel
        if self.accel == "auto":
            self.accel = "kvm" if kvm_offers_vmx() else "tcg"
        self.cpu = wanted.cpu or ("host" if self.accel == "kvm" else "max")
        self.name = f"QEMU with {self.accel.upper()}"

    def command(self, directory: Path, com1: str, com2: str) -> list[str]:
        """Fill the directory, where the command is to be run, and return the command."""
        wanted = self.wanted
        (directory / "medium").symlink_to(wanted.iso)
        access, devices = QEMU_MEDIA[wanted.medium]
        command = [
            QEMU,
            "-machine", wanted.board, "-accel", self.accel, "-cpu", self.cpu,
            "-smp", str(wanted.cpus), "-m", str(wanted.memory),
            "-no-user-config", "-nodefaults", "-no-reboot",
            "-display", "none", "-vga", "std",
            "-chardev", f"serial,id=com1,path={com1}", "-serial", "chardev:com1",
            "-chardev", f"serial,id=com2,path={com2}", "-serial", "chardev:com2",
            "-drive", f"if=none,id=medium,format=raw,{access},file=medium",
        ]
        for device in devices[:-1]:
            command += ["-device", device]
        command += ["-device", f"{devices[-1]},drive=medium,bootindex=0"]
        if wanted.rtc is not None:
            command += ["-rtc", f"base={rtc_base(wanted.rtc)}"]
        if wanted.firmware == "uefi":
            command += self._uefi(directory)
        return command

    @staticmethod
    def _uefi(directory: Path) -> list[str]:
        for code, variables in OVMF_PAIRS:
            if code.exists() and variables.exists():
                shutil.copyfile(variables, directory / "variables")
                return [
                    "-drive", f"if=pflash,format=raw,readonly=on,file={code}",
                    "-drive", "if=pflash,format=raw,file=variables",
                ]
        raise UsageError("the UEFI firmware OVMF is missing; `ci/deps run` installs it")


def rtc_base(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


MACHINES = {"bochs": Bochs, "qemu": Qemu}
