// SPDX-License-Identifier: MIT
// A record that lies in memory over a reset: what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boot/pstore.h"

#define PLACE HPA(0x4000000)

static struct pstore k;

static void setup_text(const char *text)
{
    memset(&k, 0xa5, sizeof(k));
    pstore_seal(&k, PLACE, text, strlen(text));
}

static void what_was_written_is_valid(void **state)
{
    (void)state;
    setup_text("core 1 is lost\n");
    assert_true(pstore_is_valid(&k, PLACE));
    assert_int_equal(k.length, 15);
    assert_memory_equal(k.text, "core 1 is lost\n", 15);
    setup_text("");
    assert_true(pstore_is_valid(&k, PLACE));
}

static void elsewhere_it_is_not_valid(void **state)
{
    (void)state;
    setup_text("x");
    assert_false(pstore_is_valid(&k, HPA(0x8000000)));
}

static void each_bit_counts(void **state)
{
    (void)state;
    setup_text("exception 6\n");
    u8 *bytes = (u8 *)&k;
    for (size_t i = 0; i < offsetof(struct pstore, text) + k.length; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (u8)(1u << bit);
            assert_false(pstore_is_valid(&k, PLACE));
            bytes[i] ^= (u8)(1u << bit);
        }
    }
    assert_true(pstore_is_valid(&k, PLACE));
}

// The checksum is not read beyond the record for it.
static void a_length_that_is_too_great_is_not_valid(void **state)
{
    (void)state;
    static const u64 lengths[] = {PSTORE_TEXT + 1, 1ull << 32, UINT64_MAX, UINT64_MAX - 15};
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        setup_text("x");
        k.length = lengths[i];
        assert_false(pstore_is_valid(&k, PLACE));
    }
}

static void garbage_is_not_valid(void **state)
{
    (void)state;
    memset(&k, 0, sizeof(k));
    assert_false(pstore_is_valid(&k, PLACE));
    memset(&k, 0xff, sizeof(k));
    assert_false(pstore_is_valid(&k, PLACE));
}

static void a_full_one_is_valid(void **state)
{
    (void)state;
    static char text[PSTORE_TEXT];
    memset(text, 'x', sizeof(text));
    pstore_seal(&k, PLACE, text, sizeof(text));
    assert_true(pstore_is_valid(&k, PLACE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_valid),
        cmocka_unit_test(elsewhere_it_is_not_valid),
        cmocka_unit_test(each_bit_counts),
        cmocka_unit_test(a_length_that_is_too_great_is_not_valid),
        cmocka_unit_test(garbage_is_not_valid),
        cmocka_unit_test(a_full_one_is_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
