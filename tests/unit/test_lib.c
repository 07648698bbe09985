// SPDX-License-Identifier: MIT
// lib/string.c as the appliance links it, under other names, beside the C library's; rings,
// names of errors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/error.h"
#include "lib/fixup.h"
#include "lib/ring.h"

#define memcpy  our_memcpy
#define memmove our_memmove
#define memset  our_memset
#define memcmp  our_memcmp
#define memchr  our_memchr
#define strlen  our_strlen
#define strnlen our_strnlen
#define strcmp  our_strcmp
#define strncmp our_strncmp
#undef strchr
#define strchr our_strchr
#define strstr our_strstr
#include "lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strstr

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static void copying_and_filling_are_as_in_libc(void **state)
{
    (void)state;
    u8 src[64], ours[64], theirs[64];
    for (unsigned i = 0; i < sizeof(src); i++)
        src[i] = (u8)(i * 7 + 1);
    for (size_t n = 0; n <= 32; n++) {
        for (size_t at = 0; at < 9; at++) {
            memset(ours, 0xee, sizeof(ours));
            memset(theirs, 0xee, sizeof(theirs));
            assert_ptr_equal(our_memcpy(ours + at, src + 3, n), ours + at);
            memcpy(theirs + at, src + 3, n);
            assert_memory_equal(ours, theirs, sizeof(ours));
            assert_ptr_equal(our_memset(ours + at, 0x5a, n), ours + at);
            memset(theirs + at, 0x5a, n);
            assert_memory_equal(ours, theirs, sizeof(ours));
        }
    }
}

static void moving_over_itself_is_as_in_libc(void **state)
{
    (void)state;
    for (size_t from = 0; from < 16; from++) {
        for (size_t to = 0; to < 16; to++) {
            for (size_t n = 0; n <= 16; n++) {
                u8 ours[32], theirs[32];
                for (unsigned i = 0; i < sizeof(ours); i++)
                    ours[i] = theirs[i] = (u8)i;
                our_memmove(ours + to, ours + from, n);
                memmove(theirs + to, theirs + from, n);
                assert_memory_equal(ours, theirs, sizeof(ours));
            }
        }
    }
}

static void comparing_and_searching_are_as_in_libc(void **state)
{
    (void)state;
    static const char *const s[] = {"", "a", "ab", "abc", "abd", "b", "\xff", "aab", "aabaab"};
    for (unsigned i = 0; i < ARRAY_SIZE(s); i++) {
        assert_int_equal(our_strlen(s[i]), strlen(s[i]));
        assert_int_equal(our_strnlen(s[i], 2), strnlen(s[i], 2));
        for (unsigned j = 0; j < ARRAY_SIZE(s); j++) {
            assert_int_equal(sign(our_strcmp(s[i], s[j])), sign(strcmp(s[i], s[j])));
            assert_ptr_equal(our_strstr(s[i], s[j]), strstr(s[i], s[j]));
            for (size_t n = 0; n < 4; n++)
                assert_int_equal(sign(our_strncmp(s[i], s[j], n)), sign(strncmp(s[i], s[j], n)));
        }
        for (int c = 0; c < 256; c += 1) {
            assert_ptr_equal(our_strchr(s[i], c), strchr(s[i], c));
            assert_ptr_equal(our_memchr(s[i], c, strlen(s[i])), memchr(s[i], c, strlen(s[i])));
        }
    }
    assert_int_equal(sign(our_memcmp("a\0b", "a\0c", 3)), -1);
    assert_int_equal(our_memcmp("a\0b", "a\0c", 2), 0);
    assert_true(our_memcmp("\xff", "\x01", 1) > 0);
}

static void a_ring_gives_back_in_order(void **state)
{
    (void)state;
    u8 buf[8], byte;
    struct ring r = RING(buf);
    r.head = r.tail = UINT32_MAX - 3; // the counters wrap
    assert_false(ring_get(&r, &byte));
    for (unsigned round = 0; round < 5; round++) {
        for (u8 i = 0; i < 8; i++)
            assert_true(ring_put(&r, (u8)(round * 8 + i)));
        assert_false(ring_put(&r, 0xff));
        assert_int_equal(ring_free(&r), 0);
        for (u8 i = 0; i < 8; i++) {
            assert_true(ring_get(&r, &byte));
            assert_int_equal(byte, round * 8 + i);
        }
        assert_int_equal(ring_used(&r), 0);
    }
}

static void every_error_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = OK; a <= ERR_FAULT; a++) {
        assert_non_null(error_name((enum error)a));
        for (int b = OK; b < a; b++)
            assert_string_not_equal(error_name((enum error)a), error_name((enum error)b));
    }
    assert_non_null(error_name((enum error)1000));
}

static void a_fault_goes_on_at_its_landing(void **state)
{
    (void)state;
    struct fixup table[3];
    u64 rip[3], landing[3];
    for (unsigned i = 0; i < 3; i++) { // before and behind the table
        table[i] = (struct fixup){.fault = 1000 * (i32)i - 5000, .landing = 70 - 1000 * (i32)i};
        rip[i] = (u64)&table[i].fault + (u64)(i64)table[i].fault;
        landing[i] = (u64)&table[i].landing + (u64)(i64)table[i].landing;
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(fixup_landing(table, table + 3, rip[i]), landing[i]);
        assert_int_equal(fixup_landing(table, table + 3, rip[i] + 1), 0);
    }
    assert_int_equal(fixup_landing(table, table + 1, rip[2]), 0);
    assert_int_equal(fixup_landing(table, table, rip[0]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_goes_on_at_its_landing),
        cmocka_unit_test(copying_and_filling_are_as_in_libc),
        cmocka_unit_test(moving_over_itself_is_as_in_libc),
        cmocka_unit_test(comparing_and_searching_are_as_in_libc),
        cmocka_unit_test(a_ring_gives_back_in_order),
        cmocka_unit_test(every_error_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
