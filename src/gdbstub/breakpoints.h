// SPDX-License-Identifier: MIT
// Software breakpoints: Z0. gdb names a linear address; what lies in memory is an int3 at
// the guest-physical address behind it (int3.h). gdb takes all its breakpoints out and in again at
// every stop, so Z0 and z0 only mark what is wanted, and breakpoints_apply() changes memory, just
// before the VM goes on.
//
// An address that has no page yet, or none in RAM, is waited for with a debug register
// (debug_registers.c) until a stop finds it translated.
#pragma once

#include "gdbstub/session.h"

// Z0 and z0. Inserting twice counts once. ERR_NO_MEMORY: the table is full; ERR_NOT_FOUND: there
// was none.
enum error breakpoint_insert(struct session *session, unsigned pid, u64 address);
enum error breakpoint_remove(struct session *session, unsigned pid, u64 address);

// Whether gdb wants one at this linear address.
bool breakpoint_wanted(struct session *session, unsigned pid, u64 address);

// Wants none any more; breakpoints_apply() takes them out.
void breakpoints_clear(struct session *session, unsigned pid);

// Makes memory and debug registers what gdb wants. All vCPUs of the VM are held.
void breakpoints_apply(struct session *session, unsigned pid);

// The VM's memory was made anew, or is about to be: its int3s are taken out. What is wanted stays
// wanted.
void breakpoints_forget(struct session *session, unsigned pid);

// The VM has ended: nothing is wanted in it any more, nothing needs to be taken out.
void breakpoints_drop(struct session *session, unsigned pid);

// The linear addresses that wait for a page, in the order in which gdb set them: the n-th, or
// false.
bool breakpoint_pending(struct session *session, unsigned pid, unsigned n, u64 *address);

// Adds a line for each breakpoint.
void breakpoints_list(struct session *session, unsigned pid, struct text *out);

// A breakpoint was hit; counts.
void breakpoint_count_hit(struct session *session, unsigned pid, u64 address);

// Z0 to Z4, z0 to z4; the option is the type.
void packet_Z(struct session *session, const struct packet_args *a);
void packet_z(struct session *session, const struct packet_args *a);
