// SPDX-License-Identifier: MIT
// The four debug registers of a VM (SDM Vol. 3, 18.2), the same on all its vCPUs: Z1 to Z4 first;
// what is free waits for the pages of software breakpoints.
#pragma once

#include "gdbstub/session.h"

// Z1 (execute), Z2 (write), Z3 and Z4 (read or write: x86 has no read alone). length in bytes; a
// range that is not aligned takes several registers. Inserting twice counts once.
// ERR_INVALID: the length; ERR_NO_MEMORY: four registers do not do; ERR_NOT_FOUND: there was none.
enum error hw_insert(struct session *session, unsigned pid, unsigned type, u64 address, u64 length);
enum error hw_remove(struct session *session, unsigned pid, unsigned type, u64 address, u64 length);

// Wants none any more; breakpoints_apply() takes them out.
void debug_registers_clear(struct session *session, unsigned pid);

// Deals the registers out and gives them to every vCPU of the VM. All of them are held.
void debug_registers_apply(struct session *session, unsigned pid);

// What DR6 says: a data access first, else an execution at this linear rip. False: nothing of ours.
bool debug_registers_hit(struct session *session, unsigned pid, u64 dr6, u64 rip, struct stop *out);

// Whether gdb still wants what this stop reports.
bool hw_wanted(struct session *session, unsigned pid, const struct stop *stop);

// Whether a debug register stops execution at this linear address.
bool debug_register_executes(struct session *session, unsigned pid, u64 address);

// Whether a debug register waits for this software breakpoint's page.
bool debug_register_waits(struct session *session, unsigned pid, u64 address);

// Adds a line for each request.
void hw_list(struct session *session, unsigned pid, struct text *out);
