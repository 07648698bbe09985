// SPDX-License-Identifier: MIT
// From a function's registers to those of its caller, by call frame information. Pure; reads memory
// by a function that may refuse to, so that a destroyed stack does no harm.
#pragma once

#include "boot/cfi.h"
#include "lib/error.h"

// What a function leaves as it was unless it says where it has saved it (System V ABI for x86-64).
#define UNWIND_CALLEE_SAVED \
    (BIT(CFI_RBX) | BIT(CFI_RBP) | BIT(CFI_R12) | BIT(CFI_R13) | BIT(CFI_R14) | BIT(CFI_R15))

struct unwind_frame {
    u64 registers[CFI_REGISTERS];
    u32 known;  // a bit for each, by enum cfi_register
    bool exact; // RIP is the next instruction's, and not one that a call returns to
};

enum unwind_status {
    UNWIND_CALLER,
    UNWIND_OUTERMOST, // there is no caller
    UNWIND_NO_ENTRY,  // as CFI_NO_ENTRY and so on
    UNWIND_UNKNOWN,
    UNWIND_DAMAGED,
    UNWIND_LOST,  // the CFA is relative to a register that is not known
    UNWIND_STACK, // the return address cannot be read, or the stack does not go up
};

// Makes *f its caller, and UNWIND_CALLER; else leaves it as it is. read: the 8 bytes at an address,
// or ERR_FAULT; it is given any address.
enum unwind_status unwind(const struct cfi_section *s, struct unwind_frame *f,
                          enum error (*read)(u64 address, u64 *value));

// The calling function's registers at this place in it.
static inline __attribute__((always_inline)) void unwind_here(struct unwind_frame *f)
{
    *f = (struct unwind_frame){.known = (u32)(UNWIND_CALLEE_SAVED | BIT(CFI_RSP) | BIT(CFI_RIP)),
                               .exact = true};
    __asm__ volatile("mov %%rbx, %c[rbx](%[to])\n\t"
                     "mov %%rbp, %c[rbp](%[to])\n\t"
                     "mov %%rsp, %c[rsp](%[to])\n\t"
                     "mov %%r12, %c[r12](%[to])\n\t"
                     "mov %%r13, %c[r13](%[to])\n\t"
                     "mov %%r14, %c[r14](%[to])\n\t"
                     "mov %%r15, %c[r15](%[to])\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "mov %%rax, %c[rip](%[to])\n"
                     "1:"
                     : "+m"(f->registers)
                     : [to] "r"(f->registers), [rbx] "i"(8 * CFI_RBX), [rbp] "i"(8 * CFI_RBP),
                       [rsp] "i"(8 * CFI_RSP), [r12] "i"(8 * CFI_R12), [r13] "i"(8 * CFI_R13),
                       [r14] "i"(8 * CFI_R14), [r15] "i"(8 * CFI_R15), [rip] "i"(8 * CFI_RIP)
                     : "rax");
}

// Why a backtrace ends there, for a reader; NULL where there is no more of it.
const char *unwind_status_text(enum unwind_status status);
