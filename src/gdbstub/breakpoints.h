// SPDX-License-Identifier: MIT
// gdb's breakpoints and watchpoints, of whatever kind (breakpoint_kind.h). What is wanted is noted
// by packets, and put in by breakpoints_apply().
//
// An address that has no page yet is kept by one kind and waited for by another: an INT3 by a debug
// register.
#pragma once

#include "gdbstub/breakpoint_kind.h"

// A process is attached; its vCPUs are held. off: it is left.
void breakpoints_attach(struct session *session, unsigned pid, bool on);

// Wants none any more; breakpoints_apply() takes them out.
void breakpoints_clear(struct session *session, unsigned pid);

// Makes memory and debug registers what gdb wants. All vCPUs of the VM are held.
void breakpoints_apply(struct session *session, unsigned pid);

// The VM's memory and vCPUs were made anew. What is wanted stays wanted.
void breakpoints_forget(struct session *session, unsigned pid);

// The VM has ended: nothing is wanted in it any more, nothing needs to be taken out.
void breakpoints_drop(struct session *session, unsigned pid);

// Adds a line for each breakpoint.
void breakpoints_list(struct session *session, unsigned pid, struct text *out);

// What a vCPU's report comes to, which stands at this linear rip. HIT_STOP: *out has reason and
// address, and the hit is counted.
enum breakpoint_hit breakpoints_hit(struct session *session, unsigned pid,
                                    const struct pending_event *e, u64 rip, struct stop *out);

// Whether gdb still wants what this stop reports.
bool breakpoints_wanted(struct session *session, unsigned pid, const struct stop *stop);

// The linear addresses where execution is to stop that no page is found for yet: the n-th, or
// false. Whether some kind stops there meanwhile.
bool breakpoints_waiting(struct session *session, unsigned pid, unsigned n, u64 *address);
bool breakpoints_stand_in(struct session *session, unsigned pid, u64 address);

// Takes what lies where the vCPU stands out of its way for one instruction. False: nothing does.
// breakpoints_lower() puts all of the process in again.
bool breakpoints_lift(struct session *session, unsigned pid, struct vcpu *v);
void breakpoints_lower(struct session *session, unsigned pid);

// Whether execution at this linear address stops by a fault that RFLAGS.RF suppresses.
bool breakpoints_fault(struct session *session, unsigned pid, u64 address);

// What memory at [gpa, gpa + len) would hold without breakpoints: mends what was read from there
// into buf.
void breakpoints_hide(struct session *session, unsigned pid, gpa_t gpa, void *buf, u64 len);

// For hooks, on any core. The kind whose event this is, if it has to be asked whether the event is
// ours; else NULL. Where a held vCPU stands; needs no lock.
const struct breakpoint_kind *breakpoints_asked(enum debug_event event);
void breakpoint_find_place(unsigned pid, struct vcpu *v, struct breakpoint_place *at);

// For hooks: what gdbstub_page_written() promises.
void breakpoints_page_written(struct session *session, unsigned pid, gpa_t page, bool before);

// Z0 to Z4, z0 to z4; the option is the type.
void packet_Z(struct session *session, const struct packet_args *a);
void packet_z(struct session *session, const struct packet_args *a);
