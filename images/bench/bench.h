// SPDX-License-Identifier: MIT
// How this guest measures: ticks of the shortest run, and what the hypervisor counted for all.
#pragma once

#include "guest.h"

enum { VECTOR_BENCH = 0x60, VECTOR_ANSWER = 0x61, VECTOR_NO_EOI = 0x62 };

enum {
    LONG_GAP = 20000, // ticks; who was away so long did not have the core
    SLICE_MS = 5,     // what a vCPU that shares its core runs at a stretch (src/vcpu/vmm.h)
};

// handlers.S, and what they took.
extern void bench_handler_x2apic(void);
extern void bench_handler_xapic(void);
extern void bench_handler_no_eoi(void);
extern void bench_handler_answer(void);
extern void bench_handler_answer_xapic(void);
extern void bench_handler_ud2(void);
extern volatile u64 bench_taken;

extern u64 iterations; // runs of each measure
extern u64 overhead;   // ticks of measuring nothing

// By the hypervisor's counters (src/vcpu/stats.h): all zero in a build that does not count.
struct counts {
    u64 vmreads, vmwrites, msrs, exits;
};
#define COUNTS_MAX ((struct counts){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX})
struct counts counts_read(void);
bool counts_are_there(void);

bool wanted(const char *name);
void result(const char *name, u64 ticks);

// The counters' way since `before`, without what reading them costs.
struct counts counts_since(struct counts before);
struct counts counts_least(struct counts a, struct counts b);

// A row of what `runs` runs together cost.
void result_counts(const char *name, struct counts sum, u64 runs);

// bench_taken went on by as many as there were runs, or says so.
void check_taken(const char *name, u64 before, u64 runs);

// One piece of assembly, so that the same instructions lie between two reads wherever it stands.
// The jump is for emulators that count instructions a straight run at a time.
static inline u64 tsc(void)
{
    u64 value;
    __asm__ volatile("jmp 1f; 1: lfence; rdtsc; shl $32, %%rdx; or %%rdx, %%rax"
                     : "=a"(value)::"rdx", "cc", "memory");
    return value;
}

// The shortest time of the statements `operation`, in TSC ticks.
#define SHORTEST(operation)                              \
    ({                                                   \
        u64 shortest_ = UINT64_MAX;                      \
        for (u64 i_ = 0; i_ < iterations; i_++) {        \
            u64 start_ = tsc();                          \
            operation;                                   \
            u64 end_ = tsc();                            \
            shortest_ = MIN(shortest_, end_ - start_);   \
        }                                                \
        shortest_ > overhead ? shortest_ - overhead : 0; \
    })

// What `operation` costs by the counters, each the least of all runs: an interrupt of the hardware
// falls into some of them.
#define LEAST(operation)                                          \
    ({                                                            \
        struct counts least_ = COUNTS_MAX;                        \
        for (u64 i_ = 0; i_ < iterations; i_++) {                 \
            struct counts before_ = counts_read();                \
            UNUSED u64 start_ = tsc();                            \
            operation;                                            \
            least_ = counts_least(least_, counts_since(before_)); \
        }                                                         \
        least_;                                                   \
    })

// Prints a row, and a second one where the hypervisor counts.
#define MEASURE(name, operation)                      \
    do {                                              \
        result(name, SHORTEST(operation));            \
        if (counts_are_there())                       \
            result_counts(name, LEAST(operation), 1); \
    } while (0)

// With more than one vCPU: smp.c. Many of them on one core: crowd.c. Turns on a core: share.c.
// What a VM's configuration catches: items.c.
void bench_smp(bool x2apic);
void bench_crowd(void);
void bench_wake(void);
void bench_share(void);
void bench_items(void);
