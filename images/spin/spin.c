// SPDX-License-Identifier: MIT
// Spins with interrupts off and leaves only if it is told to: whoever shares its core goes on
// only if it is taken away from it (COVERAGE A11).
//   seconds=N   end with exit value 0 after N seconds of TSC time; without it, never
#include "guest.h"

int main(void)
{
    u64 seconds = option_number("seconds", 0);
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
