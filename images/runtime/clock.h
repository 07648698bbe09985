// SPDX-License-Identifier: MIT
// Time is the TSC, in its ticks; one timer per CPU, by the local APIC.
#pragma once

#include "cpu.h"
#include "lib/types.h"

// TSC ticks per second: as CPUID tells it, else measured once against the PIT.
u64 tsc_hz(void);

// What CPUID says of it, and what the PIT does: 10 ms of its time, thrice. 0: nothing.
u64 tsc_hz_told(void);
u64 tsc_hz_measured(void);

// TSC ticks in this many milliseconds or microseconds.
u64 tsc_ms(u64 ms);
u64 tsc_us(u64 us);

// Spins.
void delay_us(u64 us);

// Waits until cond holds, at most ms milliseconds; whether it held in the end.
#define WAIT_FOR(cond, ms)                          \
    ({                                              \
        u64 end_ = rdtsc() + tsc_ms(ms);            \
        bool held_;                                 \
        while (!(held_ = (cond)) && rdtsc() < end_) \
            cpu_pause();                            \
        held_;                                      \
    })

// Gets this CPU's timer ready: TSC-deadline mode where there is one, else one-shot. Each timer
// interrupt is counted in interrupts[VECTOR_TIMER].
enum { VECTOR_TIMER = 0xec };
void timer_init(void);
bool timer_has_deadline_mode(void);

// An interrupt at this TSC value, or a little earlier in one-shot mode; replaces the last one.
void timer_at(u64 deadline);

// Sleeps in HLT until the TSC has this value; wakes for every interrupt and sleeps on.
// Interrupts are off before and after. Returns whether it slept at all.
bool sleep_until(u64 deadline);
