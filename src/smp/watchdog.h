// SPDX-License-Identifier: MIT
// Each core that runs a VMM watches the next: one that takes no interrupt in root mode for so long
// that it must be stuck is interrupted by an NMI, and ends itself (lost.h).
#pragma once

#include "smp/core.h"

// Begins to watch, unless the boot option `watchdog=off` says otherwise. Every core, before its
// main loop.
void watchdog_start(void);

// Looks at the next core, and sets when to look again, and the local APIC's timer for that. The
// core itself, when watch_is_due().
void watchdog_look(struct core *c, u64 now) REQUIRES_CORE(c);

// Whether it is: a one-shot timer may end a little early.
extern u64 watch_slack;
static inline bool watch_is_due(const struct core *c, u64 now)
{
    return now + watch_slack >= c->watch_due;
}

// What an NMI does that a watching core sent; f: NULL if it made a guest exit.
void watchdog_nmi(struct core *c, const struct trap_frame *f);
