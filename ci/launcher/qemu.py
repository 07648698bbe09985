# SPDX-License-Identifier: MIT
"""QEMU, and whether KVM here gives VMX to its guests."""

import fcntl
import os
import shutil
import struct
import time
from pathlib import Path

from . import qmp
from .ports import Port
from .ticks import Ticks
from .wanted import UsageError, Wanted

QEMU = "qemu-system-x86_64"
QEMU_BOARDS = ("q35", "pc")
QEMU_MOST_CPUS = {"q35": 288, "pc": 255}
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


class Qemu:
    """QEMU, with KVM where that gives VMX to its guests."""

    name = "QEMU"
    lines = 2
    vga = "std"

    def __init__(self, wanted: Wanted) -> None:
        if not shutil.which(QEMU):
            raise UsageError(f"{QEMU} is missing; `ci/deps run` installs it")
        if wanted.cpus > QEMU_MOST_CPUS[wanted.board]:
            raise UsageError(f"QEMU's {wanted.board} has at most {QEMU_MOST_CPUS[wanted.board]} CPUs")
        self.wanted = wanted
        self.accel = wanted.accel
        if self.accel == "auto":
            self.accel = "kvm" if kvm_offers_vmx() else "tcg"
        self.cpu = wanted.cpu or ("host" if self.accel == "kvm" else "max")
        self.name = f"QEMU with {self.accel.upper()}"
        self.monitor: qmp.MonitorPort | None = None

    @property
    def counts(self) -> bool:
        """Whether its ticks can be counted: those of KVM are the processor's own."""
        return self.accel == "tcg"

    @property
    def inherited(self) -> tuple[int, ...]:
        """Descriptors that its process has to get."""
        return (self.monitor.inherited,) if self.monitor else ()

    def counter(self, ticks: Ticks) -> list[tuple[Port, Port]]:
        """Lines of a session that keep the count of its ticks, from the next command() on."""
        if not self.counts:
            return []
        self.monitor = qmp.MonitorPort()
        return [(self.monitor, qmp.ClockPort(ticks))]

    def command(self, directory: Path, lines: list[str]) -> list[str]:
        """Fill the directory, where the command is to be run, and return the command."""
        wanted = self.wanted
        (directory / "medium").symlink_to(wanted.iso)
        access, devices = QEMU_MEDIA[wanted.medium]
        command = [
            QEMU,
            "-machine", wanted.board, "-accel", self.accel, "-cpu", self.cpu,
            "-smp", str(wanted.cpus), "-m", str(wanted.memory),
            "-no-user-config", "-nodefaults", "-no-reboot",
            "-display", "none", "-vga", self.vga,
            "-drive", f"if=none,id=medium,format=raw,{access},file=medium",
        ]
        for number, line in enumerate(lines, 1):
            command += ["-chardev", f"serial,id=com{number},path={line}",
                        "-serial", f"chardev:com{number}"]
        for device in devices[:-1]:
            command += ["-device", device]
        command += ["-device", f"{devices[-1]},drive=medium,bootindex=0"]
        clock = [f"base={rtc_base(wanted.rtc)}"] if wanted.rtc is not None else []
        if self.monitor:
            command += self.monitor.options()
            clock += ["clock=vm"]
        if clock:
            command += ["-rtc", ",".join(clock)]
        if wanted.firmware == "uefi":
            command += self._uefi(directory)
        return command

    def _uefi(self, directory: Path) -> list[str]:
        for code, variables in OVMF_PAIRS:
            if code.exists() and variables.exists():
                (directory / "firmware").symlink_to(code)
                shutil.copyfile(variables, directory / "variables")
                return [
                    "-drive", "if=pflash,format=raw,readonly=on,file=firmware",
                    "-drive", "if=pflash,format=raw,file=variables",
                ]
        raise UsageError("the UEFI firmware OVMF is missing; `ci/deps run` installs it")


def rtc_base(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
