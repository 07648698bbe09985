// SPDX-License-Identifier: MIT
// The int3s of software breakpoints in guest memory: each is owned by its guest-physical address,
// keeps the byte that belongs there, and is invisible to the debugger. A page with one in it is
// watched, so that a guest that loads itself over it does not lose it.
#pragma once

#include "gdbstub/session.h"

// Puts an int3 at gpa, or shares the one that is there; address is the linear one behind which gpa
// was found. NULL: gpa is no RAM that could be written. All vCPUs of the VM are held.
struct int3 *int3_insert(struct session *session, unsigned pid, gpa_t gpa, u64 address);

// Gives it up; the last who shares it takes it out. All vCPUs of the VM are held.
void int3_remove(struct session *session, struct int3 *p);

gpa_t int3_where(const struct int3 *p);

// Puts it in again if something went over it that gdbstub_page_written() was not told of.
void int3_verify(struct session *session, struct int3 *p);

// Whether an int3 of ours is at the vCPU's rip.
bool int3_under(struct session *session, unsigned pid, const struct vcpu_regs *regs);

// Takes the int3 at this vCPU's rip out for one step, and puts it in again.
void int3_lift(struct session *session, unsigned pid, const struct vcpu_regs *regs);
void int3_lower(struct session *session, unsigned pid);

// What memory at [gpa, gpa + len) would hold without us: mends what was read from there into buf.
void int3_hide(struct session *session, unsigned pid, gpa_t gpa, void *buf, u64 len);

// For hooks: what gdbstub_page_written() promises.
void int3_page_written(struct session *session, unsigned pid, gpa_t page, bool before);

// For hooks. The guest-physical address of the instruction at rip; any core, no lock.
bool int3_gpa(unsigned pid, const struct vcpu_regs *regs, gpa_t *gpa);

// For hooks: whether the #BP at rip (at gpa when translated) came of an int3 of ours.
bool int3_is_ours(struct session *session, unsigned pid, const struct vcpu_regs *regs,
                  bool translated, gpa_t gpa) REQUIRES_HELD(&session->hooks_lock);
