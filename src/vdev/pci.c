// SPDX-License-Identifier: MIT
#include "vdev/pci.h"

#include "lib/string.h"

#define CONFIG_ADDRESS 0xcf8
#define ADDRESS_ENABLE BIT(31)
#define ADDRESS_WRITES 0x80fffffc

#define COMMAND        0x04
#define CLASS_REVISION 0x08
#define INTERRUPT_LINE 0x3c
#define COMMAND_RW     0x0107 // I/O, memory, bus master, SERR#
#define BRIDGE_ID      0x0d578086
#define HOST_BRIDGE    0x06000000 // class, subclass, interface, revision

void pci_init(struct pci *p)
{
    memset(p, 0, sizeof(*p));
    p->command = 0x0003;
}

// Does CONFIG_ADDRESS select the host bridge, 0:0.0?
static bool bridge_selected(const struct pci *p)
{
    return p->address & ADDRESS_ENABLE && !(p->address & 0x00ffff00);
}

static u32 bridge_register(const struct pci *p, unsigned reg)
{
    switch (reg) {
    case 0:
        return BRIDGE_ID;
    case COMMAND:
        return p->command;
    case CLASS_REVISION:
        return HOST_BRIDGE;
    case INTERRUPT_LINE:
        return p->interrupt_line;
    default:
        return 0; // type 0 header, no base addresses, no capabilities
    }
}

u32 pci_read(const struct pci *p, u16 port, unsigned size)
{
    u32 mask = size >= 4 ? UINT32_MAX : (1u << 8 * size) - 1;
    if (port == CONFIG_ADDRESS)
        return size == 4 ? p->address : mask;
    if (!bridge_selected(p))
        return mask;
    return bridge_register(p, p->address & 0xfc) >> 8 * (port & 3) & mask;
}

void pci_write(struct pci *p, u16 port, unsigned size, u32 value)
{
    if (port == CONFIG_ADDRESS) {
        if (size == 4)
            p->address = value & ADDRESS_WRITES;
        return;
    }
    if (!bridge_selected(p))
        return;
    unsigned reg = p->address & 0xfc, shift = 8u * (port & 3);
    u64 mask = ((1ul << 8 * size) - 1) << shift;
    u32 v = (u32)((bridge_register(p, reg) & ~mask) | ((u64)value << shift & mask));
    if (reg == COMMAND)
        p->command = v & COMMAND_RW;
    else if (reg == INTERRUPT_LINE)
        p->interrupt_line = (u8)v;
}
