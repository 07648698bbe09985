// SPDX-License-Identifier: MIT
// lib/cpu.h for the scripted back end: what src/vcpu uses of it, on pretended registers. All cores
// have the same ones, which no test minds: no guest runs.
#pragma once

#include "lib/error.h"
#include "lib/types.h"

struct cpuid {
    u32 eax, ebx, ecx, edx;
};

extern u64 scripted_now; // the TSC; a test alone moves it
extern u64 scripted_cr2, scripted_dr[8];

// What a core does that has nothing to do: back to scripted_enter(), unless it is asked for.
void scripted_halt(void);

static inline u64 rdtsc(void)
{
    return scripted_now;
}

// A CPU of no leaves and MSRs that remember nothing.
static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
    (void)leaf, (void)subleaf;
    return (struct cpuid){0};
}
static inline u64 rdmsr(u32 msr)
{
    (void)msr;
    return 0;
}
static inline void wrmsr(u32 msr, u64 v)
{
    (void)msr, (void)v;
}
static inline u64 xgetbv(u32 index)
{
    (void)index;
    return 0;
}
static inline void xsetbv(u32 index, u64 v)
{
    (void)index, (void)v;
}

#define SCRIPTED_REGISTER(name, place)     \
    static inline u64 read_##name(void)    \
    {                                      \
        return (place);                    \
    }                                      \
    static inline void write_##name(u64 v) \
    {                                      \
        (place) = v;                       \
    }
SCRIPTED_REGISTER(cr2, scripted_cr2)
SCRIPTED_REGISTER(dr0, scripted_dr[0])
SCRIPTED_REGISTER(dr1, scripted_dr[1])
SCRIPTED_REGISTER(dr2, scripted_dr[2])
SCRIPTED_REGISTER(dr3, scripted_dr[3])
SCRIPTED_REGISTER(dr6, scripted_dr[6])

static inline enum error try_wrmsr(u32 msr, u64 v)
{
    (void)msr, (void)v;
    return OK;
}
static inline enum error try_write_dr6(u64 v)
{
    write_dr6(v);
    return OK;
}
static inline enum error try_xsetbv(u32 index, u64 v)
{
    (void)index, (void)v;
    return OK;
}
static inline enum error try_fxrstor(const void *area)
{
    (void)area;
    return OK;
}
static inline enum error try_xrstor(const void *area, u64 mask)
{
    (void)area, (void)mask;
    return OK;
}

#define REQUIRES_INTERRUPTS_OFF()
#define ASSERT_INTERRUPTS_OFF() ((void)0) // there are none

static inline void cli(void) {}
static inline void sti(void) {}
static inline void sti_hlt_cli(void)
{
    scripted_halt();
}
