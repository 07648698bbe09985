// SPDX-License-Identifier: MIT
// What a VM's configuration or a debugger wants to catch of what its guest does, item by item
// (docs/interception.md). An item is `what[:selector][:access][=action]`.
//
// The hypervisor catches some of this for itself; an item adds to that and takes nothing away.
#pragma once

#include "lib/format.h"
#include "lib/lock.h"
#include "lib/types.h"

struct ept_restriction;
struct guest;
struct vcpu;

enum intercept_what {
    INTERCEPT_HLT,
    INTERCEPT_PAUSE,
    INTERCEPT_PLE,       // first: the gap, last: the window, in ticks
    INTERCEPT_EXTINT,    // external interrupts
    INTERCEPT_EXCEPTION, // first: the vector; mask, match: of the error code
    INTERCEPT_IO,        // first to last: ports
    INTERCEPT_MSR,       // first to last
    INTERCEPT_CR0,       // mask: the bits
    INTERCEPT_CR3,       // value[]: loads of these are not caught
    INTERCEPT_CR4,       // mask: the bits
    INTERCEPT_CR8,
    INTERCEPT_RDTSC,
    INTERCEPT_RDTSCP,
    INTERCEPT_RDPMC,
    INTERCEPT_RDRAND,
    INTERCEPT_RDSEED,
    INTERCEPT_INVLPG,
    INTERCEPT_MONITOR,
    INTERCEPT_MWAIT,
    INTERCEPT_WBINVD,
    INTERCEPT_XSETBV,
    INTERCEPT_DESC, // LGDT, LIDT, LLDT, LTR: write; SGDT, SIDT, SLDT, STR: read
    INTERCEPT_DR,
    INTERCEPT_CPUID,
    INTERCEPT_MEM, // first to last: guest-physical addresses
    INTERCEPT_WHATS
};

enum intercept_action {
    INTERCEPT_COUNT,  // carried out, and counted, as all are
    INTERCEPT_LOG,    // and a line in the log
    INTERCEPT_STOP,   // and the vCPU stops in the debugger, before it is carried out
    INTERCEPT_DENY,   // raises the fault that hardware would
    INTERCEPT_IGNORE, // a read gives 0, a write vanishes
    INTERCEPT_PASS,   // carried out as if not caught
    INTERCEPT_ACTIONS
};

// IN, RDMSR, MOV from a control register, a load; OUT, WRMSR, MOV to, a store; a fetch.
#define INTERCEPT_READ    1u
#define INTERCEPT_WRITE   2u
#define INTERCEPT_EXECUTE 4u

#define INTERCEPT_CR3_VALUES 4u

// One item as it was asked for. What a kind does not use is 0.
struct intercept {
    u8 what;   // enum intercept_what
    u8 action; // enum intercept_action
    u8 access; // INTERCEPT_READ, _WRITE, _EXECUTE; 0 where there is only one
    u8 values;
    u64 first, last; // both included
    u64 mask, match;
    u64 value[INTERCEPT_CR3_VALUES];
};

#define INTERCEPTS_MAX 32u // of one VM

// ---- as text (intercept_text.c; pure) --------------------------------------------------------

// Reads the item at *text, which has *len characters, and moves both behind it and the comma that
// follows. ERR_INVALID: *why says what is wrong with it, in one line that quotes it and names what
// was expected.
enum error intercept_parse(const char **text, size_t *len, struct intercept *i, struct text *why);

// Adds the item as text that intercept_parse reads back: names where there are any, hexadecimal
// else. with_action: also `=action`, but for count, which is the default.
void intercept_print(const struct intercept *i, bool with_action, struct text *t);

// Whether both catch the same, whatever their actions.
bool intercept_same(const struct intercept *a, const struct intercept *b);

const char *intercept_action_name(enum intercept_action a);

// ---- of a guest (intercept.c) ------------------------------------------------------------------

struct caught_item {
    struct intercept item;
    u64 hits;                         // public
    u64 window;                       // host TSC at which the log takes lines again; with the lock
    u32 logged, not_shown;            // lines in this window; with the lock
    struct ept_restriction *withheld; // of INTERCEPT_MEM
};

struct intercepts {
    unsigned count;
    u32 kinds; // bit enum intercept_what: there is such an item
    struct spinlock lock;
    struct caught_item list[INTERCEPTS_MAX];
};

// Gives a guest its set of items, which is empty and lives as long as the guest, and those that it
// begins with, at most INTERCEPTS_MAX. Before its vCPUs run. An error leaves
// in *why which of them this CPU cannot catch.
enum error intercept_init(struct guest *g, struct intercepts *set, const struct intercept *list,
                          unsigned count, struct text *why);

// Whether this CPU can catch it. ERR_UNSUPPORTED: *why says what it lacks.
enum error intercept_possible(const struct intercept *i, struct text *why);

// Adds an item, or takes number n away, while the guest runs: all its vCPUs are held meanwhile, so
// that they are caught, or not any more, when this returns. A core's main loop; waits for others.
// An error leaves in *why why not.
enum error intercept_add(struct guest *g, const struct intercept *i, struct text *why);
enum error intercept_remove(struct guest *g, unsigned n, struct text *why);

// The items in the order in which they were added. Any core; n is below intercept_count().
unsigned intercept_count(const struct guest *g);
void intercept_get(const struct guest *g, unsigned n, struct intercept *i, u64 *hits);

// A line for each item and its hits, at the VM's end. Any core.
void intercept_log(const struct guest *g);
