// SPDX-License-Identifier: MIT
// Garbage in all MSRs and control registers, and instructions that have effects on the machine.
#include "hostile.h"

enum { X2APIC_ICR = 0x830, X2APIC_END = 0x83f };
enum { APIC_BASE = 0x1b, X2APIC = 0x800 };

static u64 answered;

static void try_msr(u32 msr)
{
    u64 before = 0, value;
    if (rdmsr_try(msr, &before) == NO_FAULT)
        answered++;
    // Interrupts and its mode are the APIC's part.
    if (msr == APIC_BASE || (msr >= X2APIC && msr <= X2APIC_END))
        return;
    bool kept = wrmsr_try(msr, random_odd()) == NO_FAULT;
    kept |= wrmsr_try(msr, UINT64_MAX) == NO_FAULT;
    kept |= wrmsr_try(msr, random_next()) == NO_FAULT;
    answered += kept;
    if (!kept)
        return;
    int fault = rdmsr_try(msr, &value);
    check(fault == NO_FAULT || fault == VECTOR_GP, "MSR %x: %d", msr, fault);
    (void)wrmsr_try(msr, before);
}

static void absent(u32 msr)
{
    u64 value;
    check(rdmsr_try(msr, &value) == VECTOR_GP && wrmsr_try(msr, 0) == VECTOR_GP, "MSR %x", msr);
}

void part_msrs(void)
{
    answered = 0;
    for (u32 n = 0; n < 0x2000; n++) {
        try_msr(n);
        try_msr(0xc0000000 + n);
    }
    for (u32 n = 0; n < 0x1000; n++)
        try_msr(0x40000000 + n);
    for (u32 n = 0; n < 2000; n++)
        try_msr((u32)random_next() | 0x2000);
    check(answered > 50, "%lu MSRs are there", answered);
    for (u32 n = 0x480; n <= 0x491; n++)
        absent(n);
    absent(0x40000000);
    absent(0xc0010114); // SVM's
}

// Bits of CR0, CR4 and EFER that may change while this code goes on.
#define CR0_FREE (~(u64)(CR0_PG | CR0_PE))
#define CR4_FREE (~(u64)(CR4_PAE | BIT(12)))

static void try_controls(void)
{
    u64 cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), efer = rdmsr(MSR_EFER);
    u64 value, odd = random_odd();
    int fault;
    switch (random_below(9)) {
    case 0:
        TRY("mov %1, %%cr0", fault, : "r"(cr0 ^ (odd & CR0_FREE)) : "memory");
        TRY("mov %1, %%cr0", fault, : "r"(cr0) : "memory");
        break;
    case 1:
        TRY("mov %1, %%cr2", fault, : "r"(odd) : "memory");
        check(fault == NO_FAULT && read_cr2() == odd, "CR2 = %lx: %d", odd, fault);
        break;
    case 2: // reserved bits, or bits that mean little
        TRY("mov %1, %%cr3", fault, : "r"(cr3 | (odd & ~0xfffffff000ul)) : "memory");
        TRY("mov %1, %%cr3", fault, : "r"(cr3) : "memory");
        break;
    case 3:
        TRY("mov %1, %%cr4", fault, : "r"(cr4 ^ (odd & CR4_FREE)) : "memory");
        TRY("mov %1, %%cr4", fault, : "r"(cr4) : "memory");
        check(fault == NO_FAULT, "CR4 = %lx: %d", cr4, fault);
        break;
    case 4:
        TRY("mov %1, %%cr8", fault, : "r"(odd) : "memory");
        check((fault == NO_FAULT) == (odd < 16), "CR8 = %lx: %d", odd, fault);
        TRY("mov %1, %%cr8", fault, : "r"(0ul) : "memory");
        break;
    case 5:
        (void)wrmsr_try(MSR_EFER, odd & 0x500 ? odd : efer ^ odd);
        (void)wrmsr_try(MSR_EFER, efer);
        check(rdmsr(MSR_EFER) == efer, "EFER is %lx", rdmsr(MSR_EFER));
        break;
    case 6:
        TRY("mov %1, %%cr4", fault, : "r"(cr4 | BIT(18)) : "memory"); // OSXSAVE
        if (fault == NO_FAULT) {
            TRY("xsetbv", fault, : "a"((u32)odd), "d"((u32)(odd >> 32)), "c"(0) : "memory");
            check(fault == NO_FAULT || fault == VECTOR_GP, "XCR0 = %lx: %d", odd, fault);
            TRY("xsetbv", fault, : "a"(1), "d"(0), "c"((u32)random_odd() | 2) : "memory");
            check(fault == VECTOR_GP, "another XCR: %d", fault);
            TRY("xsetbv", fault, : "a"(1), "d"(0), "c"(0) : "memory");
        }
        TRY("mov %1, %%cr4", fault, : "r"(cr4) : "memory");
        break;
    case 7: // DR0 to DR3 may watch this very stack: they come to nothing
        TRY("mov %1, %%dr6", fault, : "r"(odd) : "memory");
        check((fault == NO_FAULT) == (odd >> 32 == 0), "DR6 = %lx: %d", odd, fault);
        TRY("mov %1, %%dr0", fault, : "r"(odd) : "memory");
        TRY("mov %1, %%dr3", fault, : "r"(random_odd()) : "memory");
        TRY("mov %1, %%dr7", fault, : "r"(odd & ~0xffffff20fful) : "memory");
        check(fault == NO_FAULT || odd >> 32 != 0, "DR7 = %lx: %d", odd, fault);
        TRY("mov %1, %%dr7", fault, : "r"(odd | BIT(40)) : "memory");
        check(fault == VECTOR_GP, "DR7 with bit 40: %d", fault);
        TRY("mov %1, %%dr7", fault, : "r"(0x400ul) : "memory");
        break;
    default: // paging cannot go in 64-bit code, nor protection
        TRY("mov %1, %%cr0", fault, : "r"(cr0 & ~(u64)CR0_PG) : "memory");
        check(fault == VECTOR_GP, "CR0.PG off: %d", fault);
        TRY("mov %1, %%cr0", fault, : "r"(cr0 & ~(u64)CR0_PE) : "memory");
        check(fault == VECTOR_GP, "CR0.PE off: %d", fault);
        TRY("mov %1, %%cr4", fault, : "r"(cr4 & ~(u64)CR4_PAE) : "memory");
        check(fault == VECTOR_GP, "CR4.PAE off: %d", fault);
        TRY("lmsw %w1", fault, : "r"(odd | 1) : "memory");
        TRY("clts", fault, ::"memory");
        TRY("mov %1, %%cr0", fault, : "r"(cr0) : "memory");
        value = read_cr0();
        check(value == cr0, "CR0 is %lx, not %lx", value, cr0);
    }
}

void part_registers(void)
{
    for (unsigned i = 0; i < 3000; i++)
        try_controls();
}

void part_hypercalls(void)
{
    for (unsigned i = 0; i < 2000; i++) {
        u64 a = i < 300 ? i : random_odd(), b = random_odd(), c = random_odd(), d = random_odd();
        int fault;
        TRY("vmcall", fault, , "+a"(a), "+b"(b), "+c"(c), "+d"(d)::"memory");
        check(fault == NO_FAULT, "VMCALL: %d", fault);
    }
    for (unsigned i = 0; i < 2000; i++)
        (void)cpuid((u32)random_odd(), (u32)random_odd());
    check((cpuid(1, 0).ecx & BIT(5)) == 0, "CPUID offers VMX");
}

void part_caches(void)
{
    static u8 line[64] ALIGNED(64);
    int fault;
    for (unsigned i = 0; i < 2000; i++) {
        __asm__ volatile("wbinvd; clflush %0; invlpg %0; pause; mfence" : "+m"(line));
        __asm__ volatile("invd" : "+m"(line));
        __asm__ volatile("invlpg (%0)" ::"r"(random_odd()) : "memory");
    }
    TRY("monitor", fault, : "a"(line), "c"(0), "d"(0) : "memory");
    check(fault == VECTOR_UD, "MONITOR: %d", fault);
    TRY("mwait", fault, : "a"(0), "c"(0) : "memory");
    check(fault == VECTOR_UD, "MWAIT: %d", fault);
    for (unsigned i = 0; i < 100000; i++)
        cpu_pause();
}
