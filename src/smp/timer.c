// SPDX-License-Identifier: MIT
#include "smp/timer.h"

void timers_update(struct core *c)
{
    c->guest_deadline = c->counts_down ? MIN(c->timer_deadline, c->slice_end) : 0;
}

static void update_first(struct core *c)
{
    c->timer_deadline = list_empty(&c->timers)
                            ? UINT64_MAX
                            : LIST_ENTRY(c->timers.next, struct timer, link)->deadline;
    timers_update(c);
}

void timer_init(struct timer *t, void (*expire)(struct timer *t))
{
    list_init(&t->link);
    t->deadline = UINT64_MAX;
    t->expire = expire;
}

void timer_set(struct timer *t, u64 deadline)
{
    struct core *c = this_core();
    if (deadline == t->deadline)
        return;
    if (t->deadline != UINT64_MAX && t->link.prev == &c->timers &&
        (t->link.next == &c->timers
             ? deadline != UINT64_MAX
             : deadline < LIST_ENTRY(t->link.next, struct timer, link)->deadline)) {
        t->deadline = c->timer_deadline = deadline; // it was the first and stays so
        timers_update(c);
        return;
    }
    if (t->deadline != UINT64_MAX)
        list_remove(&t->link);
    t->deadline = deadline;
    if (deadline != UINT64_MAX) {
        struct list *pos = c->timers.next;
        while (pos != &c->timers && LIST_ENTRY(pos, struct timer, link)->deadline <= deadline)
            pos = pos->next;
        list_insert(pos, &t->link);
    }
    update_first(c);
}

void timer_stop(struct timer *t)
{
    timer_set(t, UINT64_MAX);
}

void timers_run(u64 now)
{
    struct core *c = this_core();
    while (!list_empty(&c->timers)) {
        struct timer *t = LIST_ENTRY(c->timers.next, struct timer, link);
        if (t->deadline > now)
            break;
        list_remove(&t->link);
        t->deadline = UINT64_MAX;
        update_first(c);
        t->expire(t);
    }
}
