// SPDX-License-Identifier: MIT
// A Linux program, `skew ROUNDS`: whether one clock runs on all CPUs. A token goes round threads,
// one on each CPU; who has it reads the TSC and CLOCK_MONOTONIC, and neither may be before what the
// last holder read. Each round goes round in another step, so that all pairs of CPUs have their
// turn. Says what it found and returns 0; 1: a clock ran backwards; 2: it could not be tried.
#define _GNU_SOURCE // for CPU sets
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum {
    MAX_CPUS = 64,
    SPINS = 200, // looks at the token before sleep; then the core is another's
};

struct place {
    _Alignas(
        64) _Atomic uint32_t turn; // the number of the round that this CPU has the token in, + 1
};

static struct place places[MAX_CPUS];
static int cpus[MAX_CPUS];
static int count;
static uint32_t rounds;

// What goes with the token: its holder's alone.
static uint64_t last_tsc, last_clock, worst_tsc, worst_clock;
static uint64_t backwards_tsc, backwards_clock, passes, strayed;

static uint64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t tsc_now(void)
{
    _mm_lfence();
    uint64_t now = __rdtsc();
    _mm_lfence();
    return now;
}

static void look(uint64_t *last, uint64_t now, uint64_t *backwards, uint64_t *worst)
{
    if (now < *last) {
        ++*backwards;
        if (*last - now > *worst)
            *worst = *last - now;
    }
    *last = now;
}

// Until this CPU has the token in a round.
static void take(struct place *place, uint32_t turn)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&place->turn, memory_order_acquire) == turn)
            return;
        _mm_pause();
    }
    for (uint32_t now; (now = atomic_load_explicit(&place->turn, memory_order_acquire)) != turn;)
        syscall(SYS_futex, &place->turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void pass(struct place *place, uint32_t turn)
{
    atomic_store_explicit(&place->turn, turn, memory_order_release);
    syscall(SYS_futex, &place->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static int gcd(int a, int b)
{
    return b ? gcd(b, a % b) : a;
}

// The step of a round: one that comes to all before it comes back.
static int step_of(uint32_t round)
{
    int step = 1 + (int)(round % (uint32_t)(count > 1 ? count - 1 : 1));
    return gcd(step, count) == 1 ? step : 1;
}

static void *run(void *arg)
{
    int me = (int)(intptr_t)arg;

    for (uint32_t round = 0; round < rounds; round++) {
        int next = (me + step_of(round)) % count;
        take(&places[me], round + 1);
        look(&last_tsc, tsc_now(), &backwards_tsc, &worst_tsc);
        look(&last_clock, clock_now(), &backwards_clock, &worst_clock);
        strayed += sched_getcpu() != cpus[me];
        passes++;
        // Back at the first, the next round begins.
        pass(&places[next], round + 1 + (next == 0));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    cpu_set_t set;
    pthread_t threads[MAX_CPUS];

    rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1000;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 2;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < MAX_CPUS; cpu++) {
        if (CPU_ISSET(cpu, &set))
            cpus[count++] = cpu;
    }
    atomic_store(&places[0].turn, 1);
    for (int i = 0; i < count; i++) {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        CPU_ZERO(&set);
        CPU_SET(cpus[i], &set);
        pthread_attr_setaffinity_np(&attributes, sizeof(set), &set);
        if (pthread_create(&threads[i], &attributes, run, (void *)(intptr_t)i) != 0) {
            perror("skew: no thread");
            return 2;
        }
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);

    bool whole = passes == (uint64_t)rounds * (uint64_t)count && strayed == 0;
    printf("skew: %d cpus, %lu passes, backwards: TSC %lu (%lu ticks), clock %lu (%lu ns)%s\n",
           count, (unsigned long)passes, (unsigned long)backwards_tsc, (unsigned long)worst_tsc,
           (unsigned long)backwards_clock, (unsigned long)worst_clock, whole ? "" : "; not whole");
    if (!whole)
        return 2;
    return backwards_tsc || backwards_clock;
}
