// SPDX-License-Identifier: MIT
// Registers as gdb numbers and names them: one table that makes both the target description and
// the packets g, G, p, P.
#pragma once

#include "gdbstub/session.h"

// Whether a VM should be shown as an i386: it is outside long mode, and its image is 32-bit. Any
// vCPU of it is held.
bool regs_layout_wanted(unsigned pid);

// Adds the target description of the process to the window.
void description(struct session *session, unsigned pid, struct window *w);

// Adds frame pointer, stack pointer and program counter as a stop reply carries them.
void expedite(struct session *session, unsigned pid, const struct vcpu_regs *regs,
              struct text *out);

// Moves a held vCPU to an address. An error, and the reply says why: it cannot be there.
enum error write_rip(struct session *session, struct vcpu *v, u64 rip);

void packet_g(struct session *session, const struct packet_args *a);
void packet_G(struct session *session, const struct packet_args *a);
void packet_p(struct session *session, const struct packet_args *a);
void packet_P(struct session *session, const struct packet_args *a);
