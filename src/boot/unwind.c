// SPDX-License-Identifier: MIT
#include "boot/unwind.h"

static enum unwind_status status_of(enum cfi_status status)
{
    switch (status) {
    case CFI_FOUND:
        return UNWIND_CALLER;
    case CFI_NO_ENTRY:
        return UNWIND_NO_ENTRY;
    case CFI_UNKNOWN:
        return UNWIND_UNKNOWN;
    default:
        return UNWIND_DAMAGED;
    }
}

// The value of register n in the caller, if it is known.
static bool recover(const struct unwind_frame *f, const struct cfi_row *row, unsigned n, u64 cfa,
                    enum error (*read)(u64 address, u64 *value), u64 *value)
{
    switch (row->registers[n].rule) {
    case CFI_AT:
        return read(cfa + (u64)(i64)row->registers[n].offset, value) == OK;
    case CFI_UNDEFINED:
        return false;
    case CFI_UNSAID:
        if (n == CFI_RSP) {
            *value = cfa;
            return true;
        }
        if ((UNWIND_CALLEE_SAVED & BIT(n)) == 0)
            return false;
        break;
    default:
        break;
    }
    *value = f->registers[n];
    return (f->known & BIT(n)) != 0;
}

enum unwind_status unwind(const struct cfi_section *s, struct unwind_frame *f,
                          enum error (*read)(u64 address, u64 *value))
{
    // A call that never comes back may be the last instruction of its function.
    struct cfi_row row;
    enum cfi_status found = cfi_find(s, f->registers[CFI_RIP] - (f->exact ? 0 : 1), &row);
    if (found != CFI_FOUND)
        return status_of(found);
    if (row.registers[CFI_RIP].rule == CFI_UNDEFINED)
        return UNWIND_OUTERMOST;
    if ((f->known & BIT(row.cfa_register)) == 0)
        return UNWIND_LOST;

    struct unwind_frame caller = {.exact = row.interrupted};
    u64 cfa = f->registers[row.cfa_register] + (u64)(i64)row.cfa_offset;
    for (unsigned n = 0; n < CFI_REGISTERS; n++) {
        if (recover(f, &row, n, cfa, read, &caller.registers[n]))
            caller.known |= (u32)BIT(n);
    }
    if ((caller.known & BIT(CFI_RIP)) == 0 || (caller.known & BIT(CFI_RSP)) == 0)
        return UNWIND_STACK;
    if (caller.registers[CFI_RIP] == 0)
        return UNWIND_OUTERMOST;
    // Code that was interrupted may have had another stack.
    if (!row.interrupted && caller.registers[CFI_RSP] <= f->registers[CFI_RSP])
        return UNWIND_STACK;
    *f = caller;
    return UNWIND_CALLER;
}

const char *unwind_status_text(enum unwind_status status)
{
    switch (status) {
    case UNWIND_NO_ENTRY:
        return "no unwind information";
    case UNWIND_UNKNOWN:
        return "unwind information of an unknown form";
    case UNWIND_DAMAGED:
        return "damaged unwind information";
    case UNWIND_LOST:
        return "the frame's address is in a register that is lost";
    case UNWIND_STACK:
        return "no return address on the stack";
    default:
        return NULL;
    }
}
