// SPDX-License-Identifier: MIT
// Running and stopping, all-stop: gdb says which threads go on; the first stop of any of them holds
// all attached VMs, and is told to gdb. Other stops found by then wait for their turn.
#pragma once

#include "gdbstub/session.h"

void packet_vCont(const char *args);
void packet_c(const char *args);
void packet_C(const char *args);
void packet_s(const char *args);
void packet_S(const char *args);

// Holds every vCPU of the VM, puts an int3 in again that was out for a step, stops guest time.
void hold_process(unsigned pid);

// Lets the threads of a held VM go as their `want` says; one that stands on a breakpoint it has
// reported first steps over it, alone.
void process_go(unsigned pid);

// Lets one thread of a VM go, as its `want` says, or for a step over a breakpoint.
void thread_go(unsigned pid, unsigned index);
