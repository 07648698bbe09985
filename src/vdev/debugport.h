// SPDX-License-Identifier: MIT
// Ports that kernels and firmware report to before they know anything of a UART: text to 0xe9
// (Bochs) and 0x402 (QEMU), and the code of what they are at to 0x80. Neither has a way to say
// "wait", so text that the console has no room for is kept here. The caller serializes.
#pragma once

#include "lib/types.h"

#define DEBUG_PORT_BOCHS 0xe9
#define DEBUG_PORT_QEMU  0x402
#define POST_PORT        0x80

#define DEBUG_TEXT_MAX 16384u // bytes; what finds no room is counted, and the text says so

struct debugport {
    u8 text[DEBUG_TEXT_MAX];
    u32 head, tail;                       // of the ring: next to fill, next to send
    u32 lost;                             // bytes since there was no room
    u8 post;                              // the last code
    bool post_given;                      // there was one
    bool (*transmit)(void *ctx, u8 byte); // false: no room now; NULL: there is no console
    void *ctx;
};

void debugport_init(struct debugport *d, bool (*transmit)(void *ctx, u8 byte), void *ctx);

u8 debugport_read(const struct debugport *d, u16 port);
void debugport_write(struct debugport *d, u16 port, u8 value);

// The console takes more again.
void debugport_ready(struct debugport *d);
