// SPDX-License-Identifier: MIT
// What a kind of breakpoint is: a way to stop a guest at an address. breakpoints.c has the list of
// kinds, and is all that the rest of the stub knows of them; it asks them in the list's order.
//
// gdb takes its breakpoints out and puts them in again at every stop. So insert and remove only
// note what is wanted, and apply brings the guest in line with that, just before the VM goes on.
//
// Another kind is a file with one of these, a row in the list, and what it keeps in session.h.
#pragma once

#include "gdbstub/session.h"

// Where a vCPU stands.
struct breakpoint_place {
    u64 rip;         // linear
    bool translated; // it has a page
    gpa_t gpa;       // then: where it lies
};

// What a vCPU's report comes to.
enum breakpoint_hit {
    HIT_NONE,  // nothing of ours any more: the vCPU goes on
    HIT_STOP,  // a stop for gdb
    HIT_LEAVE, // nothing that gdb wants, and the vCPU cannot go on before it has left the place
};

// Those without "or NULL" are always there. Unless a line says otherwise they are called on the
// core that owns the line; pid is an attached process.
struct breakpoint_kind {
    u32 types;        // bit n: it takes Zn
    const char *full; // why it takes no more, for gdb

    // Notes that gdb wants one of this type and length (bytes) at this linear address, or wants it
    // no more. Inserting twice counts once. ERR_INVALID, ERR_NO_MEMORY: it cannot; ERR_NOT_FOUND:
    // there was none.
    enum error (*insert)(struct session *session, unsigned pid, unsigned type, u64 address,
                         u64 length);
    enum error (*remove)(struct session *session, unsigned pid, unsigned type, u64 address,
                         u64 length);
    // A process is attached, of which nothing is known, or is to be left. All its vCPUs are held.
    void (*attach)(struct session *session, unsigned pid, bool on);
    // Wants none any more.
    void (*clear)(struct session *session, unsigned pid);
    // Makes memory and registers what is wanted. All vCPUs of the VM are held.
    void (*apply)(struct session *session, unsigned pid);
    // The VM's memory and vCPUs were made anew; what is wanted stays wanted. Or NULL.
    void (*forget)(struct session *session, unsigned pid);
    // The VM has ended: nothing is wanted in it any more, nothing needs to be taken out.
    void (*drop)(struct session *session, unsigned pid);
    // Adds a line for each.
    void (*list)(struct session *session, unsigned pid, struct text *out);

    // A vCPU has reported this event, *e, at this linear rip. HIT_STOP: *out has reason and
    // address.
    enum debug_event event;
    enum breakpoint_hit (*hit)(struct session *session, unsigned pid, const struct pending_event *e,
                               u64 rip, struct stop *out);
    // Whether gdb still wants what this stop reports. False for a stop of another kind.
    bool (*wanted)(struct session *session, unsigned pid, const struct stop *stop);
    // Counts a stop that gdb is told of, whichever kind has found it. Or NULL.
    void (*count)(struct session *session, unsigned pid, const struct stop *stop);

    // The linear addresses that it wants to stop execution at and cannot yet: the n-th, or false.
    // Or NULL.
    bool (*waiting)(struct session *session, unsigned pid, unsigned n, u64 *address);
    // Whether it stops execution at such an address in the place of another kind. Or NULL.
    bool (*stands_in)(struct session *session, unsigned pid, u64 address);

    // Takes what of it lies where the vCPU stands out of the way, so that one instruction of that
    // vCPU, with the others held, can run. False: nothing does. Puts all of the process in again
    // that was lifted. Or both NULL.
    bool (*lift)(struct session *session, unsigned pid, const struct breakpoint_place *at);
    void (*lower)(struct session *session, unsigned pid);
    // Whether it stops execution at this linear address by a fault that RFLAGS.RF suppresses. Or
    // NULL.
    bool (*faults)(struct session *session, unsigned pid, u64 address);

    // What memory at [gpa, gpa + len) would hold without it: mends what was read from there into
    // buf. Or NULL.
    void (*hide)(struct session *session, unsigned pid, gpa_t gpa, void *buf, u64 len);

    // For hooks, on any core, with hooks_lock held. Whether the event at this place is of ours,
    // and not the guest's. Or NULL: always.
    bool (*is_ours)(struct session *session, unsigned pid, const struct breakpoint_place *at);
    // For hooks, on any core: what gdbstub_page_written() promises. Or NULL.
    void (*page_written)(struct session *session, unsigned pid, gpa_t page, bool before);
};

extern const struct breakpoint_kind soft_breakpoints; // INT3 in memory: Z0
extern const struct breakpoint_kind debug_registers;  // DR0 to DR3: Z1, Z2, Z4
