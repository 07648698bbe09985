// SPDX-License-Identifier: MIT
// Who has the core, and when: a vCPU's share of a second beside others that spin as it does, and
// how long one that is woken waits for its turn.
#include "bench.h"

enum { SHARE_FROM_MS = 300, SHARE_MS = 1000, SHARE_REST_MS = 300 };

// Prints "share TICKS OF": the ticks that it had of a second in which all were there.
void bench_share(void)
{
    u64 from = tsc_ms(SHARE_FROM_MS), to = from + tsc_ms(SHARE_MS);
    u64 had = 0, last = tsc();
    for (u64 rest = to + tsc_ms(SHARE_REST_MS); last < rest;) { // for the others, to the end
        u64 now = tsc();
        if (now - last <= LONG_GAP && last >= from && now < to)
            had += now - last;
        last = now;
    }
    printf("share %lu %lu\n", had, to - from);
    printf("bench: done\n");
}

enum { WAKES = 100, LEAST_SLEEP_MS = 3, MORE_SLEEP_US = 20000 };

static void spin(unsigned cpu)
{
    (void)cpu;
    for (;;)
        __asm__ volatile("" ::: "memory");
}

// Sleeps for times that keep no step with the slices of the others.
void bench_wake(void)
{
    if (smp_start(spin) != boot_info.cpus) {
        printf("bench: not all CPUs came up\n");
        return;
    }
    timer_init();
    u64 worst = 0;
    u32 random = 1;
    for (int i = 0; i < WAKES; i++) {
        random = random * 1103515245 + 12345;
        u64 deadline = tsc() + tsc_ms(LEAST_SLEEP_MS) + tsc_us((random >> 8) % MORE_SLEEP_US);
        sleep_until(deadline);
        worst = MAX(worst, tsc() - deadline);
    }
    result("wake-latency", worst - overhead);
}
