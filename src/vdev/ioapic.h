// SPDX-License-Identifier: MIT
// IOAPIC: 24 pins, version 0x20 (with the EOI register). Memory-mapped registers IOREGSEL, IOWIN,
// EOIR. The caller serializes.
#pragma once

#include "lib/types.h"

#define IOAPIC_PINS   24
#define IOAPIC_BASE   0xfec00000ul // gpa of its page
#define IOAPIC_SELECT 0x00         // offset of the register that selects another

// One interrupt message; the fields as in a redirection entry.
struct ioapic_message {
    u8 dest;
    bool logical;     // destination mode
    u8 delivery_mode; // 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT
    u8 vector;
    bool level; // trigger mode
};

struct ioapic {
    u64 rte[IOAPIC_PINS]; // redirection entries; bit 14 is remote IRR
    u32 lines;            // pins that are asserted
    u32 pulses;           // pins that fall by themselves when a level-triggered one has been sent
    u8 select;            // IOREGSEL
    u8 id;                // bits 27:24 of the ID register
    void (*send)(void *ctx, const struct ioapic_message *m);
    void (*routes)(void *ctx); // ioapic_level_vectors() may have changed; called before send
    void *ctx;
};

// All pins masked. routes may be NULL.
void ioapic_init(struct ioapic *io, void (*send)(void *ctx, const struct ioapic_message *m),
                 void (*routes)(void *ctx), void *ctx);

// Drives pin (0 to 23). The line says "asserted"; the entry's polarity bit is taken to agree
// with the wiring, as on every virtual board, and has no effect.
void ioapic_set_irq(struct ioapic *io, unsigned pin, bool level);

// An EOI for vector, broadcast by a local APIC or written to EOIR: ends the level-triggered
// interrupts of this vector, and sends those again whose line is still asserted.
void ioapic_eoi(struct ioapic *io, u8 vector);

// Sets the bits of all vectors whose EOI must reach ioapic_eoi() (level-triggered entries that are
// unmasked or still waiting for an EOI). bitmap: 256 bits, other bits are left alone.
void ioapic_level_vectors(const struct ioapic *io, u64 bitmap[4]);

bool ioapic_masked(const struct ioapic *io, unsigned pin);

// offset: bytes from IOAPIC_BASE, below 4096.
u32 ioapic_read(const struct ioapic *io, u32 offset);
void ioapic_write(struct ioapic *io, u32 offset, u32 value);
