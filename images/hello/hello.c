// SPDX-License-Identifier: MIT
// A guest to say hello with and to practise debugging on: it counts, and sleeps between ticks.
//   ticks=N    end with exit value 0 after N ticks; without it, it goes on for ever
//   period=MS  milliseconds between ticks, 1000 without it
#include "guest.h"

struct counter {
    const char *name;
    u64 value;
    u64 rounds; // calls of count_to
};

struct counter counter = {.name = "counter"};

NOINLINE void add_one(struct counter *c);
NOINLINE u64 count_to(struct counter *c, u64 target);
NOINLINE void tick(u64 number);

void add_one(struct counter *c)
{
    c->value++;
}

// Counts c up to target. Returns how many steps it took.
u64 count_to(struct counter *c, u64 target)
{
    u64 steps = 0;
    while (c->value < target) {
        add_one(c);
        steps++;
    }
    c->rounds++;
    return steps;
}

void tick(u64 number)
{
    u64 steps = count_to(&counter, number * 10);
    printf("hello: tick %lu (%s %lu after %lu steps)\n", number, counter.name, counter.value,
           steps);
}

int main(void)
{
    u64 ticks = option_number("ticks", UINT64_MAX);
    u64 period = tsc_ms(option_number("period", 1000));
    printf("hello: I am a 64-bit guest with %u CPUs and %lu MiB of memory\n", boot_info.cpus,
           (u64)(boot_info.memory_total / MiB));
    printf("hello: command line: %s\n", boot_info.command_line);
    timer_init();
    printf("hello: the TSC runs at %lu MHz, my timer is the local APIC's, %s\n", tsc_hz() / 1000000,
           timer_has_deadline_mode() ? "TSC-deadline" : "one-shot");
    u64 next = rdtsc(), slept = 0; // not if the line was slow
    for (u64 number = 1; number <= ticks; number++) {
        next += period;
        slept += sleep_until(next);
        tick(number);
    }
    printf("hello: bye after %lu timer interrupts\n", interrupts[VECTOR_TIMER]);
    return interrupts[VECTOR_TIMER] >= slept ? EXIT_OK : EXIT_FAILED;
}
