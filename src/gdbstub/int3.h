// SPDX-License-Identifier: MIT
// The int3s of software breakpoints in guest memory: each is owned by its guest-physical address,
// keeps the byte that belongs there, and is invisible to the debugger. A page with one in it is
// watched, so that a guest that loads itself over it does not lose it.
#pragma once

#include "gdbstub/breakpoint_kind.h"

// Puts an int3 at gpa, or shares the one that is there; address is the linear one behind which gpa
// was found. NULL: gpa is no RAM that could be written. All vCPUs of the VM are held.
struct int3 *int3_insert(struct session *session, unsigned pid, gpa_t gpa, u64 address);

// Gives it up; the last who shares it takes it out. All vCPUs of the VM are held.
void int3_remove(struct session *session, struct int3 *p);

gpa_t int3_where(const struct int3 *p);

// Puts it in again if something went over it that gdbstub_page_written() was not told of.
void int3_verify(struct session *session, struct int3 *p);

// Takes the int3 where the vCPU stands out for one step (false: there is none in memory), and puts
// all of the process in again that are out.
bool int3_lift(struct session *session, unsigned pid, const struct breakpoint_place *at);
void int3_lower(struct session *session, unsigned pid);

// What memory at [gpa, gpa + len) would hold without us: mends what was read from there into buf.
void int3_hide(struct session *session, unsigned pid, gpa_t gpa, void *buf, u64 len);

// For hooks: what gdbstub_page_written() promises.
void int3_page_written(struct session *session, unsigned pid, gpa_t page, bool before);

// For hooks: whether the #BP at this place came of an int3 of ours.
bool int3_is_ours(struct session *session, unsigned pid, const struct breakpoint_place *at)
    REQUIRES_HELD(&session->hooks_lock);
