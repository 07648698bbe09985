// SPDX-License-Identifier: MIT
// Base addresses: where the bus has a function's registers (PCI 3.0, 6.2.5.1).
#include "vdev/pci_internal.h"

#define PORTS 0x10000u

bool pci_bar_valid(const struct pci_bar_kind *bar)
{
    if (bar->size == 0)
        return true;
    if ((bar->size & (bar->size - 1)) != 0)
        return false;
    return bar->io ? bar->size >= 4 && bar->size <= 256 : bar->size >= 16;
}

// Returns where the bus is to have base address i, or 0 for nowhere. Address 0 itself is what a
// base address has that nobody set.
static u32 wanted(const struct pci_function *f, unsigned i)
{
    const struct pci_bar_kind *kind = &f->kind->bar[i];
    if (kind->size == 0 || !(f->command & (kind->io ? COMMAND_IO : COMMAND_MEMORY)))
        return 0;
    return kind->io && f->bar[i].address >= PORTS ? 0 : f->bar[i].address;
}

static void unmap(struct pci_function *f, unsigned i)
{
    struct bus *bus = f->pci->callbacks.bus;
    if (f->kind->bar[i].io)
        bus_remove_ports(bus, (u16)f->bar[i].mapped);
    else
        bus_remove_memory(bus, GPA(f->bar[i].mapped));
    f->bar[i].mapped = 0;
}

// What another device has already is left to it until that one moves.
static void map(struct pci_function *f, unsigned i, u32 at)
{
    struct bus *bus = f->pci->callbacks.bus;
    u32 size = f->kind->bar[i].size;
    enum error e = f->kind->bar[i].io
                       ? bus_add_ports(bus, (u16)at, size, &f->on_bus, &f->bar[i], NULL)
                       : bus_add_memory(bus, GPA(at), size, &f->on_bus, &f->bar[i], NULL);
    if (e == OK)
        f->bar[i].mapped = at;
}

void pci_map(struct pci *p)
{
    // First all that goes, which makes room for what comes.
    for (unsigned map_now = 0; map_now < 2; map_now++) {
        for (unsigned d = 0; d < PCI_DEVICES; d++) {
            struct pci_function *f = p->function[d];
            for (unsigned i = 0; f != NULL && i < PCI_BARS; i++) {
                u32 at = wanted(f, i);
                if (at == f->bar[i].mapped)
                    continue;
                if (map_now)
                    map(f, i, at);
                else if (f->bar[i].mapped != 0)
                    unmap(f, i);
            }
        }
    }
}

// Returns the offset at which an access begins, or UINT64_MAX when it reaches beyond the end.
static u64 offset_of(const struct pci_bar *bar, u64 at, unsigned size)
{
    const struct pci_function *f = bar->function;
    u64 offset = at - bar->mapped;
    return offset + size > f->kind->bar[bar - f->bar].size ? UINT64_MAX : offset;
}

u64 pci_bar_read(void *ctx, u64 at, unsigned size, u64 now)
{
    const struct pci_bar *bar = ctx;
    const struct pci_function *f = bar->function;
    u64 offset = offset_of(bar, at, size);
    if (offset == UINT64_MAX)
        return UINT64_MAX;
    return f->kind->read(f->ctx, (unsigned)(bar - f->bar), offset, size, now);
}

void pci_bar_write(void *ctx, u64 at, unsigned size, u64 value, u64 now)
{
    const struct pci_bar *bar = ctx;
    const struct pci_function *f = bar->function;
    u64 offset = offset_of(bar, at, size);
    if (offset != UINT64_MAX)
        f->kind->write(f->ctx, (unsigned)(bar - f->bar), offset, size, value, now);
}
