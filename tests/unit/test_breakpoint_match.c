// SPDX-License-Identifier: MIT
// D9: which of DR0 to DR3 an access meets (SDM Vol. 3, 18.2.3, 18.2.4, 18.2.5).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "x86/breakpoint_match.h"

enum { RW_EXECUTE, RW_WRITE, RW_PORT, RW_ACCESS };
enum { LEN_1, LEN_2, LEN_8, LEN_4 };

static struct breakpoint_registers r;

static int no_breakpoints(void **state)
{
    (void)state;
    r = (struct breakpoint_registers){.dr7 = DR7_FIXED};
    return 0;
}

static void set(unsigned n, u64 address, u64 rw, u64 len)
{
    r.dr[n] = address;
    r.dr7 |= rw << (16 + 4 * n) | len << (18 + 4 * n);
}

// By L, or by G with global.
static void enable(unsigned n, bool global)
{
    r.dr7 |= BIT(2 * n + global);
}

static void set_enabled(unsigned n, u64 address, u64 rw, u64 len)
{
    set(n, address, rw, len);
    enable(n, false);
}

#define HIT(n) (BIT(n) | DR6_ENABLED)

static void only_what_is_enabled_is_worth_a_look(void **state)
{
    (void)state;
    set(0, 0x1000, RW_WRITE, LEN_1);
    r.dr7 |= 0xff00 & ~(u64)DR7_GD; // LE, GE and reserved bits
    assert_false(breakpoints_enabled(r.dr7));
    for (unsigned n = 0; n < 4; n++) {
        assert_true(breakpoints_enabled(DR7_FIXED | BIT(2 * n)));
        assert_true(breakpoints_enabled(DR7_FIXED | BIT(2 * n + 1)));
    }
}

static void each_kind_of_access_meets_its_kind_of_breakpoint(void **state)
{
    (void)state;
    set_enabled(0, 0x80, RW_EXECUTE, LEN_1);
    set_enabled(1, 0x80, RW_WRITE, LEN_1);
    set_enabled(2, 0x80, RW_PORT, LEN_1);
    set_enabled(3, 0x80, RW_ACCESS, LEN_1);
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_READ, 0x80, 1), HIT(3));
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_WRITE, 0x80, 1), HIT(1) | HIT(3));
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_PORT, 0x80, 1), HIT(2));
}

static void a_breakpoint_is_enabled_locally_or_globally(void **state)
{
    (void)state;
    set(1, 0x1000, RW_WRITE, LEN_4);
    enable(1, true);
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_WRITE, 0x1000, 4), HIT(1));
}

static void what_is_met_but_not_enabled_is_no_reason_for_a_trap(void **state)
{
    (void)state;
    set(0, 0x1000, RW_ACCESS, LEN_4);
    set_enabled(1, 0x2000, RW_ACCESS, LEN_4);
    set(2, 0x2002, RW_WRITE, LEN_2);
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_READ, 0x1000, 4), BIT(0));
    // Beside one that is enabled it is reported.
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_WRITE, 0x2000, 4), HIT(1) | BIT(2));
}

static void an_access_meets_what_it_overlaps(void **state)
{
    (void)state;
    static const unsigned bytes[] = {[LEN_1] = 1, [LEN_2] = 2, [LEN_8] = 8, [LEN_4] = 4};
    for (unsigned len = 0; len < 4; len++) {
        no_breakpoints(NULL);
        set_enabled(3, 0x1000, RW_ACCESS, len);
        for (unsigned size = 1; size <= 8; size *= 2)
            for (u64 at = 0xff0; at < 0x1010; at++)
                assert_int_equal(breakpoint_match(&r, BREAKPOINT_READ, at, size),
                                 at + size > 0x1000 && at < 0x1000 + bytes[len] ? HIT(3) : 0);
    }
}

static void the_address_is_aligned_to_the_length(void **state)
{
    (void)state;
    set_enabled(0, 0x1003, RW_WRITE, LEN_2);
    set_enabled(1, 0x2003, RW_WRITE, LEN_4);
    set_enabled(2, 0x3007, RW_WRITE, LEN_8);
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_WRITE, 0x1002, 1), HIT(0));
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_WRITE, 0x1004, 1), 0);
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_WRITE, 0x2000, 1), HIT(1));
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_WRITE, 0x2004, 4), 0);
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_WRITE, 0x3000, 1), HIT(2));
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_WRITE, 0x3008, 8), 0);
}

static void ports_have_lengths_too(void **state)
{
    (void)state;
    set_enabled(0, 0x3f9, RW_PORT, LEN_4);
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_PORT, 0x3fb, 1), HIT(0));
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_PORT, 0x3fc, 1), 0);
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_PORT, 0x3f6, 4), HIT(0));
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_PORT, 0x103f9, 1), 0);
}

static void the_last_address_ends_the_address_space(void **state)
{
    (void)state;
    set_enabled(0, UINT64_MAX, RW_ACCESS, LEN_8);
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_READ, UINT64_MAX, 1), HIT(0));
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_READ, UINT64_MAX - 7, 1), HIT(0));
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_READ, UINT64_MAX - 8, 1), 0);
    assert_int_equal(breakpoint_match(&r, BREAKPOINT_READ, 0, 8), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, no_breakpoints)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_what_is_enabled_is_worth_a_look),
        TEST(each_kind_of_access_meets_its_kind_of_breakpoint),
        TEST(a_breakpoint_is_enabled_locally_or_globally),
        TEST(what_is_met_but_not_enabled_is_no_reason_for_a_trap),
        TEST(an_access_meets_what_it_overlaps),
        TEST(the_address_is_aligned_to_the_length),
        TEST(ports_have_lengths_too),
        TEST(the_last_address_ends_the_address_space),
    };
    return cmocka_run_group_tests_name("breakpoint_match", tests, NULL, NULL);
}
