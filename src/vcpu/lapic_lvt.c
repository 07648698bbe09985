// SPDX-License-Identifier: MIT
// Local interrupts: the LVT entries and the LINT0 and LINT1 pins (SDM Vol. 3, 11.5.1).
#include "vcpu/lapic_internal.h"

// Signals an LVT entry. Returns whether it was not masked.
bool lapic_lvt_event(struct lapic *l, u32 offset)
{
    u32 lvt = reg(l, offset);
    if (lvt & LVT_MASKED)
        return false;
    enum lapic_delivery mode = (enum lapic_delivery)(lvt >> 8 & 7);
    if (offset == APIC_LVT_PERFORMANCE)
        set_reg(l, offset, lvt | LVT_MASKED);
    if (mode != LAPIC_LOWEST_PRIORITY && mode != LAPIC_SIPI) // reserved here
        lapic_deliver(l, mode, (u8)lvt, false);
    return true;
}

void lapic_local_event(struct lapic *l, enum lapic_register lvt)
{
    if (lvt == APIC_LVT_THERMAL || lvt == APIC_LVT_PERFORMANCE)
        lapic_lvt_event(l, lvt);
}

static bool lint0_is_level(const struct lapic *l)
{
    u32 lvt = reg(l, APIC_LVT_LINT0);
    return lvt & LVT_LEVEL && (lvt >> 8 & 7) == LAPIC_FIXED;
}

// LINT0 as level-triggered input: sends once, then waits for the EOI (remote IRR, 11.5.1).
void lapic_lint0_level(struct lapic *l)
{
    u32 lvt = reg(l, APIC_LVT_LINT0);
    if (!l->line[0] || l->lint0_remote_irr || !lint0_is_level(l) || lvt & LVT_MASKED)
        return;
    if ((u8)lvt < FIRST_LEGAL_VECTOR) {
        lapic_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
        return;
    }
    l->lint0_remote_irr = true;
    set_reg(l, APIC_LVT_LINT0, lvt | LVT_REMOTE_IRR);
    lapic_deliver(l, LAPIC_FIXED, (u8)lvt, true);
}

void lapic_lint(struct lapic *l, u32 pin, bool asserted)
{
    pin &= 1;
    bool rises = asserted && !l->line[pin];
    l->line[pin] = asserted;
    if (lapic_mode(l) == LAPIC_DISABLED) { // the pins are INTR and NMI then (11.4.3)
        if (rises && pin == 1 && l->ops->nmi)
            l->ops->nmi(l->ctx);
        return;
    }
    if (pin == 0 && lint0_is_level(l)) {
        lapic_lint0_level(l);
        return;
    }
    u32 offset = pin ? APIC_LVT_LINT1 : APIC_LVT_LINT0;
    if (rises && (reg(l, offset) >> 8 & 7) != LAPIC_EXTINT)
        lapic_lvt_event(l, offset);
}

bool lapic_accepts_extint(const struct lapic *l)
{
    if (lapic_mode(l) == LAPIC_DISABLED)
        return true;
    return (reg(l, APIC_LVT_LINT0) & (LVT_MASKED | 7u << 8)) == LAPIC_EXTINT << 8;
}

void lapic_nmi(struct lapic *l)
{
    lapic_lint(l, 1, true);
    lapic_lint(l, 1, false);
}
