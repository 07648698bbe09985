// SPDX-License-Identifier: MIT
// The stack: PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE. Operand, stack or both may be a
// device's.
#include "x86/bits.h"
#include "x86/emulate_system.h"
#include "x86/registers.h"

#define LEVELS_MAX 32 // of ENTER

struct stack emulate_stack_begin(struct emulation *e)
{
    struct stack s = {.width = 8};
    if (e->code_size != CODE_64) {
        struct segment ss;
        e->ops->segment(e->ctx, SEG_SS, &ss);
        s.width = ss.access & SEGMENT_BIG ? 4 : 2;
    }
    s.sp = emulate_cut(e->gpr[RSP], s.width);
    return s;
}

void emulate_stack_end(struct emulation *e, const struct stack *s)
{
    emulate_set_gpr(e, RSP, s->width, s->sp);
}

enum emulate_status emulate_push(struct emulation *e, struct stack *s, unsigned size,
                                 struct place *p)
{
    s->sp = emulate_cut(s->sp - size, s->width);
    return emulate_reach(e, SEG_SS, s->sp, size, WALK_WRITE, p);
}

enum emulate_status emulate_pop(struct emulation *e, struct stack *s, unsigned size,
                                struct place *p)
{
    u64 sp = s->sp;
    s->sp = emulate_cut(sp + size, s->width);
    return emulate_reach(e, SEG_SS, sp, size, WALK_READ, p);
}

// ---- PUSH and POP ------------------------------------------------------------------------------

static enum emulate_status push(struct emulation *e, unsigned size, u64 value)
{
    struct stack stack = emulate_stack_begin(e);
    struct place p;
    enum emulate_status s = emulate_push(e, &stack, size, &p);
    if (s != EMULATE_DONE)
        return s;
    emulate_write(e, &p, emulate_cut(value, size));
    emulate_stack_end(e, &stack);
    return s;
}

// FF /6.
static enum emulate_status push_rm(struct emulation *e, const struct instruction *i)
{
    struct stack stack = emulate_stack_begin(e);
    struct operand rm;
    struct place p;
    enum emulate_status s = emulate_find_rm(e, i, i->operand_size, WALK_READ, 0, &rm);
    if (s == EMULATE_DONE)
        s = emulate_push(e, &stack, i->operand_size, &p);
    if (s != EMULATE_DONE)
        return s;
    emulate_write(e, &p, emulate_load(e, i, &rm));
    emulate_stack_end(e, &stack);
    return s;
}

// 8F /0, and 58..5F. The operand's address is found with SP as it is afterwards, and what is popped
// to SP stays there.
static enum emulate_status pop_rm(struct emulation *e, const struct instruction *i)
{
    u64 rsp = e->gpr[RSP];
    struct stack stack = emulate_stack_begin(e);
    struct operand rm = {.reg = i->has_modrm ? i->rm : i->reg, .size = i->operand_size};
    struct place p;
    enum emulate_status s = emulate_pop(e, &stack, i->operand_size, &p);
    if (s != EMULATE_DONE)
        return s;
    emulate_stack_end(e, &stack);
    if (i->has_memory)
        s = emulate_find_rm(e, i, i->operand_size, WALK_WRITE, 0, &rm);
    if (s == EMULATE_DONE)
        emulate_store(e, i, &rm, emulate_read(e, &p));
    else
        e->gpr[RSP] = rsp;
    return s;
}

// A selector is pushed as a word where the operand has 4 bytes (SDM Vol. 2, PUSH).
static enum emulate_status push_segment(struct emulation *e, const struct instruction *i,
                                        enum segment_name segment)
{
    struct stack stack = emulate_stack_begin(e);
    struct segment value;
    struct place p;
    e->ops->segment(e->ctx, segment, &value);
    stack.sp = emulate_cut(stack.sp - i->operand_size, stack.width);
    unsigned size = i->operand_size == 4 ? 2 : i->operand_size;
    enum emulate_status s = emulate_reach(e, SEG_SS, stack.sp, size, WALK_WRITE, &p);
    if (s != EMULATE_DONE)
        return s;
    emulate_write(e, &p, value.selector);
    emulate_stack_end(e, &stack);
    return s;
}

static enum emulate_status pop_segment(struct emulation *e, const struct instruction *i,
                                       enum segment_name segment)
{
    struct stack stack = emulate_stack_begin(e);
    struct place p;
    enum emulate_status s = emulate_pop(e, &stack, i->operand_size, &p);
    if (s == EMULATE_DONE)
        s = emulate_load_segment(e, segment, (u16)emulate_read(e, &p));
    if (s != EMULATE_DONE)
        return s;
    emulate_stack_end(e, &stack);
    e->blocks = segment == SEG_SS;
    return s;
}

static enum emulate_status push_all(struct emulation *e, const struct instruction *i)
{
    struct stack stack = emulate_stack_begin(e);
    struct place p[8];
    enum emulate_status s = EMULATE_DONE;
    for (unsigned n = 0; n < 8 && s == EMULATE_DONE; n++)
        s = emulate_push(e, &stack, i->operand_size, &p[n]);
    if (s != EMULATE_DONE)
        return s;
    for (unsigned n = 0; n < 8; n++) // EAX first, ESP as it was
        emulate_write(e, &p[n], emulate_cut(e->gpr[n], i->operand_size));
    emulate_stack_end(e, &stack);
    return s;
}

static enum emulate_status pop_all(struct emulation *e, const struct instruction *i)
{
    struct stack stack = emulate_stack_begin(e);
    struct place p[8];
    enum emulate_status s = EMULATE_DONE;
    for (unsigned n = 0; n < 8 && s == EMULATE_DONE; n++)
        s = emulate_pop(e, &stack, i->operand_size, &p[n]);
    if (s != EMULATE_DONE)
        return s;
    for (unsigned n = 0; n < 8; n++) {
        if (7 - n != RSP) // it is left out, and not read
            emulate_set_gpr(e, 7 - n, i->operand_size, emulate_read(e, &p[n]));
    }
    emulate_stack_end(e, &stack);
    return s;
}

// ---- flags -------------------------------------------------------------------------------------

static unsigned iopl(const struct emulation *e)
{
    return (unsigned)(e->rflags >> 12 & 3);
}

static bool keeps_flags(const struct emulation *e)
{
    return (e->rflags & RFLAGS_VM) && iopl(e) < 3; // a #GP, or CR4.VME's business
}

static enum emulate_status push_flags(struct emulation *e, const struct instruction *i)
{
    if (keeps_flags(e))
        return EMULATE_UNSUPPORTED;
    return push(e, i->operand_size, e->rflags & ~(RFLAGS_VM | RFLAGS_RF));
}

// What may change depends on CPL and IOPL (SDM Vol. 2, table 4-15).
static enum emulate_status pop_flags(struct emulation *e, const struct instruction *i)
{
    struct stack stack = emulate_stack_begin(e);
    struct place p;
    if (keeps_flags(e))
        return EMULATE_UNSUPPORTED;
    enum emulate_status s = emulate_pop(e, &stack, i->operand_size, &p);
    if (s != EMULATE_DONE)
        return s;
    unsigned cpl = e->rflags & RFLAGS_VM ? 3 : e->cr0 & CR0_PE ? e->cpl : 0;
    u64 may = ALU_FLAGS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;
    if (i->operand_size > 2)
        may |= RFLAGS_AC | RFLAGS_ID;
    if (cpl <= iopl(e))
        may |= RFLAGS_IF;
    if (cpl == 0)
        may |= RFLAGS_IOPL;
    e->rflags = (e->rflags & ~may) | (emulate_read(e, &p) & may);
    emulate_stack_end(e, &stack);
    return s;
}

// ---- frames ------------------------------------------------------------------------------------

// ENTER: BP, the frame pointers of the outer levels and the new one go on the stack, below which
// there is to be room.
static enum emulate_status enter(struct emulation *e, const struct instruction *i)
{
    unsigned size = i->operand_size, level = i->immediate2 % LEVELS_MAX, pushes = level + 1;
    struct stack stack = emulate_stack_begin(e);
    struct place from[LEVELS_MAX], to[LEVELS_MAX + 1], last;
    u64 bp = e->gpr[RBP], frame = emulate_cut(stack.sp - size, stack.width);
    enum emulate_status s = EMULATE_DONE;
    for (unsigned n = 0; n < pushes && s == EMULATE_DONE; n++) {
        s = emulate_push(e, &stack, size, &to[n]);
        if (n == 0 || n + 1 == pushes || s != EMULATE_DONE)
            continue;
        bp -= size;
        s = emulate_reach(e, SEG_SS, emulate_cut(bp, stack.width), size, WALK_READ, &from[n]);
    }
    stack.sp = emulate_cut(stack.sp - (u16)i->immediate, stack.width);
    if (s == EMULATE_DONE)
        s = emulate_reach(e, SEG_SS, stack.sp, size, WALK_WRITE, &last);
    if (s != EMULATE_DONE)
        return s;
    emulate_write(e, &to[0], emulate_cut(e->gpr[RBP], size));
    for (unsigned n = 1; n < level; n++)
        emulate_write(e, &to[n], emulate_read(e, &from[n]));
    if (level > 0)
        emulate_write(e, &to[level], emulate_cut(frame, size));
    emulate_set_gpr(e, RBP, size, frame);
    emulate_stack_end(e, &stack);
    return s;
}

static enum emulate_status leave(struct emulation *e, const struct instruction *i)
{
    struct stack stack = emulate_stack_begin(e);
    struct place p;
    stack.sp = emulate_cut(e->gpr[RBP], stack.width);
    enum emulate_status s = emulate_pop(e, &stack, i->operand_size, &p);
    if (s != EMULATE_DONE)
        return s;
    emulate_stack_end(e, &stack);
    emulate_set_gpr(e, RBP, i->operand_size, emulate_read(e, &p));
    return s;
}

enum emulate_status emulate_stack(struct emulation *e, const struct instruction *i)
{
    if (i->map == MAP_0F) // A0, A1, A8, A9: FS and GS
        return i->opcode & 1 ? pop_segment(e, i, SEG_ES + (i->opcode >> 3 & 7))
                             : push_segment(e, i, SEG_ES + (i->opcode >> 3 & 7));
    switch (i->opcode) {
    case 0x06:
    case 0x0e:
    case 0x16:
    case 0x1e:
        return push_segment(e, i, SEG_ES + (i->opcode >> 3 & 3));
    case 0x07:
    case 0x17:
    case 0x1f:
        return pop_segment(e, i, SEG_ES + (i->opcode >> 3 & 3));
    case 0x50 ... 0x57:
        return push(e, i->operand_size, e->gpr[i->reg]);
    case 0x8f:
        if (emulate_group(i) != 0)
            return emulate_raise_ud(e);
        return pop_rm(e, i);
    case 0x58 ... 0x5f:
        return pop_rm(e, i);
    case 0x60:
        return push_all(e, i);
    case 0x61:
        return pop_all(e, i);
    case 0x68:
    case 0x6a:
        return push(e, i->operand_size, (u64)i->immediate);
    case 0x9c:
        return push_flags(e, i);
    case 0x9d:
        return pop_flags(e, i);
    case 0xc8:
        return enter(e, i);
    case 0xc9:
        return leave(e, i);
    default: // FF
        return push_rm(e, i);
    }
}
