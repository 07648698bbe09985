// SPDX-License-Identifier: MIT
// The 8254 timer: channel 0 (IRQ 0) and channel 2 (gate and output at port 0x61).
#pragma once

#include "lib/types.h"

enum { PIT_HZ = 1193182 };
enum { PIT_CHANNEL0 = 0x40, PIT_CHANNEL2 = 0x42, PIT_COMMAND = 0x43, PORT_61 = 0x61 };

// Channel 0 in mode 2 with this divisor (2 to 65536): IRQ 0 at PIT_HZ / divisor.
void pit_periodic(u32 divisor);

// Channel 0 in mode 0: IRQ 0 once, after `count` PIT ticks (1 to 65536).
void pit_once(u32 count);

// Channel 0 programmed and not started: no more IRQ 0.
void pit_stop(void);

// Channel 0's count, latched.
u16 pit_count(void);

// Counts `count` PIT ticks (1 to 65536) on channel 2 and returns how many TSC ticks went by, or 0
// when the channel does not come to its end.
u64 pit_measure(u32 count);
