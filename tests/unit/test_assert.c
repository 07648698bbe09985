// SPDX-License-Identifier: MIT
// lib/assert.h: what fails calls the hook with its place and its text, what holds does nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/assert.h"
#include "lib/lock.h"

static jmp_buf failure;
static char text[128];

static NORETURN void PRINTF(1, 2) note(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    longjmp(failure, 1);
}

static int prepare(void **state)
{
    (void)state;
    assert_failed = note;
    text[0] = '\0';
    return 0;
}

static void a_condition_that_holds_is_evaluated_once(void **state)
{
    (void)state;
    volatile int n = 0;
    if (setjmp(failure) == 0)
        ASSERT(++n == 1);
    assert_int_equal(n, 1);
    assert_string_equal(text, "");
}

static void one_that_fails_is_told_with_its_place(void **state)
{
    (void)state;
    volatile unsigned line = 0, after = 0;
    if (setjmp(failure) == 0) {
        line = __LINE__ + 1;
        ASSERT(7 % 2 == 0);
        after = 1;
    }
    char expected[128];
    snprintf(expected, sizeof(expected), "%s:%u: assertion failed: 7 %% 2 == 0", __FILE__, line);
    assert_string_equal(text, expected);
    assert_int_equal(after, 0);
}

static void a_lock_must_be_held(void **state)
{
    (void)state;
    struct spinlock lock = {0};
    spin_lock(&lock);
    if (setjmp(failure) == 0)
        ASSERT_HELD(&lock);
    assert_string_equal(text, "");
    spin_unlock(&lock);
    if (setjmp(failure) == 0)
        ASSERT_HELD(&lock);
    assert_non_null(strstr(text, ": assertion failed: spin_is_held(&lock)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_condition_that_holds_is_evaluated_once, prepare),
        cmocka_unit_test_setup(one_that_fails_is_told_with_its_place, prepare),
        cmocka_unit_test_setup(a_lock_must_be_held, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
