// SPDX-License-Identifier: MIT
// With two vCPUs: interrupts between them, each on its core; or, on one core, the switch from one
// to the other.
#include "bench.h"

enum { SWITCHES = 40 };

enum { IDLE, SPIN, HALT, STAMP };
static volatile u32 other_does; // what the other CPU is to do
static volatile u64 stamp[2];   // when each CPU last was there

// The slices' ends meet the loop that notes the time at the same place again and again: so each
// time away moves it by an instruction, and the shortest of many begins right at a note.
static void move_on(u64 gaps)
{
    for (u64 n = gaps % 16; n > 0; n--)
        __asm__ volatile("nop");
}

// Notes the time again and again. Returns when it has been away `wanted_gaps` times, with the
// shortest time from the other's last note to its own first one, and in `least`, unless that is
// NULL, what a time away and the way there cost.
static u64 stamp_until(unsigned me, u64 wanted_gaps, struct counts *least)
{
    u64 shortest = UINT64_MAX, gaps = 0, last = tsc();
    struct counts before = least != NULL ? counts_read() : COUNTS_MAX;
    while (gaps < wanted_gaps) {
        u64 now = tsc();
        if (now - last > LONG_GAP) {
            shortest = MIN(shortest, now - stamp[1 - me]);
            gaps++;
            if (least != NULL) {
                *least = counts_least(*least, counts_since(before));
                before = counts_read();
            }
            move_on(gaps);
        }
        stamp[me] = last = now;
    }
    return shortest;
}

static void other_cpu(unsigned cpu)
{
    (void)cpu;
    for (;;) {
        interrupts_on();
        while (other_does == IDLE || other_does == SPIN)
            ;
        while (other_does == HALT)
            halt_once();
        if (other_does == STAMP) {
            interrupts_off();
            stamp_until(1, UINT64_MAX, NULL);
        }
    }
}

static inline void send_ping(u32 destination)
{
    wrmsr(0x800 + APIC_ICR / 16, (u64)destination << 32 | ICR_ASSERT | VECTOR_ANSWER);
}

static inline void ping(u32 destination)
{
    u64 seen = bench_taken;
    send_ping(destination);
    while (bench_taken == seen)
        ;
}

static inline void ping_xapic(u32 destination)
{
    u64 seen = bench_taken;
    write32(XAPIC_PAGE + APIC_ICR2, destination << 24);
    write32(XAPIC_PAGE + APIC_ICR, ICR_ASSERT | VECTOR_ANSWER);
    while (bench_taken == seen)
        ;
}

// Longer than the other needs to be asleep again.
static inline void let_it_sleep(void)
{
    for (u64 end = tsc() + LONG_GAP; tsc() < end;)
        ;
}

static void bench_ipi_xapic(u32 other)
{
    u64 runs = counts_are_there() ? 2 * iterations : iterations;
    u64 before = bench_taken;
    if (!wanted("ipi-xapic"))
        return;
    interrupts_on();
    other_does = SPIN;
    let_it_sleep();
    MEASURE("ipi-xapic", ping_xapic(other));
    interrupts_off();
    check_taken("ipi-xapic", before, runs);
}

static void bench_ipi(u32 other)
{
    u64 runs = counts_are_there() ? 2 * iterations : iterations;
    u64 before = bench_taken;
    interrupts_on();
    if (wanted("ipi")) {
        other_does = SPIN;
        let_it_sleep();
        MEASURE("ipi", ping(other));
        check_taken("ipi", before, runs);
    }
    before = bench_taken;
    if (wanted("ipi-halted")) {
        other_does = HALT;
        u64 shortest = UINT64_MAX;
        bool counted = counts_are_there();
        struct counts least = COUNTS_MAX;
        for (u64 i = 0; i < iterations; i++) {
            struct counts counts = counted ? counts_read() : COUNTS_MAX;
            let_it_sleep();
            u64 start = tsc();
            ping(other);
            shortest = MIN(shortest, tsc() - start);
            if (counted)
                least = counts_least(least, counts_since(counts));
        }
        if (counted)
            result_counts("ipi-halted", least, 1);
        result("ipi-halted", shortest - overhead);
        check_taken("ipi-halted", before, iterations);
    }
    interrupts_off();
}

// The other waits for its turn on the same core: it has that when this CPU sleeps, and loses it
// when its answer wakes this one.
static void bench_ipi_queued(u32 other)
{
    u64 before = bench_taken, shortest = UINT64_MAX;
    bool counted = counts_are_there();
    struct counts least = COUNTS_MAX;
    other_does = SPIN;
    for (u64 i = 0; i < iterations; i++) {
        struct counts counts = counted ? counts_read() : COUNTS_MAX;
        u64 seen = bench_taken;
        u64 start = tsc();
        send_ping(other);
        while (bench_taken == seen)
            halt_once();
        shortest = MIN(shortest, tsc() - start);
        if (counted)
            least = counts_least(least, counts_since(counts));
    }
    if (counted)
        result_counts("ipi-queued", least, 1);
    check_taken("ipi-queued", before, iterations);
    result("ipi-queued", shortest - overhead);
}

static void bench_switch(void)
{
    other_does = STAMP;
    stamp_until(0, 2, NULL);
    struct counts least = COUNTS_MAX;
    u64 shortest = stamp_until(0, SWITCHES, counts_are_there() ? &least : NULL);
    if (counts_are_there())
        result_counts("vcpu-switch", least, 2); // there and back
    result("vcpu-switch", shortest > overhead ? shortest - overhead : 0);
}

void bench_smp(bool x2apic)
{
    if (option("crowd") || option("wake")) {
        option("crowd") ? bench_crowd() : bench_wake();
        printf("bench: done\n");
        return;
    }
    interrupt_set_raw(VECTOR_ANSWER, x2apic ? bench_handler_answer : bench_handler_answer_xapic);
    if (smp_start(other_cpu) != 2) {
        printf("bench: this wants two CPUs\n");
        return;
    }
    if (!x2apic) {
        bench_ipi_xapic(smp_apic_id(1));
    } else if (option_number("switch", 0) == 0) {
        bench_ipi(smp_apic_id(1));
    } else {
        if (wanted("ipi-queued"))
            bench_ipi_queued(smp_apic_id(1));
        if (wanted("vcpu-switch"))
            bench_switch();
    }
    printf("bench: done\n");
}
