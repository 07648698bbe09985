// SPDX-License-Identifier: MIT
#include "vdev/pci.h"

#include "lib/string.h"
#include "vdev/pci_internal.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define ADDRESS_ENABLE BIT(31)
#define ADDRESS_WRITES 0x80fffffc

static const struct pci_kind host_bridge = {
    .name = "the host bridge", .vendor = 0x8086, .device = 0x0d57, .class_revision = 0x06000000};

static void reset_function(struct pci_function *f)
{
    f->asserted = f->msi_enabled = false;
    pci_update_line(f); // while it is known which line it is at
    for (unsigned i = 0; i < PCI_BARS; i++)
        f->bar[i].address = 0;
    f->command = 0;
    f->interrupt_line =
        f->kind->pin != 0 ? f->pci->callbacks.irq[(f->device + f->kind->pin - 1u) % PCI_LINES] : 0;
    f->msi_address = 0;
    f->msi_data = 0;
}

void pci_reset(struct pci *p)
{
    for (unsigned d = 0; d < PCI_DEVICES; d++)
        if (p->function[d] != NULL) {
            reset_function(p->function[d]);
            if (p->function[d]->kind->reset != NULL)
                p->function[d]->kind->reset(p->function[d]->ctx);
        }
    p->address = 0;
    p->bridge.command = COMMAND_IO | COMMAND_MEMORY;
    pci_map(p);
}

static void put(struct pci *p, unsigned device, struct pci_function *f, const struct pci_kind *kind,
                void *ctx)
{
    memset(f, 0, sizeof(*f));
    f->kind = kind;
    f->ctx = ctx;
    f->pci = p;
    f->device = device;
    f->on_bus = (struct bus_device){kind->name, pci_bar_read, pci_bar_write, 2 + 4, 2 + 4};
    for (unsigned i = 0; i < PCI_BARS; i++)
        f->bar[i].function = f;
    p->function[device] = f;
    reset_function(f);
}

void pci_init(struct pci *p, const struct pci_callbacks *callbacks)
{
    memset(p, 0, sizeof(*p));
    p->callbacks = *callbacks;
    put(p, 0, &p->bridge, &host_bridge, NULL);
    pci_reset(p);
}

enum error pci_add(struct pci *p, unsigned device, struct pci_function *f,
                   const struct pci_kind *kind, void *ctx)
{
    if (device >= PCI_DEVICES || kind->pin > PCI_LINES)
        return ERR_INVALID;
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (!pci_bar_valid(&kind->bar[i]))
            return ERR_INVALID;
    if (p->function[device] != NULL)
        return ERR_BUSY;
    put(p, device, f, kind, ctx);
    return OK;
}

// ---- ports ---------------------------------------------------------------------------------

// The function that CONFIG_ADDRESS selects, or NULL. All are function 0 of a device on bus 0.
static struct pci_function *selected(const struct pci *p)
{
    if (!(p->address & ADDRESS_ENABLE) || (p->address & 0x00ff0700) != 0)
        return NULL;
    return p->function[p->address >> 11 & (PCI_DEVICES - 1)];
}

u32 pci_read(const struct pci *p, u16 port, unsigned size)
{
    u32 mask = size >= 4 ? UINT32_MAX : (1u << 8 * size) - 1;
    if (port == CONFIG_ADDRESS)
        return size == 4 ? p->address : mask;
    const struct pci_function *f = selected(p);
    if (f == NULL)
        return mask;
    return pci_config_read(f, p->address & 0xfc) >> 8 * (port & 3) & mask;
}

void pci_write(struct pci *p, u16 port, unsigned size, u32 value)
{
    if (port == CONFIG_ADDRESS) {
        if (size == 4)
            p->address = value & ADDRESS_WRITES;
        return;
    }
    struct pci_function *f = selected(p);
    if (f == NULL)
        return;
    unsigned reg = p->address & 0xfc, shift = 8u * (port & 3);
    u64 mask = ((1ul << 8 * size) - 1) << shift;
    pci_config_write(f, reg,
                     (u32)((pci_config_read(f, reg) & ~mask) | ((u64)value << shift & mask)));
}

static u64 port_in(void *ctx, u64 port, unsigned size, u64 now)
{
    (void)now;
    return pci_read(ctx, (u16)port, size);
}

static void port_out(void *ctx, u64 port, unsigned size, u64 value, u64 now)
{
    (void)now;
    pci_write(ctx, (u16)port, size, (u32)value);
}

enum error pci_register(struct pci *p, struct text *why)
{
    static const struct bus_device address = {"PCI's address register", port_in, port_out, 4, 4};
    static const struct bus_device data = {"PCI's data register", port_in, port_out, 2 + 4, 2 + 4};
    enum error e = bus_add_ports(p->callbacks.bus, CONFIG_ADDRESS, 1, &address, p, why);
    return e != OK ? e : bus_add_ports(p->callbacks.bus, CONFIG_DATA, 4, &data, p, why);
}
