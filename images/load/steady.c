// SPDX-License-Identifier: MIT
// A Linux program, `steady MIB MS`: whether others take memory or time from this machine. Fills
// memory with a pattern and reads it again and again, block by block, for as many milliseconds.
// Each block takes as many TSC ticks as its work does, or more when the CPU was elsewhere: the pace
// is the share that is left. Returns 0; 1: memory was not what was written; 2: it could not be
// tried.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BLOCK = 1024 }; // words

static uint64_t pattern(uint64_t n)
{
    return (n + 1) * 0x9e3779b97f4a7c15;
}

static uint64_t ticks_now(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

static uint64_t milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    uint64_t mib = argc > 1 ? strtoul(argv[1], NULL, 0) : 16;
    uint64_t ms = argc > 2 ? strtoul(argv[2], NULL, 0) : 1000;
    uint64_t words = mib * 1024 * 1024 / 8;
    uint64_t *memory = malloc(words * 8);
    uint64_t blocks = 0, least = UINT64_MAX, wrong = 0;

    if (memory == NULL || words < BLOCK) {
        free(memory);
        printf("steady: no memory\n");
        return 2;
    }
    for (uint64_t i = 0; i < words; i++)
        memory[i] = pattern(i);
    uint64_t end = milliseconds() + ms, start = ticks_now(), last = start;
    uint64_t at = 0;
    do {
        for (uint64_t i = at; i < at + BLOCK; i++)
            wrong += memory[i] != pattern(i);
        uint64_t now = ticks_now();
        if (now - last < least)
            least = now - last;
        last = now;
        blocks++;
        at = at + 2 * BLOCK <= words ? at + BLOCK : 0;
    } while (milliseconds() < end || last == start);
    printf("steady: %lu blocks of %lu ticks, pace %lu %%\n", (unsigned long)blocks,
           (unsigned long)least, (unsigned long)(blocks * least * 100 / (last - start)));
    printf("steady: %s\n", wrong == 0 ? "checksum ok" : "checksum wrong");
    free(memory);
    return wrong != 0;
}
