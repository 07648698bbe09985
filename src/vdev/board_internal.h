// SPDX-License-Identifier: MIT
// What the board's own files share.
#pragma once

#include "vdev/board.h"

// Bits of host_uarts.
#define HOST_COM1 BIT(0)
#define HOST_COM2 BIT(1)

// Does PIT channel 0 tick?
bool board_pit_periodic(const struct board *b);

// Notes that the PIC could not take so many ticks of the PIT when they came.
void board_add_pending_ticks(struct board *b, u32 ticks);

// Lets the PIT report what it did up to now.
void board_expire_pit(struct board *b, u64 now);

// Asks a device for its next event. To be called after whatever may have moved it.
void board_update_due(struct board *b, enum board_timer t);

// Registers the board's devices at its bus. Returns as board_init.
enum error board_register(struct board *b, struct text *why);

// Drives an ISA IRQ, 0 to 15, of the PIC and the IOAPIC. ctx is the board, as in struct irq_line.
void board_isa_irq(void *ctx, unsigned irq, bool level);

// Connects PCI, with the host bridge alone, to the board and its bus.
void board_init_pci(struct board *b);

// Makes the SCI and the lines that PCI functions have level-triggered, as firmware does.
void board_set_levels(struct board *b, u64 now);

// Time never goes back, whatever the cores' clocks say. Returns the time to use.
static inline u64 board_advance(struct board *b, u64 now)
{
    b->now = MAX(b->now, now);
    return b->now;
}
