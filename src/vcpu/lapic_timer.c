// SPDX-License-Identifier: MIT
// The local APIC's timer (SDM Vol. 3, 11.5.4). Nothing counts: there is the tick at which the count
// reaches zero, and the current count follows from it. A masked timer goes on, and needs no
// deadline; what would have happened meanwhile is made up for at the next access.
#include "vcpu/lapic_internal.h"

static u64 add_saturated(u64 a, u64 b)
{
    u64 sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static u64 to_tsc(const struct lapic *l, u64 timer_ticks)
{
    if (l->config.timer_hz == l->config.tsc_hz)
        return timer_ticks;
    return muldiv64_up(timer_ticks, l->config.tsc_hz, l->config.timer_hz);
}

static u64 from_tsc(const struct lapic *l, u64 ticks)
{
    if (l->config.timer_hz == l->config.tsc_hz)
        return ticks;
    return muldiv64_up(ticks, l->config.timer_hz, l->config.tsc_hz);
}

static bool counts(const struct lapic_timer *t)
{
    return t->mode == TIMER_ONE_SHOT || t->mode == TIMER_PERIODIC;
}

// Divide configuration bits 3, 1, 0: 000b is 2, 110b is 128, 111b is 1.
static u8 divide_shift(u32 divide)
{
    return (u8)(((divide >> 1 & 4) | (divide & 3)) + 1) & 7;
}

static void set_deadline(struct lapic *l)
{
    l->deadline = l->timer.armed && !(l->timer.lvt & LVT_MASKED) ? l->timer.target : UINT64_MAX;
}

static void disarm(struct lapic *l)
{
    l->timer.armed = false;
    l->timer.target = 0;
    set_deadline(l);
}

void lapic_timer_reset(struct lapic *l)
{
    l->timer = (struct lapic_timer){.lvt = LVT_MASKED, .shift = divide_shift(0)};
    set_deadline(l);
}

bool lapic_expire(struct lapic *l, u64 now)
{
    struct lapic_timer *t = &l->timer;
    if (!t->armed || now < t->target)
        return false;
    if (t->mode == TIMER_PERIODIC) {
        // The next multiple after now; those in between are merged, as they would be in IRR.
        t->target = add_saturated(now - (now - t->target) % t->period, t->period);
        set_deadline(l);
    } else {
        disarm(l); // TSC-deadline mode clears the MSR (11.5.4.1)
    }
    lapic_lvt_event(l, APIC_LVT_TIMER);
    return true;
}

void lapic_timer_mask(struct lapic *l, u64 now)
{
    lapic_expire(l, now);
    l->timer.lvt |= LVT_MASKED;
    set_reg(l, APIC_LVT_TIMER, l->timer.lvt);
    set_deadline(l);
}

// A change between one-shot and periodic mode lets the count go on, as processors do; one into or
// out of TSC-deadline mode disarms (11.5.4.1). Mode 11B is reserved and never counts.
void lapic_timer_write_lvt(struct lapic *l, u32 value, u64 now)
{
    struct lapic_timer *t = &l->timer;
    set_reg(l, APIC_LVT_TIMER, t->lvt); // the processor may have written the new one already
    lapic_expire(l, now);
    bool counted = counts(t);
    u8 old_mode = t->mode;
    t->mode = value >> 17 & 3;
    t->lvt = value;
    set_reg(l, APIC_LVT_TIMER, value);
    if (t->mode != old_mode && !(counted && counts(t))) {
        t->armed = false;
        t->target = 0;
        t->initial = 0;
        set_reg(l, APIC_INITIAL_COUNT, 0);
    }
    set_deadline(l);
}

void lapic_timer_write_initial(struct lapic *l, u32 value, u64 now)
{
    struct lapic_timer *t = &l->timer;
    if (!counts(t)) {
        set_reg(l, APIC_INITIAL_COUNT, 0); // ignored; undoes the processor's write to the page
        return;
    }
    lapic_expire(l, now);
    set_reg(l, APIC_INITIAL_COUNT, value);
    t->initial = value;
    t->armed = value != 0;
    t->period = to_tsc(l, (u64)value << t->shift);
    t->target = add_saturated(now, t->period);
    set_deadline(l);
}

// The count stays, its rate changes.
void lapic_timer_write_divide(struct lapic *l, u32 value, u64 now)
{
    struct lapic_timer *t = &l->timer;
    lapic_expire(l, now);
    set_reg(l, APIC_DIVIDE, value & 0xb);
    u8 old = t->shift;
    t->shift = divide_shift(value);
    if (!counts(t) || !t->armed || t->shift == old)
        return;
    t->period = to_tsc(l, (u64)t->initial << t->shift);
    if (t->target != UINT64_MAX)
        t->target = add_saturated(now, muldiv64_up(t->target - now, 1u << t->shift, 1u << old));
    set_deadline(l);
}

u32 lapic_timer_current(struct lapic *l, u64 now)
{
    const struct lapic_timer *t = &l->timer;
    lapic_expire(l, now);
    if (!counts(t) || !t->armed)
        return 0;
    u64 rest = from_tsc(l, t->target - now);
    u64 count = (rest >> t->shift) + ((rest & (BIT(t->shift) - 1)) != 0);
    return (u32)MIN(count, t->initial);
}

u64 lapic_read_tsc_deadline(struct lapic *l, u64 now)
{
    if (l->timer.mode != TIMER_TSC_DEADLINE)
        return 0;
    lapic_expire(l, now);
    return l->timer.target;
}

void lapic_write_tsc_deadline(struct lapic *l, u64 deadline, u64 now)
{
    struct lapic_timer *t = &l->timer;
    if (t->mode != TIMER_TSC_DEADLINE)
        return;
    if (t->armed && now >= t->target)
        lapic_expire(l, now);
    t->target = deadline;
    t->armed = deadline != 0;
    set_deadline(l);
    if (t->armed && now >= deadline)
        lapic_expire(l, now);
}

bool lapic_move_deadline(struct lapic *l, u64 deadline, u64 now)
{
    struct lapic_timer *t = &l->timer;
    if (t->mode != TIMER_TSC_DEADLINE || (t->lvt & LVT_MASKED) || now >= l->deadline ||
        deadline - now - 1 >= BIT(62))
        return false;
    t->armed = true;
    t->target = l->deadline = deadline;
    return true;
}

int lapic_deadline_due(struct lapic *l, u64 now)
{
    struct lapic_timer *t = &l->timer;
    u32 vector = t->lvt & 0xff;
    if (t->mode != TIMER_TSC_DEADLINE || now < l->deadline || (t->lvt & LVT_DELIVERY_MODE) ||
        vector < FIRST_LEGAL_VECTOR || (l->level[vector >> 6] >> (vector & 63) & 1))
        return -1;
    t->armed = false;
    t->target = 0;
    l->deadline = UINT64_MAX;
    l->regs[(APIC_IRR + (vector >> 5) * 16) / 4] |= 1u << (vector & 31);
    return (int)vector;
}

void lapic_tsc_written(struct lapic *l, u64 before, u64 after)
{
    struct lapic_timer *t = &l->timer;
    lapic_expire(l, before);
    if (t->armed && counts(t) && t->target != UINT64_MAX)
        t->target = add_saturated(after, t->target - before);
    set_deadline(l);
    lapic_expire(l, after);
}
