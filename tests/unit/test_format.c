// SPDX-License-Identifier: MIT
// lib/format.h beside the C library's snprintf.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/format.h"

#define SAME(...)                                               \
    do {                                                        \
        char ours[128], theirs[128];                            \
        size_t n = str_format(ours, sizeof(ours), __VA_ARGS__); \
        int m = snprintf(theirs, sizeof(theirs), __VA_ARGS__);  \
        assert_string_equal(ours, theirs);                      \
        assert_int_equal(n, m);                                 \
    } while (0)

static void integers_are_formatted_as_by_libc(void **state)
{
    (void)state;
    static const long long values[] = {
        0,         1,         -1,        9,         10,     -10,  255,        INT32_MAX,
        INT32_MIN, INT64_MAX, INT64_MIN, 123456789, -65536, 4096, 0x7fffffff, 1000000007};
    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        long long v = values[i];
        SAME("%d %i %u %x %X", (int)v, (int)v, (unsigned)v, (unsigned)v, (unsigned)v);
        SAME("%ld %lld %lu %llu", (long)v, v, (unsigned long)v, (unsigned long long)v);
        SAME("%lx %llX %zu %zx", (unsigned long)v, (unsigned long long)v, (size_t)v, (size_t)v);
        SAME("[%5d] [%-5d] [%05d] [%1d]", (int)v, (int)v, (int)v, (int)v);
        SAME("[%20lld] [%-20lld] [%020lld]", v, v, v);
        SAME("[%.4d] [%.12llu] [%016llx]", (int)v, (unsigned long long)v, (unsigned long long)v);
        SAME("[%9.4d] [%-9.4d]", (int)v, (int)v);
        SAME("[%*d] [%0*d]", 7, (int)v, 7, (int)v);
    }
}

static void strings_are_formatted_as_by_libc(void **state)
{
    (void)state;
    char raw[3] = {'a', 'b', 'c'}; // not terminated
    SAME("%s|%10s|%-10s|%.2s|%10.2s|", "hello", "hello", "hello", "hello", "hello");
    SAME("%.*s|%.*s|", 3, raw, 0, raw);
    SAME("%c%c|%3c|%-3c|", 'x', 'y', 'z', 'w');
    SAME("100%%|%s", "");
}

static void a_pointer_has_sixteen_digits(void **state)
{
    (void)state;
    char buf[32];
    str_format(buf, sizeof(buf), "%p", (void *)0xffffffff80100000);
    assert_string_equal(buf, "ffffffff80100000");
}

static void a_null_string_is_told(void **state)
{
    (void)state;
    char buf[16];
    const char *volatile none = NULL;
    str_format(buf, sizeof(buf), "%s", none);
    assert_string_equal(buf, "(null)");
}

// Whatever the size: terminated, never beyond, and the length is the whole text's.
static void no_buffer_is_overrun(void **state)
{
    (void)state;
    char buf[32], whole[32];
    size_t len = str_format(whole, sizeof(whole), "core %u: %-6s|%08x", 12u, "vm", 0xbeefu);
    assert_int_equal(len, strlen(whole));
    for (size_t size = 0; size <= sizeof(buf); size++) {
        memset(buf, '#', sizeof(buf));
        assert_int_equal(str_format(buf, size, "core %u: %-6s|%08x", 12u, "vm", 0xbeefu), len);
        if (size > 0) {
            size_t kept = len < size ? len : size - 1;
            assert_memory_equal(buf, whole, kept);
            assert_int_equal(buf[kept], '\0');
        }
        for (size_t i = size; i < sizeof(buf); i++)
            assert_int_equal(buf[i], '#');
    }
}

static void text_grows_until_it_is_full(void **state)
{
    (void)state;
    char buf[8];
    struct text t = TEXT(buf);
    text_add(&t, "ab%d", 1);
    assert_false(t.cut);
    text_add(&t, "%s", "cdef");
    assert_string_equal(buf, "ab1cdef");
    assert_false(t.cut);
    text_add(&t, "g");
    assert_string_equal(buf, "ab1cdef");
    assert_true(t.cut);
    text_add(&t, "h");
    assert_int_equal(t.len, 7);
}

static void an_error_is_explained_to_who_wants_to_know(void **state)
{
    (void)state;
    char buf[16];
    struct text why = TEXT(buf);
    assert_int_equal(explain(&why, ERR_BUSY, "%s = %x", "cr3", 0x10), ERR_BUSY);
    assert_string_equal(buf, "cr3 = 10");
    assert_int_equal(explain(&why, ERR_INVALID, ": much too long for it"), ERR_INVALID);
    assert_string_equal(buf, "cr3 = 10: much ");
    assert_true(why.cut);
    assert_int_equal(explain(NULL, ERR_FAULT, "for nobody"), ERR_FAULT);
}

static bool number(const char *text, u64 *value)
{
    return str_number(text, strlen(text), value);
}

static void numbers_are_read_to_their_end(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        u64 value;
    } good[] = {{"0", 0},      {"007", 7},   {"18446744073709551615", UINT64_MAX}, {"0x0", 0},
                {"0xFf", 255}, {"0X10", 16}, {"0xffffffffffffffff", UINT64_MAX}};
    u64 value;
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(number(good[i].text, &value));
        assert_int_equal(value, good[i].value);
    }
    static const char *const bad[] = {"",
                                      "x",
                                      "0x",
                                      "1a",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0xg",
                                      "18446744073709551616",
                                      "0x10000000000000000"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(number(bad[i], &value));
    assert_true(str_number("12x", 2, &value));
    assert_int_equal(value, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_formatted_as_by_libc),
        cmocka_unit_test(strings_are_formatted_as_by_libc),
        cmocka_unit_test(a_pointer_has_sixteen_digits),
        cmocka_unit_test(a_null_string_is_told),
        cmocka_unit_test(no_buffer_is_overrun),
        cmocka_unit_test(text_grows_until_it_is_full),
        cmocka_unit_test(an_error_is_explained_to_who_wants_to_know),
        cmocka_unit_test(numbers_are_read_to_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
