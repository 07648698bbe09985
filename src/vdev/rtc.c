// SPDX-License-Identifier: MIT
#include "vdev/rtc.h"

#include "lib/string.h"
#include "vdev/calendar.h"
#include "vdev/ticks.h"

#define RTC_HZ 32768ul

enum {
    SECONDS = 0,
    SECONDS_ALARM = 1,
    MINUTES = 2,
    MINUTES_ALARM = 3,
    HOURS = 4,
    HOURS_ALARM = 5,
    WEEKDAY = 6,
    DAY = 7,
    MONTH = 8,
    YEAR = 9,
    REG_A = 10,
    REG_B = 11,
    REG_C = 12,
    REG_D = 13,
};

#define A_UIP    0x80
#define A_RATE   0x0f
#define B_SET    0x80
#define B_PIE    0x40
#define B_AIE    0x20
#define B_UIE    0x10
#define B_SQWE   0x08
#define B_BINARY 0x04
#define B_24H    0x02
#define C_IRQF   0x80
#define C_FLAGS  0x70 // PF, AF, UF: at the places of their enables in B
#define C_PF     0x40
#define C_AF     0x20
#define C_UF     0x10
#define D_VRT    0x80

// The registers hold the years 0 to 9999; both in seconds, the first since 1970.
#define YEAR_0      (-719528 * 86400ll)
#define YEARS_10000 (3652425 * 86400ll)

// UIP rises 244 us before an update cycle of 1984 us; the registers change at the cycle's end.
#define UIP_CLOCKS 73

static u8 encode(const struct rtc *r, int n)
{
    return (u8)(r->cmos[REG_B] & B_BINARY ? n : n / 10 << 4 | n % 10);
}

static int decode(const struct rtc *r, u8 raw)
{
    return r->cmos[REG_B] & B_BINARY ? raw : (raw >> 4) * 10 + (raw & 15);
}

static u8 encode_hour(const struct rtc *r, int hour)
{
    if (r->cmos[REG_B] & B_24H)
        return encode(r, hour);
    return encode(r, (hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0);
}

static int decode_hour(const struct rtc *r, u8 raw)
{
    if (r->cmos[REG_B] & B_24H)
        return decode(r, raw);
    int hour = decode(r, raw & 0x7f);
    if (hour < 1 || hour > 12)
        return -1;
    return hour % 12 + (raw & 0x80 ? 12 : 0);
}

static int clamp(int n, int low, int high)
{
    return n < low ? low : n > high ? high : n;
}

static struct civil_time get_time(const struct rtc *r)
{
    const u8 *c = r->cmos;
    return (struct civil_time){
        .year = clamp((c[RTC_CENTURY] >> 4) * 10 + (c[RTC_CENTURY] & 15), 0, 99) * 100 +
                clamp(decode(r, c[YEAR]), 0, 99),
        .month = clamp(decode(r, c[MONTH]), 1, 12),
        .day = clamp(decode(r, c[DAY]), 1, 31),
        .hour = clamp(decode_hour(r, c[HOURS]), 0, 23),
        .minute = clamp(decode(r, c[MINUTES]), 0, 59),
        .second = clamp(decode(r, c[SECONDS]), 0, 59),
    };
}

static void set_time(struct rtc *r, const struct civil_time *t)
{
    u8 *c = r->cmos;
    c[SECONDS] = encode(r, t->second);
    c[MINUTES] = encode(r, t->minute);
    c[HOURS] = encode_hour(r, t->hour);
    c[DAY] = encode(r, t->day);
    c[MONTH] = encode(r, t->month);
    c[YEAR] = encode(r, t->year % 100);
    c[RTC_CENTURY] = (u8)(t->year / 1000 << 4 | t->year / 100 % 10);
}

static void advance(struct rtc *r, u64 seconds)
{
    struct civil_time t = get_time(r);
    i64 from = civil_to_seconds(&t) - YEAR_0, to = from + (i64)seconds;
    t = civil_from_seconds(to % YEARS_10000 + YEAR_0);
    set_time(r, &t);
    // The day of the week counts on from what the guest wrote, right or wrong.
    i64 days = to / 86400 - from / 86400;
    int weekday = clamp(decode(r, r->cmos[WEEKDAY]), 1, 7);
    r->cmos[WEEKDAY] = encode(r, (int)((weekday - 1 + days) % 7) + 1);
}

// Seconds from the registers' time to the next match of the alarm, 1 to 86400, or NEVER.
static u64 seconds_to_alarm(const struct rtc *r)
{
    const u8 *c = r->cmos;
    // A byte with both top bits set matches always.
    int second = (c[SECONDS_ALARM] & 0xc0) == 0xc0 ? -1 : decode(r, c[SECONDS_ALARM]);
    int minute = (c[MINUTES_ALARM] & 0xc0) == 0xc0 ? -1 : decode(r, c[MINUTES_ALARM]);
    bool any_hour = (c[HOURS_ALARM] & 0xc0) == 0xc0;
    int hour = any_hour ? -1 : decode_hour(r, c[HOURS_ALARM]);
    if (second > 59 || minute > 59 || (!any_hour && (hour < 0 || hour > 23)))
        return NEVER;

    struct civil_time t = get_time(r);
    u64 from = (u64)t.hour * 3600 + (u64)t.minute * 60 + (u64)t.second, at = from + 1;
    // Each step goes to the next hour, minute or second that can match: under 300 of them.
    for (;;) {
        if (hour >= 0 && (int)(at / 3600 % 24) != hour)
            at = at / 3600 * 3600 + 3600;
        else if (minute >= 0 && (int)(at / 60 % 60) != minute)
            at = at / 60 * 60 + 60;
        else if (second >= 0 && (int)(at % 60) != second)
            at++;
        else
            return at - from;
    }
}

static bool divider_reset(const struct rtc *r)
{
    return (r->cmos[REG_A] & 0x60) == 0x60;
}

// log2 of the periodic interrupt's period in clocks of 32768 Hz; 0 when there is none.
static unsigned period_shift(const struct rtc *r)
{
    unsigned rate = r->cmos[REG_A] & A_RATE;
    if (rate == 0)
        return 0;
    return rate <= 2 ? rate + 6 : rate - 1;
}

static u64 periods(const struct rtc *r, u64 now)
{
    return ticks_to_clocks(now - r->epoch, RTC_HZ, r->tsc_hz) >> period_shift(r);
}

static bool interrupting(const struct rtc *r)
{
    return r->cmos[REG_B] & r->cmos[REG_C] & C_FLAGS;
}

static void update_line(struct rtc *r)
{
    bool level = interrupting(r);
    if (level != r->level) {
        r->level = level;
        irq_line_set(&r->irq, RTC_PIN, level);
    }
}

static void sync(struct rtc *r, u64 now)
{
    if (divider_reset(r))
        return;
    if (period_shift(r) != 0) {
        u64 n = periods(r, now);
        if (n != r->periodic)
            r->cmos[REG_C] |= C_PF;
        r->periodic = n;
    }
    u64 second = (now - r->epoch) / r->tsc_hz, passed = second - r->second;
    r->second = second;
    if (passed != 0 && !(r->cmos[REG_B] & B_SET)) {
        if (seconds_to_alarm(r) <= passed)
            r->cmos[REG_C] |= C_AF;
        advance(r, passed);
        r->cmos[REG_C] |= C_UF;
    }
    update_line(r);
}

void rtc_init(struct rtc *r, u64 tsc_hz, i64 start, u64 now, struct irq_line irq)
{
    memset(r, 0, sizeof(*r));
    r->tsc_hz = tsc_hz;
    r->epoch = now;
    r->irq = irq;
    r->cmos[REG_A] = 0x26; // divider for 32768 Hz, rate 1024 Hz
    r->cmos[REG_B] = B_24H;
    r->cmos[REG_D] = D_VRT;
    struct civil_time t = civil_from_seconds(start);
    set_time(r, &t);
    r->cmos[WEEKDAY] = (u8)(civil_weekday(start) + 1);
}

void rtc_reset(struct rtc *r, u64 now)
{
    sync(r, now);
    r->index = 0;
    r->cmos[REG_B] &= (u8) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    r->cmos[REG_C] = 0;
    update_line(r);
}

static u8 read_a(const struct rtc *r, u64 now)
{
    u8 a = r->cmos[REG_A];
    if (r->cmos[REG_B] & B_SET || divider_reset(r))
        return a;
    u64 left = r->tsc_hz - (now - r->epoch) % r->tsc_hz;
    return left <= clocks_to_ticks(UIP_CLOCKS, RTC_HZ, r->tsc_hz) ? a | A_UIP : a;
}

u8 rtc_read(struct rtc *r, u16 port, u64 now)
{
    if (!(port & 1))
        return 0xff; // the index is write-only
    sync(r, now);
    switch (r->index) {
    case REG_A:
        return read_a(r, now);
    case REG_C: {
        u8 c = r->cmos[REG_C] | (interrupting(r) ? C_IRQF : 0);
        r->cmos[REG_C] = 0;
        update_line(r);
        return c;
    }
    default:
        return r->cmos[r->index];
    }
}

static void write_a(struct rtc *r, u8 value, u64 now)
{
    bool was_reset = divider_reset(r);
    r->cmos[REG_A] = value & 0x7f;
    if (divider_reset(r))
        return;
    if (was_reset) { // the first update comes half a second after the divider's release
        r->epoch = now - r->tsc_hz / 2;
        r->second = 0;
    }
    r->periodic = periods(r, now);
}

void rtc_write(struct rtc *r, u16 port, u8 value, u64 now)
{
    if (!(port & 1)) {
        r->index = value & 0x7f; // bit 7 masks NMI, which nothing here raises
        return;
    }
    sync(r, now);
    switch (r->index) {
    case REG_A:
        write_a(r, value, now);
        break;
    case REG_B:
        r->cmos[REG_B] = value & B_SET ? value & (u8)~B_UIE : value;
        update_line(r);
        break;
    case REG_C:
    case REG_D:
        break;
    default:
        r->cmos[r->index] = value;
    }
}

u64 rtc_deadline(const struct rtc *r)
{
    u8 b = r->cmos[REG_B];
    if (divider_reset(r) || interrupting(r))
        return NEVER;
    u64 next = NEVER; // ticks after epoch
    if (b & B_PIE && period_shift(r) != 0)
        next = clocks_to_ticks((r->periodic + 1) << period_shift(r), RTC_HZ, r->tsc_hz);
    if (b & B_UIE && !(b & B_SET))
        next = MIN(next, (r->second + 1) * r->tsc_hz);
    if (b & B_AIE && !(b & B_SET)) {
        u64 seconds = seconds_to_alarm(r);
        if (seconds != NEVER)
            next = MIN(next, (r->second + seconds) * r->tsc_hz);
    }
    return next == NEVER ? NEVER : r->epoch + next;
}

bool rtc_alarmed(const struct rtc *r)
{
    return r->cmos[REG_B] & r->cmos[REG_C] & C_AF;
}

void rtc_expire(struct rtc *r, u64 now)
{
    sync(r, now);
}
