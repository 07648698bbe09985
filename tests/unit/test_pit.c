// SPDX-License-Identifier: MIT
// F10: the 8254. Most tests run at one tick per PIT clock, so that every clock can be seen.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vdev/pit.h"
#include "vdev/ticks.h"

static struct pit pit;
static bool line;
static unsigned rises;
static u64 now;

static void set(void *ctx, unsigned pin, bool level)
{
    assert_ptr_equal(ctx, &pit);
    assert_int_equal(pin, 0);
    assert_true(level != line);
    line = level;
    rises += level;
}

static void start(u64 hz)
{
    line = false;
    rises = 0;
    now = 1000;
    pit_init(&pit, hz, now, (struct irq_line){set, &pit});
}

static int setup(void **state)
{
    (void)state;
    start(PIT_HZ);
    return 0;
}

static void program(unsigned channel, unsigned mode, u16 count)
{
    pit_write(&pit, 0x43, (u8)(channel << 6 | 0x30 | mode << 1), now);
    pit_write(&pit, (u16)(0x40 + channel), (u8)count, now);
    pit_write(&pit, (u16)(0x40 + channel), (u8)(count >> 8), now);
}

static void gate(bool on)
{
    pit_write(&pit, 0x61, on, now);
}

static bool out2(void)
{
    return pit_read(&pit, 0x61, now) & 0x20;
}

static u16 latched(unsigned channel)
{
    pit_write(&pit, 0x43, (u8)(channel << 6), now);
    u16 v = pit_read(&pit, (u16)(0x40 + channel), now);
    return (u16)(v | pit_read(&pit, (u16)(0x40 + channel), now) << 8);
}

// Clocks until channel 2's output is `level`, at most 100000.
static u64 until_out2(bool level)
{
    u64 from = now;
    while (out2() != level && now < from + 100000)
        now++;
    return now - from;
}

static u8 status(unsigned channel)
{
    pit_write(&pit, 0x43, (u8)(0xe0 | 2 << channel), now);
    return pit_read(&pit, (u16)(0x40 + channel), now);
}

static void mode_0_rises_at_the_end_of_the_count(void **state)
{
    (void)state;
    gate(true);
    program(2, 0, 10);
    assert_false(out2());
    assert_int_equal(until_out2(true), 11); // N + 1 clocks after the write
    assert_int_equal(latched(2), 0);
    now += 3;
    assert_int_equal(latched(2), 0xfffd); // counts on
    assert_true(out2());
    pit_write(&pit, 0x42, 5, now); // the first byte of a new count stops it
    assert_false(out2());
    now += 50;
    assert_false(out2());
    pit_write(&pit, 0x42, 0, now);
    assert_int_equal(until_out2(true), 6);
}

static void a_low_gate_stops_mode_0(void **state)
{
    (void)state;
    gate(true);
    program(2, 0, 10);
    now += 4; // one to load, three counted
    gate(false);
    now += 100;
    assert_int_equal(latched(2), 7);
    gate(true);
    assert_int_equal(until_out2(true), 7);

    gate(false);
    program(2, 0, 10); // loaded though the gate is low
    now += 20;
    gate(true);
    assert_int_equal(until_out2(true), 10);
}

static void mode_1_is_low_from_a_trigger_on(void **state)
{
    (void)state;
    program(2, 1, 20);
    assert_true(out2());
    now += 50;
    assert_true(out2()); // waits for the gate
    gate(true);
    now++;
    assert_false(out2());
    assert_int_equal(until_out2(true), 20);
    gate(false);
    gate(true); // again
    now += 11;
    gate(false);
    gate(true); // and in the middle: the pulse begins anew
    now++;
    assert_int_equal(until_out2(true), 20);
    pit_write(&pit, 0x42, 5, now);
    pit_write(&pit, 0x42, 0, now); // a new count waits for the next trigger
    now += 10;
    assert_true(out2());
    assert_true(status(2) & 0x40);
    gate(false);
    gate(true);
    now++;
    assert_int_equal(until_out2(true), 5);
    assert_false(status(2) & 0x40);
}

static void mode_2_is_low_for_one_clock_of_each_period(void **state)
{
    (void)state;
    gate(true);
    program(2, 2, 10);
    now++;
    assert_int_equal(latched(2), 10);
    assert_int_equal(until_out2(false), 9); // low while the count is 1
    assert_int_equal(latched(2), 1);
    assert_int_equal(until_out2(true), 1);
    assert_int_equal(latched(2), 10);
    now += 10;
    assert_int_equal(latched(2), 10);

    now += 5;
    pit_write(&pit, 0x42, 4, now);
    pit_write(&pit, 0x42, 0, now);
    assert_true(status(2) & 0x40); // not in use before this period's end
    assert_int_equal(until_out2(false), 4);
    now++;
    assert_false(status(2) & 0x40);
    assert_int_equal(until_out2(false), 3);

    gate(false);
    assert_true(out2()); // at once
    now += 100;
    assert_true(out2());
    gate(true);
    now++;
    assert_int_equal(until_out2(false), 3);
}

static void mode_3_is_a_square_wave(void **state)
{
    (void)state;
    gate(true);
    program(2, 3, 10);
    now++;
    const u16 even[] = {10, 8, 6, 4, 2, 10, 8, 6, 4, 2, 10};
    for (unsigned i = 0; i < ARRAY_SIZE(even); i++, now++) {
        assert_int_equal(latched(2), even[i]);
        assert_int_equal(out2(), i < 5 || i == 10);
    }
    program(2, 3, 7); // high for 4, low for 3
    now++;
    const u16 odd[] = {6, 4, 2, 0, 6, 4, 2, 6};
    for (unsigned i = 0; i < ARRAY_SIZE(odd); i++, now++) {
        assert_int_equal(latched(2), odd[i]);
        assert_int_equal(out2(), i < 4 || i == 7);
    }
    program(2, 3, 10);
    now += 3;
    pit_write(&pit, 0x42, 4, now);
    pit_write(&pit, 0x42, 0, now); // from the middle of the square on
    assert_int_equal(until_out2(false), 3);
    assert_int_equal(until_out2(true), 2);
    assert_int_equal(until_out2(false), 2);
    gate(false);
    assert_true(out2());
}

static void mode_4_is_low_once(void **state)
{
    (void)state;
    gate(true);
    program(2, 4, 10);
    assert_int_equal(until_out2(false), 11);
    assert_int_equal(until_out2(true), 1);
    assert_int_equal(until_out2(false), 100000); // once only
}

static void mode_5_is_low_once_for_each_trigger(void **state)
{
    (void)state;
    program(2, 5, 10);
    now += 100;
    assert_true(out2());
    gate(true);
    assert_int_equal(until_out2(false), 11);
    assert_int_equal(until_out2(true), 1);
    gate(false);
    gate(true);
    assert_int_equal(until_out2(false), 11);
}

static void zero_is_the_largest_count(void **state)
{
    (void)state;
    gate(true);
    program(2, 0, 0);
    assert_int_equal(until_out2(true), 65537);
    pit_write(&pit, 0x43, 0xb1, now); // BCD
    pit_write(&pit, 0x42, 0, now);
    pit_write(&pit, 0x42, 0, now);
    assert_int_equal(until_out2(true), 10001);
}

static void bcd_counts_in_decimal(void **state)
{
    (void)state;
    gate(true);
    pit_write(&pit, 0x43, 0xb1, now);
    pit_write(&pit, 0x42, 0x34, now);
    pit_write(&pit, 0x42, 0x12, now);
    now += 36;
    assert_int_equal(latched(2), 0x1199);
    assert_true(status(2) & 1);
    assert_int_equal(until_out2(true), 1199);
    now++;
    assert_int_equal(latched(2), 0x9999);
}

static void a_latch_holds_the_count(void **state)
{
    (void)state;
    program(0, 2, 1000);
    now += 11;
    pit_write(&pit, 0x43, 0x00, now);
    now += 300;
    pit_write(&pit, 0x43, 0x00, now); // ignored
    assert_int_equal(pit_read(&pit, 0x40, now), 990 & 0xff);
    assert_int_equal(pit_read(&pit, 0x40, now), 990 >> 8);
    assert_int_equal(pit_read(&pit, 0x40, now), 690 & 0xff); // live
    now++;
    assert_int_equal(pit_read(&pit, 0x40, now), 689 >> 8);
}

static void a_count_of_one_byte_takes_one_access(void **state)
{
    (void)state;
    gate(true);
    pit_write(&pit, 0x43, 0x90, now); // low byte, mode 0
    pit_write(&pit, 0x42, 100, now);
    now += 11;
    assert_int_equal(pit_read(&pit, 0x42, now), 90);
    assert_int_equal(pit_read(&pit, 0x42, now), 90);
    pit_write(&pit, 0x43, 0xa0, now); // high byte, mode 0
    pit_write(&pit, 0x42, 2, now);
    now += 257;
    assert_int_equal(pit_read(&pit, 0x42, now), 1);
    pit_write(&pit, 0x43, 0x80, now);
    now += 1;
    assert_int_equal(pit_read(&pit, 0x42, now), 1);
    assert_int_equal(pit_read(&pit, 0x42, now), 0);
}

static void read_back_latches_status_and_count(void **state)
{
    (void)state;
    assert_int_equal(pit_read(&pit, 0x43, now), 0xff);
    program(0, 2, 1000);
    program(1, 3, 500);
    now += 101;
    pit_write(&pit, 0x43, 0xc6, now); // status and count of channels 0 and 1
    now += 50;
    assert_int_equal(pit_read(&pit, 0x40, now), 0xb4); // output high, both bytes, mode 2
    assert_int_equal(pit_read(&pit, 0x40, now), 900 & 0xff);
    assert_int_equal(pit_read(&pit, 0x40, now), 900 >> 8);
    assert_int_equal(pit_read(&pit, 0x41, now), 0xb6);
    assert_int_equal(pit_read(&pit, 0x41, now), 300 & 0xff);
    assert_int_equal(pit_read(&pit, 0x41, now), 300 >> 8);
    pit_write(&pit, 0x43, 0x34, now);
    assert_int_equal(status(0), 0xf4); // null count until one is written and loaded
    pit_write(&pit, 0x40, 10, now);
    pit_write(&pit, 0x40, 0, now);
    assert_int_equal(status(0), 0xf4);
    now++;
    assert_int_equal(status(0), 0xb4);
    pit_write(&pit, 0x43, 0x3e, now); // mode 7 is mode 3
    assert_int_equal(status(0) & 0x3f, 0x36);
}

static void port_61_shows_the_refresh_toggle(void **state)
{
    (void)state;
    pit_write(&pit, 0x61, 0xff, now);
    assert_int_equal(pit_read(&pit, 0x61, now) & 0xcf, 0x0f);
    u8 before = pit_read(&pit, 0x61, now) & 0x10;
    unsigned toggles = 0;
    for (u64 end = now + 1801; now < end; now++) {
        u8 v = pit_read(&pit, 0x61, now) & 0x10;
        toggles += v != before;
        before = v;
    }
    assert_int_equal(toggles, 100); // every 18 clocks: 15.09 us
}

static void channel_0_drives_the_interrupt_line(void **state)
{
    (void)state;
    assert_true(pit_deadline(&pit) == NEVER);
    program(0, 0, 100);
    assert_false(line);
    assert_int_equal(pit_deadline(&pit), now + 101);
    pit_expire(&pit, now + 100);
    assert_int_equal(rises, 0);
    now += 101;
    pit_expire(&pit, now);
    assert_int_equal(rises, 1);
    assert_true(line);
    assert_true(pit_deadline(&pit) == NEVER);
    pit_write(&pit, 0x43, 0x30, now);
    assert_false(line);
    program(0, 4, 100);
    assert_int_equal(rises, 2); // the mode's own idle level
    assert_int_equal(pit_deadline(&pit), now + 102);
    now += 102;
    pit_expire(&pit, now);
    assert_int_equal(rises, 3);
    assert_true(pit_deadline(&pit) == NEVER);
    program(0, 1, 10);
    assert_true(pit_deadline(&pit) == NEVER); // its gate never rises
}

static void a_late_expiry_is_one_pulse(void **state)
{
    (void)state;
    program(0, 2, 100);
    rises = 0;
    now += 100 * 7 + 1 + 30;
    pit_expire(&pit, now);
    assert_int_equal(rises, 1);
    assert_int_equal(pit.dropped, 6);
    assert_true(line);
    assert_int_equal(pit_deadline(&pit), now + 70); // in step all the same
    pit_expire(&pit, now + (1ull << 40));           // years later: no loop
    assert_int_equal(rises, 2);
    assert_true(pit.dropped > 1000); // counted on, within bounds
    assert_true(pit.dropped <= 1006);
}

static void a_new_count_keeps_every_edge(void **state)
{
    (void)state;
    program(0, 2, 100);
    rises = 0;
    now += 51;
    pit_write(&pit, 0x40, 10, now);
    pit_write(&pit, 0x40, 0, now);
    assert_int_equal(pit_deadline(&pit), now + 50);
    now += 50 + 5 * 10; // one edge of the old count, five of the new, seen at once
    pit_expire(&pit, now);
    assert_int_equal(rises + pit.dropped, 6);
    assert_int_equal(pit_deadline(&pit), now + 10);
    program(0, 3, 100);
    rises = pit.dropped = 0;
    now += 11;
    pit_write(&pit, 0x40, 20, now);
    pit_write(&pit, 0x40, 0, now);
    now += 40 + 10 + 20 + 20; // half of the old square, half of the new, two whole ones
    pit_expire(&pit, now);
    assert_int_equal(rises + pit.dropped, 3);
    assert_int_equal(pit_deadline(&pit), now + 20);
}

static void an_hour_of_ticks_does_not_drift(void **state)
{
    (void)state;
    const u64 hz = 2893200011ull; // no common factor with the PIT's
    start(hz);
    program(0, 2, 1193);
    rises = 0;
    u64 origin = now, periods = 0;
    // An hour of ticks, each handled up to a third of a period late.
    while (now < origin + 3600 * hz) {
        u64 due = pit_deadline(&pit);
        assert_true(due > now);
        periods++;
        // Exactly the first tick of the clock in which the period ends.
        u64 clock = 1 + periods * 1193;
        assert_int_equal(due, 1000 + clocks_to_ticks(clock, PIT_HZ, hz));
        now = due + periods * 7919 % (hz / 3000);
        pit_expire(&pit, now);
        assert_int_equal(rises, periods);
    }
    assert_int_equal(pit.dropped, 0);
    assert_in_range(periods, 3600 * PIT_HZ / 1193 - 1, 3600 * PIT_HZ / 1193 + 1);
}

static void a_count_of_one_does_no_harm(void **state)
{
    (void)state;
    program(0, 2, 1);
    assert_int_equal(pit_deadline(&pit), now + 3);
    program(0, 3, 1);
    now += 10;
    pit_expire(&pit, now);
    assert_true(pit_deadline(&pit) > now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(mode_0_rises_at_the_end_of_the_count, setup),
        cmocka_unit_test_setup(a_low_gate_stops_mode_0, setup),
        cmocka_unit_test_setup(mode_1_is_low_from_a_trigger_on, setup),
        cmocka_unit_test_setup(mode_2_is_low_for_one_clock_of_each_period, setup),
        cmocka_unit_test_setup(mode_3_is_a_square_wave, setup),
        cmocka_unit_test_setup(mode_4_is_low_once, setup),
        cmocka_unit_test_setup(mode_5_is_low_once_for_each_trigger, setup),
        cmocka_unit_test_setup(zero_is_the_largest_count, setup),
        cmocka_unit_test_setup(bcd_counts_in_decimal, setup),
        cmocka_unit_test_setup(a_latch_holds_the_count, setup),
        cmocka_unit_test_setup(a_count_of_one_byte_takes_one_access, setup),
        cmocka_unit_test_setup(read_back_latches_status_and_count, setup),
        cmocka_unit_test_setup(port_61_shows_the_refresh_toggle, setup),
        cmocka_unit_test_setup(channel_0_drives_the_interrupt_line, setup),
        cmocka_unit_test_setup(a_late_expiry_is_one_pulse, setup),
        cmocka_unit_test_setup(a_new_count_keeps_every_edge, setup),
        cmocka_unit_test_setup(an_hour_of_ticks_does_not_drift, setup),
        cmocka_unit_test_setup(a_count_of_one_does_no_harm, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
