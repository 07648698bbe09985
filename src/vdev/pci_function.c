// SPDX-License-Identifier: MIT
// A function's configuration space (PCI 3.0, 6.1) and its interrupts.
#include "vdev/pci_internal.h"

#define ID             0x00
#define COMMAND        0x04
#define CLASS_REVISION 0x08
#define BAR_FIRST      0x10
#define BAR_LAST       0x24
#define SUBSYSTEM      0x2c
#define CAPABILITIES   0x34
#define INTERRUPT      0x3c

// The MSI capability, with a 64-bit address (PCI 3.0, 6.8.1).
#define MSI_CONTROL      0x40
#define MSI_ADDRESS      0x44
#define MSI_ADDRESS_HIGH 0x48
#define MSI_DATA         0x4c
#define MSI_ID           0x05
#define MSI_ENABLE       BIT(16)
#define MSI_64_BIT       BIT(23)

#define STATUS_INTERRUPT    BIT(19) // in the register at COMMAND
#define STATUS_CAPABILITIES BIT(20)
#define BAR_IO              BIT(0)

static unsigned first_capability(const struct pci_kind *k)
{
    if (k->msi)
        return MSI_CONTROL;
    return k->caps != NULL ? PCI_CAPS : 0;
}

static u32 msi_register(const struct pci_function *f, unsigned reg)
{
    switch (reg) {
    case MSI_CONTROL:
        return (u32)(MSI_ID | (f->kind->caps != NULL ? PCI_CAPS << 8 : 0) | MSI_64_BIT |
                     (f->msi_enabled ? MSI_ENABLE : 0));
    case MSI_ADDRESS:
        return (u32)f->msi_address;
    case MSI_ADDRESS_HIGH:
        return (u32)(f->msi_address >> 32);
    default:
        return f->msi_data;
    }
}

u32 pci_config_read(const struct pci_function *f, unsigned reg)
{
    const struct pci_kind *k = f->kind;
    if (reg >= BAR_FIRST && reg <= BAR_LAST) {
        unsigned i = (reg - BAR_FIRST) / 4;
        return f->bar[i].address | (k->bar[i].io ? BAR_IO : 0);
    }
    if (k->msi && reg >= MSI_CONTROL && reg <= MSI_DATA)
        return msi_register(f, reg);
    if (k->caps != NULL && reg >= PCI_CAPS && (reg - PCI_CAPS) / 4 < k->cap_words)
        return k->caps[(reg - PCI_CAPS) / 4];
    switch (reg) {
    case ID:
        return k->vendor | (u32)k->device << 16;
    case COMMAND:
        return f->command | (u32)(first_capability(k) != 0 ? STATUS_CAPABILITIES : 0) |
               (u32)(f->asserted ? STATUS_INTERRUPT : 0);
    case CLASS_REVISION:
        return k->class_revision;
    case SUBSYSTEM:
        return k->subsystem_vendor | (u32)k->subsystem << 16;
    case CAPABILITIES:
        return first_capability(k);
    case INTERRUPT:
        return f->interrupt_line | (u32)k->pin << 8;
    default:
        return 0; // type 0 header
    }
}

static void msi_write(struct pci_function *f, unsigned reg, u32 value)
{
    switch (reg) {
    case MSI_CONTROL:
        f->msi_enabled = value & MSI_ENABLE;
        pci_update_line(f);
        break;
    case MSI_ADDRESS:
        f->msi_address = (f->msi_address & ~(u64)UINT32_MAX) | (value & ~3u);
        break;
    case MSI_ADDRESS_HIGH:
        f->msi_address = (f->msi_address & UINT32_MAX) | (u64)value << 32;
        break;
    default:
        f->msi_data = (u16)value;
    }
}

void pci_config_write(struct pci_function *f, unsigned reg, u32 value)
{
    const struct pci_kind *k = f->kind;
    if (reg >= BAR_FIRST && reg <= BAR_LAST) {
        unsigned i = (reg - BAR_FIRST) / 4;
        f->bar[i].address = k->bar[i].size != 0 ? value & ~(k->bar[i].size - 1) : 0;
        pci_map(f->pci);
    } else if (k->msi && reg >= MSI_CONTROL && reg <= MSI_DATA) {
        msi_write(f, reg, value);
    } else if (reg == COMMAND) {
        u64 writable = COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_SERR |
                       (k->pin != 0 ? COMMAND_INTX_DISABLE : 0);
        f->command = (u16)(value & writable);
        pci_map(f->pci);
        pci_update_line(f);
    } else if (reg == INTERRUPT) {
        f->interrupt_line = (u8)value;
    }
}

// ---- interrupts ----------------------------------------------------------------------------

// The bus's line that a device's pin is at: the devices' INTA# lie on all of the lines.
static unsigned line_of(const struct pci_function *f)
{
    return (f->device + f->kind->pin - 1u) % PCI_LINES;
}

void pci_update_line(struct pci_function *f)
{
    struct pci *p = f->pci;
    bool level = f->asserted && !f->msi_enabled && !(f->command & COMMAND_INTX_DISABLE);
    if (f->kind->pin == 0 || level == f->on_line)
        return;
    unsigned line = line_of(f);
    u32 before = p->raised[line];
    f->on_line = level;
    p->raised[line] ^= 1u << f->device;
    if ((before != 0) != (p->raised[line] != 0))
        p->callbacks.intx(p->callbacks.ctx, line, level);
}

void pci_set_irq(struct pci_function *f, bool level)
{
    bool rises = level && !f->asserted;
    f->asserted = level;
    pci_update_line(f);
    // A message is a write of the function's own, which it may do as a master only.
    if (rises && f->msi_enabled && (f->command & COMMAND_MASTER))
        f->pci->callbacks.msi(f->pci->callbacks.ctx, f->msi_address, f->msi_data);
}

u32 pci_lines(const struct pci *p)
{
    u32 lines = 0;
    for (unsigned d = 0; d < PCI_DEVICES; d++)
        if (p->function[d] != NULL && p->function[d]->kind->pin != 0)
            lines |= 1u << line_of(p->function[d]);
    return lines;
}
