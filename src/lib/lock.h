// SPDX-License-Identifier: MIT
// A fair spinlock. Root mode runs with interrupts off, so holding one needs no masking; NMI
// handlers take none.
#pragma once

#include "lib/types.h"

struct spinlock {
    u32 next;    // ticket to hand out
    u32 serving; // ticket whose turn it is
};

static inline void cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

static inline void spin_lock(struct spinlock *l)
{
    u32 ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != ticket)
        cpu_relax();
}

static inline void spin_unlock(struct spinlock *l)
{
    __atomic_store_n(&l->serving, l->serving + 1, __ATOMIC_RELEASE);
}
