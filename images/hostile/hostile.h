// SPDX-License-Identifier: MIT
// What the parts share.
#pragma once

#include "guest.h"

// Random numbers, the same for the same `seed=`.
u64 random_next(void);
u64 random_below(u64 n);
// A value as one who looks for trouble chooses it: a few bits, all, none, a boundary, any.
u64 random_odd(void);

// A verdict that is said only if it is bad, or when the part has ended. Returns ok.
bool check(bool ok, const char *fmt, ...) PRINTF(2, 3);

// Takes all vectors from now on: interrupts and NMIs are counted and ended, exceptions that no TRY
// expects end the guest as always.
void take_interrupts(void);

// Turns interrupts on. After a hundred they are off again.
void let_in(void);

// access.c: what is not the guest's.
void part_memory(void);
void part_ports(void);
void part_strings(void);
// machine.c: what the guest has of registers and instructions.
void part_msrs(void);
void part_registers(void);
void part_hypercalls(void);
void part_caches(void);
// devices.c
void part_devices(void);
void part_apic(void);
void part_timers(void);
// storms.c
void part_ipis(void);
void part_wakes(void);
void part_output(void);
// modes.c: on a second CPU.
void part_vmx(void);
void part_garbage(void);
void part_tables(void);
void part_die(void); // does not come back
