# SPDX-License-Identifier: MIT
"""QEMU with nested VMX for machines that have none: Debian's Linux with KVM, in Bochs."""

import dataclasses
import shlex
import shutil
import subprocess
from pathlib import Path

from .bochs import Bochs
from .process import dying_with_parent
from .qemu import Qemu
from .wanted import UsageError, Wanted

ROOT = Path(__file__).resolve().parent.parent.parent
BASE_BUILDER = ROOT / "ci" / "nested" / "make-base"
BASE = ROOT / "build" / "nested"

LINUX_MEMORY = 640  # MB, beside what QEMU's guest has
# The TSC's rate is told, since the one that CPUID gives is that of the CPU that is emulated.
LINUX_CMDLINE = ("console=ttyS2,115200 loglevel=3 mitigations=off tsc=reliable "
                 "tsc_early_khz={khz} cryptomgr.notests nokaslr rdinit=/sbin/nested")
# Thousands of millions of ticks; what is not done then hangs, however slow the machine is.
LIMIT = 40

# Bochs puts the initramfs into memory before the start: loading it from a disk would take longer
# than all else. Neither its BIOS nor GRUB nor Linux uses that place by itself.
INITRAMFS_AT = 256 << 20
PAGE = 4096
INITRAMFS_MOST = 256 << 20  # bytes


class LinuxWithKvm(Bochs):
    """Bochs with a Linux that loads KVM and runs a script; then the machine ends.

    COM3 says how Linux gets on, COM1 and COM2 are the script's.
    """

    lines = 3

    def prepare(self, directory: Path, files: list[Path], script: str,
                more: str = "") -> None:
        """Fill the directory. The files are in that Linux's root directory, `more` is on its
        command line too."""
        if subprocess.run([BASE_BUILDER, BASE], stdin=subprocess.DEVNULL,
                          preexec_fn=dying_with_parent()).returncode:
            raise UsageError("the Linux that runs QEMU with KVM could not be made")
        initramfs = directory / "initramfs"
        self._pack(directory / "payload", initramfs, files, script)
        size = initramfs.stat().st_size
        if size > INITRAMFS_MOST:
            raise UsageError(f"what QEMU is given is too large: {size >> 20} MiB with Linux")
        self.extra = [f"optramimage1: file={initramfs}, address={INITRAMFS_AT:#x}"]
        # Linux keeps off that memory only when it is told that it is none; it then makes a copy.
        taken = -(-size // PAGE) * PAGE
        words = [LINUX_CMDLINE.format(khz=self.wanted.ips // 1000), more,
                 f"initrdmem={INITRAMFS_AT:#x},{size:#x}",
                 f"memmap={taken:#x}\\${INITRAMFS_AT:#x}", f"nested.limit={LIMIT}"]
        words += [f"kvm_intel.{word}" for word in self.wanted.kvm.split()]
        iso = self._make_iso(directory / "tree", " ".join(words))
        self.wanted = dataclasses.replace(self.wanted, iso=iso)

    @staticmethod
    def _pack(payload: Path, initramfs: Path, files: list[Path], script: str) -> None:
        payload.mkdir()
        (payload / "run").write_text(f"#!/bin/sh\n{script}\n")
        (payload / "run").chmod(0o755)
        for file in files:
            (payload / file.name).symlink_to(file.resolve())
        shutil.copyfile(BASE / "base.cpio", initramfs)
        with open(initramfs, "ab") as archive:
            archive.write(bytes(-archive.tell() % 4))
            subprocess.run(["cpio", "--create", "--format=newc", "--dereference", "--quiet"],
                           cwd=payload, check=True, stdout=archive,
                           input="\n".join(["run", *(file.name for file in files)]).encode())

    @staticmethod
    def _make_iso(tree: Path, cmdline: str) -> Path:
        iso = tree.parent / "linux.iso"
        (tree / "boot" / "grub").mkdir(parents=True)
        shutil.copyfile(BASE / "vmlinuz", tree / "vmlinuz")
        (tree / "boot" / "grub" / "grub.cfg").write_text(f"linux /vmlinuz {cmdline}\nboot\n")
        made = subprocess.run(
            ["grub-mkrescue", "-o", iso, "--directory=/usr/lib/grub/i386-pc", "--locales=",
             "--fonts=", "--themes=", "--install-modules=normal linux", tree],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode:
            raise UsageError(f"grub-mkrescue failed:\n{made.stdout}")
        return iso


class Nested(LinuxWithKvm):
    """QEMU with KVM, with the machine wanted, in such a Linux. Bochs has one CPU."""

    name = "QEMU with KVM in Bochs"

    def __init__(self, wanted: Wanted) -> None:
        self.inner = Qemu(dataclasses.replace(wanted, accel="kvm", cpu=None))
        self.inner.vga = "none"  # each character written to it would be an exit to QEMU
        super().__init__(dataclasses.replace(
            wanted, cpus=1, memory=wanted.memory + LINUX_MEMORY, firmware="bios", medium="cd"))

    def command(self, directory: Path, lines: list[str]) -> list[str]:
        """Fill the directory, where the command is to be run, and return the command."""
        inner = directory / "inner"
        inner.mkdir()
        qemu = self.inner.command(inner, ["/dev/ttyS0", "/dev/ttyS1"])
        self.prepare(directory, list(inner.iterdir()), f"exec {shlex.join(qemu)}")
        return super().command(directory, lines)
