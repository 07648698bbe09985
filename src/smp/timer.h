// SPDX-License-Identifier: MIT
// Timers of a core, by absolute TSC deadlines. A timer belongs to the core on which it was started;
// only that core may touch it.
#pragma once

#include "lib/list.h"
#include "lib/types.h"

struct timer {
    struct list link;
    u64 deadline; // TSC ticks
    void (*expire)(struct timer *t);
};

void timer_init(struct timer *t, void (*expire)(struct timer *t));

// Starts, or moves, t to run at deadline on the calling core; UINT64_MAX stops it.
void timer_set(struct timer *t, u64 deadline);
void timer_stop(struct timer *t);

// Runs what is due on the calling core.
void timers_run(u64 now);
