// SPDX-License-Identifier: MIT
// A8, A9: RDMSR and WRMSR: one register alone, a range, those that are let through and those that
// are not there, and the x2APIC's.
#include "intercept.h"

enum { MSR_NOWHERE = 0x12345, MSR_ABSENT = 0x5, VECTOR_SELF = 0x55 };

static u64 seed;

// n values written and read back; what was there comes back in the end. The first and the last of
// the accesses are a read and a write.
static bool keeps(u32 msr, unsigned n, u64 mask, enum action reads, enum action writes)
{
    u64 before = 0, value = 0;
    bool ok = went(reads, rdmsr_try(msr, &before), VECTOR_GP);
    if (reads == IGNORED)
        ok &= before == 0;
    for (unsigned i = 0; i < n; i++) {
        u64 want = ++seed * 0x111111111 & mask;
        ok &= went(writes, wrmsr_try(msr, want), VECTOR_GP);
        ok &= went(reads, rdmsr_try(msr, &value), VECTOR_GP);
        if (reads == AS_EVER)
            ok &= value == (writes == AS_EVER ? want : before);
        else if (reads == IGNORED)
            ok &= value == 0;
    }
    // What was there is 0 where it could not be read.
    return went(writes, wrmsr_try(msr, reads == AS_EVER ? before : 0), VECTOR_GP) && ok;
}

static bool absent(u32 msr, unsigned n)
{
    u64 value;
    bool ok = true;
    for (unsigned i = 0; i < n; i++) {
        ok &= rdmsr_try(msr, &value) == VECTOR_GP && caught_error == 0;
        ok &= wrmsr_try(msr, 1) == VECTOR_GP && caught_error == 0;
    }
    return ok;
}

static void say(const char *name, u64 reads, u64 writes)
{
    hits(reads, "msr:%s:r", name);
    hits(writes, "msr:%s:w", name);
    hits(reads + writes, "msr:%s", name);
}

// The item that denies or ignores is STAR's.
void part_msr(void)
{
    enum action reads = action_on(READ), writes = action_on(WRITE);
    enum action named = reads == AS_EVER ? writes : reads;
    seed = 0;
    report(keeps(MSR_STAR, 5, UINT64_MAX, reads, writes), "A8: STAR%s", action_name(named));
    report(keeps(MSR_LSTAR, 3, UINT32_MAX, AS_EVER, AS_EVER), "A8: LSTAR beside it");
    report(keeps(MSR_FMASK, 2, UINT32_MAX, AS_EVER, AS_EVER), "A8: FMASK");
    report(keeps(MSR_FS_BASE, 4, UINT32_MAX, AS_EVER, AS_EVER), "A8: FS_BASE");
    report(keeps(MSR_KERNEL_GS_BASE, 6, UINT32_MAX, AS_EVER, AS_EVER), "A8: KERNEL_GS_BASE");
    for (u32 msr = MSR_IA32_SYSENTER_CS; msr <= MSR_IA32_SYSENTER_EIP; msr++)
        report(keeps(msr, 2, 0xffff, AS_EVER, AS_EVER), "A8: MSR 0x%x", msr);
    int fault = wrmsr_try(MSR_LSTAR, BIT(63));
    report(fault == VECTOR_GP, "A8: a non-canonical address in LSTAR gives #GP");
    report(absent(MSR_NOWHERE, 2) && absent(MSR_ABSENT, 1), "A8: 2 MSRs that are not there");
    say("star", 6, 6);
    say("lstar", 4, 5);
    say("fs_base", 5, 5);
    say("kernel_gs_base", 7, 7);
    say("0xc0000081-0xc0000084", 6 + 4 + 3, 6 + 5 + 3);
    say("0x174-0x176", 9, 9);
    say("0x12345", 2, 2);
    say("0x5", 1, 1);
    hits(1 + 2 * 2 + 1 * 2, "exception:gp"); // raised in the CPU's place
}

// The runtime has read and written it once on the way to long mode.
void part_efer(void)
{
    u64 efer = rdmsr(MSR_EFER);
    bool ok = true;
    for (unsigned i = 0; i < 4; i++) {
        wrmsr(MSR_EFER, efer ^ EFER_SCE);
        ok &= rdmsr(MSR_EFER) == (efer ^ EFER_SCE);
        wrmsr(MSR_EFER, efer);
        ok &= rdmsr(MSR_EFER) == efer;
    }
    report(ok, "A9: 8 writes of EFER");
    ok = wrmsr_try(MSR_EFER, efer | BIT(63)) == VECTOR_GP;
    ok &= wrmsr_try(MSR_EFER, efer & ~(u64)EFER_LME) == VECTOR_GP;
    report(ok && rdmsr(MSR_EFER) == efer, "A9: 2 writes of EFER that give #GP");
    report(keeps(MSR_STAR, 2, UINT64_MAX, AS_EVER, AS_EVER), "A9: STAR beside it");
    say("efer", 10 + 1, 10 + 1);
    say("star", 3, 3);
    hits(10 + 1 + 3, "msr:0xc0000080-0xc0000084:w");
}

static volatile unsigned selves;

static void on_self(struct interrupt_frame *f)
{
    (void)f;
    selves++;
    wrmsr(0x80b, 0); // EOI
}

static u64 read_cr8(void)
{
    u64 value;
    __asm__ volatile("mov %%cr8, %0" : "=r"(value));
    return value;
}

// TPR, EOI and self-IPIs, which a CPU with APICv carries out without an exit.
void part_x2apic(void)
{
    if (!apic_is_x2apic()) {
        report_skip("A8: no x2APIC");
        return;
    }
    bool ok = true;
    for (u64 i = 0; i < 8; i++) {
        wrmsr(0x808, i << 4);
        ok &= rdmsr(0x808) == i << 4 && read_cr8() == i;
    }
    wrmsr(0x808, 0);
    report(ok, "A8: TPR by MSR, 9 writes, and as CR8 shows it");
    interrupt_set(VECTOR_SELF, on_self);
    selves = 0;
    for (unsigned i = 0; i < 6; i++) {
        wrmsr(0x83f, VECTOR_SELF);
        interrupts_on();
        interrupts_off();
        ok &= selves == i + 1;
    }
    interrupt_set(VECTOR_SELF, NULL);
    report(ok, "A8: 6 self-IPIs by MSR, and their EOIs");
    u64 value;
    ok = wrmsr_try(0x808, 0x100) == VECTOR_GP && rdmsr_try(0x80b, &value) == VECTOR_GP &&
         wrmsr_try(0x802, 0) == VECTOR_GP;
    report(ok, "A8: what the x2APIC's MSRs refuse");
    say("x2apic_tpr", 8, 10 + 1); // once when the runtime turned it on
    say("x2apic_eoi", 1, 6);
    say("x2apic_self_ipi", 0, 6);
}
