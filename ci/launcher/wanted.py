# SPDX-License-Identifier: MIT
"""What is asked of a machine."""

from dataclasses import dataclass
from pathlib import Path


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
    kvm: str  # parameters of KVM's module in a nested machine, separated by blanks
