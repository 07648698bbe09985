// SPDX-License-Identifier: MIT
#include "smp/timer.h"

static void update_first(struct core *c)
{
    const struct heap_node *first = heap_first(&c->timers);
    c->timer_deadline = first != NULL ? first->key : UINT64_MAX;
    timers_update(c);
}

void timer_init(struct timer *t, void (*expire)(struct timer *t))
{
    heap_node_init(&t->link);
    t->deadline = UINT64_MAX;
    t->expire = expire;
}

void timer_set(struct timer *t, u64 deadline)
{
    struct core *c = this_core();
    u64 before = t->deadline;
    if (deadline == before)
        return;
    t->deadline = deadline;
    if (deadline == UINT64_MAX)
        heap_remove(&c->timers, &t->link);
    else if (before == UINT64_MAX)
        heap_insert(&c->timers, &t->link, deadline);
    else
        heap_move(&c->timers, &t->link, deadline);
    update_first(c);
}

void timer_stop(struct timer *t)
{
    timer_set(t, UINT64_MAX);
}

void timers_run(u64 now)
{
    struct core *c = this_core();
    for (;;) {
        struct heap_node *first = heap_first(&c->timers);
        if (first == NULL || first->key > now)
            break;
        struct timer *t = CONTAINER_OF(first, struct timer, link);
        heap_remove(&c->timers, first);
        t->deadline = UINT64_MAX;
        update_first(c);
        t->expire(t);
    }
}
