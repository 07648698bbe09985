# SPDX-License-Identifier: MIT
"""The machines that the appliance boots in, and which one it is to be."""

import shutil

from .bochs import Bochs
from .nested import Nested
from .qemu import QEMU, Qemu, kvm_offers_vmx

MACHINES = {"bochs": Bochs, "qemu": Qemu, "nested": Nested}


def choose(machine: str) -> str:
    """`bochs` or `qemu` for `auto`: QEMU where it can have VMX and is installed."""
    if machine != "auto":
        return machine
    return "qemu" if shutil.which(QEMU) and kvm_offers_vmx() else "bochs"
