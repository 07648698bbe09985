// SPDX-License-Identifier: MIT
// Application processors, started by INIT and start-up IPIs (SDM volume 3, 9.4.4).
#pragma once

#include "lib/types.h"

enum { MAX_CPUS = 64 };

// Starts every other CPU of the MADT, one after the other, and has each call entry(cpu) with
// interrupts off, its APIC on, its own stack; when entry returns, the CPU halts for ever. Returns
// how many CPUs are up, this one included. Called again, it starts them again, on the same stacks.
unsigned smp_start(void (*entry)(unsigned cpu));

// The number of this CPU: 0 for the one that booted.
unsigned cpu_number(void);

// The APIC ID that CPU number `cpu` had when it came up.
u32 smp_apic_id(unsigned cpu);
