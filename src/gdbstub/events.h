// SPDX-License-Identifier: MIT
// What vCPUs report from their own cores, kept until the line's core looks at it.
#pragma once

#include "gdbstub/session.h"
#include "lib/lock.h"

// Guards what hooks see: processes' `attached` and `ended`, mail, and the int3s in memory
// (breakpoints.c). Whoever holds it waits for no core.
extern struct spinlock events_lock;

// Registers the hook with vcpu/debug.h.
void events_init(void);

// Lets the hooks know a process, or forget it. Empties its mail.
void events_attach(unsigned pid, bool on);

// Takes the mail of one vCPU. False when there is none.
bool events_take(unsigned pid, unsigned index, struct mail *out);

// Takes the note that the VM ended or started again.
bool events_take_end(unsigned pid);
