// SPDX-License-Identifier: MIT
// Text on COM1, verdicts, and the end of the guest.
#pragma once

#include "lib/types.h"

// What port 0xf4 is told. QEMU's isa-debug-exit turns value v into status 2v+1.
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_EXCEPTION = 2 };

// Sets COM1 to 115,200 8N1 with FIFOs, no interrupts. Without a UART, text is dropped.
void serial_init(void);

// Text on COM1, a line at a time: CPUs take turns. Cut at 500 characters.
int printf(const char *fmt, ...) PRINTF(1, 2);

// A verdict, "PASS F10: text" or "FAIL F10: text"; text starts with the id of its row in
// docs/coverage.md. Returns ok.
bool report(bool ok, const char *fmt, ...) PRINTF(2, 3);

// "SKIP F10: text": something that this machine does not have.
void report_skip(const char *fmt, ...) PRINTF(1, 2);

// "N passed, N failed" and the exit value for main() to return. No verdict at all is a failure.
int report_summary(void);

// Ends the guest with this value on port 0xf4; without that port it halts for ever.
NORETURN void guest_exit(int value);
