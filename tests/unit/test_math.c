// SPDX-License-Identifier: MIT
// lib/math.h: the arithmetic under every timer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/math.h"

static const u64 values[] = {0,
                             1,
                             2,
                             3,
                             999,
                             1000000000,
                             3579545,
                             1193182,
                             0xffffffff,
                             0x100000000,
                             0x123456789abcdef0,
                             0x7fffffffffffffff,
                             0x8000000000000000,
                             0xfffffffffffffffe,
                             0xffffffffffffffff};

static void muldiv_is_exact_or_saturates(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(values); j++) {
            for (unsigned k = 1; k < ARRAY_SIZE(values); k++) {
                unsigned __int128 product = (unsigned __int128)values[i] * values[j];
                unsigned __int128 down = product / values[k];
                unsigned __int128 up = down + (product % values[k] != 0);
                u64 want = down > UINT64_MAX ? UINT64_MAX : (u64)down;
                u64 want_up = up > UINT64_MAX ? UINT64_MAX : (u64)up;
                assert_true(muldiv64(values[i], values[j], values[k]) == want);
                assert_true(muldiv64_up(values[i], values[j], values[k]) == want_up);
            }
        }
    }
}

// A deadline made from a time must not lie before that time when read back.
static void rounding_up_covers_rounding_down(void **state)
{
    (void)state;
    const u64 tsc = 2894561237, clock = 3579545;
    for (u64 t = 0; t < 100000; t += 7) {
        u64 ticks = muldiv64_up(t, tsc, clock);
        assert_true(muldiv64(ticks, clock, tsc) >= t);
        assert_true(ticks == 0 || muldiv64(ticks - 1, clock, tsc) < t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(muldiv_is_exact_or_saturates),
        cmocka_unit_test(rounding_up_covers_rounding_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
