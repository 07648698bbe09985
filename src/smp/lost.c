// SPDX-License-Identifier: MIT
#include "smp/lost.h"

#include "boot/log.h"
#include "boot/record.h"
#include "lib/cpu.h"
#include "lib/lock.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/time.h"

// Who holds a lock for longer than this, when a core has been lost, is that core.
#define LOCK_SECONDS 2
#define RECORD_US    100000 // another core's report takes no longer

u32 cores_lost;
struct core *cores_housekeeping;
void (*core_describe)(const struct core *c, struct text *t);
void (*core_lost_tell)(void);

static u32 recording; // a core writes its report

static bool can_go_on(const struct core *c)
{
    return __atomic_load_n(&c->online, __ATOMIC_SEQ_CST) == CORE_ONLINE && c->vmm != NULL &&
           c->losing == 0;
}

struct core *lost_next(const struct core *c)
{
    for (unsigned i = 1; i < core_count; i++) {
        struct core *next = cores[(c->number + i) % core_count];
        if (can_go_on(next))
            return next;
    }
    return NULL;
}

// Others may use from now on what they waited for the calling core with.
static void end(void)
{
    struct core *c = this_core(), *expected = c;
    c->report_end = record_length();
    record_keep();
    __atomic_store_n(&recording, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&c->online, (u32)CORE_LOST, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&cores_lost, 1, __ATOMIC_SEQ_CST);
    struct core *heir = lost_next(c);
    if (heir == NULL)
        return;
    __atomic_compare_exchange_n(&cores_housekeeping, &expected, heir, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    core_lost_tell();
    for (;;)
        core_stop();
}

static bool begin(const char *what)
{
    struct core *c = this_core();
    if (c->losing > 2) {
        for (;;)
            core_stop();
    }
    if (++c->losing == 2) {
        record_add("and another fault while this was written: %s", what);
        end();
    }
    if (c->losing >= 2 || lost_next(c) == NULL)
        return false;
    u64 start = rdtsc();
    while (__atomic_exchange_n(&recording, 1, __ATOMIC_ACQUIRE) != 0 &&
           rdtsc() - start < host_tsc_hz / 1000000 * RECORD_US)
        cpu_relax();
    c->report_start = record_length();
    str_format(c->lost_by, sizeof(c->lost_by), "%s", what);
    char buf[80];
    struct text t = TEXT(buf);
    core_describe(c, &t);
    record_add("core %u is lost, with %s:", c->number, buf);
    return true;
}

static const struct core_loss loss = {.begin = begin, .end = end};

// The holder may have left what the lock guards half done: nobody gets it any more, and when
// somebody wants it, that is the end. What is of use in any state changes hands.
static void wait_for_lock(struct spinlock *l, u32 serving, u64 *since)
{
    if (core_waits != NULL)
        core_waits();
    const struct core *c = lost_first();
    if (c == NULL)
        return;
    u64 now = rdtsc();
    if (*since == 0)
        *since = now;
    if (now - *since < host_tsc_hz * LOCK_SECONDS)
        return;
    if (!l->breakable)
        panic_all("core %u was lost with a lock held: %s", c->number, c->lost_by);
    __atomic_compare_exchange_n(&l->serving, &serving, serving + 1, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_RELAXED);
}

void lost_init(void)
{
    ASSERT_BOOT_CORE();
    lock_waits = wait_for_lock;
    panic_core_loss = &loss;
}

void lost_report(void)
{
    ASSERT_HOUSEKEEPING_CORE();
    for (unsigned i = 0; i < core_count; i++) {
        struct core *c = cores[i];
        if (!core_is_lost(c) || c->reported)
            continue;
        c->reported = true;
        if (c->report_start == c->report_end) // the record was full
            log_line("panic", "core %u is lost: %s", i, c->lost_by);
        record_log("panic", c->report_start, c->report_end);
    }
}

const struct core *lost_first(void)
{
    for (unsigned i = 0; cores_lost > 0 && i < core_count; i++) {
        if (core_is_lost(cores[i]))
            return cores[i];
    }
    return NULL;
}
