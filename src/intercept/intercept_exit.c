// SPDX-License-Identifier: MIT
// An exit of a guest of which something is to be caught: which items it hits, and what becomes of
// the instruction.
#include "boot/log.h"
#include "intercept/intercept_hit.h"
#include "intercept/intercept_internal.h"
#include "smp/time.h"
#include "x86/bits.h"

#define LINES_PER_SECOND 20u

// What the items that were hit say together.
struct verdict {
    u32 items;                  // bit n: item n was hit
    enum intercept_action what; // INTERCEPT_DENY, _IGNORE; else carry it out
    u64 kept;                   // bits of CR0 or CR4 that keep their values with INTERCEPT_IGNORE
    bool log, stop;
};

static bool is_excepted(const struct intercept *i, u64 cr3)
{
    for (unsigned n = 0; n < i->values; n++) {
        if (i->value[n] == cr3)
            return true;
    }
    return false;
}

static bool matches(const struct intercept *i, const struct hit *h)
{
    if (i->what != h->what || (i->access != 0 && !(i->access & h->access)))
        return false;
    switch (i->what) {
    case INTERCEPT_EXCEPTION:
        return i->first == h->first && (h->value & i->mask) == i->match;
    case INTERCEPT_IO:
    case INTERCEPT_MSR:
    case INTERCEPT_MEM:
        return h->first <= i->last && h->last >= i->first;
    case INTERCEPT_CR0:
    case INTERCEPT_CR4:
        return (h->changed & i->mask) != 0;
    case INTERCEPT_CR3:
        return h->access == INTERCEPT_READ || !is_excepted(i, h->value);
    default:
        return true;
    }
}

static struct verdict judge(const struct vcpu *v, const struct hit *h)
{
    const struct intercepts *set = v->guest->intercepts;
    struct verdict d = {.what = INTERCEPT_COUNT};
    for (unsigned n = 0; n < set->count; n++) {
        const struct intercept *i = &set->list[n].item;
        if (!matches(i, h))
            continue;
        d.items |= (u32)BIT(n);
        d.log |= i->action == INTERCEPT_LOG;
        d.stop |= i->action == INTERCEPT_STOP;
        if (d.what == INTERCEPT_COUNT &&
            (i->action == INTERCEPT_DENY || i->action == INTERCEPT_IGNORE)) {
            d.what = (enum intercept_action)i->action;
            d.kept = i->mask;
        }
    }
    return d;
}

static void add_hits(struct vcpu *v, u32 items, u64 hits)
{
    for (; items != 0; items &= items - 1)
        __atomic_fetch_add(&v->guest->intercepts->list[__builtin_ctz(items)].hits, hits,
                           __ATOMIC_RELAXED);
}

// ---- telling -----------------------------------------------------------------------------------

// The first of the items that were hit and have this action.
static unsigned first_with(const struct vcpu *v, u32 items, enum intercept_action action)
{
    unsigned n = (unsigned)__builtin_ctz(items);
    while (items != 0 && v->guest->intercepts->list[n].item.action != action) {
        items &= items - 1;
        n = items != 0 ? (unsigned)__builtin_ctz(items) : n;
    }
    return n;
}

// Whether the item's lines of this second are not used up yet. *missed: those of an earlier one
// that were not shown.
static bool may_log(struct vcpu *v, struct caught_item *c, u32 *missed)
{
    u64 now = rdtsc();
    *missed = 0;
    spin_lock(&v->guest->intercepts->lock);
    if (now >= c->window) {
        c->window = now + host_tsc_hz;
        *missed = c->not_shown;
        c->logged = c->not_shown = 0;
    }
    bool may = c->logged < LINES_PER_SECOND;
    if (may)
        c->logged++;
    else
        c->not_shown++;
    spin_unlock(&v->guest->intercepts->lock);
    return may;
}

static void log_hit(struct vcpu *v, u32 items, const struct hit *h, enum intercept_action action)
{
    struct caught_item *c = &v->guest->intercepts->list[first_with(v, items, action)];
    char item[120], what[120];
    struct text t = TEXT(item);
    u32 missed;
    if (!may_log(v, c, &missed))
        return;
    intercept_print(&c->item, false, &t);
    if (missed > 0)
        log_line("intercept", "%s: %s: %u more, not shown", v->guest->name, item, missed);
    t = TEXT(what);
    hit_print(h, &t);
    log_line("intercept", "%s vcpu %u: %s at %lx: %s", v->guest->name, v->index, item, h->rip,
             what);
}

// Tells the debugger, which has v from now on. False: nobody listens.
static bool stop(struct vcpu *v, u32 items, const struct hit *h)
{
    struct text t = TEXT(v->intercept.text);
    intercept_print(&v->guest->intercepts->list[first_with(v, items, INTERCEPT_STOP)].item, false,
                    &t);
    text_add(&t, ": ");
    hit_print(h, &t);
    if (debug_report(v, DEBUG_INTERCEPT, 0))
        return true;
    log_hit(v, items, h, INTERCEPT_STOP);
    return false;
}

// ---- carrying out ------------------------------------------------------------------------------

// As if nobody had wanted to know.
static void carry_out(struct vcpu *v)
{
    if (v->run.reason == EXIT_REASON_EPT_VIOLATION && hit_memory_withheld(v))
        step_over(v, STEP_OVER_VIEW);
    else
        exit_handlers[v->run.reason](v);
}

// Of the two accesses of a MOVS or CMPS, the one that exited may be of no interest, and the other
// be: then *h is that one.
static struct verdict judge_access(struct vcpu *v, struct hit *h)
{
    struct verdict d = judge(v, h);
    struct hit other;
    if (d.items == 0 && h->what == INTERCEPT_MEM && hit_describe_other(v, h, &other)) {
        *h = other;
        d = judge(v, h);
    }
    return d;
}

static void act(struct vcpu *v, struct hit *h, const struct verdict *d)
{
    struct hit other;
    struct verdict o = {.what = INTERCEPT_COUNT};
    v->intercept.io_elements = 0;
    if (h->what == INTERCEPT_MEM && d->what != INTERCEPT_DENY && hit_describe_other(v, h, &other)) {
        o = judge(v, &other);
        add_hits(v, o.items, 1);
        if (o.log)
            log_hit(v, o.items, &other, INTERCEPT_LOG);
    }
    if (d->what == INTERCEPT_DENY)
        hit_deny(v, h);
    else if (o.what == INTERCEPT_DENY)
        hit_deny(v, &other);
    else if (d->what == INTERCEPT_IGNORE || o.what == INTERCEPT_IGNORE)
        hit_ignore(v, h, d->kept);
    else
        carry_out(v);
    // A string instruction hits once for each element that it has moved.
    if (h->string && d->what != INTERCEPT_DENY)
        add_hits(v, d->items, v->intercept.io_elements);
}

static void caught(struct vcpu *v, struct hit *h)
{
    struct verdict d = judge_access(v, h);
    if (d.items == 0) {
        carry_out(v);
        return;
    }
    if (!h->string || d.what == INTERCEPT_DENY)
        add_hits(v, d.items, 1);
    if (d.log)
        log_hit(v, d.items, h, INTERCEPT_LOG);
    if (h->what == INTERCEPT_EXTINT) { // it has been acknowledged, and is not the guest's
        carry_out(v);
        if (d.stop)
            stop(v, d.items, h);
    } else if (d.stop && stop(v, d.items, h)) {
        v->intercept.waits = true;
        v->intercept.rip = h->rip;
    } else {
        act(v, h, &d);
    }
}

// What has been caught at is carried out when the debugger lets v go: the VMCS still has it, since
// no entry came between. Not if the debugger has sent v elsewhere.
bool intercept_resume(struct vcpu *v)
{
    struct hit h;
    v->intercept.waits = false;
    if (state_get(STATE_RIP) != v->intercept.rip || !hit_describe(v, &h))
        return true;
    struct verdict d = judge_access(v, &h);
    act(v, &h, &d);
    return v->state == VCPU_RUNNING && v->hold == 0;
}

void intercept_exit(struct vcpu *v)
{
    struct hit h;
    if ((v->guest->intercepts->kinds & hit_kinds(v->run.reason)) == 0) {
        exit_handlers[v->run.reason](v);
        return;
    }
    if (v->run.reason == EXIT_REASON_EPT_VIOLATION) {
        struct exit_memory exit = backend_exit_memory();
        events_take_back_from(v, &exit);
    }
    if (hit_describe(v, &h))
        caught(v, &h);
    else
        carry_out(v);
}

void intercept_exception(struct vcpu *v)
{
    struct hit h;
    if (!(v->guest->intercepts->kinds & BIT(INTERCEPT_EXCEPTION)) ||
        !(v->events.info & EVENT_VALID))
        return;
    hit_describe_exception(v, &h);
    struct verdict d = judge(v, &h);
    if (d.items == 0)
        return;
    add_hits(v, d.items, 1);
    if (d.log)
        log_hit(v, d.items, &h, INTERCEPT_LOG);
    if (d.what == INTERCEPT_IGNORE)
        hit_ignore(v, &h, 0);
    if (d.stop)
        stop(v, d.items, &h);
}
