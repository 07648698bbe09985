// SPDX-License-Identifier: MIT
// Near branches where the target or the stack is a device's: CALL, JMP, RET.
#include "x86/emulate_system.h"
#include "x86/registers.h"

enum emulate_status emulate_branch(struct emulation *e, const struct instruction *i, u64 target)
{
    target = emulate_cut(target, i->operand_size);
    if (e->code_size == CODE_64) {
        if (!emulate_is_canonical(target))
            return emulate_raise_gp(e);
    } else {
        struct segment cs;
        e->ops->segment(e->ctx, SEG_CS, &cs);
        if (target > cs.limit)
            return emulate_raise_gp(e);
    }
    e->next = target;
    return EMULATE_DONE;
}

// CALL to target, or to what rm says; what can fault is tried before rm is read, but for the
// target.
static enum emulate_status call(struct emulation *e, const struct instruction *i,
                                const struct operand *rm, u64 target)
{
    u64 back = e->next;
    struct stack stack = emulate_stack_begin(e);
    struct place p;
    enum emulate_status s = emulate_push(e, &stack, i->operand_size, &p);
    if (s != EMULATE_DONE)
        return s;
    if (rm != NULL)
        target = emulate_load(e, i, rm);
    s = emulate_branch(e, i, target);
    if (s != EMULATE_DONE)
        return s;
    emulate_write(e, &p, emulate_cut(back, i->operand_size));
    emulate_stack_end(e, &stack);
    return s;
}

// FF /2 and /4.
static enum emulate_status branch_rm(struct emulation *e, const struct instruction *i)
{
    struct operand rm;
    enum emulate_status s = emulate_find_rm(e, i, i->operand_size, WALK_READ, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    if (emulate_group(i) == 2)
        return call(e, i, &rm, 0);
    return emulate_branch(e, i, emulate_load(e, i, &rm));
}

static enum emulate_status ret(struct emulation *e, const struct instruction *i)
{
    struct stack stack = emulate_stack_begin(e);
    struct place p;
    enum emulate_status s = emulate_pop(e, &stack, i->operand_size, &p);
    if (s == EMULATE_DONE)
        s = emulate_branch(e, i, emulate_read(e, &p));
    if (s != EMULATE_DONE)
        return s;
    stack.sp = emulate_cut(stack.sp + (u16)i->immediate, stack.width);
    emulate_stack_end(e, &stack);
    return s;
}

enum emulate_status emulate_near(struct emulation *e, const struct instruction *i)
{
    switch (i->opcode) {
    case 0xc2:
    case 0xc3:
        return ret(e, i);
    case 0xe8:
        return call(e, i, NULL, e->next + (u64)i->immediate);
    default: // FF
        return branch_rm(e, i);
    }
}
