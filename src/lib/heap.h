// SPDX-License-Identifier: MIT
// A pairing heap threaded through its elements, smallest key first: looking at the first is free,
// inserting takes a constant number of steps, taking out about log2 of the number of elements (all
// amortized). Of equal keys any may come first.
#pragma once

#include "lib/types.h"

struct heap_node {
    u64 key;                        // the heap's, once inserted
    struct heap_node *child, *next; // first child; next sibling
    struct heap_node *prev;         // sibling before, or parent; NULL: the root, or in no heap
};

struct heap {
    struct heap_node *root;
};

static inline void heap_node_init(struct heap_node *n)
{
    *n = (struct heap_node){0};
}

static inline bool heap_has(const struct heap *h, const struct heap_node *n)
{
    return n->prev != NULL || h->root == n;
}

// The element with the smallest key; NULL: none.
static inline struct heap_node *heap_first(const struct heap *h)
{
    return h->root;
}

// For heap.c: makes one of two roots the other's first child. a stays a root when they are equal.
static inline struct heap_node *heap_meld(struct heap_node *a, struct heap_node *b)
{
    if (b->key < a->key) {
        struct heap_node *smaller = b;
        b = a;
        a = smaller;
    }
    b->next = a->child;
    if (a->child != NULL)
        a->child->prev = b;
    b->prev = a;
    a->child = b;
    return a;
}

// n is in no heap.
static inline void heap_insert(struct heap *h, struct heap_node *n, u64 key)
{
    n->key = key;
    h->root = h->root != NULL ? heap_meld(h->root, n) : n;
}

// n is in h. Afterwards it is in none.
void heap_remove_slow(struct heap *h, struct heap_node *n);
static inline void heap_remove(struct heap *h, struct heap_node *n)
{
    if (h->root == n && n->child == NULL)
        h->root = NULL;
    else
        heap_remove_slow(h, n);
}

// Gives n, which is in h, another key. Quick when n was the first and stays it.
static inline void heap_move(struct heap *h, struct heap_node *n, u64 key)
{
    if (h->root == n &&
        (key <= n->key || n->child == NULL || (n->child->next == NULL && key <= n->child->key))) {
        n->key = key;
        return;
    }
    heap_remove(h, n);
    heap_insert(h, n, key);
}
