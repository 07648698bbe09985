// SPDX-License-Identifier: MIT
// A byte ring for one producer and one consumer. size is a power of two.
#pragma once

#include "lib/types.h"

struct ring {
    u8 *buf;
    u32 size;
    u32 head; // written by the producer: next place to fill
    u32 tail; // written by the consumer: next byte to take
};

#define RING(array) ((struct ring){.buf = (array), .size = sizeof(array)})

static inline u32 ring_used(const struct ring *r)
{
    return __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) -
           __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
}

static inline u32 ring_free(const struct ring *r)
{
    return r->size - ring_used(r);
}

// Returns false when the ring is full; the byte is then not taken.
static inline bool ring_put(struct ring *r, u8 byte)
{
    if (ring_free(r) == 0)
        return false;
    r->buf[r->head & (r->size - 1)] = byte;
    __atomic_store_n(&r->head, r->head + 1, __ATOMIC_RELEASE);
    return true;
}

// Returns false when the ring is empty.
static inline bool ring_get(struct ring *r, u8 *byte)
{
    if (ring_used(r) == 0)
        return false;
    *byte = r->buf[r->tail & (r->size - 1)];
    __atomic_store_n(&r->tail, r->tail + 1, __ATOMIC_RELEASE);
    return true;
}
