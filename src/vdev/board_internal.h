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
void board_owe_ticks(struct board *b, u32 ticks);

// Lets the PIT report what it did up to now.
void board_expire_pit(struct board *b, u64 now);

// Asks a device for its next event. To be called after whatever may have moved it.
void board_update_due(struct board *b, enum board_timer t);

// Registers the board's devices at its bus, which is made anew. Returns as board_init.
enum error board_register(struct board *b, struct text *why) MUST_CHECK;

// Time never goes back, whatever the cores' clocks say. Returns the time to use.
static inline u64 board_advance(struct board *b, u64 now)
{
    b->now = MAX(b->now, now);
    return b->now;
}
