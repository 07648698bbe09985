// SPDX-License-Identifier: MIT
// Shared by the lapic_*.c files only.
#pragma once

#include "lib/math.h"
#include "lib/string.h"
#include "vcpu/lapic.h"

enum { // LVT entries (11.5.1)
    LVT_LEVEL = 1 << 15,
    LVT_REMOTE_IRR = 1 << 14,
    LVT_MASKED = 1 << 16,
    LVT_DELIVERY_MODE = 7 << 8,
};
enum { // SVR (11.9)
    SVR_ENABLE = 1 << 8,
    SVR_FOCUS = 1 << 9,
    SVR_SUPPRESS_EOI = 1 << 12,
};
enum { // ESR (11.5.3)
    ESR_SEND_ILLEGAL_VECTOR = 1 << 5,
    ESR_RECEIVE_ILLEGAL_VECTOR = 1 << 6,
    ESR_ILLEGAL_REGISTER = 1 << 7,
};
enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE }; // LVT timer bits 18:17
enum { FIRST_LEGAL_VECTOR = 16 };

static inline u32 reg(const struct lapic *l, u32 offset)
{
    return l->regs[offset / 4];
}
static inline void set_reg(struct lapic *l, u32 offset, u32 value)
{
    l->regs[offset / 4] = value;
}
static inline bool lapic_enabled(const struct lapic *l)
{
    return __atomic_load_n(&l->address, __ATOMIC_RELAXED) & LAPIC_ADDRESS_ENABLED;
}

// lapic.c
void lapic_reset_registers(struct lapic *l);
void lapic_publish(struct lapic *l);  // after a change of mode, LDR, DFR or SVR
void lapic_load_ids(struct lapic *l); // ID, and in x2APIC mode LDR, as the mode has them
u32 lapic_update_ppr(struct lapic *l);
void lapic_error(struct lapic *l, u32 esr_bits);

// lapic_lvt.c
bool lapic_lvt_event(struct lapic *l, u32 offset);
void lapic_lint0_level(struct lapic *l);

// lapic_timer.c
void lapic_timer_reset(struct lapic *l);
void lapic_timer_mask(struct lapic *l, u64 now);
void lapic_timer_write_lvt(struct lapic *l, u32 value, u64 now);
void lapic_timer_write_initial(struct lapic *l, u32 value, u64 now);
void lapic_timer_write_divide(struct lapic *l, u32 value, u64 now);
u32 lapic_timer_current(struct lapic *l, u64 now);

// lapic_ipi.c
void lapic_write_icr(struct lapic *l, u32 low, u32 dest);
void lapic_self_ipi(struct lapic *l, u8 vector);
