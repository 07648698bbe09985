// SPDX-License-Identifier: MIT
// F10: the keyboard controller, as kernels and boot loaders use it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vdev/kbc.h"

static struct kbc kbc;
static unsigned rises, resets;
static bool line;

static void set_line(void *ctx, unsigned pin, bool level)
{
    assert_ptr_equal(ctx, &kbc);
    assert_int_equal(pin, KBC_IRQ);
    assert_true(level != line);
    line = level;
    rises += level;
}

static void reset(void *ctx)
{
    assert_ptr_equal(ctx, &kbc);
    resets++;
}

static int setup(void **state)
{
    (void)state;
    rises = resets = 0;
    line = false;
    kbc_init(&kbc, (struct irq_line){set_line, &kbc}, reset, &kbc);
    return 0;
}

static void command(u8 value)
{
    assert_int_equal(kbc_read(&kbc, KBC_STATUS) & 2, 0); // ready to take it
    kbc_write(&kbc, KBC_STATUS, value);
}

static void data(u8 value)
{
    assert_int_equal(kbc_read(&kbc, KBC_STATUS) & 2, 0);
    kbc_write(&kbc, KBC_DATA, value);
}

static u8 answer(void)
{
    assert_int_equal(kbc_read(&kbc, KBC_STATUS) & 1, 1);
    return kbc_read(&kbc, KBC_DATA);
}

static void nothing_waits(void)
{
    assert_int_equal(kbc_read(&kbc, KBC_STATUS) & 1, 0);
}

static void it_is_as_firmware_leaves_it(void **state)
{
    (void)state;
    assert_int_equal(kbc_read(&kbc, KBC_STATUS), 0x14);
    assert_int_equal(kbc_read(&kbc, KBC_DATA), 0);
    command(0xaa);
    assert_int_equal(kbc_read(&kbc, KBC_STATUS), 0x1d);
    assert_int_equal(answer(), 0x55);
    nothing_waits();
    command(0xab);
    assert_int_equal(answer(), 0);
}

static void the_command_byte_is_kept(void **state)
{
    (void)state;
    command(0x20);
    assert_int_equal(answer(), 0x65);
    command(0x60);
    data(0x74);
    command(0x20);
    assert_int_equal(answer(), 0x74);
    command(0xae);
    command(0x20);
    assert_int_equal(answer(), 0x64);
    command(0xad);
    command(0xa8);
    command(0x20);
    assert_int_equal(answer(), 0x54);
}

// The sequence of textbooks and boot sectors.
static void a20_is_opened(void **state)
{
    (void)state;
    command(0xad);
    command(0xd0);
    u8 port = answer();
    assert_int_equal(port & 3, 3);
    command(0xd1);
    data(port | 2);
    command(0xae);
    command(0xdd);
    command(0xd0);
    assert_int_equal(answer() & 2, 0);
    command(0xdf);
    command(0xd0);
    assert_int_equal(answer() & 2, 2);
    assert_int_equal(resets, 0);
}

static void a_pulse_of_the_reset_line_resets(void **state)
{
    (void)state;
    command(0xfe);
    assert_int_equal(resets, 1);
    command(0xff); // no line is pulsed
    command(0xf1);
    assert_int_equal(resets, 1);
    command(0xd1);
    data(0xfe);
    assert_int_equal(resets, 2);
    command(0xd1); // what follows is data, whatever it looks like
    command(0xfe);
    assert_int_equal(resets, 3);
}

static void the_keyboard_answers(void **state)
{
    (void)state;
    data(0xff);
    assert_int_equal(answer(), 0xfa);
    assert_int_equal(answer(), 0xaa);
    data(0xf2);
    assert_int_equal(answer(), 0xfa);
    assert_int_equal(answer(), 0xab);
    assert_int_equal(answer(), 0x41); // translated
    data(0xed);
    assert_int_equal(answer(), 0xfa);
    data(0x07);
    assert_int_equal(answer(), 0xfa);
    data(0xf0);
    assert_int_equal(answer(), 0xfa);
    data(0);
    assert_int_equal(answer(), 0xfa);
    assert_int_equal(answer(), 2);
    data(0xee);
    assert_int_equal(answer(), 0xee);
    data(0xf4);
    assert_int_equal(answer(), 0xfa);
    nothing_waits();
}

static void no_mouse_is_found_at_once(void **state)
{
    (void)state;
    command(0xd3);
    data(0x5a);
    assert_int_equal(kbc_read(&kbc, KBC_STATUS) & 0x61, 0x41); // timeout, and not the mouse's
    assert_int_equal(answer(), 0xfe);
    command(0xa9);
    assert_int_equal(answer(), 1);
    command(0xd4);
    data(0xff);
    assert_int_equal(answer(), 0xfe);
    assert_int_equal(kbc_read(&kbc, KBC_STATUS) & 0x40, 0);
}

static void each_byte_interrupts(void **state)
{
    (void)state;
    data(0xff);
    assert_int_equal(rises, 1);
    assert_int_equal(answer(), 0xfa);
    assert_int_equal(rises, 2);
    assert_int_equal(answer(), 0xaa);
    assert_int_equal(rises, 2);
    assert_false(line);
    command(0x60);
    data(0x64); // interrupt off
    data(0xf4);
    assert_int_equal(rises, 2);
    command(0x60);
    data(0x65); // and on, with a byte waiting
    assert_int_equal(rises, 3);
}

static void answers_that_nobody_reads_are_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        data(0xf2);
        command(0xd0);
    }
    for (unsigned i = 0; i < 4; i++)
        answer();
    nothing_waits();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_as_firmware_leaves_it, setup),
        cmocka_unit_test_setup(the_command_byte_is_kept, setup),
        cmocka_unit_test_setup(a20_is_opened, setup),
        cmocka_unit_test_setup(a_pulse_of_the_reset_line_resets, setup),
        cmocka_unit_test_setup(the_keyboard_answers, setup),
        cmocka_unit_test_setup(no_mouse_is_found_at_once, setup),
        cmocka_unit_test_setup(each_byte_interrupts, setup),
        cmocka_unit_test_setup(answers_that_nobody_reads_are_bounded, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
