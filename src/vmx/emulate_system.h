// SPDX-License-Identifier: MIT
// What the emulator's files know of modes, segments and descriptors.
#pragma once

#include "vmx/emulate_internal.h"

// Bits of a segment's access rights in the VMCS's layout (SDM Vol. 3, 25.4.1), and so of a
// descriptor's second word from bit 8 on.
#define SEGMENT_ACCESSED     BIT(0)
#define SEGMENT_WRITABLE     BIT(1) // of data
#define SEGMENT_READABLE     BIT(1) // of code
#define SEGMENT_EXPANDS_DOWN BIT(2) // of data
#define SEGMENT_CONFORMING   BIT(2) // of code
#define SEGMENT_CODE         BIT(3)
#define SEGMENT_NOT_SYSTEM   BIT(4)
#define SEGMENT_DPL(access)  ((access) >> 5 & 3)
#define SEGMENT_PRESENT      BIT(7)
#define SEGMENT_LONG         BIT(13)
#define SEGMENT_BIG          BIT(14)
#define SEGMENT_GRANULAR     BIT(15)
#define SEGMENT_UNUSABLE     BIT(16)

#define FLAG_TF   BIT(8)
#define FLAG_IF   BIT(9)
#define FLAG_IOPL (BIT(12) | BIT(13))
#define FLAG_NT   BIT(14)
#define FLAG_VM   BIT(17)
#define FLAG_AC   BIT(18)
#define FLAG_ID   BIT(21)

#define CR0_PE    BIT(0)
#define CR4_UMIP  BIT(11)
#define CR4_PCIDE BIT(17)

enum {
    VECTOR_DE = 0,
    VECTOR_BR = 5,
    VECTOR_UD = 6,
    VECTOR_NP = 11,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
};

static inline enum emulate_status emulate_raise_ud(struct emulation *e)
{
    return emulate_raise(e, (struct emulate_exception){.vector = VECTOR_UD});
}

static inline enum emulate_status emulate_raise_gp(struct emulation *e)
{
    return emulate_raise(e, (struct emulate_exception){VECTOR_GP, .has_error = true});
}

// Selectors (SDM Vol. 3, 3.4.2).
#define SELECTOR_RPL(s)   ((s)&3u)
#define SELECTOR_LDT      BIT(2)
#define SELECTOR_ERROR(s) ((s) & ~3u) // of an exception
#define SELECTOR_NULL(s)  (SELECTOR_ERROR(s) == 0)

// Protected mode without virtual-8086 mode; IA-32e mode too.
static inline bool emulate_is_protected(const struct emulation *e)
{
    return (e->cr0 & CR0_PE) && !(e->rflags & FLAG_VM);
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
