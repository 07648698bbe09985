// SPDX-License-Identifier: MIT
// Instructions that C has no words for. The *_try forms return what happened: NO_FAULT, or the
// vector of the exception that the instruction raised.
#pragma once

#include "lib/types.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"
#include "x86/vectors.h"

#define NO_FAULT (-1)

static inline void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void outw(u16 port, u16 value)
{
    __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void outl(u16 port, u32 value)
{
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline u8 inb(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline u16 inw(u16 port)
{
    u16 value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline u32 inl(u16 port)
{
    u32 value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline u64 rdmsr(u32 msr)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
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

static inline u64 rdtsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (u64)high << 32 | low;
}

// An interrupt that waits is taken before this returns.
static inline void interrupts_on(void)
{
    __asm__ volatile("sti; nop" ::: "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" ::: "memory");
}

// Sleeps until the next interrupt and takes it; interrupts are off before and after, so nothing
// is lost between a check and the sleep.
static inline void halt_once(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

static inline void cpu_pause(void)
{
    __asm__ volatile("pause" ::: "memory");
}

static inline u64 read_cr0(void)
{
    u64 value;
    __asm__ volatile("mov %%cr0, %0" : "=r"(value)::"memory");
    return value;
}

static inline u64 read_cr2(void)
{
    u64 value;
    __asm__ volatile("mov %%cr2, %0" : "=r"(value)::"memory");
    return value;
}

static inline u64 read_cr3(void)
{
    u64 value;
    __asm__ volatile("mov %%cr3, %0" : "=r"(value)::"memory");
    return value;
}

static inline void write_cr3(u64 value)
{
    __asm__ volatile("mov %0, %%cr3" ::"r"(value) : "memory");
}

static inline u64 read_cr4(void)
{
    u64 value;
    __asm__ volatile("mov %%cr4, %0" : "=r"(value)::"memory");
    return value;
}

// Memory as devices see it: one access of this size, neither left out nor doubled.
static inline u32 read32(u64 address)
{
    u32 value;
    __asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline void write32(u64 address, u32 value)
{
    __asm__ volatile("movl %0, (%1)" ::"r"(value), "r"(address) : "memory");
}

// An instruction that may fault: on a fault the handler writes the vector to R11 and goes on
// behind the instruction (interrupt.c). The operands follow as in __asm__; R11 is taken.
#define TRY(instruction, fault, ...)                                                         \
    do {                                                                                     \
        register long r11_ __asm__("r11") = NO_FAULT;                                        \
        __asm__ volatile("771: " instruction "\n772:\n"                                      \
                         ".pushsection .fault_table, \"a\"\n.quad 771b, 772b\n.popsection\n" \
                         : "+r"(r11_)__VA_ARGS__);                                           \
        (fault) = (int)r11_;                                                                 \
    } while (0)

static inline int rdmsr_try(u32 msr, u64 *value)
{
    u32 low = 0, high = 0;
    int fault;
    TRY("rdmsr", fault, , "+a"(low), "+d"(high) : "c"(msr) : "memory");
    *value = (u64)high << 32 | low;
    return fault;
}

static inline int wrmsr_try(u32 msr, u64 value)
{
    int fault;
    TRY("wrmsr", fault, : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
    return fault;
}

static inline int read64_try(u64 address, u64 *value)
{
    u64 v = 0;
    int fault;
    TRY("movq (%2), %1", fault, , "+r"(v) : "r"(address) : "memory");
    *value = v;
    return fault;
}

static inline int write64_try(u64 address, u64 value)
{
    int fault;
    TRY("movq %2, (%1)", fault, : "r"(address), "r"(value) : "memory");
    return fault;
}
