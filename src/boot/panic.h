// SPDX-License-Identifier: MIT
// The end of a core: what happened, its registers and a symbolized backtrace, on the log.
#pragma once

#include "lib/types.h"

// Registers at an exception or interrupt in root mode, in the order in which vectors.S leaves them.
struct trap_frame {
    u64 error_code; // 0 where the exception has none
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u8 vector, unused[7];
    u64 rip, cs, rflags, rsp, ss;
};

// Reports and powers off with a failing status. Any core, any context.
NORETURN void panic(const char *fmt, ...) PRINTF(1, 2);
NORETURN void panic_exception(const struct trap_frame *f, const char *name);

// Sends the other cores an NMI; set by smp.
extern void (*panic_stop_others)(void);

// Whether some core has panicked: one that takes an NMI then stops for good.
bool panic_is_on(void);
