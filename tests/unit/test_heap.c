// SPDX-License-Identifier: MIT
// lib/heap.h against an array that is searched.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/heap.h"

enum { NODES = 200, STEPS = 20000 };

static u64 least(const u64 *key, const bool *in)
{
    u64 best = UINT64_MAX;
    for (unsigned i = 0; i < NODES; i++) {
        if (in[i] && key[i] < best)
            best = key[i];
    }
    return best;
}

static void keeps_the_smallest_first(void **state)
{
    (void)state;
    struct heap heap = {0};
    struct heap_node node[NODES];
    u64 key[NODES];
    bool in[NODES] = {0};
    unsigned count = 0;
    srand(1);
    for (unsigned i = 0; i < NODES; i++)
        heap_node_init(&node[i]);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand() % NODES;
        u64 k = (u64)rand() % 100; // many are equal
        if (!in[i]) {
            heap_insert(&heap, &node[i], k);
            key[i] = k;
            count++;
        } else if (rand() % 3 == 0) {
            heap_move(&heap, &node[i], k);
            key[i] = k;
        } else {
            heap_remove(&heap, &node[i]);
            count--;
        }
        in[i] = heap_has(&heap, &node[i]);
        struct heap_node *first = heap_first(&heap);
        assert_int_equal(first == NULL, count == 0);
        if (first != NULL) {
            assert_true(in[first - node]);
            assert_int_equal(first->key, key[first - node]);
            assert_int_equal(first->key, least(key, in));
        }
    }
    u64 last = 0;
    for (; heap_first(&heap) != NULL; count--) {
        struct heap_node *first = heap_first(&heap);
        assert_true(first->key >= last);
        last = first->key;
        heap_remove(&heap, first);
        assert_false(heap_has(&heap, first));
    }
    assert_int_equal(count, 0);
}

// The vCPU that waits gets its turn before the one that had the core, when they are even.
static void an_equal_key_does_not_overtake_the_first(void **state)
{
    (void)state;
    struct heap heap = {0};
    struct heap_node a, b;
    heap_node_init(&a);
    heap_node_init(&b);
    heap_insert(&heap, &a, 5);
    heap_insert(&heap, &b, 5);
    assert_ptr_equal(heap_first(&heap), &a);
    heap_move(&heap, &b, 4);
    assert_ptr_equal(heap_first(&heap), &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_smallest_first),
        cmocka_unit_test(an_equal_key_does_not_overtake_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
