// SPDX-License-Identifier: MIT
// MC146818 real-time clock with 128 bytes of CMOS RAM. Ports 0x70 (index), 0x71 (data). The century
// is at CMOS 0x32, as the FADT says. `now` is in ticks, never less than in the call before. The
// caller serializes.
#pragma once

#include "lib/types.h"
#include "vdev/irq.h"

#define RTC_PIN     8
#define RTC_CENTURY 0x32

struct rtc {
    u8 cmos[128]; // the registers are the truth: a guest may write what is no date
    u8 index;
    u64 tsc_hz;
    u64 epoch;    // tick at which the divider chain started from 0; modulo 2^64
    u64 second;   // seconds since epoch that the registers have counted
    u64 periodic; // periods since epoch that register C has seen
    struct irq_line irq;
    bool level; // as last reported to irq
};

// Starts at `start` (seconds since 1970), 24-hour BCD, no interrupt enabled, CMOS RAM zero.
void rtc_init(struct rtc *r, u64 tsc_hz, i64 start, u64 now, struct irq_line irq);

// The RESET# pin: interrupts off, time and RAM kept.
void rtc_reset(struct rtc *r, u64 now);

u8 rtc_read(struct rtc *r, u16 port, u64 now);
void rtc_write(struct rtc *r, u16 port, u8 value, u64 now);

// Whether its alarm is among the reasons for its interrupt.
bool rtc_alarmed(const struct rtc *r);

// The tick of the next enabled interrupt that would change the IRQ line, or NEVER.
u64 rtc_deadline(const struct rtc *r);

// Counts the registers on to now. Bounded time, however late it comes.
void rtc_expire(struct rtc *r, u64 now);
