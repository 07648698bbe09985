// SPDX-License-Identifier: MIT
// F10: the IOAPIC.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vdev/ioapic.h"

static struct ioapic io;
static struct ioapic_message last;
static unsigned sent, routed;

static void send(void *ctx, const struct ioapic_message *m)
{
    assert_ptr_equal(ctx, &io);
    last = *m;
    sent++;
}

static void routes(void *ctx)
{
    assert_ptr_equal(ctx, &io);
    routed++;
}

static int setup(void **state)
{
    (void)state;
    sent = routed = 0;
    ioapic_init(&io, send, routes, &io);
    return 0;
}

static u32 get(u32 reg)
{
    ioapic_write(&io, 0, reg);
    return ioapic_read(&io, 0x10);
}

static void put(u32 reg, u32 value)
{
    ioapic_write(&io, 0, reg);
    ioapic_write(&io, 0x10, value);
}

static void route(unsigned pin, u64 rte)
{
    put(0x11 + 2 * pin, (u32)(rte >> 32));
    put(0x10 + 2 * pin, (u32)rte);
}

static void registers_keep_their_writable_bits(void **state)
{
    (void)state;
    assert_int_equal(get(1), 0x00170020);
    put(0, 0xffffffff);
    assert_int_equal(get(0), 0x0f000000);
    assert_int_equal(get(0x10), 0x10000);
    assert_int_equal(get(0x3e), 0x10000);
    assert_int_equal(get(0x40), 0);
    put(0x3f, 0xffffffff);
    put(0x3e, 0xffffffff);
    assert_int_equal(get(0x3f), 0xff000000);
    assert_int_equal(get(0x3e), 0x1afff); // delivery status and remote IRR are read-only
    assert_int_equal(ioapic_read(&io, 0), 0x3e);
    assert_int_equal(ioapic_read(&io, 0x20), 0);
    for (unsigned reg = 0; reg < 256; reg++) {
        put(reg, 0xa5a5a5a5);
        (void)get(reg);
    }
}

static void an_edge_is_one_message(void **state)
{
    (void)state;
    route(4, 0x1700000000000831ull);
    ioapic_set_irq(&io, 4, true);
    assert_int_equal(sent, 1);
    assert_int_equal(last.dest, 0x17);
    assert_true(last.logical);
    assert_int_equal(last.delivery_mode, 0);
    assert_int_equal(last.vector, 0x31);
    assert_false(last.level);
    ioapic_set_irq(&io, 4, true);
    assert_int_equal(sent, 1);
    ioapic_set_irq(&io, 4, false);
    ioapic_set_irq(&io, 4, true);
    assert_int_equal(sent, 2);
    assert_int_equal(get(0x18) & BIT(14), 0);
}

static void a_masked_edge_is_lost(void **state)
{
    (void)state;
    ioapic_set_irq(&io, 4, true);
    route(4, 0x31);
    assert_int_equal(sent, 0);
    assert_false(ioapic_masked(&io, 4));
    assert_true(ioapic_masked(&io, 5));
    assert_true(ioapic_masked(&io, 24));
}

static void a_level_waits_for_its_eoi(void **state)
{
    (void)state;
    route(9, 0x8040);
    ioapic_set_irq(&io, 9, true);
    assert_int_equal(sent, 1);
    assert_true(last.level);
    assert_true(get(0x22) & BIT(14));
    ioapic_set_irq(&io, 9, false);
    ioapic_set_irq(&io, 9, true);
    assert_int_equal(sent, 1); // one is on its way
    ioapic_eoi(&io, 0x41);     // somebody else's
    assert_int_equal(sent, 1);
    ioapic_eoi(&io, 0x40);
    assert_int_equal(sent, 2); // still asserted
    ioapic_set_irq(&io, 9, false);
    ioapic_write(&io, 0x40, 0x40); // EOIR
    assert_int_equal(sent, 2);
    assert_false(get(0x22) & BIT(14));
}

static void a_level_that_is_unmasked_late_is_sent(void **state)
{
    (void)state;
    ioapic_set_irq(&io, 9, true);
    route(9, 0x8040);
    assert_int_equal(sent, 1);
    route(9, 0x18040); // masked after it was accepted: the EOI still counts
    assert_true(get(0x22) & BIT(14));
    ioapic_eoi(&io, 0x40);
    assert_int_equal(sent, 1);
    assert_false(get(0x22) & BIT(14));
    route(9, 0x8040);
    assert_int_equal(sent, 2);
}

static void edge_trigger_clears_remote_irr(void **state)
{
    (void)state;
    route(9, 0x8040);
    ioapic_set_irq(&io, 9, true);
    ioapic_set_irq(&io, 9, false);
    put(0x22, 0x10040);
    assert_false(get(0x22) & BIT(14));
    put(0x22, 0x8040);
    ioapic_set_irq(&io, 9, true);
    assert_int_equal(sent, 2);
}

static void a_level_triggered_nmi_is_an_edge(void **state)
{
    (void)state;
    route(9, 0x8440);
    ioapic_set_irq(&io, 9, true);
    ioapic_set_irq(&io, 9, true);
    assert_int_equal(sent, 1);
    assert_int_equal(last.delivery_mode, 4);
    assert_false(get(0x22) & BIT(14));
}

// A pin whose fall nobody tells: each rise is sent once, one that finds the last in service later.
static void each_pulse_is_sent_once(void **state)
{
    (void)state;
    io.pulses = BIT(3);
    route(3, 0x8040);
    for (unsigned i = 1; i <= 3; i++) {
        ioapic_set_irq(&io, 3, false);
        ioapic_set_irq(&io, 3, true);
        assert_int_equal(sent, 1);
    }
    ioapic_eoi(&io, 0x40);
    assert_int_equal(sent, 2);
    ioapic_eoi(&io, 0x40);
    assert_int_equal(sent, 2);
}

static void level_vectors_follow_the_routes(void **state)
{
    (void)state;
    u64 map[4] = {0};
    route(9, 0x80c5);
    assert_int_equal(routed, 1); // the destination half routes nothing
    route(4, 0x31);
    ioapic_level_vectors(&io, map);
    assert_true(map[3] == BIT(0xc5 & 63) && !map[0] && !map[1] && !map[2]);
    ioapic_set_irq(&io, 9, true);
    put(0x22, 0x180c5);
    map[3] = 0;
    ioapic_level_vectors(&io, map);
    assert_true(map[3] == BIT(0xc5 & 63)); // masked, but its EOI is awaited
    routed = 0;
    ioapic_eoi(&io, 0xc5);
    assert_int_equal(routed, 1);
    map[3] = 0;
    ioapic_level_vectors(&io, map);
    assert_true(map[3] == 0);
}

static void two_pins_share_a_vector(void **state)
{
    (void)state;
    route(9, 0x8040);
    route(10, 0x8040);
    ioapic_set_irq(&io, 9, true);
    ioapic_set_irq(&io, 10, true);
    assert_int_equal(sent, 2);
    ioapic_eoi(&io, 0x40);
    assert_int_equal(sent, 4);
    ioapic_set_irq(&io, 24, true); // no such pin
    assert_int_equal(sent, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(registers_keep_their_writable_bits, setup),
        cmocka_unit_test_setup(an_edge_is_one_message, setup),
        cmocka_unit_test_setup(a_masked_edge_is_lost, setup),
        cmocka_unit_test_setup(a_level_waits_for_its_eoi, setup),
        cmocka_unit_test_setup(a_level_that_is_unmasked_late_is_sent, setup),
        cmocka_unit_test_setup(edge_trigger_clears_remote_irr, setup),
        cmocka_unit_test_setup(a_level_triggered_nmi_is_an_edge, setup),
        cmocka_unit_test_setup(level_vectors_follow_the_routes, setup),
        cmocka_unit_test_setup(two_pins_share_a_vector, setup),
        cmocka_unit_test_setup(each_pulse_is_sent_once, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
