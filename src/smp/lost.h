// SPDX-License-Identifier: MIT
// The end of one core: after a fault in root mode it stops for good, and the others go on. Nobody
// waits for it any more, and no vCPU is sent there; VMs that have one there are ended (vm/life.c).
#pragma once

#include "lib/format.h"
#include "smp/core.h"

extern u32 cores_lost;

// It has stopped, and does nothing any more. Any core.
static inline bool core_is_lost(const struct core *c)
{
    return __atomic_load_n(&c->online, __ATOMIC_ACQUIRE) == CORE_LOST;
}

extern struct core *cores_housekeeping;

// The housekeeping core, as Linux has them, too: it works for the appliance as a whole, at console
// and debugger and when VMs end. The boot core, until it is lost. Any core.
static inline struct core *housekeeping_core(void)
{
    return __atomic_load_n(&cores_housekeeping, __ATOMIC_SEQ_CST);
}

// What functions demand (lib/assert.h): they are called on that core.
#define REQUIRES_HOUSEKEEPING_CORE()
#define ASSERT_HOUSEKEEPING_CORE() ASSERT(this_core() == housekeeping_core())

// From now on a fault ends only its core. When all run their VMMs.
void lost_init(void) REQUIRES_BOOT_CORE();

// Set by vmx: what runs on a core; has the housekeeping core see to a core that was lost.
extern void (*core_describe)(const struct core *c, struct text *t);
extern void (*core_lost_tell)(void);

// Logs the reports of cores that were lost since the last call.
void lost_report(void) REQUIRES_HOUSEKEEPING_CORE();

// The core after c, in a ring of those that run their VMMs; NULL: there is no other.
struct core *lost_next(const struct core *c);

// The first core that was lost, or NULL.
const struct core *lost_first(void);
