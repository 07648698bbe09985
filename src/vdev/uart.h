// SPDX-License-Identifier: MIT
// 16550A UART: eight ports from a base. What the guest sends goes to a sink at once, so the
// transmitter is empty unless the sink wants no more for now; received bytes wait in the FIFO,
// which the console asks before it hands one over. `now` is in ticks, never less than in the call
// before. The caller serializes.
#pragma once

#include "lib/types.h"
#include "vdev/irq.h"

#define UART_FIFO  16
#define UART_CLOCK 1843200ul // Hz; 16 of them per bit and divisor step

struct vuart {
    u8 ier, lcr, mcr, scr;
    u8 fcr;   // bits 7:6 and 0
    u8 line;  // LSR's error bits that await a read
    u8 modem; // MSR: inputs in 7:4, changes in 3:0
    u16 divisor;
    bool thre;                             // the THRE interrupt is pending, unless held
    bool held;                             // the sink wants no more: the transmitter is full
    bool timeout;                          // the character time-out is pending
    u8 fifo[UART_FIFO], errors[UART_FIFO]; // a byte and the LSR bits that came with it
    u8 head, count;
    bool connected; // someone is at the other end: CTS, DSR and DCD are on
    u64 tsc_hz;
    u64 touched; // tick of the FIFO's last change, from which the time-out counts
    unsigned pin;
    bool level; // as last reported to irq
    struct irq_line irq;
    bool (*transmit)(void *ctx, u8 byte); // NULL: bytes are lost
    void *ctx;
};

// transmit takes each byte, and returns false when it wants no more until vuart_ready.
void vuart_init(struct vuart *u, u64 tsc_hz, bool connected, unsigned pin, struct irq_line irq,
                bool (*transmit)(void *ctx, u8 byte), void *ctx);

// The master reset: as after vuart_init.
void vuart_reset(struct vuart *u);

// A byte from outside. Returns false, with the byte not taken, when there is no room (FIFO or
// holding register full, or the UART in loopback): offer it again later.
bool vuart_receive(struct vuart *u, u8 byte, u64 now);

// A break condition from outside (Linux: the way to SysRq). Returns as vuart_receive.
bool vuart_break(struct vuart *u, u64 now);

// The sink takes more again.
void vuart_ready(struct vuart *u);

// offset: 0 to 7.
u8 vuart_read(struct vuart *u, unsigned offset, u64 now);
void vuart_write(struct vuart *u, unsigned offset, u8 value, u64 now);

// The tick of the character time-out interrupt, or NEVER.
u64 vuart_deadline(const struct vuart *u);
void vuart_expire(struct vuart *u, u64 now);
