// SPDX-License-Identifier: MIT
// Instructions that exit only where an interception asks for it, and control registers: carried out
// as if they had not been caught. What the CPU checks before the exit (SDM 26.1.1) is not checked
// again.
#include "ept/ept.h"
#include "lib/cpu.h"
#include "vcpu/exits.h"
#include "vcpu/guest_access.h"
#include "vcpu/vapic.h"
#include "x86/alu.h"
#include "x86/bits.h"

void exit_rdtsc(struct vcpu *v)
{
    u64 tsc = vcpu_guest_tsc(v, rdtsc());
    v->run.gpr[RAX] = (u32)tsc;
    v->run.gpr[RDX] = tsc >> 32;
    vcpu_skip_instruction(v);
}

void exit_rdtscp(struct vcpu *v)
{
    if (!v->guest->has_rdtscp) {
        vcpu_raise_ud(v);
        return;
    }
    v->run.gpr[RCX] = (u32)v->switched.tsc_aux; // always up to date: writing it exits
    exit_rdtsc(v);
}

void random_result(struct vcpu *v, u64 value, bool ok)
{
    struct exit_random exit = backend_exit_random();
    u64 arithmetic = RFLAGS_OF | RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF | RFLAGS_CF;
    state_set(STATE_RFLAGS, (state_get(STATE_RFLAGS) & ~arithmetic) | (ok ? RFLAGS_CF : 0));
    if (exit.size == 2)
        value = (vcpu_get_gpr(v, exit.gpr) & ~0xfffful) | (u16)value;
    else if (exit.size == 4)
        value = (u32)value;
    vcpu_set_gpr(v, exit.gpr, value);
    vcpu_skip_instruction(v);
}

void exit_random(struct vcpu *v)
{
    u64 value;
    bool ok;
    if (v->run.reason == EXIT_REASON_RDRAND)
        __asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(ok));
    else
        __asm__ volatile("rdseed %0" : "=r"(value), "=@ccc"(ok));
    random_result(v, value, ok);
}

// INVLPG drops more than the page's translation: all that is cached of paging structures (SDM
// 4.10.4.1), which INVVPID of one address does not.
void exit_invlpg(struct vcpu *v)
{
    flush_vpid(v->run.vpid);
    vcpu_skip_instruction(v);
}

// INVLPG exiting has it exit too; it has an operand in memory.
void exit_invpcid(struct vcpu *v)
{
    step_over(v, STEP_OVER_INVPCID);
}

// SGDT, LGDT and the like touch memory and load hidden parts of registers: the CPU's work.
void exit_descriptor_table(struct vcpu *v)
{
    step_over(v, STEP_OVER_DESCRIPTORS);
}

static bool write_cr(struct vcpu *v, unsigned cr, u64 value)
{
    switch (cr) {
    case 0:
        return vcpu_set_cr0(v, value);
    case 3:
        return vcpu_set_cr3(v, value);
    case 4:
        return vcpu_set_cr4(v, value);
    default: // 8
        if (value > 15)
            return false;
        vapic_cr8_write(v, value);
        return true;
    }
}

// An operand has 64 bits in 64-bit code, else 32.
static u64 operand_mask(void)
{
    return guest_code_size() == CODE_64 ? UINT64_MAX : UINT32_MAX;
}

u64 cr_written(struct vcpu *v, const struct exit_cr *exit)
{
    if (exit->access == CR_CLTS)
        return backend_cr0() & ~CR0_TS;
    if (exit->access == CR_LMSW) // sets PE but never clears it
        return (backend_cr0() & ~(CR0_MP | CR0_EM | CR0_TS)) | (exit->word & 0xf);
    return vcpu_get_gpr(v, exit->gpr) & operand_mask();
}

// MOV to and from control registers, CLTS, LMSW.
void exit_cr(struct vcpu *v)
{
    struct exit_cr exit = backend_exit_cr();
    unsigned cr = exit.number; // 0 for CLTS and LMSW
    bool ok = true;
    if (exit.access == CR_FROM) // 3 or 8: the others do not exit
        vcpu_set_gpr(v, exit.gpr,
                     cr == 3 ? state_get(STATE_CR3) & operand_mask() : vapic_cr8_read(v));
    else
        ok = write_cr(v, cr, cr_written(v, &exit));
    if (ok)
        vcpu_skip_instruction(v);
    else
        vcpu_raise_gp(v, 0);
}
