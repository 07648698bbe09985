// SPDX-License-Identifier: MIT
// Instructions that C has no word for. Root mode only, except rdtsc and cpuid.
#pragma once

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

// With 48 bits of linear address.
static inline bool canonical(u64 address)
{
    return (u64)((i64)(address << 16) >> 16) == address;
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

MUST_CHECK static inline enum error try_wrmsr(u32 msr, u64 v)
{
    count(COUNT_MSR);
    __asm__ goto("1: wrmsr" FIXUP(fault)::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32))
                 : "memory"
                 : fault);
    return OK;
fault:
    return ERR_INVALID;
}

MUST_CHECK static inline enum error try_write_dr6(u64 v)
{
    __asm__ goto("1: mov %0, %%dr6" FIXUP(fault)::"r"(v) : "memory" : fault);
    return OK;
fault:
    return ERR_INVALID;
}

MUST_CHECK static inline enum error try_xsetbv(u32 index, u64 v)
{
    __asm__ goto("1: xsetbv" FIXUP(fault)::"c"(index), "a"((u32)v), "d"((u32)(v >> 32))
                 : "memory"
                 : fault);
    return OK;
fault:
    return ERR_INVALID;
}

MUST_CHECK static inline enum error try_fxrstor(const void *area)
{
    __asm__ goto("1: fxrstor64 (%0)" FIXUP(fault)::"r"(area) : "memory" : fault);
    return OK;
fault:
    return ERR_INVALID;
}

MUST_CHECK static inline enum error try_xrstor(const void *area, u64 mask)
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
static inline void invlpg(const void *va)
{
    __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_VME        BIT(0)
#define CR4_PVI        BIT(1)
#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_PCE        BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_VMXE       BIT(13)
#define CR4_SMXE       BIT(14)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define CR4_PKE        BIT(22)

#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

#define RFLAGS_FIXED BIT(1)
#define RFLAGS_TF    BIT(8)
#define RFLAGS_IF    BIT(9)
#define RFLAGS_DF    BIT(10)
#define RFLAGS_RF    BIT(16)
#define RFLAGS_VM    BIT(17)

#define MSR_IA32_APIC_BASE       0x1b
#define MSR_IA32_FEATURE_CONTROL 0x3a
#define MSR_IA32_TSC_ADJUST      0x3b
#define MSR_IA32_BIOS_SIGN_ID    0x8b
#define MSR_IA32_MTRRCAP         0xfe
#define MSR_IA32_SYSENTER_CS     0x174
#define MSR_IA32_SYSENTER_ESP    0x175
#define MSR_IA32_SYSENTER_EIP    0x176
#define MSR_IA32_MISC_ENABLE     0x1a0
#define MSR_IA32_DEBUGCTL        0x1d9
#define MSR_IA32_PAT             0x277
#define MSR_IA32_TSC_DEADLINE    0x6e0
#define MSR_IA32_X2APIC          0x800
#define MSR_IA32_XSS             0xda0
#define MSR_EFER                 0xc0000080
#define MSR_STAR                 0xc0000081
#define MSR_LSTAR                0xc0000082
#define MSR_CSTAR                0xc0000083
#define MSR_FMASK                0xc0000084
#define MSR_FS_BASE              0xc0000100
#define MSR_GS_BASE              0xc0000101
#define MSR_KERNEL_GS_BASE       0xc0000102
#define MSR_TSC_AUX              0xc0000103
