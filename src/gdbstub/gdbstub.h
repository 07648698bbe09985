// SPDX-License-Identifier: MIT
// The gdb stub: the remote serial protocol on one line, for all VMs. All of it is called in root
// mode on the core that owns the line, one call at a time, but gdbstub_page_written() and the hook
// that gdbstub_init() registers with vcpu/debug.h.
#pragma once

#include "lib/types.h"

struct session; // gdbstub/session.h

// Before the first byte; registers the hook. Calling it again forgets everything.
void gdbstub_init(struct session *session);

// A byte from the line.
void gdbstub_input(struct session *session, u8 byte);

// The line reported a BREAK: the same as byte 0x03.
void gdbstub_break(struct session *session);

// After target_kick_line_core(): looks at what the vCPUs reported, tells gdb.
void gdbstub_poll(struct session *session);

// Nobody is at the other end any more: every breakpoint is taken out, all guests run.
void gdbstub_line_dead(struct session *session);

// A page that target_watch_page() put under watch is about to be written (before), or that is done.
// On the writer's core; does not wait. Between the two a vCPU's instruction may be single-stepped;
// other vCPUs may run.
void gdbstub_page_written(unsigned pid, gpa_t page, bool before);
