// SPDX-License-Identifier: MIT
// The PC's two cascaded 8259A interrupt controllers with the edge/level control registers (ELCR).
// Ports 0x20, 0x21 (master), 0xa0, 0xa1 (slave), 0x4d0, 0x4d1 (ELCR). The caller serializes.
#pragma once

#include "lib/types.h"

#define PIC_IRQS 16

struct pic_chip {
    u8 lines;     // levels at IR0-IR7
    u8 edges;     // rising edges not yet acknowledged
    u8 imr;       // interrupt mask register
    u8 isr;       // in-service register
    u8 elcr;      // bit set: that input is level-triggered
    u8 elcr_mask; // bits of elcr that can be written
    u8 base;      // vector of IR0 (ICW2)
    u8 lowest;    // input with the lowest priority; 7 unless rotated
    u8 icw1;      // as written last
    u8 icw_next;  // the initialization word expected next (2-4), or 0
    bool ready;   // has been through its initialization sequence
    bool master;
    bool read_isr; // OCW3: reads of the command port give the ISR, not the IRR
    bool poll;     // OCW3: the next read is an acknowledge
    bool special_mask;
    bool special_nested; // ICW4: special fully nested mode
    bool auto_eoi;
    bool rotate_auto; // rotate in automatic EOI mode
};

struct pic {
    struct pic_chip chip[2];               // master, slave
    void (*output)(void *ctx, bool level); // the INT pin, called at changes
    void *ctx;
    bool level; // as last told to output
};

// Power-on state: nothing is requested before the guest (or the board) initializes the chips.
void pic_init(struct pic *p, void (*output)(void *ctx, bool level), void *ctx);

// Drives input irq (0 to 15; 2 is the cascade and is ignored).
void pic_set_irq(struct pic *p, unsigned irq, bool level);

// The interrupt acknowledge cycle. Returns the vector; the spurious one (IR7 of the chip) when
// the request has gone. *irq, unless NULL, becomes the input taken, or PIC_IRQS for a spurious one.
u8 pic_ack(struct pic *p, unsigned *irq);

// Is this input masked, at the master's cascade input too?
bool pic_masked(const struct pic *p, unsigned irq);

// Is this input latched and waiting to be acknowledged?
bool pic_requested(const struct pic *p, unsigned irq);

u8 pic_read(struct pic *p, u16 port);
void pic_write(struct pic *p, u16 port, u8 value);
