// SPDX-License-Identifier: MIT
// F10: the 8259A pair: data sheet behaviour seen through the ports.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vdev/pic.h"

static struct pic pic;
static bool intr;
static unsigned changes;

static void output(void *ctx, bool level)
{
    assert_ptr_equal(ctx, &pic);
    assert_true(level != intr);
    intr = level;
    changes++;
}

static void initialize(u8 icw4_master)
{
    pic_write(&pic, 0x20, 0x11);
    pic_write(&pic, 0x21, 0x20);
    pic_write(&pic, 0x21, 0x04);
    pic_write(&pic, 0x21, icw4_master);
    pic_write(&pic, 0xa0, 0x11);
    pic_write(&pic, 0xa1, 0x28);
    pic_write(&pic, 0xa1, 0x02);
    pic_write(&pic, 0xa1, 0x01);
}

static int setup(void **state)
{
    (void)state;
    intr = false;
    changes = 0;
    pic_init(&pic, output, &pic);
    initialize(0x01);
    return 0;
}

static void pulse(unsigned irq)
{
    pic_set_irq(&pic, irq, false);
    pic_set_irq(&pic, irq, true);
}

static u8 ack(void)
{
    assert_true(intr);
    return pic_ack(&pic, NULL);
}

static u8 isr(unsigned chip)
{
    pic_write(&pic, chip ? 0xa0 : 0x20, 0x0b);
    return pic_read(&pic, chip ? 0xa0 : 0x20);
}

static u8 irr(unsigned chip)
{
    pic_write(&pic, chip ? 0xa0 : 0x20, 0x0a);
    return pic_read(&pic, chip ? 0xa0 : 0x20);
}

static void it_is_silent_before_initialization(void **state)
{
    (void)state;
    pic_init(&pic, output, &pic);
    pulse(1);
    assert_false(intr);
    pic_write(&pic, 0x20, 0x11);
    pulse(1);
    assert_false(intr); // in the middle of the sequence neither
    pic_write(&pic, 0x21, 0x20);
    pic_write(&pic, 0x21, 0x04);
    assert_false(intr);
    pic_write(&pic, 0x21, 0x01);
    assert_true(intr);
    assert_int_equal(ack(), 0x21);
}

static void an_interrupt_is_in_service_until_its_eoi(void **state)
{
    (void)state;
    unsigned irq = 99;
    pulse(4);
    assert_true(intr);
    assert_int_equal(irr(0), 0x10);
    assert_int_equal(pic_ack(&pic, &irq), 0x24);
    assert_int_equal(irq, 4);
    assert_false(intr);
    assert_int_equal(irr(0), 0);
    assert_int_equal(isr(0), 0x10);
    pic_write(&pic, 0x20, 0x20);
    assert_int_equal(isr(0), 0);
}

static void the_slave_interrupts_through_the_cascade(void **state)
{
    (void)state;
    unsigned irq = 99;
    pulse(8);
    assert_int_equal(irr(0), 0x04);
    assert_int_equal(pic_ack(&pic, &irq), 0x28);
    assert_int_equal(irq, 8);
    assert_int_equal(isr(0), 0x04);
    assert_int_equal(isr(1), 0x01);
    pulse(9);
    assert_false(intr); // lower than IRQ 8 in the slave
    pic_write(&pic, 0xa0, 0x20);
    assert_false(intr); // the master still serves its cascade input
    pic_write(&pic, 0x20, 0x20);
    assert_int_equal(ack(), 0x29);
}

static void a_higher_priority_interrupts_a_lower(void **state)
{
    (void)state;
    pulse(5);
    assert_int_equal(ack(), 0x25);
    pulse(6);
    assert_false(intr);
    pulse(3);
    assert_int_equal(ack(), 0x23);
    assert_int_equal(isr(0), 0x28);
    pic_write(&pic, 0x20, 0x20); // ends the highest: 3
    assert_int_equal(isr(0), 0x20);
    pic_write(&pic, 0x20, 0x60 | 5); // specific
    assert_int_equal(ack(), 0x26);
}

static void a_mask_holds_and_keeps_the_edge(void **state)
{
    (void)state;
    pic_write(&pic, 0x21, 0x02);
    assert_int_equal(pic_read(&pic, 0x21), 0x02);
    assert_true(pic_masked(&pic, 1));
    pulse(1);
    assert_false(intr);
    assert_true(pic_requested(&pic, 1));
    pic_write(&pic, 0x21, 0);
    assert_int_equal(ack(), 0x21);
    pic_write(&pic, 0x21, 0x04);
    assert_true(pic_masked(&pic, 12)); // behind the cascade
}

static void the_next_interrupt_needs_a_new_edge(void **state)
{
    (void)state;
    pulse(1);
    ack();
    pic_write(&pic, 0x20, 0x20);
    assert_false(intr); // still high: no new edge
    pic_set_irq(&pic, 1, true);
    assert_false(intr);
    pulse(1);
    assert_true(intr);
    initialize(0x01); // ICW1 clears the edge sense
    assert_false(intr);
}

static void a_level_asks_again_until_it_falls(void **state)
{
    (void)state;
    pic_write(&pic, 0x4d0, 0xff);
    assert_int_equal(pic_read(&pic, 0x4d0), 0xf8);
    pic_write(&pic, 0x4d1, 0xff);
    assert_int_equal(pic_read(&pic, 0x4d1), 0xde);
    pic_set_irq(&pic, 9, true);
    assert_int_equal(ack(), 0x29);
    pic_write(&pic, 0xa0, 0x20);
    pic_write(&pic, 0x20, 0x20);
    assert_int_equal(ack(), 0x29); // still asserted
    pic_set_irq(&pic, 9, false);
    pic_write(&pic, 0xa0, 0x20);
    pic_write(&pic, 0x20, 0x20);
    assert_false(intr);
}

static void a_request_that_has_gone_is_spurious(void **state)
{
    (void)state;
    unsigned irq = 0;
    pulse(3);
    pic_set_irq(&pic, 3, false); // gone before it was acknowledged
    assert_false(intr);
    assert_int_equal(pic_ack(&pic, &irq), 0x27);
    assert_int_equal(irq, PIC_IRQS);
    assert_int_equal(isr(0), 0); // no EOI wanted
    // IRQ 15: the master has accepted, the slave has nothing any more. Without the slave's
    // mask the line would follow at once, so the race is made through the chips.
    pulse(14);
    pic.chip[1].edges = 0;
    assert_int_equal(pic_ack(&pic, &irq), 0x2f);
    assert_int_equal(irq, PIC_IRQS);
    assert_int_equal(isr(1), 0);
    assert_int_equal(isr(0), 0x04); // the master wants its EOI
}

static void automatic_eoi_leaves_nothing_in_service(void **state)
{
    (void)state;
    initialize(0x03);
    pulse(5);
    assert_int_equal(ack(), 0x25);
    assert_int_equal(isr(0), 0);
    pulse(6);
    assert_int_equal(ack(), 0x26);
}

static void rotation_makes_the_last_served_the_lowest(void **state)
{
    (void)state;
    pulse(1);
    pulse(3);
    assert_int_equal(ack(), 0x21);
    pic_write(&pic, 0x20, 0xa0); // rotate on non-specific EOI: 1 is lowest now
    pulse(0);
    assert_int_equal(ack(), 0x23); // before 0 and 1, after 2
    pic_write(&pic, 0x20, 0x20);
    assert_int_equal(ack(), 0x20);
    pic_write(&pic, 0x20, 0x20);
    pic_write(&pic, 0x20, 0xc0 | 4); // set priority: 4 lowest, 5 highest
    pulse(4);
    pulse(5);
    assert_int_equal(ack(), 0x25);
    pic_write(&pic, 0x20, 0xe0 | 5); // rotate on specific EOI: 5 lowest
    pulse(5);
    assert_int_equal(ack(), 0x24);
}

static void automatic_eoi_can_rotate(void **state)
{
    (void)state;
    initialize(0x03);
    pic_write(&pic, 0x20, 0x80);
    pulse(2); // the cascade input takes none from outside
    assert_false(intr);
    pulse(1);
    assert_int_equal(ack(), 0x21);
    pulse(1);
    pulse(6);
    assert_int_equal(ack(), 0x26); // 1 has become the lowest
    pic_write(&pic, 0x20, 0x00);
    assert_int_equal(ack(), 0x21);
    pulse(0);
    pulse(7);
    assert_int_equal(ack(), 0x27); // 6 was lowest, and 1's service rotated nothing
}

static void special_mask_mode_lets_lower_ones_through(void **state)
{
    (void)state;
    pulse(4);
    ack();
    pulse(6);
    assert_false(intr);
    pic_write(&pic, 0x21, 0x10);
    assert_false(intr);
    pic_write(&pic, 0x20, 0x68); // set special mask
    assert_int_equal(ack(), 0x26);
    pic_write(&pic, 0x20, 0x20); // ends 6, not the masked 4
    assert_int_equal(isr(0), 0x10);
    pic_write(&pic, 0x20, 0x48); // reset special mask
    pulse(7);
    assert_false(intr);
}

static void special_fully_nested_mode_takes_the_slave_again(void **state)
{
    (void)state;
    initialize(0x11);
    pulse(12);
    assert_int_equal(ack(), 0x2c);
    pulse(8);
    assert_int_equal(ack(), 0x28); // the same master input again
    pulse(3);
    assert_false(intr); // lower ones wait all the same
    initialize(0x01);
    pulse(12);
    ack();
    pulse(8);
    assert_false(intr); // not without it
}

static void a_poll_acknowledges(void **state)
{
    (void)state;
    pic_write(&pic, 0x20, 0x0c);
    assert_int_equal(pic_read(&pic, 0x20), 0);
    pulse(5);
    pic_write(&pic, 0x20, 0x0c);
    assert_int_equal(pic_read(&pic, 0x20), 0x85);
    assert_false(intr);
    assert_int_equal(isr(0), 0x20);
    pulse(10);
    pic_write(&pic, 0xa0, 0x0c);
    assert_int_equal(pic_read(&pic, 0xa0), 0x82);
    assert_int_equal(isr(1), 0x04);
}

static void single_mode_skips_icw3(void **state)
{
    (void)state;
    pic_write(&pic, 0x20, 0x12); // single, no ICW4
    pic_write(&pic, 0x21, 0x40);
    pic_write(&pic, 0x21, 0xfd); // this is OCW1 already
    assert_int_equal(pic_read(&pic, 0x21), 0xfd);
    pulse(1);
    assert_int_equal(ack(), 0x41);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_silent_before_initialization, setup),
        cmocka_unit_test_setup(an_interrupt_is_in_service_until_its_eoi, setup),
        cmocka_unit_test_setup(the_slave_interrupts_through_the_cascade, setup),
        cmocka_unit_test_setup(a_higher_priority_interrupts_a_lower, setup),
        cmocka_unit_test_setup(a_mask_holds_and_keeps_the_edge, setup),
        cmocka_unit_test_setup(the_next_interrupt_needs_a_new_edge, setup),
        cmocka_unit_test_setup(a_level_asks_again_until_it_falls, setup),
        cmocka_unit_test_setup(a_request_that_has_gone_is_spurious, setup),
        cmocka_unit_test_setup(automatic_eoi_leaves_nothing_in_service, setup),
        cmocka_unit_test_setup(rotation_makes_the_last_served_the_lowest, setup),
        cmocka_unit_test_setup(automatic_eoi_can_rotate, setup),
        cmocka_unit_test_setup(special_mask_mode_lets_lower_ones_through, setup),
        cmocka_unit_test_setup(special_fully_nested_mode_takes_the_slave_again, setup),
        cmocka_unit_test_setup(a_poll_acknowledges, setup),
        cmocka_unit_test_setup(single_mode_skips_icw3, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
