// SPDX-License-Identifier: MIT
// Running and stopping, all-stop: gdb says which threads go on; the first stop of any of them holds
// all attached VMs, and is told to gdb. Other stops found by then wait for their turn.
#pragma once

#include "gdbstub/session.h"

void packet_vCont_query(struct session *session, const struct packet_args *a);
void packet_vCont(struct session *session, const struct packet_args *a);

// c and s, C and S; the option is whether to step.
void packet_resume(struct session *session, const struct packet_args *a);
void packet_resume_signal(struct session *session, const struct packet_args *a);

// vCont;t while guests run, and vCtrlC at any time: a stop of everything.
void packet_stop_all(struct session *session, const struct packet_args *a);
void packet_vCtrlC(struct session *session, const struct packet_args *a);

// Holds every vCPU of the VM, puts an int3 in again that was out for a step, stops guest time.
void hold_process(struct session *session, unsigned pid);

// Lets the threads of a held VM go as their `want` says; one that stands on a breakpoint it has
// reported first steps over it, alone.
void process_go(struct session *session, unsigned pid);

// Lets one thread of a VM go, as its `want` says, or for a step over a breakpoint.
void thread_go(struct session *session, unsigned pid, unsigned index);
