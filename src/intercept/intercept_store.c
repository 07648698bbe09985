// SPDX-License-Identifier: MIT
// SGDT, SIDT, SLDT and STR that are to store 0: the operand by the VM-exit instruction information
// (SDM Tables 28-10 and 28-11).
#include "intercept/intercept_hit.h"
#include "intercept/intercept_internal.h"
#include "vcpu/guest_access.h"
#include "x86/walk.h"

static gva_t operand(struct vcpu *v, const struct exit_descriptor *exit, enum code_size code)
{
    u64 offset = exit->displacement;
    if (exit->has_base)
        offset += vcpu_get_gpr(v, exit->base);
    if (exit->has_index)
        offset += vcpu_get_gpr(v, exit->index) << exit->scale;
    if (exit->address_size < 8)
        offset = exit->address_size == 2 ? (u16)offset : (u32)offset;
    if (code != CODE_64 || exit->segment == SEG_FS || exit->segment == SEG_GS)
        offset += state_segment_base(exit->segment);
    return GVA(code == CODE_64 ? offset : (u32)offset);
}

bool hit_store_zero(struct vcpu *v)
{
    struct exit_descriptor exit = backend_exit_descriptor();
    bool table = v->run.reason == EXIT_REASON_GDTR_IDTR_ACCESS;
    if (!table && exit.in_register) {
        vcpu_set_gpr(v, exit.gpr, 0);
        return true;
    }
    struct guest_access a;
    struct emulation e;
    guest_access_begin(v, &e, &a);
    gva_t at = operand(v, &exit, e.code_size);
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
    if (vcpu_breaks())
        vcpu_break_at(v, BREAKPOINT_WRITE, at.v, size);
    return true;
}
