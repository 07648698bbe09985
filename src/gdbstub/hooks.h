// SPDX-License-Identifier: MIT
// What vCPUs report from their own cores, kept until the line's core looks at it.
// A session's hooks_lock guards what hooks see: processes' `attached` and `ended`, pending events,
// and the int3s in memory (int3.c). Whoever holds it waits for no core.
#pragma once

#include "gdbstub/session.h"

// Registers the hook with vcpu/debug.h, for this session, which is the only one.
void hooks_init(struct session *session);

// Lets the hooks know a process, or forget it. Drops its pending events.
void hooks_attach(struct session *session, unsigned pid, bool on);

// Takes the pending event of one vCPU. False when there is none.
bool hooks_take_event(struct session *session, unsigned pid, unsigned index,
                      struct pending_event *out);

// Takes the note that the VM ended or started again.
bool hooks_take_end(struct session *session, unsigned pid);
