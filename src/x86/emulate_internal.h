// SPDX-License-Identifier: MIT
// Shared by the files of the emulator.
#pragma once

#include "x86/alu.h"
#include "x86/bits.h"
#include "x86/emulate.h"
#include "x86/walk.h"

// Where a memory operand lies, translated: one piece, or two when it crosses a page.
struct place {
    u64 linear;
    gpa_t gpa, next; // next: of the second page's first byte
    u8 size;         // bytes
    u8 first;        // bytes before the page's end; size when it is one piece
};

// Finds the operand of size bytes at segment:offset and checks that it can be accessed, without
// accessing it. EMULATE_DONE, or why not.
enum emulate_status emulate_reach(struct emulation *e, enum segment_name segment, u64 offset,
                                  unsigned size, u32 access, struct place *p);

// The same at a linear address, whose segment has been seen to. access may have WALK_SYSTEM.
// segment: whose exception an address gets that is not canonical.
enum emulate_status emulate_reach_linear(struct emulation *e, enum segment_name segment, u64 linear,
                                         unsigned size, u32 access, struct place *p);

u64 emulate_read(struct emulation *e, const struct place *p);
void emulate_write(struct emulation *e, const struct place *p, u64 value);

// Notes the breakpoints that an access meets; a port's number is its address. e->breakpoints is not
// NULL.
void emulate_break(struct emulation *e, enum breakpoint_access access, u64 address, unsigned size);

// A REP goes no further in this call: it had its iterations, n, or the last one met a breakpoint.
static inline bool emulate_pauses(const struct emulation *e, unsigned n)
{
    return n >= e->repeats || (e->hits & DR6_ENABLED) != 0;
}

// Leaves the exception for the caller. Returns EMULATE_FAULT.
static inline enum emulate_status emulate_raise(struct emulation *e,
                                                struct emulate_exception exception)
{
    e->exception = exception;
    return EMULATE_FAULT;
}

// ---- the opcodes of each file --------------------------------------------------------------
// They carry out i, or raise what it raises, or say that it is none of theirs by
// EMULATE_UNSUPPORTED. e->next is behind it and may be changed; the caller moves RIP.

enum emulate_status emulate_0f(struct emulation *e, const struct instruction *i);
enum emulate_status emulate_string(struct emulation *e, const struct instruction *i);
enum emulate_status emulate_locked(struct emulation *e, const struct instruction *i);
enum emulate_status emulate_multiply(struct emulation *e, const struct instruction *i);
enum emulate_status emulate_shift(struct emulation *e, const struct instruction *i);
enum emulate_status emulate_bits(struct emulation *e, const struct instruction *i); // map 0F
enum emulate_status emulate_0f38(struct emulation *e, const struct instruction *i);
enum emulate_status emulate_vex(struct emulation *e, const struct instruction *i);
enum emulate_status emulate_near(struct emulation *e, const struct instruction *i);
enum emulate_status emulate_stack(struct emulation *e, const struct instruction *i);
enum emulate_status emulate_far(struct emulation *e, const struct instruction *i);
enum emulate_status emulate_segments(struct emulation *e, const struct instruction *i);
enum emulate_status emulate_system(struct emulation *e, const struct instruction *i);

// rm = value; reg = rm of size bytes, extended to the operand size.
enum emulate_status emulate_mov_to_rm(struct emulation *e, const struct instruction *i, u64 value);
enum emulate_status emulate_mov_from_rm(struct emulation *e, const struct instruction *i,
                                        unsigned reg, unsigned size, bool is_signed);

// Whether LOCK may stand before i (SDM Vol. 2, LOCK).
bool emulate_lockable(const struct instruction *i);

// v cut to size bytes.
static inline u64 emulate_cut(u64 v, unsigned size)
{
    return size == 8 ? v : v & (BIT(size * 8) - 1);
}

// Writes the low size bytes of a register; 4 bytes clear the upper half.
static inline void emulate_set_gpr(struct emulation *e, unsigned number, unsigned size, u64 value)
{
    if (size == 8)
        e->gpr[number] = value;
    else if (size == 4)
        e->gpr[number] = (u32)value;
    else if (size == 2)
        e->gpr[number] = (e->gpr[number] & ~0xfffful) | (u16)value;
    else
        e->gpr[number] = (e->gpr[number] & ~0xfful) | (u8)value;
}

// Ends an instruction of length bytes.
static inline enum emulate_status emulate_finish(struct emulation *e, unsigned length)
{
    e->rip += length;
    if (e->code_size != CODE_64)
        e->rip = (u32)e->rip;
    e->rflags &= ~RFLAGS_RF;
    return EMULATE_DONE;
}

// Without REX, byte registers 4 to 7 are AH, CH, DH, BH (SDM Vol. 2, table 3-1).
static inline bool is_high_byte(const struct instruction *i, unsigned number, unsigned size)
{
    return size == 1 && i->rex == 0 && number >= 4;
}

// A register operand as ModRM or the opcode names it.
static inline u64 emulate_get_reg(const struct emulation *e, const struct instruction *i,
                                  unsigned number, unsigned size)
{
    if (is_high_byte(i, number, size))
        return (u8)(e->gpr[number - 4] >> 8);
    return emulate_cut(e->gpr[number], size);
}

static inline void emulate_set_reg(struct emulation *e, const struct instruction *i,
                                   unsigned number, unsigned size, u64 value)
{
    if (is_high_byte(i, number, size))
        e->gpr[number - 4] = (e->gpr[number - 4] & ~0xff00ul) | (u64)(u8)value << 8;
    else
        emulate_set_gpr(e, number, size, value);
}

// value of size bytes, extended to 8.
static inline u64 emulate_sign_extend(u64 value, unsigned size)
{
    unsigned shift = 64 - size * 8;
    return (u64)((i64)(value << shift) >> shift);
}

// The opcode's third part in groups: ModRM.reg.
static inline unsigned emulate_group(const struct instruction *i)
{
    return i->modrm >> 3 & 7;
}

// ModRM.rm's operand, or moffs.
struct operand {
    bool memory;
    u8 reg; // otherwise
    u8 size;
    struct place place;
};

// displacement: how many bytes beyond its address it is to be found.
static inline enum emulate_status emulate_find_rm(struct emulation *e, const struct instruction *i,
                                                  unsigned size, u32 access, i64 displacement,
                                                  struct operand *o)
{
    o->memory = i->has_memory;
    o->reg = i->rm;
    o->size = (u8)size;
    if (!o->memory)
        return EMULATE_DONE;
    u64 offset = memory_offset(i, e->gpr, e->rip) + (u64)displacement;
    return emulate_reach(e, i->memory.segment, emulate_cut(offset, i->address_size), size, access,
                         &o->place);
}

static inline u64 emulate_load(struct emulation *e, const struct instruction *i,
                               const struct operand *o)
{
    return o->memory ? emulate_read(e, &o->place) : emulate_get_reg(e, i, o->reg, o->size);
}

static inline void emulate_store(struct emulation *e, const struct instruction *i,
                                 const struct operand *o, u64 value)
{
    if (o->memory)
        emulate_write(e, &o->place, value);
    else
        emulate_set_reg(e, i, o->reg, o->size, value);
}

// Finds rm and reads it.
static inline enum emulate_status emulate_load_rm(struct emulation *e, const struct instruction *i,
                                                  unsigned size, u64 *value)
{
    struct operand rm;
    enum emulate_status s = emulate_find_rm(e, i, size, WALK_READ, 0, &rm);
    if (s == EMULATE_DONE)
        *value = emulate_load(e, i, &rm);
    return s;
}
