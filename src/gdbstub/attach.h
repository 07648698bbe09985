// SPDX-License-Identifier: MIT
// Processes come and go: attach, detach, kill, and a new client.
#pragma once

#include "gdbstub/session.h"

// Holds all of the VM's vCPUs. ERR_NOT_FOUND: no such VM, it has ended, or it is attached already.
enum error attach_process(struct session *session, unsigned pid);

// Takes out every breakpoint and lets the VM run.
void detach_process(struct session *session, unsigned pid);

// Ends the VM.
void kill_process(struct session *session, unsigned pid);

// The VM has ended; gdb was told, or does not want to know.
void forget_process(struct session *session, unsigned pid);

// All of them run, nothing of the session is left.
void detach_all(struct session *session);

// A client introduces itself: what an earlier one left is undone, and as attach_first() says.
void session_reset(struct session *session);

// Attaches the VM of attach_next(), else the first that has not ended, unless something is
// attached.
void attach_first(struct session *session);

// Has the next client be given this VM, once.
void attach_next(struct session *session, unsigned pid);

#define NO_VM "no such VM, or it has ended, or it is attached already"

// D, vAttach, vKill, k, and the choice of threads: H, T.
void packet_detach_all(struct session *session, const struct packet_args *a);
void packet_detach(struct session *session, const struct packet_args *a);
void packet_attach(struct session *session, const struct packet_args *a);
void packet_kill(struct session *session, const struct packet_args *a);
void packet_k(struct session *session, const struct packet_args *a);
void packet_H(struct session *session, const struct packet_args *a);
void packet_T(struct session *session, const struct packet_args *a);
