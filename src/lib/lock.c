// SPDX-License-Identifier: MIT
#include "lib/lock.h"

void (*core_waits)(void);
void (*lock_waits)(struct spinlock *l, u32 serving, u64 *since);

void spin_wait(struct spinlock *l, u32 ticket)
{
    u64 since = 0;
    u32 before = ticket, serving;
    while ((serving = __atomic_load_n(&l->serving, __ATOMIC_ACQUIRE)) != ticket) {
        if (serving != before)
            since = 0;
        before = serving;
        if (lock_waits != NULL)
            lock_waits(l, serving, &since);
        cpu_relax();
    }
}
