// SPDX-License-Identifier: MIT
// Guest memory as the debugger sees it: m, M, X, x, and address translation.
#pragma once

#include "gdbstub/session.h"
#include "x86/walk.h"

// The address that the CPU fetches from: code segment base and rip, wrapped outside 64-bit mode.
u64 linear_rip(const struct vcpu_regs *regs);

bool in_paged_mode(const struct vcpu_regs *regs);
bool in_long_mode(const struct vcpu_regs *regs);     // IA-32e mode is active
bool in_64bit_mode(const struct vcpu_regs *regs);    // and CS.L
unsigned current_ring(const struct vcpu_regs *regs); // CPL

// Walks the guest's page tables without checking permissions. Any core.
enum error translate(unsigned pid, const struct vcpu_regs *regs, u64 address,
                     struct walk_result *out);

// Copies guest memory, by the vCPU's translation, or physical when regs is NULL. Returns how many
// bytes could be copied before the first that could not. Breakpoints are invisible.
u64 gdb_read_memory(struct session *session, unsigned pid, const struct vcpu_regs *regs,
                    u64 address, void *buf, u64 len);
u64 gdb_write_memory(unsigned pid, const struct vcpu_regs *regs, u64 address, const void *buf,
                     u64 len);

// The packets; packet_write() is M and X.
void packet_m(struct session *session, const struct packet_args *a);
void packet_write(struct session *session, const struct packet_args *a);
void packet_x(struct session *session, const struct packet_args *a);
