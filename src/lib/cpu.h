// SPDX-License-Identifier: MIT
// Instructions that C has no word for. Root mode only, except rdtsc and cpuid.
#pragma once

#include "lib/assert.h"
#include "lib/count.h"
#include "lib/error.h"
#include "lib/fixup.h"
#include "lib/types.h"

static inline void outb(u16 port, u8 v)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline void outw(u16 port, u16 v)
{
    __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline void outl(u16 port, u32 v)
{
    __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline u8 inb(u16 port)
{
    u8 v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}
static inline u16 inw(u16 port)
{
    u16 v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}
static inline u32 inl(u16 port)
{
    u32 v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline u64 rdmsr(u32 msr)
{
    u32 lo, hi;
    count(COUNT_MSR);
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
    return (u64)hi << 32 | lo;
}
static inline void wrmsr(u32 msr, u64 v)
{
    count(COUNT_MSR);
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
    u32 lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return (u64)hi << 32 | lo;
}

struct cpuid {
    u32 eax, ebx, ecx, edx;
};
static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

static inline void xsetbv(u32 index, u64 v)
{
    __asm__ volatile("xsetbv" ::"c"(index), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
static inline u64 xgetbv(u32 index)
{
    u32 lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
    return (u64)hi << 32 | lo;
}

#define X86_CONTROL_REGISTER(name)                                   \
    static inline u64 read_##name(void)                              \
    {                                                                \
        u64 v;                                                       \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(v)::"memory"); \
        return v;                                                    \
    }                                                                \
    static inline void write_##name(u64 v)                           \
    {                                                                \
        __asm__ volatile("mov %0, %%" #name ::"r"(v) : "memory");    \
    }
X86_CONTROL_REGISTER(cr0)
X86_CONTROL_REGISTER(cr2)
X86_CONTROL_REGISTER(cr3)
X86_CONTROL_REGISTER(cr4)
X86_CONTROL_REGISTER(dr0)
X86_CONTROL_REGISTER(dr1)
X86_CONTROL_REGISTER(dr2)
X86_CONTROL_REGISTER(dr3)
X86_CONTROL_REGISTER(dr6)
X86_CONTROL_REGISTER(dr7)

// ---- loads of a guest's or a debugger's values -------------------------------------------------
// ERR_INVALID: the CPU raises #GP for the value, and nothing is loaded. (Those of CR2 and of DR0 to
// DR3 take any value, SDM 18.2.1.)

static inline enum error try_wrmsr(u32 msr, u64 v)
{
    count(COUNT_MSR);
    __asm__ goto("1: wrmsr" FIXUP(fault)::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32))
                 : "memory"
                 : fault);
    return OK;
fault:
    return ERR_INVALID;
}

static inline enum error try_write_dr6(u64 v)
{
    __asm__ goto("1: mov %0, %%dr6" FIXUP(fault)::"r"(v) : "memory" : fault);
    return OK;
fault:
    return ERR_INVALID;
}

static inline enum error try_xsetbv(u32 index, u64 v)
{
    __asm__ goto("1: xsetbv" FIXUP(fault)::"c"(index), "a"((u32)v), "d"((u32)(v >> 32))
                 : "memory"
                 : fault);
    return OK;
fault:
    return ERR_INVALID;
}

static inline enum error try_fxrstor(const void *area)
{
    __asm__ goto("1: fxrstor64 (%0)" FIXUP(fault)::"r"(area) : "memory" : fault);
    return OK;
fault:
    return ERR_INVALID;
}

static inline enum error try_xrstor(const void *area, u64 mask)
{
    __asm__ goto("1: xrstor64 (%0)" FIXUP(fault)::"r"(area), "a"((u32)mask), "d"((u32)(mask >> 32))
                 : "memory"
                 : fault);
    return OK;
fault:
    return ERR_INVALID;
}

// ------------------------------------------------------------------------------------------------

static inline void cli(void)
{
    __asm__ volatile("cli" ::: "memory");
}

static inline void sti(void)
{
    __asm__ volatile("sti" ::: "memory");
}

// Waits for an interrupt with interrupts on, then has them off again.
static inline void sti_hlt_cli(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}
static inline void hlt(void)
{
    __asm__ volatile("hlt" ::: "memory");
}

// Always on the host, where a program cannot turn them off.
static inline bool interrupts_are_off(void)
{
#ifdef HOST_BUILD
    return true;
#else
    u64 rflags;
    __asm__ volatile("pushf; pop %0" : "=r"(rflags)::"memory");
    return !(rflags & BIT(9));
#endif
}

// Functions that demand it (lib/assert.h): the core takes no interrupts, as nearly always in root
// mode.
#define REQUIRES_INTERRUPTS_OFF()
#define ASSERT_INTERRUPTS_OFF() ASSERT(interrupts_are_off())

static inline void invlpg(const void *va)
{
    __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}
