// SPDX-License-Identifier: MIT
// Time is the TSC.
#pragma once

#include "lib/types.h"

extern u64 host_tsc_hz; // ticks per second, after time_init()

// Finds the TSC's rate: CPUID leaf 15H when it agrees with the ACPI PM timer (or the 8254), else
// what these measure. Boot core, once, before apic_init().
void time_init(void);

// Microseconds since start.
u64 time_us(void);

// Waits; root mode, short times only.
void time_delay_us(u64 us);

// Seconds since 1970 by the host's clock chip, as UTC.
u64 time_wall_clock(void);
