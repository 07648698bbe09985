// SPDX-License-Identifier: MIT
// A VM's RAM as the hypervisor reaches it: regions of guest-physical addresses with the host
// memory behind them. All functions check every address; none faults.
#pragma once

#include "lib/error.h"
#include "lib/types.h"

#define GUEST_RAM_REGIONS 4

struct ram_region {
    gpa_t start; // page-aligned
    u64 size;    // bytes, whole pages
    u8 *host;    // the same bytes in the hypervisor's direct map
};

struct guest_memory {
    struct ram_region region[GUEST_RAM_REGIONS]; // ascending, not overlapping
    unsigned count;
};

// The host address of len bytes (at least 1) at gpa, or NULL when they are not all RAM of one
// region.
static inline void *guest_ptr(const struct guest_memory *m, gpa_t gpa, u64 len)
{
    for (unsigned i = 0; i < m->count; i++) {
        const struct ram_region *r = &m->region[i];
        u64 offset = gpa.v - r->start.v;
        if (gpa.v >= r->start.v && offset < r->size && len <= r->size - offset)
            return r->host + offset;
    }
    return NULL;
}

// Copy len bytes from or to guest RAM. ERR_FAULT, with nothing copied, when a byte is not RAM.
enum error guest_read(const struct guest_memory *m, gpa_t gpa, void *buf, u64 len);
enum error guest_write(const struct guest_memory *m, gpa_t gpa, const void *buf, u64 len);
