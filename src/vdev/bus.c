// SPDX-License-Identifier: MIT
#include "vdev/bus.h"

#include "lib/string.h"

#define PORTS 0x10000ul

u64 bus_read_ones(void *ctx, u64 at, unsigned size, u64 now)
{
    (void)ctx;
    (void)at;
    (void)size;
    (void)now;
    return UINT64_MAX;
}

void bus_write_nothing(void *ctx, u64 at, unsigned size, u64 value, u64 now)
{
    (void)ctx;
    (void)at;
    (void)size;
    (void)value;
    (void)now;
}

const struct bus_device bus_nobody = {"nobody", bus_read_ones, bus_write_nothing};

static const struct bus_range everywhere = {.span = UINT64_MAX, .device = &bus_nobody};

void bus_init(struct bus *bus)
{
    memset(bus, 0, sizeof(*bus));
    bus->port[0] = bus->memory[0] = everywhere;
    bus->ports = 1;
}

// ---- registration --------------------------------------------------------------------------

static enum error refuse(const struct bus_device *device, u64 first, u64 length, struct text *why)
{
    return explain(why, ERR_INVALID, "%s cannot have %lx bytes from %lx on", device->name, length,
                   first);
}

static enum error refuse_full(const struct bus_range *r, struct text *why)
{
    return explain(why, ERR_NO_MEMORY, "%s at %lx to %lx finds the bus full", r->device->name,
                   r->first, r->first + r->span);
}

// Whether a range overlaps none of `count` others.
static enum error check_free(const struct bus_range *r, const struct bus_range *list,
                             unsigned count, struct text *why)
{
    for (unsigned i = 0; i < count; i++) {
        const struct bus_range *o = &list[i];
        if (o->device == NULL || r->first > o->first + o->span || o->first > r->first + r->span)
            continue;
        return explain(why, ERR_BUSY, "%s at %lx to %lx overlaps %s at %lx to %lx", r->device->name,
                       r->first, r->first + r->span, o->device->name, o->first, o->first + o->span);
    }
    return OK;
}

// Writes who is at ports; bus_port_absent() may read meanwhile.
static void set_index(struct bus *bus, const struct bus_range *r, unsigned place)
{
    for (u64 port = r->first; port <= r->first + r->span && port < BUS_INDEXED; port++)
        __atomic_store_n(&bus->at[port], (u8)place, __ATOMIC_RELAXED);
}

static bool reaches_above(const struct bus_range *r)
{
    return r->first + r->span >= BUS_INDEXED;
}

enum error bus_add_ports(struct bus *bus, u16 first, u32 count, const struct bus_device *device,
                         void *ctx, struct text *why)
{
    unsigned place = 1;
    if (count == 0 || count > PORTS - first)
        return refuse(device, first, count, why);
    struct bus_range range = {first, count - 1, device, ctx};
    enum error e = check_free(&range, &bus->port[1], bus->ports - 1, why);
    if (e != OK)
        return e;
    while (place < bus->ports && bus->port[place].device != NULL)
        place++;
    if (place == BUS_PORT_RANGES)
        return refuse_full(&range, why);
    bus->port[place] = range;
    bus->ports = MAX(bus->ports, place + 1);
    set_index(bus, &range, place);
    if (reaches_above(&range))
        __atomic_store_n(&bus->ports_above, bus->ports_above + 1, __ATOMIC_RELAXED);
    return OK;
}

void bus_remove_ports(struct bus *bus, u16 first)
{
    for (unsigned i = 1; i < bus->ports; i++) {
        struct bus_range *r = &bus->port[i];
        if (r->device == NULL || r->first != first)
            continue;
        set_index(bus, r, 0);
        if (reaches_above(r))
            __atomic_store_n(&bus->ports_above, bus->ports_above - 1, __ATOMIC_RELAXED);
        *r = (struct bus_range){.device = NULL};
    }
}

enum error bus_add_memory(struct bus *bus, gpa_t first, u64 length, const struct bus_device *device,
                          void *ctx, struct text *why)
{
    if (length == 0 || length - 1 > UINT64_MAX - first.v)
        return refuse(device, first.v, length, why);
    struct bus_range range = {first.v, length - 1, device, ctx};
    enum error e = check_free(&range, bus->memory, bus->memories, why);
    if (e != OK)
        return e;
    if (bus->memories == BUS_MEMORY_RANGES)
        return refuse_full(&range, why);
    bus->memory[bus->memories++] = range;
    bus->memory[bus->memories] = everywhere;
    return OK;
}

void bus_remove_memory(struct bus *bus, gpa_t first)
{
    for (unsigned i = 0; i < bus->memories; i++) {
        if (bus->memory[i].first != first.v)
            continue;
        // Those behind, and nobody's, take its place.
        memmove(&bus->memory[i], &bus->memory[i + 1], (bus->memories - i) * sizeof(bus->memory[0]));
        bus->memories--;
        return;
    }
}

// ---- accesses ------------------------------------------------------------------------------

const struct bus_range *bus_search_port(const struct bus *bus, u16 port)
{
    if (bus->ports_above != 0)
        for (const struct bus_range *r = &bus->port[1]; r < &bus->port[bus->ports]; r++)
            if (r->device != NULL && port - r->first <= r->span)
                return r;
    return &bus->port[0];
}

// One access, to each port in turn.
static bool split_io(const struct bus *bus, u16 port, unsigned size, bool write, u32 *value,
                     u64 now)
{
    bool claimed = false;
    u32 all = 0;
    for (unsigned i = 0; i < size; i++) {
        u16 at = (u16)(port + i);
        const struct bus_range *r = bus_find_port(bus, at);
        claimed |= r->device != &bus_nobody;
        if (write)
            r->device->write(r->ctx, at, 1, *value >> 8 * i & 0xff, now);
        else
            all |= (u32)(r->device->read(r->ctx, at, 1, now) & 0xff) << 8 * i;
    }
    if (!write)
        *value = all;
    return claimed;
}

bool bus_io(const struct bus *bus, u16 port, unsigned size, bool write, u32 *value, u64 now)
{
    const struct bus_range *r = bus_find_port(bus, port);
    const struct bus_device *d = r->device;
    u32 mask = UINT32_MAX >> (32 - 8 * size);
    if (size != 1 && !((write ? d->wide_writes : d->wide_reads) & size))
        return split_io(bus, port, size, write, value, now);
    if (write)
        d->write(r->ctx, port, size, *value & mask, now);
    else
        *value = (u32)d->read(r->ctx, port, size, now) & mask;
    return d != &bus_nobody;
}
