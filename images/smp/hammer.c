// SPDX-License-Identifier: MIT
#include "hammer.h"

#include "guest.h"
#include "smp.h"

#define RET 0xc3

// A page of its own, for a debugger.
extern struct hammered {
    volatile u64 words[MAX_CPUS];
    u8 code[4096 - 8 * MAX_CPUS];
} hammered;
extern volatile u64 hammer_go;
struct hammered hammered ALIGNED(4096);
volatile u64 hammer_go;

static u64 times;
static unsigned wrote, called; // CPUs

static void wait_for(const unsigned *count)
{
    while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < boot_info.cpus)
        cpu_pause();
}

static void hammer(unsigned cpu)
{
    while (hammer_go == 0)
        cpu_pause();
    for (u64 i = 0; i < times; i++)
        hammered.words[cpu]++;
    __atomic_add_fetch(&wrote, 1, __ATOMIC_SEQ_CST);
    wait_for(&wrote);
    ((void (*)(void))hammered.code)();
    __atomic_add_fetch(&called, 1, __ATOMIC_SEQ_CST);
}

int hammer_main(u64 count)
{
    times = count;
    hammered.code[0] = RET;
    unsigned online = smp_start(hammer);
    printf("smp: %u CPUs wait to write to one page\n", online);
    hammer(0);
    wait_for(&called);
    for (unsigned cpu = 0; cpu < online; cpu++)
        report(hammered.words[cpu] == count, "E2: CPU %u: %lu of %lu writes are there", cpu,
               hammered.words[cpu], count);
    return report_summary();
}
