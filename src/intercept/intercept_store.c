// SPDX-License-Identifier: MIT
// SGDT, SIDT, SLDT and STR that are to store 0: the operand by the VM-exit instruction information
// (SDM Tables 28-10 and 28-11).
#include "intercept/intercept_hit.h"
#include "vcpu/guest_access.h"
#include "vcpu/vcpu_internal.h"
#include "x86/walk.h"

#define INFO_SCALE(i)        ((unsigned)(i)&3)
#define INFO_REGISTER(i)     ((unsigned)((i) >> 3) & 15)
#define INFO_ADDRESS_SIZE(i) ((unsigned)((i) >> 7) & 7) // 0, 1, 2: 16, 32, 64 bits
#define INFO_IN_REGISTER     BIT(10)                    // of SLDT and STR
#define INFO_SEGMENT(i)      ((enum segment_name)((i) >> 15 & 7))
#define INFO_INDEX(i)        ((unsigned)((i) >> 18) & 15)
#define INFO_NO_INDEX        BIT(22)
#define INFO_BASE(i)         ((unsigned)((i) >> 23) & 15)
#define INFO_NO_BASE         BIT(27)

static gva_t operand(struct vcpu *v, u64 info, enum code_size code)
{
    u64 offset = vmread(EXIT_QUALIFICATION); // the displacement
    if (!(info & INFO_NO_BASE))
        offset += vcpu_get_gpr(v, INFO_BASE(info));
    if (!(info & INFO_NO_INDEX))
        offset += vcpu_get_gpr(v, INFO_INDEX(info)) << INFO_SCALE(info);
    if (INFO_ADDRESS_SIZE(info) < 2)
        offset = INFO_ADDRESS_SIZE(info) == 0 ? (u16)offset : (u32)offset;
    enum segment_name segment = INFO_SEGMENT(info);
    if (code != CODE_64 || segment == SEG_FS || segment == SEG_GS)
        offset += vmread(GUEST_ES_BASE + 2 * segment);
    return GVA(code == CODE_64 ? offset : (u32)offset);
}

bool hit_store_zero(struct vcpu *v)
{
    u64 info = vmread(EXIT_INSTRUCTION_INFO);
    bool table = v->run.reason == EXIT_REASON_GDTR_IDTR_ACCESS;
    if (!table && (info & INFO_IN_REGISTER)) {
        vcpu_set_gpr(v, INFO_REGISTER(info), 0);
        return true;
    }
    struct guest_access a;
    struct emulation e;
    guest_access_begin(v, &e, &a);
    gva_t at = operand(v, info, e.code_size);
    unsigned size = !table ? 2 : e.code_size == CODE_64 ? 10 : 6; // limit and base
    gpa_t gpa[10];
    for (unsigned i = 0; i < size; i++) {
        u32 error_code = 0;
        enum error error = e.ops->translate(e.ctx, GVA(at.v + i), WALK_WRITE, &gpa[i], &error_code);
        if (error == OK)
            continue;
        if (error == ERR_FAULT)
            vcpu_raise_pf(v, at.v + i, error_code);
        else
            vcpu_raise_gp(v, 0);
        return false;
    }
    for (unsigned i = 0; i < size; i++)
        e.ops->write(e.ctx, gpa[i], 1, 0);
    return true;
}
