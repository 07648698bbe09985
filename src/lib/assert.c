// SPDX-License-Identifier: MIT
#include "lib/assert.h"

static NORETURN void PRINTF(1, 2) trap(const char *fmt, ...)
{
    (void)fmt;
    __builtin_trap();
}

NORETURN void (*assert_failed)(const char *fmt, ...) PRINTF(1, 2) = trap;
