// SPDX-License-Identifier: MIT
// Doubly linked list threaded through its elements.
#pragma once

#include "lib/types.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

// Inserts e before pos; with pos the head, at the end.
static inline void list_insert(struct list *pos, struct list *e)
{
    e->next = pos;
    e->prev = pos->prev;
    pos->prev->next = e;
    pos->prev = e;
}

// Takes e out; e is then a list of itself, so a second removal does no harm.
static inline void list_remove(struct list *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    list_init(e);
}

#define LIST_ENTRY(p, type, member) CONTAINER_OF(p, type, member)
// NOLINTNEXTLINE(bugprone-macro-parentheses): `it` is declared here
#define LIST_FOR_EACH(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
