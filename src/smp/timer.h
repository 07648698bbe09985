// SPDX-License-Identifier: MIT
// Timers of a core, by absolute TSC deadlines. A timer belongs to the core on which it was started;
// only that core may touch it.
#pragma once

#include "lib/heap.h"
#include "lib/types.h"
#include "smp/core.h"

struct timer {
    struct heap_node link;
    u64 deadline; // TSC ticks
    void (*expire)(struct timer *t);
};

void timer_init(struct timer *t, void (*expire)(struct timer *t));

// Starts, or moves, t to run at deadline on the calling core; UINT64_MAX stops it.
void timer_set(struct timer *t, u64 deadline);
void timer_stop(struct timer *t);

// Runs what is due on the calling core.
void timers_run(u64 now);

// Sets core->guest_deadline to the nearest of the first timer and the slice's end, or to 0 where
// there is no preemption timer: then the core looks at the two before each entry. The core itself,
// after a change of core->slice_end.
static inline void timers_update(struct core *c)
{
    c->guest_deadline = c->counts_down ? MIN(c->timer_deadline, c->slice_end) : 0;
}
