// SPDX-License-Identifier: MIT
// String instructions (SDM Vol. 1, 7.3.9; Vol. 2, REP). Registers move on after each element, so
// that the instruction can be begun again wherever it stops.
#include "x86/bits.h"
#include "x86/emulate_system.h"
#include "x86/registers.h"

enum {
    MOVS = 0xa4,
    CMPS = 0xa6,
    STOS = 0xaa,
    LODS = 0xac,
    SCAS = 0xae,
};

static void step(struct emulation *e, unsigned reg, unsigned address_size, unsigned element)
{
    u64 delta = (e->rflags & RFLAGS_DF) ? -(u64)element : element;
    emulate_set_gpr(e, reg, address_size, e->gpr[reg] + delta);
}

// One element, without REP.
static enum emulate_status element(struct emulation *e, const struct instruction *i, unsigned op)
{
    unsigned size = i->operand_size, width = i->address_size;
    bool uses_source = op == MOVS || op == CMPS || op == LODS, uses_destination = op != LODS;
    enum segment_name segment = i->segment_override == NO_REGISTER ? SEG_DS : i->segment_override;
    enum emulate_status s;
    struct place from, to;

    // Both are checked before the first is read, since reading a device can change it.
    if (uses_source) {
        s = emulate_reach(e, segment, emulate_cut(e->gpr[RSI], width), size, WALK_READ, &from);
        if (s != EMULATE_DONE)
            return s;
    }
    if (uses_destination) {
        u32 access = op == MOVS || op == STOS ? WALK_WRITE : WALK_READ;
        s = emulate_reach(e, SEG_ES, emulate_cut(e->gpr[RDI], width), size, access, &to);
        if (s != EMULATE_DONE)
            return s;
    }
    u64 a = uses_source ? emulate_read(e, &from) : e->gpr[RAX];
    if (op == MOVS || op == STOS)
        emulate_write(e, &to, emulate_cut(a, size));
    else if (op == LODS)
        emulate_set_gpr(e, RAX, size, a);
    else
        alu(ALU_CMP, size, a, emulate_read(e, &to), &e->rflags);
    if (uses_source)
        step(e, RSI, width, size);
    if (uses_destination)
        step(e, RDI, width, size);
    return EMULATE_DONE;
}

// INS and OUTS whose port is the guest's own, so that they do not exit for it. The CPU has checked
// that they may; here only what IOPL allows passes, since other code may stand there by now.
static enum emulate_status string_io(struct emulation *e, const struct instruction *i)
{
    bool allowed =
        !(e->rflags & RFLAGS_VM) && (!(e->cr0 & CR0_PE) || e->cpl <= (e->rflags >> 12 & 3));
    struct string_io io = {
        .port = (u16)e->gpr[RDX],
        .size = i->operand_size,
        .in = i->opcode < 0x6e,
        .rep = i->repeat != 0,
        .address_size = i->address_size,
        .instruction_length = i->length,
        .segment = i->segment_override == NO_REGISTER ? SEG_DS : i->segment_override,
    };
    return allowed ? emulate_string_io(e, &io) : EMULATE_UNSUPPORTED;
}

enum emulate_status emulate_string(struct emulation *e, const struct instruction *i)
{
    unsigned op = i->opcode & 0xfe;
    if (op < MOVS)
        return string_io(e, i);
    if (i->repeat == 0)
        return element(e, i, op);
    u64 rflags = e->rflags;
    for (unsigned n = 0;; n++) {
        u64 count = emulate_cut(e->gpr[RCX], i->address_size);
        if (count == 0)
            break;
        if (emulate_pauses(e, n))
            return EMULATE_AGAIN;
        enum emulate_status s = element(e, i, op);
        if (s != EMULATE_DONE) {
            // SDM Vol. 2, REP: a fault in CMPS or SCAS leaves the flags as they were before.
            e->rflags = rflags;
            return s;
        }
        emulate_set_gpr(e, RCX, i->address_size, count - 1);
        if ((op == CMPS || op == SCAS) && !(e->rflags & RFLAGS_ZF) == (i->repeat == 0xf3))
            break;
    }
    return EMULATE_DONE;
}

static enum emulate_status io_element(struct emulation *e, const struct string_io *io)
{
    unsigned reg = io->in ? RDI : RSI;
    struct place p;
    enum emulate_status s =
        emulate_reach(e, io->in ? SEG_ES : io->segment, emulate_cut(e->gpr[reg], io->address_size),
                      io->size, io->in ? WALK_WRITE : WALK_READ, &p);
    if (s != EMULATE_DONE)
        return s;
    if (e->breakpoints != NULL && (e->cr4 & CR4_DE))
        emulate_break(e, BREAKPOINT_PORT, io->port, io->size);
    if (io->in)
        emulate_write(e, &p, emulate_cut(e->ops->port_read(e->ctx, io->port, io->size), io->size));
    else
        e->ops->port_write(e->ctx, io->port, io->size, (u32)emulate_read(e, &p));
    step(e, reg, io->address_size, io->size);
    return EMULATE_DONE;
}

enum emulate_status emulate_string_io(struct emulation *e, const struct string_io *io)
{
    for (unsigned n = 0;; n++) {
        u64 count = io->rep ? emulate_cut(e->gpr[RCX], io->address_size) : n == 0;
        if (count == 0)
            return emulate_finish(e, io->instruction_length);
        if (emulate_pauses(e, n))
            return EMULATE_AGAIN;
        enum emulate_status s = io_element(e, io);
        if (s != EMULATE_DONE)
            return s;
        if (io->rep)
            emulate_set_gpr(e, RCX, io->address_size, count - 1);
    }
}
