// SPDX-License-Identifier: MIT
// What vCPUs report from their own cores, kept until the line's core looks at it.
// A session's events_lock guards what hooks see: processes' `attached` and `ended`, mail, and the
// int3s in memory (int3.c). Whoever holds it waits for no core.
#pragma once

#include "gdbstub/session.h"

// Registers the hook with vcpu/debug.h, for this session, which is the only one.
void events_init(struct session *session);

// Lets the hooks know a process, or forget it. Empties its mail.
void events_attach(struct session *session, unsigned pid, bool on);

// Takes the mail of one vCPU. False when there is none.
bool events_take(struct session *session, unsigned pid, unsigned index, struct mail *out);

// Takes the note that the VM ended or started again.
bool events_take_end(struct session *session, unsigned pid);
