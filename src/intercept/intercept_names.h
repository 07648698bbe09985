// SPDX-License-Identifier: MIT
// Names of what can be caught, as the SDM has them but in lower case. Pure code.
#pragma once

#include "intercept/intercept.h"

// Some characters, not terminated.
struct piece {
    const char *p;
    size_t len;
};

// Names by number; NULL: that one has none.
struct name_list {
    const char *const *names;
    unsigned count;
};

extern const struct name_list intercept_whats;      // enum intercept_what
extern const struct name_list intercept_exceptions; // vectors
extern const struct name_list intercept_cr0_bits, intercept_cr4_bits;

// Whether s is this name, in lower or upper case; the name itself is in lower case.
bool piece_is(struct piece s, const char *name);

// The number of a name, in lower or upper case; -1: the list has no such.
int name_find(const struct name_list *list, struct piece name);

// The name of number n; NULL: it has none.
const char *nth_name(const struct name_list *list, u64 n);

// An MSR by its name, with or without IA32_. False: no such name.
bool msr_find(struct piece name, u64 *msr);

// NULL: it has no name here.
const char *msr_name(u64 msr);

// What stands behind an item's name.
enum intercept_shape {
    SHAPE_PLAIN,     // nothing
    SHAPE_PLE,       // :GAP:WINDOW
    SHAPE_EXCEPTION, // :VECTOR:MASK:MATCH
    SHAPE_BITS,      // :BIT,BIT:w
    SHAPE_RANGE,     // :FIRST-LAST:rw
    SHAPE_ACCESS,    // :rw
    SHAPE_CR3,       // :except:VALUE+VALUE:rw
    SHAPE_MEM        // :GPA+LEN:rwx
};

enum intercept_shape intercept_shape(unsigned what);

// What is caught when no access is given; 0: there is only one.
static inline u8 intercept_usual_access(enum intercept_shape s)
{
    return s >= SHAPE_RANGE ? INTERCEPT_READ | INTERCEPT_WRITE : 0;
}

// The last port or MSR.
static inline u64 intercept_range_end(unsigned what)
{
    return what == INTERCEPT_IO ? UINT16_MAX : UINT32_MAX;
}

static inline const struct name_list *intercept_bits(unsigned what)
{
    return what == INTERCEPT_CR0 ? &intercept_cr0_bits : &intercept_cr4_bits;
}
