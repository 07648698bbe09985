// SPDX-License-Identifier: MIT
// F10: the MC146818 and its calendar.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "vdev/calendar.h"
#include "vdev/rtc.h"
#include "vdev/ticks.h"

#define HZ    1000000007ull
#define START 1709251195 // Thursday 2024-02-29 23:59:55

static struct rtc rtc;
static bool line;
static unsigned rises;
static u64 now;

static void set(void *ctx, unsigned pin, bool level)
{
    assert_ptr_equal(ctx, &rtc);
    assert_int_equal(pin, 8);
    assert_true(level != line);
    line = level;
    rises += level;
}

static int setup(void **state)
{
    (void)state;
    line = false;
    rises = 0;
    now = 12345;
    rtc_init(&rtc, HZ, START, now, (struct irq_line){set, &rtc});
    return 0;
}

static u8 get(u8 reg)
{
    rtc_write(&rtc, 0x70, reg, now);
    return rtc_read(&rtc, 0x71, now);
}

static void put(u8 reg, u8 value)
{
    rtc_write(&rtc, 0x70, reg, now);
    rtc_write(&rtc, 0x71, value, now);
}

static void expect(u8 year, u8 month, u8 day, u8 weekday, u8 hour, u8 minute, u8 second)
{
    const u8 want[10] = {second, 0, minute, 0, hour, 0, weekday, day, month, year};
    for (u8 i = 0; i < 10; i++) {
        if (i != 1 && i != 3 && i != 5)
            assert_int_equal(get(i), want[i]);
    }
}

static void the_calendar_agrees_with_libc(void **state)
{
    (void)state;
    for (i64 t = -62167219200; t < 253402300799; t += 86399 * 1009) {
        time_t libc = t;
        struct tm tm;
        gmtime_r(&libc, &tm);
        struct civil_time c = civil_from_seconds(t);
        assert_int_equal(c.year, tm.tm_year + 1900);
        assert_int_equal(c.month, tm.tm_mon + 1);
        assert_int_equal(c.day, tm.tm_mday);
        assert_int_equal(c.hour, tm.tm_hour);
        assert_int_equal(c.minute, tm.tm_min);
        assert_int_equal(c.second, tm.tm_sec);
        assert_int_equal(civil_weekday(t), tm.tm_wday);
        assert_int_equal(civil_to_seconds(&c), t);
    }
    assert_int_equal(civil_from_seconds(INT64_MAX).year, 9999);
    assert_int_equal(civil_from_seconds(INT64_MIN).year, 0);
}

static void time_passes(void **state)
{
    (void)state;
    expect(0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x55);
    assert_int_equal(get(0x32), 0x20);
    now += 5 * HZ - 1;
    expect(0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x59);
    now += 1;
    expect(0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00);
    now += 366 * 86400 * HZ; // a whole year at once
    expect(0x25, 0x03, 0x02, 1, 0x00, 0x00, 0x00);
    assert_int_equal(get(13), 0x80);
    assert_int_equal(rtc_read(&rtc, 0x70, now), 0xff);
}

static void time_can_be_binary_and_of_12_hours(void **state)
{
    (void)state;
    put(11, 0x84); // SET, binary, 12 hours
    put(0, 58);
    put(2, 59);
    put(4, 0x80 | 11);
    put(6, 7);
    put(7, 31);
    put(8, 12);
    put(9, 99);
    put(0x32, 0x19);
    now += 10 * HZ;
    expect(99, 12, 31, 7, 0x80 | 11, 59, 58); // SET holds it
    put(11, 0x04);
    now += 2 * HZ;
    expect(0, 1, 1, 1, 12, 0, 0); // midnight is 12 AM
    assert_int_equal(get(0x32), 0x20);
    now += 12 * 3600 * HZ;
    assert_int_equal(get(4), 0x80 | 12);
    now += 3600 * HZ;
    assert_int_equal(get(4), 0x80 | 1);
}

static void nonsense_in_registers_does_no_harm(void **state)
{
    (void)state;
    for (u8 i = 0; i < 10; i++)
        put(i, 0xff);
    put(0x32, 0xff);
    assert_int_equal(get(7), 0xff); // as written, until the next second
    now += HZ;
    assert_int_equal(get(8) <= 0x12, 1);
    put(0, 0x59);
    now += HZ;
    assert_int_equal(get(0), 0); // the year 9999 is followed by 0
    assert_int_equal(get(9), 0);
    assert_int_equal(get(0x32), 0);
}

static void an_update_is_announced(void **state)
{
    (void)state;
    assert_int_equal(get(10), 0x26);
    u64 cycle = clocks_to_ticks(73, 32768, HZ); // 244 us and 1984 us
    now += HZ - cycle - 1;
    assert_int_equal(get(10), 0x26);
    now += 1;
    assert_int_equal(get(10), 0xa6);
    now += cycle - 1;
    assert_int_equal(get(10), 0xa6);
    assert_int_equal(get(0), 0x55);
    now += 1;
    assert_int_equal(get(10), 0x26);
    assert_int_equal(get(0), 0x56);
    put(10, 0xff); // UIP is read-only; the divider is held
    now += HZ - cycle;
    assert_int_equal(get(10), 0x7f);
    put(10, 0x26); // let go: the first second ends in half of one
    assert_int_equal(get(0), 0x56);
    now += HZ / 2;
    assert_int_equal(get(0), 0x56);
    now += 1;
    assert_int_equal(get(0), 0x57);
    put(11, 0x82);
    now += HZ - 1;
    assert_int_equal(get(10), 0x26); // no updates while SET
}

static void an_update_interrupts_once_until_it_is_read(void **state)
{
    (void)state;
    assert_true(rtc_deadline(&rtc) == NEVER);
    put(11, 0x12);
    assert_int_equal(rtc_deadline(&rtc), now + HZ);
    now += HZ;
    rtc_expire(&rtc, now);
    assert_true(line);
    assert_true(rtc_deadline(&rtc) == NEVER); // nothing new until it is read
    assert_int_equal(get(12), 0xd0);          // the periodic flag comes without its interrupt
    assert_false(line);
    assert_int_equal(get(12), 0x00);
    assert_int_equal(rtc_deadline(&rtc), now + HZ);
    put(11, 0x92); // SET clears UIE
    assert_int_equal(get(11), 0x82);
    assert_true(rtc_deadline(&rtc) == NEVER);
}

static void the_periodic_interrupt_keeps_its_rate(void **state)
{
    (void)state;
    const u64 origin = now;
    put(11, 0x42);
    for (u64 i = 1; i <= 3000; i++) { // 1024 Hz
        assert_int_equal(rtc_deadline(&rtc), origin + clocks_to_ticks(32 * i, 32768, HZ));
        now = rtc_deadline(&rtc) + i % 100;
        rtc_expire(&rtc, now);
        assert_int_equal(rises, i);
        assert_int_equal(get(12) & 0xc0, 0xc0);
    }
    const struct {
        u8 rate;
        unsigned hz;
    } rates[] = {{1, 256}, {2, 128}, {3, 8192}, {4, 4096}, {10, 64}, {15, 2}};
    for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
        put(10, 0x20 | rates[i].rate);
        now = rtc_deadline(&rtc);
        rtc_expire(&rtc, now);
        get(12);
        u64 from = now;
        now = rtc_deadline(&rtc);
        assert_in_range(now - from, HZ / rates[i].hz - 1, HZ / rates[i].hz + 1);
        rtc_expire(&rtc, now);
        assert_true(line);
        get(12);
    }
    put(10, 0x20); // none
    assert_true(rtc_deadline(&rtc) == NEVER);
}

static void flags_rise_without_interrupts(void **state)
{
    (void)state;
    put(1, 0x57);
    put(3, 0x59);
    put(5, 0x23);
    now += HZ;
    assert_int_equal(get(12), 0x50);
    now += HZ;
    assert_int_equal(get(12), 0x70); // AF with AIE off
    assert_int_equal(rises, 0);
    put(11, 0x02);
    now += HZ;
    get(10); // something else is read
    put(11, 0x12);
    assert_true(line); // enabling it with the flag up raises it
}

static void an_alarm_is_due_when_its_time_matches(void **state)
{
    (void)state;
    put(1, 0x30);
    put(3, 0x00);
    put(5, 0x12);
    put(11, 0x22);
    assert_int_equal(rtc_deadline(&rtc), now + (5 + 12 * 3600 + 30) * HZ);
    now = rtc_deadline(&rtc) - 1;
    rtc_expire(&rtc, now);
    assert_false(line);
    now++;
    rtc_expire(&rtc, now);
    assert_true(line);
    assert_int_equal(get(12) & 0xa0, 0xa0);
    assert_int_equal(rtc_deadline(&rtc), now + 86400 * HZ); // tomorrow

    put(5, 0xc0); // every hour
    assert_int_equal(rtc_deadline(&rtc), now + 3600 * HZ);
    put(3, 0xff); // every minute
    assert_int_equal(rtc_deadline(&rtc), now + 60 * HZ);
    put(1, 0xc5); // every second
    assert_int_equal(rtc_deadline(&rtc), now + HZ);
    put(5, 0x11); // at each second of 11 o'clock
    assert_int_equal(rtc_deadline(&rtc), now + (23 * 3600 - 30) * HZ);
    put(3, 0x61); // there is no such minute
    assert_true(rtc_deadline(&rtc) == NEVER);
    put(3, 0x00);
    put(11, 0xa2);
    assert_true(rtc_deadline(&rtc) == NEVER);
    put(11, 0x20); // 12 hours: 0x11 is in the morning, and 0x92 noon
    put(4, 0x92);
    put(5, 0x92);
    put(3, 0x30);
    put(2, 0x00);
    put(1, 0x00);
    put(0, 0x00);
    assert_int_equal(rtc_deadline(&rtc), now + 1800 * HZ);
}

static void an_alarm_noticed_late_counts(void **state)
{
    (void)state;
    put(1, 0x00);
    put(3, 0x00);
    put(5, 0x06);
    now += 3 * 86400 * HZ;
    assert_int_equal(get(12) & 0x20, 0x20);
}

static void a_reset_keeps_ram_and_time(void **state)
{
    (void)state;
    put(0x8e, 0x5a); // bit 7 of the index is the NMI mask
    assert_int_equal(get(0x0e), 0x5a);
    put(0x7f, 0xa5);
    put(11, 0x72);
    now += HZ;
    rtc_expire(&rtc, now);
    assert_true(line);
    rtc_reset(&rtc, now);
    assert_false(line);
    assert_int_equal(get(11), 0x02);
    assert_int_equal(get(0x7f), 0xa5);
    assert_int_equal(get(0), 0x56);
    put(12, 0xff);
    put(13, 0);
    assert_int_equal(get(12), 0);
    assert_int_equal(get(13), 0x80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_calendar_agrees_with_libc),
        cmocka_unit_test_setup(time_passes, setup),
        cmocka_unit_test_setup(time_can_be_binary_and_of_12_hours, setup),
        cmocka_unit_test_setup(nonsense_in_registers_does_no_harm, setup),
        cmocka_unit_test_setup(an_update_is_announced, setup),
        cmocka_unit_test_setup(an_update_interrupts_once_until_it_is_read, setup),
        cmocka_unit_test_setup(the_periodic_interrupt_keeps_its_rate, setup),
        cmocka_unit_test_setup(flags_rise_without_interrupts, setup),
        cmocka_unit_test_setup(an_alarm_is_due_when_its_time_matches, setup),
        cmocka_unit_test_setup(an_alarm_noticed_late_counts, setup),
        cmocka_unit_test_setup(a_reset_keeps_ram_and_time, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
