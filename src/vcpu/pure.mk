# SPDX-License-Identifier: MIT
# Sources that are also built for the host: the model of the local APIC.
PURE += $(wildcard src/vcpu/lapic*.c)

# The way of the frequent exits. Frames there cost more than they tell: a backtrace misses a handler
# that calls nothing.
$(patsubst %,$B/obj/src/vcpu/%.o,exit exit_cpuid exit_io exit_memory exit_misc exit_msr \
    events switch vmm vapic timer lapic lapic_ipi lapic_lvt lapic_regs lapic_timer): \
    CFLAGS += -fomit-frame-pointer
