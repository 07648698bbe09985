// SPDX-License-Identifier: MIT
// The keyboard controller of a PC, an 8042 at ports 0x60 and 0x64, and a keyboard at it on which
// nobody types: it answers commands. No mouse. The reset line is real; the address line A20 is
// always open, whatever the output port says. The caller serializes.
#pragma once

#include "lib/types.h"
#include "vdev/irq.h"

#define KBC_DATA   0x60
#define KBC_STATUS 0x64
#define KBC_IRQ    1

struct kbc {
    u8 status;
    u8 command_byte; // byte 0 of its RAM
    u8 output_port;
    u8 expects;  // the command whose data byte is to come; 0: the byte is the keyboard's
    u8 keyboard; // the keyboard's command whose data byte is to come; 0: none
    u8 queue[4]; // of answers; [0] is at port 0x60
    u8 queued;
    bool level; // as last reported to irq
    struct irq_line irq;
    void (*reset)(void *ctx);
    void *ctx;
};

// As firmware leaves it: tested, keyboard on, its interrupt and translation on.
void kbc_init(struct kbc *k, struct irq_line irq, void (*reset)(void *ctx), void *ctx);

u8 kbc_read(struct kbc *k, u16 port);
void kbc_write(struct kbc *k, u16 port, u8 value);
