// SPDX-License-Identifier: MIT
// The registers in gdb's order, x86-64 and i386: one table makes both the target description and
// what the packets carry.
#pragma once

#include "gdbstub/fpu.h"
#include "gdbstub/session.h"

enum reg_feature { CORE, SSE, SEGMENTS, SYSTEM, AVX, FEATURES };

enum reg_kind {
    FIELD,    // 8 bytes in struct vcpu_regs at `where`
    FIELD32,  // 4 bytes there
    SELECTOR, // of segment `where`
    VECTOR,   // in the XSAVE area; `where` is an enum fpu_register
};

// A register, or `count` of them with numbered names from `first`.
struct reg_entry {
    const char *name;
    const char *type; // NULL: gdb's "int" of that size
    u16 where;
    char suffix[2];
    u8 first, count;
    u8 bytes; // on the wire
    enum reg_feature feature : 4;
    enum reg_kind kind : 4;
};

// The table of the process's layout; ends with an entry whose name is NULL.
const struct reg_entry *reg_table(struct session *session, unsigned pid);

// The entry of register `number`, and which of its registers it is; NULL when there is none.
const struct reg_entry *reg_lookup(struct session *session, unsigned pid, u64 number, unsigned *i);

// The value of a general, segment or system register by its name of n characters; pc, sp and fp are
// gdb's names in either layout. False: there is none.
bool reg_by_name(struct session *session, unsigned pid, const struct vcpu_regs *regs,
                 const char *name, size_t n, u64 *value);

// Whether g and G carry it. The rest, from the x87 on, comes by p: gdb rarely looks at it, and the
// line is slow.
bool reg_in_g(const struct reg_entry *e);
