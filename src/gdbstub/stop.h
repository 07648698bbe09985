// SPDX-License-Identifier: MIT
// From what the vCPUs report to what gdb is told.
#pragma once

#include "gdbstub/session.h"

// Looks at all pending events; when something has stopped, holds everything and tells gdb.
void stop_poll(struct session *session);

// gdb asked for a stop. While nothing runs that waits for the next start (gdb's manual:
// Interrupts).
void stop_break_in(struct session *session);

// Holds everything, leaves the running state and sets the reply to a stop by a break-in, or to one
// that is due meanwhile.
void stop_interrupt(struct session *session);

// Whether a stop that was found earlier, or the end of a VM, is to be told before anything of what
// is now wanted runs. Drops stops whose breakpoint has gone.
bool stop_is_due(struct session *session);

// Holds all attached VMs, sets the reply to the stop that is due and leaves the running state.
// gdb_waits: for a stop, so that what was caught may go ahead of it as text.
void stop_report(struct session *session, bool gdb_waits);

// Sets the reply to this thread's recorded stop, which makes it gdb's current one.
void reply_stop(struct session *session, unsigned pid, unsigned index, unsigned signal);

// Sets the reply to a VM's end, and forgets the VM.
void reply_ended(struct session *session, unsigned pid);

// Sets the reply to a stop of the general thread that needs no reason, or the end of a VM; "W00"
// without any.
void reply_stopped(struct session *session);

// Takes an attached VM's end, or new start, from its hook. Called before the VM is looked at.
void stop_take_end(struct session *session, unsigned pid);
