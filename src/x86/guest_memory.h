// SPDX-License-Identifier: MIT
// A VM's RAM as the hypervisor reaches it: regions of guest-physical addresses with the host
// memory behind them. All functions check every address; none faults.
//
// Whatever is written here on a guest's behalf (by the emulator, page walks, loaders, devices, a
// debugger) is written by guest_write(), or between guest_write_begin() and guest_write_end(), so
// that whoever watches pages hears of it. What vCPUs write themselves the watcher sees by EPT.
#pragma once

#include "lib/error.h"
#include "lib/types.h"

#define GUEST_RAM_REGIONS 4
#define GUEST_WRITE_MOST  (2 * MiB) // that a watcher hears of at a time

struct ram_region {
    gpa_t start; // page-aligned
    u64 size;    // bytes, whole pages
    u8 *host;    // the same bytes in the hypervisor's direct map
};

// Who wants to hear of writes: before and after each, on the writer's core, in pairs that do not
// nest. Between the two the watcher may hold a lock.
struct guest_watcher {
    void (*before)(struct guest_watcher *w, gpa_t gpa, u64 len);
    void (*after)(struct guest_watcher *w, gpa_t gpa, u64 len);
};

struct guest_memory {
    struct ram_region region[GUEST_RAM_REGIONS]; // ascending, not overlapping
    unsigned count;
    struct guest_watcher *watcher; // NULL: nobody wants to hear of writes
};

// A write under way.
struct guest_write {
    struct guest_watcher *watcher;
    gpa_t gpa;
    u64 len;
};

// The host address of len bytes (at least 1) at gpa, or NULL when they are not all RAM of one
// region. For a write by the watcher itself: it is not told of it.
static inline void *guest_ptr_untracked(const struct guest_memory *m, gpa_t gpa, u64 len)
{
    for (unsigned i = 0; i < m->count; i++) {
        const struct ram_region *r = &m->region[i];
        u64 offset = gpa.v - r->start.v;
        if (gpa.v >= r->start.v && offset < r->size && len <= r->size - offset)
            return r->host + offset;
    }
    return NULL;
}

// The same for reading.
static inline const void *guest_ptr(const struct guest_memory *m, gpa_t gpa, u64 len)
{
    return guest_ptr_untracked(m, gpa, len);
}

// The same for writing in place, by stores or atomically, until guest_write_end(), which is to
// come soon: others may wait for the watcher. NULL: there is nothing to end.
static inline void *guest_write_begin(const struct guest_memory *m, gpa_t gpa, u64 len,
                                      struct guest_write *w)
{
    void *p = guest_ptr_untracked(m, gpa, len);
    *w = (struct guest_write){__atomic_load_n(&m->watcher, __ATOMIC_ACQUIRE), gpa, len};
    if (w->watcher != NULL && p != NULL)
        w->watcher->before(w->watcher, gpa, len);
    return p;
}

static inline void guest_write_end(const struct guest_write *w)
{
    if (w->watcher != NULL)
        w->watcher->after(w->watcher, w->gpa, w->len);
}

// Copy len bytes from or to guest RAM. ERR_FAULT, with nothing copied, when a byte is not RAM.
enum error guest_read(const struct guest_memory *m, gpa_t gpa, void *buf, u64 len);
enum error guest_write(const struct guest_memory *m, gpa_t gpa, const void *buf, u64 len);

// Zeroes len bytes. ERR_FAULT, with nothing changed, when one is not RAM.
enum error guest_clear(const struct guest_memory *m, gpa_t gpa, u64 len);
