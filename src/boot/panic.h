// SPDX-License-Identifier: MIT
// The end of a core, or of the whole appliance: what happened, its registers and a symbolized
// backtrace, on the log.
#pragma once

#include "lib/types.h"

// Registers at an exception or interrupt in root mode, in the order in which vectors.S leaves them.
struct trap_frame {
    u64 error_code; // 0 where the exception has none
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u8 vector, unused[7];
    u64 rip, cs, rflags, rsp, ss;
};

// Reports, and ends the calling core if others can go on without it (panic_core_loss), else the
// appliance, with a failing status. Any core, any context.
NORETURN void panic(const char *fmt, ...) PRINTF(1, 2);
NORETURN void panic_exception(const struct trap_frame *f, const char *name);

// The same for what the interrupted code, at f, has not been noticed doing: `what` is "NMI: …".
NORETURN void panic_interrupted(const struct trap_frame *f, const char *what);

// Ends the appliance in any case.
NORETURN void panic_all(const char *fmt, ...) PRINTF(1, 2);

// Sends the other cores an NMI; set by smp.
extern void (*panic_stop_others)(void);

// How a core ends alone; set by smp, when all run their VMMs. begin: false, nobody else could go
// on. end: does not return unless nobody is left.
struct core_loss {
    bool (*begin)(const char *what);
    void (*end)(void);
};
extern const struct core_loss *panic_core_loss;

// Whether some core has panicked: one that takes an NMI then stops for good.
bool panic_is_on(void);
