// SPDX-License-Identifier: MIT
// What the emulator's files know of modes, segments and descriptors.
#pragma once

#include "x86/bits.h"
#include "x86/emulate_internal.h"
#include "x86/vectors.h"

static inline enum emulate_status emulate_raise_ud(struct emulation *e)
{
    return emulate_raise(e, (struct emulate_exception){.vector = VECTOR_UD});
}

static inline enum emulate_status emulate_raise_gp(struct emulation *e)
{
    return emulate_raise(e, (struct emulate_exception){VECTOR_GP, .has_error = true});
}

// Selectors (SDM Vol. 3, 3.4.2).
#define SELECTOR_ERROR(s) ((s) & ~3u) // of an exception
#define SELECTOR_NULL(s)  (SELECTOR_ERROR(s) == 0)

// Protected mode without virtual-8086 mode; IA-32e mode too.
static inline bool emulate_is_protected(const struct emulation *e)
{
    return (e->cr0 & CR0_PE) && !(e->rflags & RFLAGS_VM);
}

static inline bool emulate_is_canonical(u64 address)
{
    return (u64)((i64)(address << 16) >> 16) == address;
}

// Where RIP is to go on: cut to the operand size, and inside the code segment. EMULATE_DONE, or a
// #GP(0) (emulate_near.c).
enum emulate_status emulate_branch(struct emulation *e, const struct instruction *i, u64 target);

// The stack as an instruction works on it: SP is written when all of it has been found
// (emulate_stack.c).
struct stack {
    u64 sp;
    unsigned width; // bytes of SP that count
};

struct stack emulate_stack_begin(struct emulation *e);
void emulate_stack_end(struct emulation *e, const struct stack *s);

// Finds what a push of size bytes writes, or a pop reads, and moves s->sp.
enum emulate_status emulate_push(struct emulation *e, struct stack *s, unsigned size,
                                 struct place *p);
enum emulate_status emulate_pop(struct emulation *e, struct stack *s, unsigned size,
                                struct place *p);

// ---- descriptors (emulate_descriptor.c) --------------------------------------------------------

struct descriptor {
    struct segment segment; // as loading it makes it
    u64 linear;             // where it lies
    u64 value;              // its first 8 bytes
};

// Reads the descriptor that selector names. *there is false when the table ends before it, or there
// is no LDT. What a system descriptor has in its upper half in IA-32e mode is read and put into
// the base; *there is false as well where that half is none.
enum emulate_status emulate_descriptor(struct emulation *e, u16 selector, struct descriptor *d,
                                       bool *there);

// Sets bits of the type in the table, unless they are set already.
enum emulate_status emulate_mark(struct emulation *e, struct descriptor *d, u32 bits);

enum emulate_status emulate_raise_selector(struct emulation *e, u8 vector, u16 selector);

// Reads a pointer in memory: the offset, of the operand's size, and behind it the selector. #UD
// where the operand is a register.
enum emulate_status emulate_load_pointer(struct emulation *e, const struct instruction *i,
                                         u64 *offset, u16 *selector);

// Loads ES, SS, DS, FS, GS as MOV does (SDM Vol. 2, MOV), in every mode. e->blocks is the caller's.
enum emulate_status emulate_load_segment(struct emulation *e, enum segment_name segment,
                                         u16 selector);
