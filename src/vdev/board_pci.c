// SPDX-License-Identifier: MIT
// PCI on the board: where its lines and messages go.
#include "lib/string.h"
#include "vdev/board_internal.h"
#include "x86/bits.h"

// A message's address and data, SDM 11.11.
#define MSI_LOGICAL BIT(2)
#define MSI_LEVEL   BIT(15)

// PCI's lines. Each has an IRQ of its own, so nothing is to be combined here.
static const u8 pci_irq[PCI_LINES] = {10, 11, 5, 12};

static void pci_intx(void *ctx, unsigned line, bool level)
{
    board_isa_irq(ctx, pci_irq[line], level);
}

// A message that a function writes. What is no address of a local APIC's would go to memory; it is
// lost.
static void pci_msi(void *ctx, u64 address, u16 data)
{
    struct board *b = ctx;
    if (address >> 20 != APIC_BASE_RESET >> 20)
        return;
    struct ioapic_message m = {.dest = (u8)(address >> 12),
                               .logical = address & MSI_LOGICAL,
                               .delivery_mode = data >> 8 & 7,
                               .vector = (u8)data,
                               .level = data & MSI_LEVEL};
    b->call.msi(b->ctx, &m);
}

void board_set_levels(struct board *b, u64 now)
{
    u32 levels = 1u << ACPI_SCI, lines = pci_lines(&b->pci);
    for (unsigned line = 0; line < PCI_LINES; line++)
        if (lines & 1u << line)
            levels |= 1u << pci_irq[line];
    board_io(b, 0x4d0, 2, true, &levels, now);
}

void board_init_pci(struct board *b)
{
    struct pci_callbacks callbacks = {.bus = &b->bus, .intx = pci_intx, .msi = pci_msi, .ctx = b};
    memcpy(callbacks.irq, pci_irq, sizeof(pci_irq));
    pci_init(&b->pci, &callbacks);
}

enum error board_add_function(struct board *b, unsigned device, struct pci_function *f,
                              const struct pci_kind *kind, void *ctx)
{
    enum error e = pci_add(&b->pci, device, f, kind, ctx);
    if (e == OK)
        board_set_levels(b, b->now);
    return e;
}
