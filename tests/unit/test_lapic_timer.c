// SPDX-License-Identifier: MIT
// The local APIC's timer in all modes, and its arithmetic at the edges.
#include "lapic_fixture.h"
#include "x86/msr_numbers.h"

static struct apic a;

enum { ONE_SHOT = 0, PERIODIC = 1 << 17, DEADLINE = 2 << 17, RESERVED = 3 << 17, MASKED = 1 << 16 };
enum { BY_1 = 0xb, BY_2 = 0x0, BY_4 = 0x1, BY_16 = 0x3, BY_128 = 0xa };

static void start(u32 lvt, u32 divide)
{
    apic_on(&a, 0);
    put(&a, APIC_DIVIDE, divide);
    put(&a, APIC_LVT_TIMER, lvt);
}

static u32 count_at(u64 now)
{
    return (u32)lapic_mmio_read(&a.l, APIC_CURRENT_COUNT, 4, now);
}

static u64 deadline(void)
{
    return lapic_deadline(&a.l);
}

static u64 read_msr(u64 now)
{
    u64 value = 0x5a;
    assert_int_equal(lapic_msr_read(&a.l, MSR_IA32_TSC_DEADLINE, &value, now), LAPIC_OK);
    return value;
}

static void write_msr(u64 value, u64 now)
{
    assert_int_equal(lapic_msr_write(&a.l, MSR_IA32_TSC_DEADLINE, value, now), LAPIC_OK);
}

// F3.
static void a_one_shot_expires_once(void **state)
{
    (void)state;
    start(0x40 | ONE_SHOT, BY_2);
    assert_true(deadline() == UINT64_MAX);
    put_at(&a, APIC_INITIAL_COUNT, 100, 1000);
    assert_true(deadline() == 1200);
    assert_int_equal(get(&a, APIC_INITIAL_COUNT), 100);
    assert_int_equal(count_at(1000), 100);
    assert_int_equal(count_at(1001), 100);
    assert_int_equal(count_at(1002), 99);
    assert_int_equal(count_at(1198), 1);
    assert_int_equal(count_at(1199), 1);
    assert_false(lapic_expire(&a.l, 1199));
    assert_true(lapic_expire(&a.l, 1200));
    assert_false(lapic_expire(&a.l, 1200));
    assert_int_equal(take(&a), 0x40);
    assert_int_equal(count_at(1200), 0);
    assert_int_equal(get(&a, APIC_INITIAL_COUNT), 100);
    assert_true(deadline() == UINT64_MAX);
    // Written again while it runs: starts over; 0 stops it.
    put_at(&a, APIC_INITIAL_COUNT, 100, 2000);
    put_at(&a, APIC_INITIAL_COUNT, 50, 2100);
    assert_true(deadline() == 2200);
    put_at(&a, APIC_INITIAL_COUNT, 0, 2150);
    assert_true(deadline() == UINT64_MAX);
    assert_int_equal(count_at(2150), 0);
    assert_false(lapic_expire(&a.l, UINT64_MAX));
}

// F3: a read of the count that finds it at zero is as good as the deadline: no interrupt is lost.
static void a_read_that_finds_zero_is_the_expiry(void **state)
{
    (void)state;
    start(0x40 | ONE_SHOT, BY_1);
    put_at(&a, APIC_INITIAL_COUNT, 100, 0);
    assert_int_equal(count_at(100), 0);
    lapic_eoi(&a.l);
    assert_int_equal(take(&a), 0x40);
    lapic_eoi(&a.l);
    assert_false(lapic_expire(&a.l, 101));
    assert_int_equal(take(&a), -1);
}

// F3.
static void a_periodic_timer_keeps_its_phase(void **state)
{
    (void)state;
    start(0x41 | PERIODIC, BY_16);
    put_at(&a, APIC_INITIAL_COUNT, 1000, 500);
    u64 next = 16500;
    for (int i = 0; i < 5; i++, next += 16000) {
        assert_true(deadline() == next);
        assert_true(lapic_expire(&a.l, next + 7)); // late calls do not shift the phase
        assert_int_equal(take(&a), 0x41);
        lapic_eoi(&a.l);
    }
    // Ten periods missed are one interrupt, and the phase is kept.
    assert_true(lapic_expire(&a.l, next + 10 * 16000 + 3));
    assert_int_equal(take(&a), 0x41);
    lapic_eoi(&a.l);
    assert_int_equal(take(&a), -1);
    assert_true(deadline() == next + 11 * 16000);
    assert_int_equal(count_at(next + 11 * 16000 - 16), 1);
    assert_int_equal(count_at(next + 11 * 16000), 1000); // reloaded
    assert_true(deadline() == next + 12 * 16000);
    // The shortest of all: due at each tick.
    put(&a, APIC_DIVIDE, BY_1);
    put_at(&a, APIC_INITIAL_COUNT, 1, 1000000);
    assert_true(deadline() == 1000001);
    assert_true(lapic_expire(&a.l, UINT64_MAX - 1));
    assert_true(deadline() == UINT64_MAX);
    assert_true(lapic_expire(&a.l, UINT64_MAX));
}

// F3.
static void the_divider_changes_the_rate_alone(void **state)
{
    (void)state;
    static const u32 divides[8][2] = {{0x0, 2},  {0x1, 4},  {0x2, 8},   {0x3, 16},
                                      {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
    for (int i = 0; i < 8; i++) {
        start(0x40 | ONE_SHOT, divides[i][0]);
        put_at(&a, APIC_INITIAL_COUNT, 7, 0);
        assert_true(deadline() == 7 * divides[i][1]);
        // Changed while it counts: the count stays, the rate changes.
        for (int j = 0; j < 8; j++) {
            start(0x40 | PERIODIC, divides[i][0]);
            put_at(&a, APIC_INITIAL_COUNT, 1000, 0);
            u64 now = 400ull * divides[i][1];
            put_at(&a, APIC_DIVIDE, divides[j][0], now);
            assert_int_equal(count_at(now), 600);
            assert_true(deadline() == now + 600ull * divides[j][1]);
            assert_true(lapic_expire(&a.l, deadline()));
            assert_true(deadline() == now + 1600ull * divides[j][1]);
        }
    }
}

// F3.
static void a_masked_timer_counts_on(void **state)
{
    (void)state;
    start(0x40 | ONE_SHOT | MASKED, BY_1);
    put_at(&a, APIC_INITIAL_COUNT, 100, 0);
    assert_true(deadline() == UINT64_MAX);
    assert_int_equal(count_at(40), 60);
    put_at(&a, APIC_LVT_TIMER, 0x40, 50);
    assert_true(deadline() == 100);
    put_at(&a, APIC_LVT_TIMER, 0x40 | MASKED, 60);
    assert_true(deadline() == UINT64_MAX);
    // It passed while masked: no interrupt when unmasked later.
    put_at(&a, APIC_LVT_TIMER, 0x40, 200);
    assert_int_equal(take(&a), -1);
    assert_int_equal(count_at(200), 0);
    // A periodic one goes on from where it would be.
    start(0x40 | PERIODIC | MASKED, BY_1);
    put_at(&a, APIC_INITIAL_COUNT, 100, 0);
    assert_int_equal(count_at(1030), 70);
    put_at(&a, APIC_LVT_TIMER, 0x40 | PERIODIC, 2010);
    assert_true(deadline() == 2100);
    assert_int_equal(take(&a), -1);
    // The old entry's vector is used for what was due before the write.
    put_at(&a, APIC_LVT_TIMER, 0x50 | PERIODIC, 2105);
    assert_int_equal(take(&a), 0x40);
    // Disabling the APIC masks.
    put_at(&a, APIC_SVR, 0xff, 2110);
    assert_true(deadline() == UINT64_MAX);
    assert_int_equal(count_at(2120), 80);
}

// F3.
static void a_tsc_deadline_expires_once(void **state)
{
    (void)state;
    start(0x42 | DEADLINE, BY_1);
    assert_true(read_msr(0) == 0);
    write_msr(5000, 1000);
    assert_true(deadline() == 5000);
    assert_true(read_msr(4999) == 5000);
    put_at(&a, APIC_INITIAL_COUNT, 77, 1000); // ignored
    assert_int_equal(get(&a, APIC_INITIAL_COUNT), 0);
    assert_int_equal(count_at(2000), 0);
    assert_true(deadline() == 5000);
    write_msr(4000, 1000); // forward and backward
    assert_true(deadline() == 4000);
    assert_true(lapic_expire(&a.l, 4000));
    assert_int_equal(take(&a), 0x42);
    lapic_eoi(&a.l);
    assert_true(read_msr(4000) == 0);
    assert_true(deadline() == UINT64_MAX);
    write_msr(9000, 5000);
    write_msr(0, 5000);
    assert_true(deadline() == UINT64_MAX);
    assert_false(lapic_expire(&a.l, 10000));
    // In the past: at once.
    write_msr(1, 10000);
    assert_int_equal(take(&a), 0x42);
    lapic_eoi(&a.l);
    write_msr(10000, 10000);
    assert_int_equal(take(&a), 0x42);
    lapic_eoi(&a.l);
    assert_true(deadline() == UINT64_MAX);
    // One that passed before the owner noticed is not lost by a new write.
    write_msr(11000, 10000);
    write_msr(20000, 11001);
    assert_int_equal(take(&a), 0x42);
    lapic_eoi(&a.l);
    assert_true(deadline() == 20000);
    // Far away.
    write_msr(UINT64_MAX, 11001);
    assert_true(read_msr(11001) == UINT64_MAX);
    assert_false(lapic_expire(&a.l, UINT64_MAX - 1));
    // Masked: disarms without an interrupt.
    put_at(&a, APIC_LVT_TIMER, 0x42 | DEADLINE | MASKED, 11001);
    write_msr(12000, 11001);
    assert_true(deadline() == UINT64_MAX);
    assert_true(read_msr(11999) == 12000);
    assert_true(read_msr(12000) == 0);
    assert_int_equal(take(&a), -1);
}

// F3.
static void a_change_of_mode_keeps_the_count_or_disarms(void **state)
{
    (void)state;
    start(0x40 | ONE_SHOT, BY_1);
    write_msr(500, 0); // not in TSC-deadline mode
    assert_true(read_msr(0) == 0);
    assert_true(deadline() == UINT64_MAX);
    // Between one-shot and periodic the count goes on.
    put_at(&a, APIC_INITIAL_COUNT, 100, 0);
    put_at(&a, APIC_LVT_TIMER, 0x40 | PERIODIC, 60);
    assert_int_equal(count_at(60), 40);
    assert_true(lapic_expire(&a.l, 100));
    assert_true(deadline() == 200);
    put_at(&a, APIC_LVT_TIMER, 0x40 | ONE_SHOT, 150);
    assert_int_equal(count_at(150), 50);
    assert_true(lapic_expire(&a.l, 200));
    assert_true(deadline() == UINT64_MAX);
    put_at(&a, APIC_LVT_TIMER, 0x40 | PERIODIC, 210); // at zero it stays
    assert_int_equal(count_at(210), 0);
    assert_true(deadline() == UINT64_MAX);
    // To TSC-deadline and back disarms.
    put_at(&a, APIC_INITIAL_COUNT, 100, 300);
    put_at(&a, APIC_LVT_TIMER, 0x40 | DEADLINE, 310);
    assert_true(deadline() == UINT64_MAX);
    assert_int_equal(get(&a, APIC_INITIAL_COUNT), 0);
    assert_true(read_msr(310) == 0);
    write_msr(1000, 320);
    put_at(&a, APIC_LVT_TIMER, 0x41 | DEADLINE, 330); // the same mode: stays armed
    assert_true(deadline() == 1000);
    put_at(&a, APIC_LVT_TIMER, 0x41 | ONE_SHOT, 330);
    assert_true(deadline() == UINT64_MAX);
    put_at(&a, APIC_LVT_TIMER, 0x41 | DEADLINE, 330);
    assert_true(read_msr(330) == 0);
    // The reserved mode counts nothing.
    put_at(&a, APIC_LVT_TIMER, 0x41 | RESERVED, 340);
    put_at(&a, APIC_INITIAL_COUNT, 10, 340);
    write_msr(350, 340);
    assert_int_equal(count_at(341), 0);
    assert_false(lapic_expire(&a.l, 10000));
    assert_true(deadline() == UINT64_MAX);
}

// F3.
static void init_stops_the_timer(void **state)
{
    (void)state;
    start(0x40 | DEADLINE, BY_1);
    write_msr(1000, 0);
    lapic_reset(&a.l, true);
    assert_true(deadline() == UINT64_MAX);
    assert_true(read_msr(0) == 0);
    assert_false(lapic_expire(&a.l, 2000));
}

// F3.
static void huge_counts_do_not_overflow(void **state)
{
    (void)state;
    start(0x40 | PERIODIC, BY_128);
    put_at(&a, APIC_INITIAL_COUNT, UINT32_MAX, 12345);
    u64 period = 128ull * UINT32_MAX;
    assert_true(deadline() == 12345 + period);
    assert_int_equal(count_at(12345), UINT32_MAX);
    assert_int_equal(count_at(12345 + 128), UINT32_MAX - 1);
    assert_int_equal(count_at(12345 + period - 1), 1);
    // The sum passes 2^64: never, rather than at once.
    u64 late = UINT64_MAX - 1000;
    put_at(&a, APIC_INITIAL_COUNT, UINT32_MAX, late);
    assert_true(deadline() == UINT64_MAX);
    assert_false(lapic_expire(&a.l, UINT64_MAX - 1));
    put_at(&a, APIC_DIVIDE, BY_1, late);
    assert_true(deadline() == UINT64_MAX);
    put_at(&a, APIC_INITIAL_COUNT, 999, late);
    assert_true(deadline() == UINT64_MAX - 1);
    assert_true(lapic_expire(&a.l, UINT64_MAX - 1));
}

// F3.
static void the_timer_may_be_slower_or_faster_than_the_tsc(void **state)
{
    (void)state;
    static const u64 rates[] = {1,          25000000,   24000001,  999999999,
                                1000000001, 4000000000, UINT64_MAX};
    static const u32 counts[] = {1, 2, 3, 999, 1000, 123456789, UINT32_MAX};
    for (size_t r = 0; r < ARRAY_SIZE(rates); r++) {
        struct lapic_config config = usual;
        config.timer_hz = rates[r];
        for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
            for (u32 divide = 0; divide < 16; divide++) {
                if (divide & 4)
                    continue;
                apic_start_with(&a, 0, config);
                put(&a, APIC_SVR, 0x1ff);
                put(&a, APIC_DIVIDE, divide);
                put(&a, APIC_LVT_TIMER, 0x40 | PERIODIC);
                put_at(&a, APIC_INITIAL_COUNT, counts[c], 1000);
                u32 shift = (((divide >> 1 & 4) | (divide & 3)) + 1) & 7;
                unsigned __int128 exact = (unsigned __int128)counts[c] << shift;
                exact = (exact * TSC_HZ + rates[r] - 1) / rates[r];
                u64 want = exact > UINT64_MAX - 1000 ? UINT64_MAX : 1000 + (u64)exact;
                assert_true(deadline() == want);
                assert_int_equal(count_at(1000), want == UINT64_MAX ? count_at(1000) : counts[c]);
                if (want == UINT64_MAX)
                    continue;
                // The count falls and never jumps up, and ends at the deadline.
                u32 last = counts[c];
                for (u64 step = 1; step < 8; step++) {
                    u32 now = count_at(1000 + (want - 1001) / 8 * step);
                    assert_true(now <= last && now >= 1);
                    last = now;
                }
                assert_false(lapic_expire(&a.l, want - 1));
                assert_true(lapic_expire(&a.l, want));
            }
        }
    }
}

// F3.
static void a_tsc_that_is_written_moves_the_deadline(void **state)
{
    (void)state;
    start(0x40 | ONE_SHOT, BY_1);
    put_at(&a, APIC_INITIAL_COUNT, 100, 5000);
    lapic_tsc_written(&a.l, 5040, 0); // back
    assert_true(deadline() == 60);
    assert_int_equal(count_at(0), 60);
    lapic_tsc_written(&a.l, 10, 1000000); // forward
    assert_true(deadline() == 1000050);
    lapic_tsc_written(&a.l, 1000050, 7); // it was due
    assert_int_equal(take(&a), 0x40);
    lapic_eoi(&a.l);
    // The deadline is compared with the new value.
    start(0x41 | DEADLINE, BY_1);
    write_msr(5000, 1000);
    lapic_tsc_written(&a.l, 2000, 100);
    assert_true(deadline() == 5000);
    lapic_tsc_written(&a.l, 200, 6000);
    assert_int_equal(take(&a), 0x41);
    assert_true(deadline() == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_one_shot_expires_once),
        cmocka_unit_test(a_read_that_finds_zero_is_the_expiry),
        cmocka_unit_test(a_periodic_timer_keeps_its_phase),
        cmocka_unit_test(the_divider_changes_the_rate_alone),
        cmocka_unit_test(a_masked_timer_counts_on),
        cmocka_unit_test(a_tsc_deadline_expires_once),
        cmocka_unit_test(a_change_of_mode_keeps_the_count_or_disarms),
        cmocka_unit_test(init_stops_the_timer),
        cmocka_unit_test(huge_counts_do_not_overflow),
        cmocka_unit_test(the_timer_may_be_slower_or_faster_than_the_tsc),
        cmocka_unit_test(a_tsc_that_is_written_moves_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
