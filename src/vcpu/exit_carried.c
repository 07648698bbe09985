// SPDX-License-Identifier: MIT
// Instructions that exit only where an interception asks for it, and control registers: carried out
// as if they had not been caught. What the CPU checks before the exit (SDM 26.1.1) is not checked
// again.
#include "ept/ept.h"
#include "lib/cpu.h"
#include "vcpu/guest_access.h"
#include "vcpu/vcpu_internal.h"
#include "vmx/flush.h"
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

// The instruction information of RDRAND and RDSEED (SDM Table 28-12).
#define INFO_REGISTER(i) ((unsigned)(i) >> 3 & 15)
#define INFO_SIZE(i)     (2u << ((i) >> 11 & 3)) // bytes

void random_result(struct vcpu *v, u64 value, bool ok)
{
    u64 info = vmread(EXIT_INSTRUCTION_INFO);
    u64 arithmetic = RFLAGS_OF | RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF | RFLAGS_CF;
    vmwrite(GUEST_RFLAGS, (vmread(GUEST_RFLAGS) & ~arithmetic) | (ok ? RFLAGS_CF : 0));
    if (INFO_SIZE(info) == 2)
        value = (vcpu_get_gpr(v, INFO_REGISTER(info)) & ~0xfffful) | (u16)value;
    else if (INFO_SIZE(info) == 4)
        value = (u32)value;
    vcpu_set_gpr(v, INFO_REGISTER(info), value);
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
    vpid_flush(v->run.vpid);
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
        v->guest->ops->cr8_write(v, value);
        return true;
    }
}

// An operand has 64 bits in 64-bit code, else 32.
static u64 operand_mask(void)
{
    return guest_code_size() == CODE_64 ? UINT64_MAX : UINT32_MAX;
}

u64 cr_written(struct vcpu *v, u64 q)
{
    if (CR_TYPE(q) == CR_CLTS)
        return vcpu_cr0(v) & ~CR0_TS;
    if (CR_TYPE(q) == CR_LMSW) // sets PE but never clears it
        return (vcpu_cr0(v) & ~(CR0_MP | CR0_EM | CR0_TS)) | (q >> 16 & 0xf);
    return vcpu_get_gpr(v, CR_GPR(q)) & operand_mask();
}

// MOV to and from control registers, CLTS, LMSW.
void exit_cr(struct vcpu *v)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    unsigned cr = CR_NUMBER(q), gpr = CR_GPR(q); // 0 for CLTS and LMSW
    bool ok = true;
    if (CR_TYPE(q) == CR_FROM) // 3 or 8: the others do not exit
        vcpu_set_gpr(v, gpr,
                     cr == 3 ? vmread(GUEST_CR3) & operand_mask() : v->guest->ops->cr8_read(v));
    else
        ok = write_cr(v, cr, cr_written(v, q));
    if (ok)
        vcpu_skip_instruction(v);
    else
        vcpu_raise_gp(v, 0);
}
