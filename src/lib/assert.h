// SPDX-License-Identifier: MIT
// Checks of what a function demands of its caller, in debug builds and on the host.
//
// What a function demands stands behind its declaration, as a macro that expands to nothing, and
// its definition begins with the assertion of the same name and arguments:
//
//     void vcpu_load(struct vcpu *v) REQUIRES_OWNER(v);
//
//     void vcpu_load(struct vcpu *v)
//     {
//         ASSERT_OWNER(v);
//
// `make lint` (ci/check-contracts) fails on a declaration whose definition does not assert it. Each
// pair of macros is defined where its subject is. A function on the way of a frequent exit asserts
// nothing, since that would cost instructions there: its comment alone says what it demands.
#pragma once

#include "lib/types.h"

#define ASSERT_TEXT(line, condition)    ASSERT_TEXT_OF(line, condition)
#define ASSERT_TEXT_OF(line, condition) __FILE__ ":" #line ": assertion failed: " condition

// In a release build the condition is not evaluated.
#if DEBUG
#define ASSERT(condition)                                           \
    do {                                                            \
        if (__builtin_expect(!(condition), 0))                      \
            assert_failed("%s", ASSERT_TEXT(__LINE__, #condition)); \
    } while (0)
#else
#define ASSERT(condition) ((void)sizeof(!(condition)))
#endif

// Called with the text of an assertion that fails; does not return. At first it raises #UD; the
// room above sets what reports and ends the core.
extern NORETURN void (*assert_failed)(const char *fmt, ...) PRINTF(1, 2);
