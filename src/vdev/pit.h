// SPDX-License-Identifier: MIT
// 8254 programmable interval timer, and the part of port 0x61 that belongs to it. Ports 0x40-0x43,
// 0x61. Channel 0 drives IRQ 0. `now` is in ticks, never less than in the call before. The caller
// serializes.
#pragma once

#include "lib/types.h"
#include "vdev/irq.h"

#define PIT_HZ 1193182ul

// Times are in PIT clocks since pit_init.
struct pit_channel {
    u8 mode; // 0 to 5
    u8 rw;   // 1 low byte, 2 high byte, 3 low byte then high byte
    bool bcd;
    bool gate;
    bool write_high; // the next write is the high byte
    bool read_high;  // the next read is the high byte
    bool counting;   // a count was loaded (modes 1 and 5: and triggered) since the control word
    u8 write_low;    // the low byte, waiting for the high one
    u8 latched;      // bytes of `latch` still to be read: 0 none, 1 or 2
    bool status_latched;
    u8 status;
    u16 latch;
    u32 count;   // initial count in use, 1 to 65536
    u32 reload;  // initial count written and not yet loaded, or 0
    u64 load_at; // when it is loaded (modes 2 and 3; modes 1 and 5 wait for the gate)
    u64 start;   // when the counting element held `count`; the future for a moment after a load
    u64 frozen;  // while the gate stops the counter: clocks since start
};

struct pit {
    struct pit_channel channel[3];
    struct irq_line irq;
    u64 tsc_hz;
    u64 origin;  // tick of PIT clock 0
    u64 seen;    // channel 0's output is reported up to this clock
    bool level;  // as last reported
    u32 dropped; // rising edges of channel 0 that one pit_expire had to report as one
    u8 port61;   // bits 3:0 as written
};

// tsc_hz: at least PIT_HZ. All channels wait for a control word.
void pit_init(struct pit *p, u64 tsc_hz, u64 now, struct irq_line irq);

u8 pit_read(struct pit *p, u16 port, u64 now);
void pit_write(struct pit *p, u16 port, u8 value, u64 now);

// The tick of channel 0's next rising edge (or of a new count's load), or NEVER.
u64 pit_deadline(const struct pit *p);

// Reports what channel 0's output did up to now. Constant time, however late it comes: several
// missed edges are one pulse, and the others are added to `dropped`.
void pit_expire(struct pit *p, u64 now);
