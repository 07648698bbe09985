// SPDX-License-Identifier: MIT
// A fair spinlock. Root mode runs with interrupts off, so holding one needs no masking; NMI
// handlers take none.
#pragma once

#include "lib/assert.h"
#include "lib/types.h"

struct spinlock {
    u32 next;       // ticket to hand out
    u32 serving;    // ticket whose turn it is
    bool breakable; // what it guards is of use however its holder left it
};

static inline void cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

// Whether some core has it.
static inline bool spin_is_held(const struct spinlock *l)
{
    return __atomic_load_n(&l->next, __ATOMIC_RELAXED) !=
           __atomic_load_n(&l->serving, __ATOMIC_RELAXED);
}

// Functions that demand it (lib/assert.h): the caller has the lock l.
#define REQUIRES_HELD(l)
#define ASSERT_HELD(l) ASSERT(spin_is_held(l))

// What a core does while it waits for another, with interrupts off, beside waiting. Set by smp.
extern void (*core_waits)(void);

// The same while it waits for a lock, at which `serving` does not change: *since is when that
// began, for the function's own use, 0 at first. Set by smp.
extern void (*lock_waits)(struct spinlock *l, u32 serving, u64 *since);

// spin_lock where others are first.
void spin_wait(struct spinlock *l, u32 ticket);

static inline void spin_lock(struct spinlock *l)
{
    u32 ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
    if (__builtin_expect(__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != ticket, 0))
        spin_wait(l, ticket);
}

static inline void spin_unlock(struct spinlock *l)
{
    __atomic_store_n(&l->serving, l->serving + 1, __ATOMIC_RELEASE);
}
