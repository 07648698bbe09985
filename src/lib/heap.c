// SPDX-License-Identifier: MIT
#include "lib/heap.h"

// Melds siblings two by two, then the pairs from last to first: one root is left.
static struct heap_node *meld_siblings(struct heap_node *first)
{
    struct heap_node *pairs = NULL; // linked by next, the last one first
    while (first != NULL) {
        struct heap_node *a = first, *b = a->next;
        if (b == NULL) {
            a->next = pairs;
            pairs = a;
            break;
        }
        first = b->next;
        a = heap_meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    if (pairs == NULL)
        return NULL;
    struct heap_node *root = pairs;
    for (struct heap_node *rest = root->next; rest != NULL;) {
        struct heap_node *n = rest;
        rest = n->next;
        root = heap_meld(root, n);
    }
    root->next = root->prev = NULL;
    return root;
}

void heap_remove_slow(struct heap *h, struct heap_node *n)
{
    struct heap_node *below = n->child != NULL ? meld_siblings(n->child) : NULL;
    if (h->root == n) {
        h->root = below;
    } else {
        if (n->prev->child == n)
            n->prev->child = n->next;
        else
            n->prev->next = n->next;
        if (n->next != NULL)
            n->next->prev = n->prev;
        if (below != NULL)
            h->root = heap_meld(h->root, below);
    }
    n->child = n->next = n->prev = NULL;
}
