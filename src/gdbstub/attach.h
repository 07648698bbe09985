// SPDX-License-Identifier: MIT
// Processes come and go: attach, detach, kill, and a new client.
#pragma once

#include "gdbstub/session.h"

// Holds all of the VM's vCPUs. False: no such VM, it has ended, or it is attached already.
bool attach_process(unsigned pid);

// Takes out every breakpoint and lets the VM run.
void detach_process(unsigned pid);

// Ends the VM.
void kill_process(unsigned pid);

// The VM has ended; gdb was told, or does not want to know.
void forget_process(unsigned pid);

// All of them run, nothing of the session is left.
void detach_all(void);

// A client introduces itself: what an earlier one left is undone, and as attach_first() says.
void session_reset(void);

// Attaches the VM of attach_next(), else the first that has not ended, unless something is
// attached.
void attach_first(void);

// Has the next client be given this VM, once.
void attach_next(unsigned pid);

#define NO_VM "no such VM, or it has ended, or it is attached already"

// D, vAttach, vKill, k, and the choice of threads: H, T.
void packet_detach_all(const struct packet_args *a);
void packet_detach(const struct packet_args *a);
void packet_attach(const struct packet_args *a);
void packet_kill(const struct packet_args *a);
void packet_k(const struct packet_args *a);
void packet_H(const struct packet_args *a);
void packet_T(const struct packet_args *a);
