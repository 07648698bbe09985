// SPDX-License-Identifier: MIT
// A11: goes on while others on its core spin, and measures which share of the core it gets: it
// reads the TSC in a loop, and a jump between two reads is time in which it was not running.
//   ticks=N    timer interrupts to wait for, 20 without it
//   before=N, after=N
//              more of them on either side, in which it only spins: for others to start and end
//   period=MS  milliseconds between them, 50 without it
//   gap=N      TSC ticks between two reads that count as away, 4000 without it
//   share=P    fail when the share is below P per cent, 0 without it
#include "guest.h"

struct share {
    u64 here, away, longest; // TSC ticks
};

// Runs for a period or until the timer's next interrupt, whatever comes later.
static void run(struct share *s, u64 deadline, u64 gap)
{
    u64 before = interrupts[VECTOR_TIMER];
    u64 last = rdtsc();
    timer_at(deadline);
    interrupts_on();
    while (interrupts[VECTOR_TIMER] == before || last < deadline) {
        u64 now = rdtsc();
        u64 step = now - last;
        last = now;
        if (step <= gap)
            s->here += step;
        else
            s->away += step;
        if (step > s->longest)
            s->longest = step;
    }
    interrupts_off();
}

static void spin(u64 ticks, u64 period, u64 gap)
{
    struct share ignored = {0};
    for (u64 i = 0; i < ticks; i++)
        run(&ignored, rdtsc() + period, gap);
}

int main(void)
{
    u64 ticks = option_number("ticks", 20);
    u64 period = tsc_ms(option_number("period", 50));
    u64 gap = option_number("gap", 4000);
    struct share total = {0};
    timer_init();
    spin(option_number("before", 0), period, gap);
    u64 deadline = rdtsc();
    for (u64 i = 1; i <= ticks; i++) {
        deadline = MAX(deadline, rdtsc()) + period;
        run(&total, deadline, gap);
        printf("count: %lu\n", i);
    }
    spin(option_number("after", 0), period, gap);
    u64 percent = total.here * 100 / MAX(total.here + total.away, 1ul);
    printf("count: share %lu %% of the core, longest away %lu TSC ticks (%lu us)\n", percent,
           total.longest, total.longest * 1000 / tsc_ms(1));
    report(interrupts[VECTOR_TIMER] >= ticks, "A11: %lu timer interrupts arrived", ticks);
    report(percent >= option_number("share", 0), "A11: got %lu %% of the core", percent);
    return report_summary();
}
