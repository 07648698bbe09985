// SPDX-License-Identifier: MIT
// A11: spins with interrupts off and leaves only if it is told to: whoever shares its core goes on
// only if it is taken away from it.
//   sleep=MS    before it begins
//   seconds=N   end with exit value 0 after N seconds of TSC time; without it, never
#include "guest.h"

int main(void)
{
    u64 seconds = option_number("seconds", 0);
    u64 sleep = option_number("sleep", 0);
    if (sleep != 0) {
        timer_init();
        sleep_until(rdtsc() + tsc_ms(sleep));
    }
    printf("spin: spinning with interrupts off\n");
    interrupts_off();
    if (seconds == 0) {
        for (;;)
            __asm__ volatile(""); // no PAUSE either: nothing here exits by itself
    }
    u64 end = rdtsc() + seconds * tsc_hz();
    while (rdtsc() < end) {
    }
    printf("spin: spun for %lu seconds\n", seconds);
    return EXIT_OK;
}
