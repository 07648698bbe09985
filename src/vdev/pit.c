// SPDX-License-Identifier: MIT
#include "vdev/pit.h"

#include "lib/string.h"
#include "vdev/ticks.h"

#define PORT61_GATE2   BIT(0)
#define PORT61_REFRESH BIT(4) // toggles at each memory refresh, about every 15 us
#define PORT61_OUT2    BIT(5)

static u64 clock_at(const struct pit *p, u64 now)
{
    return ticks_to_clocks(now - p->origin, PIT_HZ, p->tsc_hz);
}

COLD void pit_init(struct pit *p, u64 tsc_hz, u64 now, struct irq_line irq)
{
    memset(p, 0, sizeof(*p));
    p->irq = irq;
    p->tsc_hz = tsc_hz;
    p->origin = now;
    for (unsigned i = 0; i < 3; i++) {
        p->channel[i].rw = 3;
        p->channel[i].count = 65536;
        p->channel[i].gate = i != 2;
    }
}

static bool periodic(const struct pit_channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool gate_triggered(const struct pit_channel *c)
{
    return c->mode == 1 || c->mode == 5;
}

// Starting points may lie before clock 0, so times are compared by their distance.
static bool before(u64 a, u64 b)
{
    return (i64)(a - b) < 0;
}

// Clocks since the counting element held the initial count; 0 before it is loaded.
static u64 elapsed(const struct pit_channel *c, u64 clock)
{
    if (!c->gate && !gate_triggered(c))
        return c->frozen;
    return before(clock, c->start) ? 0 : clock - c->start;
}

// Modes 2 and 3: takes a new count into use when its time has come.
static void load_due(struct pit_channel *c, u64 clock)
{
    if (c->reload == 0 || !periodic(c) || !c->counting || !c->gate || clock < c->load_at)
        return;
    bool falls = c->mode == 3 && (c->load_at - c->start) % c->count != 0;
    c->count = c->reload;
    c->reload = 0;
    // At the middle of a square wave the new count begins with its low half.
    c->start = c->load_at - (falls ? (c->count + 1) / 2 : 0);
}

static bool output(const struct pit_channel *c, u64 clock)
{
    if (!c->counting)
        return c->mode != 0;
    u64 e = elapsed(c, clock);
    switch (c->mode) {
    case 0:
        return e >= c->count;
    case 1:
        return before(clock, c->start) || e >= c->count;
    case 2:
        return !c->gate || e % c->count != c->count - 1;
    case 3:
        return !c->gate || e % c->count < (c->count + 1) / 2;
    default:
        return e != c->count; // a strobe of one clock
    }
}

// The counting element, as a binary number.
static u32 counter(const struct pit_channel *c, u64 clock)
{
    u32 wrap = c->bcd ? 10000 : 65536;
    u64 e = c->counting ? elapsed(c, clock) : 0;
    if (c->mode == 2)
        return (u32)(c->count - e % c->count) % wrap;
    if (c->mode == 3) {
        // Counts by two, twice a period; an odd count begins one lower (8254 data sheet, mode 3).
        u32 phase = (u32)(e % c->count), half = (c->count + 1) / 2;
        if (phase >= half)
            phase -= half;
        return ((c->count & ~1u) - 2 * phase) % wrap;
    }
    return (c->count % wrap + wrap - (u32)(e % wrap)) % wrap;
}

static u16 to_bcd(u32 n)
{
    return (u16)(n % 10 | n / 10 % 10 << 4 | n / 100 % 10 << 8 | n / 1000 % 10 << 12);
}

static u32 from_bcd(u16 n)
{
    return (n & 15u) + (n >> 4 & 15u) * 10 + (n >> 8 & 15u) * 100 + (n >> 12 & 15u) * 1000;
}

static u16 counter_register(const struct pit_channel *c, u64 clock)
{
    u32 n = counter(c, clock);
    return c->bcd ? to_bcd(n) : (u16)n;
}

static u8 status_register(const struct pit_channel *c, u64 clock)
{
    bool null = c->reload != 0 || !c->counting || before(clock, c->start);
    return (u8)(output(c, clock) << 7 | null << 6 | c->rw << 4 | c->mode << 1 | c->bcd);
}

// Rising edges of the output in (from, to], with no load in between.
static u64 rising_edges(const struct pit_channel *c, u64 from, u64 to)
{
    if (!c->counting)
        return 0;
    u64 a = elapsed(c, from), b = elapsed(c, to);
    if (periodic(c))
        return b / c->count - a / c->count;
    u64 rise = c->mode == 4 ? c->count + 1 : c->count;
    return !gate_triggered(c) && a < rise && b >= rise;
}

static void report(struct pit *p, bool level)
{
    if (level == p->level)
        return;
    p->level = level;
    irq_line_set(&p->irq, 0, level);
}

// Channel 0's gate is always high, so its edges follow from the clock alone.
static void sync(struct pit *p, u64 clock)
{
    struct pit_channel *c = &p->channel[0];
    u64 edges = 0;
    if (clock > p->seen) {
        if (c->reload != 0 && c->counting && periodic(c) && c->load_at <= clock) {
            // The load itself happens at an edge: count up to it by the old count.
            edges = rising_edges(c, p->seen, c->load_at);
            load_due(c, clock);
            p->seen = c->load_at;
        }
        edges += rising_edges(c, p->seen, clock);
        p->seen = clock;
    }
    bool level = output(c, clock);
    // The final level accounts for one edge unless it was high already or is low again.
    if (edges > 0) {
        report(p, false);
        report(p, true);
        p->dropped += (u32)MIN(edges - 1, 1000u);
    }
    report(p, level);
}

void pit_expire(struct pit *p, u64 now)
{
    sync(p, clock_at(p, now));
}

u64 pit_deadline(const struct pit *p)
{
    const struct pit_channel *c = &p->channel[0];
    if (!c->counting || gate_triggered(c))
        return NEVER;
    u64 clock, e = elapsed(c, p->seen);
    if (periodic(c)) {
        clock = c->start + (e / c->count + 1) * c->count;
        if (c->reload != 0 && c->load_at < clock)
            clock = c->load_at;
    } else {
        u64 rise = c->mode == 4 ? c->count + 1 : c->count;
        if (e >= rise)
            return NEVER;
        clock = c->start + rise;
    }
    return p->origin + clocks_to_ticks(clock, PIT_HZ, p->tsc_hz);
}

static void set_count(struct pit_channel *c, u16 value, u64 clock)
{
    u32 n = c->bcd ? from_bcd(value) : value;
    if (n == 0)
        n = c->bcd ? 10000 : 65536;
    if (periodic(c) && n == 1)
        n = 2; // 1 is illegal there (8254 data sheet)

    if (gate_triggered(c)) {
        c->reload = n; // taken at the trigger
        return;
    }
    if (periodic(c) && c->counting && !before(clock, c->start)) {
        u64 e = elapsed(c, clock), period = e / c->count * c->count;
        u32 half = (c->count + 1) / 2;
        c->reload = n;
        c->load_at = c->start + period + (c->mode == 3 && e % c->count < half ? half : c->count);
        return;
    }
    // Loaded by the next clock pulse.
    c->count = n;
    c->reload = 0;
    c->counting = true;
    c->start = clock + 1;
    c->frozen = 0;
}

static void write_count(struct pit_channel *c, u8 value, u64 clock)
{
    if (c->rw == 1)
        set_count(c, value, clock);
    else if (c->rw == 2)
        set_count(c, (u16)(value << 8), clock);
    else if (!c->write_high) {
        c->write_low = value;
        c->write_high = true;
        if (c->mode == 0)
            c->counting = false; // the first byte stops the counter, output low
    } else {
        c->write_high = false;
        set_count(c, (u16)(value << 8 | c->write_low), clock);
    }
}

static u8 read_count(struct pit_channel *c, u64 clock)
{
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    u16 n = c->latched != 0 ? c->latch : counter_register(c, clock);
    bool high = c->rw == 2 || (c->rw == 3 && c->read_high);
    if (c->rw == 3)
        c->read_high = !c->read_high;
    if (c->latched != 0)
        c->latched--;
    return (u8)(high ? n >> 8 : n);
}

static void latch_count(struct pit_channel *c, u64 clock)
{
    if (c->latched != 0)
        return; // the first latch holds until it is read
    c->latch = counter_register(c, clock);
    // A first byte read before the latch leaves one byte to go.
    c->latched = c->rw == 3 && !c->read_high ? 2 : 1;
}

static void set_gate(struct pit_channel *c, bool gate, u64 clock)
{
    if (gate == c->gate)
        return;
    if (!gate) {
        u64 e = elapsed(c, clock);
        c->gate = false;
        c->frozen = e;
        return;
    }
    c->gate = true;
    if (gate_triggered(c) && (c->counting || c->reload != 0)) {
        if (c->reload != 0)
            c->count = c->reload;
        c->reload = 0;
        c->counting = true;
        c->start = clock + 1;
    } else if (periodic(c)) {
        if (c->reload != 0)
            c->count = c->reload;
        c->reload = 0;
        c->start = clock + 1;
    } else if (c->frozen == 0 && before(clock, c->start)) {
        // Not even loaded yet: start stands.
    } else
        c->start = clock - c->frozen;
}

static void write_control(struct pit *p, u8 value, u64 clock)
{
    if (value >> 6 == 3) { // read-back; the bits for count and status are active low
        for (unsigned i = 0; i < 3; i++) {
            struct pit_channel *c = &p->channel[i];
            if (!(value & BIT(i + 1)))
                continue;
            if (!(value & BIT(5)))
                latch_count(c, clock);
            if (!(value & BIT(4)) && !c->status_latched) {
                c->status = status_register(c, clock);
                c->status_latched = true;
            }
        }
        return;
    }
    struct pit_channel *c = &p->channel[value >> 6];
    if ((value >> 4 & 3) == 0) {
        latch_count(c, clock);
        return;
    }
    c->rw = value >> 4 & 3;
    c->mode = value >> 1 & 7;
    if (c->mode > 5)
        c->mode -= 4; // 6 and 7 are other names of 2 and 3
    c->bcd = value & 1;
    c->write_high = c->read_high = c->counting = c->status_latched = false;
    c->latched = 0;
    c->reload = 0;
}

void pit_write(struct pit *p, u16 port, u8 value, u64 now)
{
    u64 clock = clock_at(p, now);
    sync(p, clock);
    load_due(&p->channel[1], clock);
    load_due(&p->channel[2], clock);
    if (port == 0x61) {
        p->port61 = value & 0xf;
        set_gate(&p->channel[2], value & PORT61_GATE2, clock);
    } else if (port == 0x43)
        write_control(p, value, clock);
    else
        write_count(&p->channel[port & 3], value, clock);
    sync(p, clock);
}

u8 pit_read(struct pit *p, u16 port, u64 now)
{
    u64 clock = clock_at(p, now);
    struct pit_channel *c = &p->channel[port == 0x61 ? 2 : port & 3];
    if (port == 0x43)
        return 0xff;
    if (c == &p->channel[0])
        sync(p, clock);
    else
        load_due(c, clock);
    if (port != 0x61)
        return read_count(c, clock);
    u8 v = p->port61;
    if (clock / 18 & 1)
        v |= PORT61_REFRESH;
    if (output(c, clock))
        v |= PORT61_OUT2;
    return v;
}
