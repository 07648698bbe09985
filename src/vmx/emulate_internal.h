// SPDX-License-Identifier: MIT
// Shared by emulate.c, emulate_operand.c and emulate_string.c.
#pragma once

#include "vmx/emulate.h"

// Where a memory operand lies, translated: one piece, or two when it crosses a page.
struct place {
    gpa_t gpa, next; // next: of the second page's first byte
    u8 size;         // bytes
    u8 first;        // bytes before the page's end; size when it is one piece
};

// Finds the operand of size bytes at segment:offset and checks that it can be accessed, without
// accessing it. EMULATE_DONE, or why not.
enum emulate_status emulate_reach(struct emulation *e, enum segment_name segment, u64 offset,
                                  unsigned size, u32 access, struct place *p);

u64 emulate_read(struct emulation *e, const struct place *p);
void emulate_write(struct emulation *e, const struct place *p, u64 value);

// Writes the low size bytes of a register; 4 bytes clear the upper half.
void emulate_set_gpr(struct emulation *e, unsigned number, unsigned size, u64 value);

// Leaves the exception for the caller. Returns EMULATE_FAULT.
enum emulate_status emulate_raise(struct emulation *e, struct emulate_exception exception);

// Ends an instruction of length bytes.
enum emulate_status emulate_finish(struct emulation *e, unsigned length);

// MOVS, CMPS, STOS, LODS, SCAS.
enum emulate_status emulate_string(struct emulation *e, const struct instruction *i);

// v cut to size bytes.
static inline u64 emulate_cut(u64 v, unsigned size)
{
    return size == 8 ? v : v & (BIT(size * 8) - 1);
}
