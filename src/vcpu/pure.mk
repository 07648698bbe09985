# SPDX-License-Identifier: MIT
# Sources that are also built for the host: the model of the local APIC.
PURE += $(wildcard src/vcpu/lapic*.c)
