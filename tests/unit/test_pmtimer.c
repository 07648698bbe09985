// SPDX-License-Identifier: MIT
// F10: ACPI fixed hardware: PM timer, PM1 registers, SCI, S5.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vdev/acpipm.h"

#define HZ 2893200011ull

static struct acpipm pm;
static bool sci;
static unsigned shutdowns;
static u64 now;

static void set(void *ctx, unsigned pin, bool level)
{
    assert_ptr_equal(ctx, &pm);
    assert_int_equal(pin, 9);
    assert_true(level != sci);
    sci = level;
}

static void on_shutdown(void *ctx)
{
    assert_ptr_equal(ctx, &pm);
    shutdowns++;
}

static int setup(void **state)
{
    (void)state;
    sci = false;
    shutdowns = 0;
    now = 777;
    acpipm_init(&pm, HZ, now, (struct irq_line){set, &pm}, on_shutdown, &pm);
    return 0;
}

static u32 in(u16 port, unsigned size)
{
    return acpipm_read(&pm, port, size, now);
}

static void out(u16 port, unsigned size, u32 value)
{
    acpipm_write(&pm, port, size, value, now);
}

static void the_timer_counts_without_drift(void **state)
{
    (void)state;
    assert_int_equal(in(0x608, 4), 0);
    now += HZ;
    assert_int_equal(in(0x608, 4), 3579545);
    assert_int_equal(in(0x609, 1), 3579545 >> 8 & 0xff);
    assert_int_equal(in(0x60a, 2), 3579545 >> 16);
    out(0x608, 4, 0); // read-only
    assert_int_equal(in(0x608, 4), 3579545);
    now += 86400 * 365 * 20 * HZ; // no drift and no overflow in 20 years
    assert_int_equal(in(0x608, 4), (u32)((86400 * 365 * 20ull + 1) * 3579545));
    assert_int_equal(acpipm_timer(&pm, now), in(0x608, 4));
}

static void the_timer_interrupts_when_its_top_bit_changes(void **state)
{
    (void)state;
    out(0x602, 2, 1);
    assert_true(acpipm_deadline(&pm) == NEVER); // ACPI is off
    out(0xb2, 1, 0xf1);
    assert_int_equal(in(0x604, 2), 1);
    u64 due = acpipm_deadline(&pm);
    assert_int_equal(due, 777 + clocks_to_ticks(1ull << 31, PM_TMR_HZ, HZ));
    now = due - 1;
    acpipm_expire(&pm, now);
    assert_false(sci);
    assert_int_equal(in(0x608, 4), 0x7fffffff);
    now = due;
    acpipm_expire(&pm, now);
    assert_true(sci);
    assert_int_equal(in(0x600, 2), 1);
    assert_true(acpipm_deadline(&pm) == NEVER);
    out(0x600, 2, 0x0030); // other bits: nothing
    assert_true(sci);
    out(0x600, 2, 1);
    assert_false(sci);
    assert_int_equal(acpipm_deadline(&pm), 777 + clocks_to_ticks(2ull << 31, PM_TMR_HZ, HZ));
    out(0x602, 1, 0);
    now = acpipm_deadline(&pm);
    assert_true(now == NEVER);
    now = 777 + clocks_to_ticks(5ull << 31, PM_TMR_HZ, HZ);
    assert_int_equal(in(0x600, 2), 1); // the status comes without its enable
    assert_false(sci);
}

static void acpi_is_enabled_by_its_command(void **state)
{
    (void)state;
    assert_int_equal(in(0x604, 2), 0);
    out(0x604, 2, 1);
    assert_int_equal(in(0x604, 2), 0); // not this way
    out(0xb2, 1, 0xf1);
    assert_int_equal(in(0x604, 2), 1);
    assert_int_equal(in(0xb2, 1), 0xf1);
    out(0xb3, 1, 0x42);
    assert_int_equal(in(0xb3, 1), 0x42);
    out(0xb2, 2, 0x17f0);
    assert_int_equal(in(0x604, 2), 0);
    assert_int_equal(in(0xb2, 2), 0x17f0);
    out(0xb2, 1, 0xf1);
    out(0x604, 2, 0x0002);
    assert_int_equal(in(0x604, 2), 3);
    acpipm_reset(&pm);
    assert_int_equal(in(0x604, 2), 0);
}

static void the_power_button_raises_the_sci(void **state)
{
    (void)state;
    out(0xb2, 1, 0xf1);
    acpipm_power_button(&pm);
    assert_false(sci);
    out(0x600, 4, 0x01000000); // enable, by the whole block
    assert_true(sci);
    out(0xb2, 1, 0xf0);
    assert_false(sci);
    out(0xb2, 1, 0xf1);
    assert_true(sci);
    assert_int_equal(in(0x600, 4), 0x01000100);
    assert_int_equal(in(0x601, 1), 1);
    out(0x601, 1, 1);
    assert_false(sci);
    assert_int_equal(in(0x600, 4), 0x01000000);
    assert_int_equal(in(0x606, 4), 0);
    acpipm_power_button(&pm);
    acpipm_reset(&pm);
    assert_false(sci);
}

static void s5_and_no_other_state_shuts_down(void **state)
{
    (void)state;
    out(0x604, 2, 5 << 10);
    assert_int_equal(in(0x604, 2), 5 << 10);
    assert_int_equal(shutdowns, 0);
    out(0x604, 2, 5 << 10 | 0x2000); // no such state: awake at once
    assert_int_equal(shutdowns, 0);
    assert_int_equal(in(0x600, 2), 0x8000);
    assert_int_equal(in(0x604, 2), 5 << 10); // SLP_EN reads 0
    out(0x604, 2, 0x2000);
    assert_int_equal(shutdowns, 1);
    out(0x605, 1, 0x20); // a byte alone
    assert_int_equal(shutdowns, 2);
    out(0x602, 2, 0x2000); // the neighbour
    assert_int_equal(in(0x602, 2), 0);
    out(0x602, 2, 0xffff); // kernels check that an enable bit stays
    assert_int_equal(in(0x602, 2), 0x0721);
    assert_int_equal(shutdowns, 2);
    out(0x602, 4, 0x20000000); // and all across it
    assert_int_equal(shutdowns, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_timer_counts_without_drift, setup),
        cmocka_unit_test_setup(the_timer_interrupts_when_its_top_bit_changes, setup),
        cmocka_unit_test_setup(acpi_is_enabled_by_its_command, setup),
        cmocka_unit_test_setup(the_power_button_raises_the_sci, setup),
        cmocka_unit_test_setup(s5_and_no_other_state_shuts_down, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
