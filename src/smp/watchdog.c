// SPDX-License-Identifier: MIT
#include "smp/watchdog.h"

#include "boot/cmdline.h"
#include "boot/log.h"
#include "lib/cpu.h"
#include "lib/format.h"
#include "lib/lock.h"
#include "lib/string.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/lost.h"
#include "smp/time.h"
#include "x86/bits.h"

#define LIMIT_SECONDS 16
#define LIMIT_MAX     3600
#define LOOKS         4 // in that time

u64 watch_slack;
static u64 limit_seconds;

// What an NMI is for. It ends a core only if that had one of the first kind before and time enough
// to take an interrupt since: a machine that stood still for long, all of it or this one CPU, is
// not stuck.
enum { NMI_NOTHING, NMI_ASKS, NMI_ENDS };

// A number that changes with each interrupt that c takes, and while it waits for another core.
static u64 signs(const struct core *c)
{
    return __atomic_load_n(&c->irqs, __ATOMIC_RELAXED) +
           __atomic_load_n(&c->waits, __ATOMIC_RELAXED);
}

static void send_nmi(struct core *to, u32 kind)
{
    __atomic_store_n(&to->nmi_answered, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&to->nmi_kind, kind, __ATOMIC_SEQ_CST);
    apic_send_nmi(to->apic_id);
}

static void look(struct core *c, u64 now)
{
    u64 limit = host_tsc_hz * limit_seconds;
    struct core *to = lost_next(c);
    if (to == NULL || panic_is_on())
        return;
    if (to != c->watched || signs(to) != c->watched_signs) {
        c->watched = to;
        c->watched_signs = signs(to);
        c->asked = 0;
        return;
    }
    if (c->asked == 0) {
        c->asked = now;
        to->nmi_kind = to->nmi_answered = 0;
        core_attention(to);
        apic_send(to->apic_id, VECTOR_WAKE);
    } else if (now - c->asked < limit) {
        if (now - c->asked >= limit / 2 && __atomic_load_n(&to->nmi_kind, __ATOMIC_RELAXED) == 0 &&
            __atomic_load_n(&to->nmi_answered, __ATOMIC_RELAXED) == 0)
            send_nmi(to, NMI_ASKS);
    } else if (__atomic_load_n(&to->nmi_answered, __ATOMIC_ACQUIRE) != 0) {
        to->nmi_signs = c->watched_signs;
        send_nmi(to, NMI_ENDS);
    }
}

void watchdog_look(struct core *c, u64 now)
{
    ASSERT_CORE(c);
    c->watch_due = now + host_tsc_hz * limit_seconds / LOOKS;
    apic_set_deadline(MIN(c->timer_deadline, c->watch_due));
    look(c, now);
}

void watchdog_nmi(struct core *c, const struct trap_frame *f)
{
    u32 kind = __atomic_exchange_n(&c->nmi_kind, (u32)NMI_NOTHING, __ATOMIC_SEQ_CST);
    // In a guest, or idle: it has only to take the interrupt that waits.
    if (f == NULL || (f->rflags & RFLAGS_IF) || c->losing != 0)
        return;
    __atomic_store_n(&c->nmi_answered, 1, __ATOMIC_RELEASE);
    if (kind != NMI_ENDS || signs(c) != c->nmi_signs)
        return;
    char what[40];
    str_format(what, sizeof(what), "stuck for %lu s", limit_seconds);
    panic_interrupted(f, what);
}

// The core does not take the interrupt that tells it to look, but what it waits for may be the core
// that it watches.
static void wait(void)
{
    struct core *c = this_core();
    u64 now = rdtsc();
    c->waits++;
    if (now >= c->watch_due && now >= c->wait_due) {
        c->wait_due = now + host_tsc_hz * limit_seconds / LOOKS;
        look(c, now);
    }
}

void watchdog_start(void)
{
    struct core *c = this_core();
    char value[12];
    u64 seconds = LIMIT_SECONDS;
    if (cmdline_value("watchdog", value, sizeof(value)) && strcmp(value, "off") == 0)
        return;
    if (value[0] != '\0' &&
        (!str_number(value, strlen(value), &seconds) || seconds == 0 || seconds > LIMIT_MAX)) {
        seconds = LIMIT_SECONDS;
        if (c->number == 0)
            log_line("smp", "watchdog=%s: off, or 1 to %u seconds, is wanted", value, LIMIT_MAX);
    }
    limit_seconds = seconds;
    watch_slack = host_tsc_hz * seconds / LOOKS / 16;
    core_waits = wait;
    watchdog_look(c, rdtsc());
}
