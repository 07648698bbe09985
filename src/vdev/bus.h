// SPDX-License-Identifier: MIT
// The bus of a board: which device answers at which ports and at which guest-physical addresses
// outside RAM. A device registers ranges, each with the functions that carry out its accesses; an
// access goes to the range in which its first byte lies. The caller serializes, but for
// bus_port_absent().
#pragma once

#include "lib/error.h"
#include "lib/format.h"
#include "lib/types.h"

#define BUS_PORT_RANGES   48     // at most so many, one of them nobody's
#define BUS_MEMORY_RANGES 16     // at most so many
#define BUS_INDEXED       0x1000 // ports below are found by an index, those above by a search

// A device, or a part of one, as the bus sees it. `at` is the port or the guest-physical address of
// the first byte, `size` the bytes of the access: 1, 2, 4, in memory also 8. Of what is read only
// the access's own bytes count; the bytes of `value` beyond them are 0. `now` is the VM's time in
// ticks. The device must itself look at accesses that begin in its range and end behind it.
struct bus_device {
    const char *name; // for people
    u64 (*read)(void *ctx, u64 at, unsigned size, u64 now);
    void (*write)(void *ctx, u64 at, unsigned size, u64 value, u64 now);
    // The sizes, added, of 2 and 4 bytes that the device takes at once from ports. The others come
    // as accesses to each port in turn, as on the ISA bus. Memory accesses always come at once.
    u8 wide_reads, wide_writes;
};

struct bus_range {
    u64 first, span; // it is from first to first + span
    const struct bus_device *device;
    void *ctx; // first argument of the device's functions
};

struct bus {
    // Of the first `ports` those without a device are free. [0] is nobody's.
    struct bus_range port[BUS_PORT_RANGES];
    unsigned ports;
    unsigned ports_above; // ranges in use that reach above BUS_INDEXED
    u8 at[BUS_INDEXED];   // which of `port` each port belongs to
    // None of the first `memories` is free. The one behind is nobody's and is everywhere, so that
    // each search ends there.
    struct bus_range memory[BUS_MEMORY_RANGES + 1];
    unsigned memories;
};

// Makes a bus on which nobody answers.
void bus_init(struct bus *bus);

// Lets a device answer at `count` ports from `first` on, or at `length` bytes of memory. `device`
// must stay; ctx is given to its functions. ERR_INVALID: the range is empty or reaches beyond the
// last port or address. ERR_BUSY: it overlaps another. ERR_NO_MEMORY: there are too many. After an
// error nothing has changed, and *why (may be NULL) has a sentence that names the devices.
enum error bus_add_ports(struct bus *bus, u16 first, u32 count, const struct bus_device *device,
                         void *ctx, struct text *why);
enum error bus_add_memory(struct bus *bus, gpa_t first, u64 length, const struct bus_device *device,
                          void *ctx, struct text *why);

// Takes back the range that begins there. Nothing happens if none does.
void bus_remove_ports(struct bus *bus, u16 first);
void bus_remove_memory(struct bus *bus, gpa_t first);

// The range of a port at or above BUS_INDEXED, or nobody's.
const struct bus_range *bus_search_port(const struct bus *bus, u16 port);

// What answers where nobody does: all ones.
extern const struct bus_device bus_nobody;

// Finds who answers. Never NULL.
static inline const struct bus_range *bus_find_port(const struct bus *bus, u16 port)
{
    return port < BUS_INDEXED ? &bus->port[bus->at[port]] : bus_search_port(bus, port);
}

static inline const struct bus_range *bus_find_memory(const struct bus *bus, gpa_t gpa)
{
    const struct bus_range *r = bus->memory;
    while (gpa.v - r->first > r->span)
        r++;
    return r;
}

// Is nobody at this port? To be called by anyone at any time, without a lock. It may say that
// somebody is there where a search would find nobody.
static inline bool bus_port_absent(const struct bus *bus, u16 port)
{
    return port < BUS_INDEXED ? __atomic_load_n(&bus->at[port], __ATOMIC_RELAXED) == 0
                              : __atomic_load_n(&bus->ports_above, __ATOMIC_RELAXED) == 0;
}

// Carries out one access of 1, 2 or 4 bytes to ports, or of 1, 2, 4 or 8 bytes to memory. A read
// puts its value into *value, all ones where nobody answers; a write takes it from there. Returns
// whether somebody did answer.
bool bus_io(const struct bus *bus, u16 port, unsigned size, bool write, u32 *value, u64 now);
static inline bool bus_mmio(const struct bus *bus, gpa_t gpa, unsigned size, bool write, u64 *value,
                            u64 now)
{
    static const u64 mask[] = {[1] = 0xff, [2] = 0xffff, [4] = 0xffffffff, [8] = UINT64_MAX};
    const struct bus_range *r = bus_find_memory(bus, gpa);
    const struct bus_device *d = r->device;
    if (d == &bus_nobody) {
        if (!write)
            *value = mask[size];
        return false;
    }
    if (write)
        d->write(r->ctx, gpa.v, size, *value & mask[size], now);
    else
        *value = d->read(r->ctx, gpa.v, size, now) & mask[size];
    return true;
}

// For a device that only takes room.
u64 bus_read_ones(void *ctx, u64 at, unsigned size, u64 now);
void bus_write_nothing(void *ctx, u64 at, unsigned size, u64 value, u64 now);
