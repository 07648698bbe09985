# SPDX-License-Identifier: MIT
"""The machines that the appliance boots in, and which one it is to be."""

import os
import shutil

from .bochs import Bochs
from .nested import Nested
from .qemu import QEMU, Qemu, kvm_offers_vmx
from .wanted import UsageError, Wanted

MACHINES = {"bochs": Bochs, "qemu": Qemu, "nested": Nested}


def choose(machine: str) -> str:
    """`bochs` or `qemu` for `auto`: QEMU where it can have VMX and is installed."""
    if machine != "auto":
        return machine
    return "qemu" if shutil.which(QEMU) and kvm_offers_vmx() else "bochs"


def make(machine: str, wanted: Wanted) -> Bochs | Qemu:
    """The machine. Raises UsageError for what it cannot be."""
    if wanted.kvm and machine != "nested":
        raise UsageError("--kvm is for --machine nested")
    if wanted.accel != "auto" and machine != "qemu":
        raise UsageError("--accel is for --machine qemu")
    if wanted.accel == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise UsageError("--accel kvm: /dev/kvm " + (
            "is not for this user" if os.path.exists("/dev/kvm") else "is not there"))
    return MACHINES[machine](wanted)
