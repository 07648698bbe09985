// SPDX-License-Identifier: MIT
#include "smp/skew.h"

#include "boot/log.h"
#include "boot/selftest.h"
#include "lib/cpu.h"
#include "lib/lock.h"
#include "smp/core.h"
#include "smp/start.h"

#define ROUNDS 16

// The boot core asks by a new number, the core whose turn it is answers with its TSC and the
// number.
static u32 turn ALIGNED(64), asked, answered;
static u64 answer;
static u64 pretended; // for tests: what the other cores' TSCs are off

#if DEBUG
static void pretend(void)
{
    pretended = 100000;
}

static const struct selftest tests[] = {{"skew", pretend}};
#endif

// Not before what stands before it, and before what stands behind it (SDM Vol. 2, RDTSC).
static u64 rdtsc_in_order(void)
{
    __asm__ volatile("mfence; lfence" ::: "memory");
    u64 now = rdtsc();
    __asm__ volatile("lfence" ::: "memory");
    return now;
}

static void answer_in_turn(u32 number)
{
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != number)
        cpu_relax();
    for (u32 round = 1; round <= ROUNDS; round++) {
        while (__atomic_load_n(&asked, __ATOMIC_ACQUIRE) != round)
            cpu_relax();
        answer = rdtsc_in_order() + pretended;
        __atomic_store_n(&answered, round, __ATOMIC_RELEASE);
    }
}

// How many ticks c's TSC is ahead of ours at least, by what is possible in all rounds: it was read
// after the question and before the answer.
static i64 ask(const struct core *c)
{
    i64 least = INT64_MIN, most = INT64_MAX;
    __atomic_store_n(&asked, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&answered, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&turn, c->number, __ATOMIC_RELEASE);
    for (u32 round = 1; round <= ROUNDS; round++) {
        u64 before = rdtsc_in_order();
        __atomic_store_n(&asked, round, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&answered, __ATOMIC_ACQUIRE) != round)
            cpu_relax();
        u64 after = rdtsc_in_order();
        least = MAX(least, (i64)(answer - after));
        most = MIN(most, (i64)(answer - before));
    }
    return least > 0 ? least : most < 0 ? most : 0;
}

void skew_measure(void)
{
    if (this_core()->number != 0) {
        answer_in_turn(this_core()->number);
        return;
    }
    unsigned apart = 0;
#if DEBUG
    selftest_run(tests, ARRAY_SIZE(tests));
#endif
    for (unsigned i = 1; i < core_count; i++) {
        if (cores[i]->online != CORE_ONLINE)
            continue;
        i64 ahead = ask(cores[i]);
        if (ahead == 0)
            continue;
        apart++;
        log_line("smp",
                 "core %u's TSC is %lu ticks %s the boot core's: a guest that comes there sees its "
                 "time jump; `cores` can keep it away",
                 i, (ahead > 0 ? ahead : -ahead), ahead > 0 ? "ahead of" : "behind");
    }
    if (apart == 0 && cores_online > 1)
        log_line("smp", "the TSCs of all cores agree");
}
