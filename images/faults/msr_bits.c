// SPDX-License-Identifier: MIT
// MSRs that are there: the bits that a guest has are kept, others give #GP, and some are told only
// (SDM Vol. 4; DEBUGCTL: Vol. 3, 18.4).
#include "faults.h"
#include "guest.h"

enum { LBR = BIT(0), BTF = BIT(1) };

static bool keeps(u32 msr, u64 value)
{
    return wrmsr_try(msr, value) == NO_FAULT && rdmsr(msr) == value;
}

// All but these bits give #GP, and change nothing.
static bool refuses_others(u32 msr, u64 bits)
{
    u64 before = rdmsr(msr);
    bool right = true;
    for (unsigned i = 0; i < 64; i++) {
        if (bits >> i & 1)
            continue;
        if (wrmsr_try(msr, before | BIT(i)) == NO_FAULT || rdmsr(msr) != before) {
            printf("MSR 0x%x takes bit %u\n", msr, i);
            right = false;
        }
    }
    return right;
}

static volatile u64 stepped_to;

static void on_debug(struct interrupt_frame *f)
{
    stepped_to = f->rip;
    f->rflags &= ~(u64)RFLAGS_TF;
}

// With BTF only a branch is a step. An emulator may not know that; but who carries out CPUID must.
static void check_branch_step(void)
{
    u64 after_cpuid, after_jump;
    interrupt_set(VECTOR_DB, on_debug);
    wrmsr(MSR_IA32_DEBUGCTL, LBR | BTF);
    __asm__ volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %1; xor %%eax, %%eax\n"
                     "pushfq; orq $0x100, (%%rsp); popfq\n"
                     "cpuid\n1: nop; jmp 2f\n2: nop"
                     : "=&S"(after_cpuid), "=&D"(after_jump)::"rax", "rbx", "rcx", "rdx", "memory",
                       "cc");
    interrupt_set(VECTOR_DB, NULL);
    report(stepped_to > after_cpuid && stepped_to <= after_jump,
           "A8: with DEBUGCTL.BTF, CPUID is no step (0x%lx)", stepped_to - after_cpuid);
    report(rdmsr(MSR_IA32_DEBUGCTL) == 0, "A8: and the #DB clears LBR and BTF");
}

void faults_msr_bits(void)
{
    u64 misc = rdmsr(MSR_IA32_MISC_ENABLE), read_only = BIT(7) | BIT(11) | BIT(12), value;
    report(keeps(MSR_IA32_DEBUGCTL, LBR) && keeps(MSR_IA32_DEBUGCTL, LBR | BTF) &&
               keeps(MSR_IA32_DEBUGCTL, 0),
           "A8: DEBUGCTL keeps LBR and BTF");
    report(refuses_others(MSR_IA32_DEBUGCTL, LBR | BTF), "A8: and refuses other bits");
    report(rdmsr_try(MSR_LASTBRANCHFROMIP, &value) == NO_FAULT && value == 0,
           "A8: there is no last branch");
    report((misc & 1) != 0 && keeps(MSR_IA32_MISC_ENABLE, misc & ~1ul) &&
               keeps(MSR_IA32_MISC_ENABLE, misc),
           "A8: IA32_MISC_ENABLE keeps fast strings");
    report(refuses_others(MSR_IA32_MISC_ENABLE, 1 | read_only), "A8: and refuses other bits");
    report(wrmsr_try(MSR_IA32_MISC_ENABLE, misc ^ read_only) == NO_FAULT &&
               rdmsr(MSR_IA32_MISC_ENABLE) == misc,
           "A8: but those that are read-only");
    report(wrmsr_try(MSR_IA32_BIOS_UPDT_TRIG, BIT(63)) == VECTOR_GP &&
               wrmsr_try(MSR_IA32_BIOS_UPDT_TRIG, 0x10000) == NO_FAULT,
           "A8: a microcode update has an address");
    check_branch_step();
}
