// SPDX-License-Identifier: MIT
// The APIC's registers as software sees them: the xAPIC page, the x2APIC MSRs, IA32_APIC_BASE.
#include "vcpu/lapic_internal.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"

// Sets of registers, bit n for the one at offset 16 * n, MSR 800H + n (SDM Table 11-1, 11-6).
#define R(offset)   BIT((offset) / 16)
#define LVT_ENTRIES (0x3ful << APIC_LVT_TIMER / 16)
#define ISR_TMR_IRR (0xfffffful << APIC_ISR / 16)
#define COMMON                                                                 \
    (R(APIC_TPR) | R(APIC_SVR) | R(APIC_ESR) | R(APIC_ICR_LOW) | LVT_ENTRIES | \
     R(APIC_INITIAL_COUNT) | R(APIC_DIVIDE))
#define X2APIC_READABLE                                                                \
    (COMMON | R(APIC_ID) | R(APIC_VERSION) | R(APIC_PPR) | R(APIC_LDR) | ISR_TMR_IRR | \
     R(APIC_CURRENT_COUNT))
#define X2APIC_WRITABLE (COMMON | R(APIC_EOI) | R(APIC_SELF_IPI))
#define XAPIC_PRESENT \
    (X2APIC_READABLE | R(APIC_APR) | R(APIC_EOI) | R(APIC_RRR) | R(APIC_DFR) | R(APIC_ICR_HIGH))
#define XAPIC_WRITABLE (COMMON | R(APIC_EOI) | R(APIC_LDR) | R(APIC_DFR) | R(APIC_ICR_HIGH))

_Static_assert(LAPIC_X2APIC_PAGE_READS == (X2APIC_READABLE & ~R(APIC_CURRENT_COUNT)), "lapic.h");

enum {
    ICR_RESERVED = 0xfff32000,     // bits 31:20, 17:16, 13
    ICR_DELIVERY_STATUS = 1 << 12, // reads 0: IPIs leave at once
};

// ---- what a register holds -----------------------------------------------------------------

// Bits of an LVT entry that software can set (11.5.1).
static u32 lvt_writable(const struct lapic *l, u32 offset)
{
    switch (offset) {
    case APIC_LVT_TIMER:
        return l->config.tsc_deadline ? 0x700ff : 0x300ff;
    case APIC_LVT_LINT0:
    case APIC_LVT_LINT1:
        return 0x1a7ff;
    case APIC_LVT_ERROR:
        return 0x100ff;
    default:
        return 0x107ff;
    }
}

static u32 svr_writable(const struct lapic *l)
{
    return 0xff | SVR_ENABLE | SVR_FOCUS | (l->config.eoi_suppression ? SVR_SUPPRESS_EOI : 0u);
}

// Bits that WRMSR takes without #GP: all but the reserved ones; read-only status bits are ignored.
static u32 x2apic_accepted(const struct lapic *l, u32 offset)
{
    switch (offset) {
    case APIC_EOI:
    case APIC_ESR:
        return 0;
    case APIC_TPR:
    case APIC_SELF_IPI:
        return 0xff;
    case APIC_SVR:
        return svr_writable(l);
    case APIC_DIVIDE:
        return 0xb;
    case APIC_INITIAL_COUNT:
        return ~0u;
    case APIC_LVT_LINT0:
    case APIC_LVT_LINT1:
        return lvt_writable(l, offset) | ICR_DELIVERY_STATUS | LVT_REMOTE_IRR;
    default:
        return lvt_writable(l, offset) | ICR_DELIVERY_STATUS;
    }
}

static u32 read_register(struct lapic *l, u32 offset, u64 now)
{
    if (offset == APIC_CURRENT_COUNT)
        return lapic_timer_current(l, now);
    if (offset == APIC_PPR)
        return lapic_update_ppr(l);
    return reg(l, offset);
}

static void write_lvt(struct lapic *l, u32 offset, u32 value, u64 now)
{
    value &= lvt_writable(l, offset);
    if (!lapic_enabled(l))
        value |= LVT_MASKED; // 11.4.7.2
    if (offset == APIC_LVT_TIMER) {
        lapic_timer_write_lvt(l, value, now);
        return;
    }
    if (offset == APIC_LVT_LINT0 && l->lint0_remote_irr)
        value |= LVT_REMOTE_IRR;
    set_reg(l, offset, value);
    if (offset == APIC_LVT_LINT0)
        lapic_lint0_level(l);
}

static void write_svr(struct lapic *l, u32 value, u64 now)
{
    set_reg(l, APIC_SVR, value & svr_writable(l));
    if (!(value & SVR_ENABLE)) {
        lapic_timer_mask(l, now);
        for (u32 lvt = APIC_LVT_THERMAL; lvt <= APIC_LVT_ERROR; lvt += 16)
            set_reg(l, lvt, reg(l, lvt) | LVT_MASKED);
    }
    lapic_publish(l);
}

static void write_icr_low(struct lapic *l, u32 value)
{
    value &= ~(u32)(ICR_RESERVED | ICR_DELIVERY_STATUS);
    set_reg(l, APIC_ICR_LOW, value);
    if (l->base & APIC_BASE_EXTD)
        lapic_write_icr(l, value, reg(l, APIC_ICR_LOW + 4));
    else
        lapic_write_icr(l, value, lapic_destination((u8)(reg(l, APIC_ICR_HIGH) >> 24)));
}

// Carries out a write. Must not need the register's old content: the processor may have put the
// new one there already. Registers that are not writable get theirs back or are left.
static void write_register(struct lapic *l, u32 offset, u32 value, u64 now)
{
    switch (offset) {
    case APIC_EOI:
        set_reg(l, APIC_EOI, 0);
        lapic_eoi(l);
        return;
    case APIC_TPR:
        set_reg(l, APIC_TPR, value & 0xff);
        lapic_update_ppr(l);
        return;
    case APIC_ICR_LOW:
        write_icr_low(l, value);
        return;
    case APIC_ICR_HIGH:
        set_reg(l, APIC_ICR_HIGH, value & 0xff000000);
        return;
    case APIC_SELF_IPI:
        set_reg(l, APIC_SELF_IPI, 0);
        lapic_self_ipi(l, (u8)value);
        return;
    case APIC_ID:
        lapic_load_ids(l);
        return;
    case APIC_LDR:
        set_reg(l, APIC_LDR, value & 0xff000000);
        lapic_publish(l);
        return;
    case APIC_DFR:
        set_reg(l, APIC_DFR, value | 0x0fffffff);
        lapic_publish(l);
        return;
    case APIC_SVR:
        write_svr(l, value, now);
        return;
    case APIC_ESR: // any write latches (11.5.3)
        set_reg(l, APIC_ESR, l->errors);
        l->errors = 0;
        l->error_armed = true;
        return;
    case APIC_LVT_TIMER:
    case APIC_LVT_THERMAL:
    case APIC_LVT_PERFORMANCE:
    case APIC_LVT_LINT0:
    case APIC_LVT_LINT1:
    case APIC_LVT_ERROR:
        write_lvt(l, offset, value, now);
        return;
    case APIC_INITIAL_COUNT:
        lapic_timer_write_initial(l, value, now);
        return;
    case APIC_DIVIDE:
        lapic_timer_write_divide(l, value, now);
        return;
    default:
        return;
    }
}

void lapic_apic_write_done(struct lapic *l, u32 offset, u64 now)
{
    bool x2apic = l->base & APIC_BASE_EXTD;
    offset &= 0xff0;
    u64 present = x2apic ? X2APIC_WRITABLE : XAPIC_WRITABLE | R(APIC_ID);
    if (offset < 0x400 && present >> (offset / 16) & 1)
        write_register(l, offset, reg(l, offset), now);
}

// ---- xAPIC page ----------------------------------------------------------------------------

static bool xapic_present(struct lapic *l, u32 offset)
{
    if (offset < 0x400 && XAPIC_PRESENT >> (offset / 16) & 1)
        return true;
    lapic_error(l, ESR_ILLEGAL_REGISTER);
    return false;
}

u64 lapic_mmio_read(struct lapic *l, u32 offset, u32 size, u64 now)
{
    u64 ones = size < 8 ? BIT(size * 8) - 1 : UINT64_MAX;
    if (lapic_mode(l) != LAPIC_XAPIC)
        return ones;
    offset &= 0xfff;
    u32 byte = offset & 0xf;
    if (!xapic_present(l, offset & 0xff0) || byte >= 4)
        return 0;
    return read_register(l, offset & 0xff0, now) >> (byte * 8) & ones;
}

void lapic_mmio_write(struct lapic *l, u32 offset, u32 size, u64 value, u64 now)
{
    offset &= 0xfff;
    if (lapic_mode(l) != LAPIC_XAPIC || !xapic_present(l, offset & 0xff0))
        return;
    if (size < 4 || offset & 0xf || !(XAPIC_WRITABLE >> (offset / 16) & 1))
        return;
    write_register(l, offset, (u32)value, now);
}

// ---- MSRs ----------------------------------------------------------------------------------

static enum lapic_result x2apic_read(struct lapic *l, u32 index, u64 *value, u64 now)
{
    if (!(l->base & APIC_BASE_EXTD) || index >= 64 || !(X2APIC_READABLE >> index & 1))
        return LAPIC_GP;
    u32 offset = index * 16;
    *value = read_register(l, offset, now);
    if (offset == APIC_ICR_LOW)
        *value |= (u64)reg(l, APIC_ICR_LOW + 4) << 32;
    return LAPIC_OK;
}

static enum lapic_result x2apic_write(struct lapic *l, u32 index, u64 value, u64 now)
{
    if (!(l->base & APIC_BASE_EXTD) || index >= 64 || !(X2APIC_WRITABLE >> index & 1))
        return LAPIC_GP;
    u32 offset = index * 16;
    if (offset == APIC_ICR_LOW) {
        // Bit 12 is reserved here too, but processors ignore it.
        if (value & (u32)ICR_RESERVED)
            return LAPIC_GP;
        set_reg(l, APIC_ICR_LOW + 4, (u32)(value >> 32));
    } else if (value & ~(u64)x2apic_accepted(l, offset)) {
        return LAPIC_GP;
    }
    write_register(l, offset, (u32)value, now);
    return LAPIC_OK;
}

// 11.12.5: the mode goes disabled, xAPIC, x2APIC, disabled, one step at a time.
static enum lapic_result write_base(struct lapic *l, u64 value)
{
    u64 modes = APIC_BASE_EN | APIC_BASE_EXTD;
    u64 accepted = APIC_BASE_BSP | APIC_BASE_EN | (l->config.x2apic ? APIC_BASE_EXTD : 0) |
                   ((BIT(l->config.phys_bits) - 1) & PAGE_MASK);
    u64 old = l->base;
    if (value & ~accepted || (value & modes) == APIC_BASE_EXTD)
        return LAPIC_GP;
    if ((value & modes) == modes && !(old & APIC_BASE_EN))
        return LAPIC_GP; // disabled to x2APIC
    if ((value & modes) == APIC_BASE_EN && old & APIC_BASE_EXTD)
        return LAPIC_GP; // x2APIC to xAPIC
    l->base = value;
    if (old & ~value & APIC_BASE_EN) {
        lapic_reset_registers(l); // 11.4.3: back to the state after reset
    } else if (value & ~old & APIC_BASE_EXTD) {
        // Kept but for ID, LDR and the ICR's high half, which is another word now (11.12.5.1).
        lapic_load_ids(l);
    } else if (value & ~old & APIC_BASE_EN) {
        lapic_load_ids(l);
    }
    lapic_publish(l);
    if ((old ^ value) & ~APIC_BASE_BSP && l->ops->base)
        l->ops->base(l->ctx);
    return LAPIC_OK;
}

enum lapic_result lapic_msr_read(struct lapic *l, u32 msr, u64 *value, u64 now)
{
    if (msr >= MSR_IA32_X2APIC && msr <= MSR_IA32_X2APIC_LAST)
        return x2apic_read(l, msr - MSR_IA32_X2APIC, value, now);
    if (msr == MSR_IA32_APIC_BASE) {
        *value = l->base;
        return LAPIC_OK;
    }
    if (msr != MSR_IA32_TSC_DEADLINE)
        return LAPIC_NOT_MINE;
    if (!l->config.tsc_deadline)
        return LAPIC_GP;
    *value = lapic_read_tsc_deadline(l, now);
    return LAPIC_OK;
}

enum lapic_result lapic_msr_write(struct lapic *l, u32 msr, u64 value, u64 now)
{
    if (msr >= MSR_IA32_X2APIC && msr <= MSR_IA32_X2APIC_LAST)
        return x2apic_write(l, msr - MSR_IA32_X2APIC, value, now);
    if (msr == MSR_IA32_APIC_BASE)
        return write_base(l, value);
    if (msr != MSR_IA32_TSC_DEADLINE)
        return LAPIC_NOT_MINE;
    if (!l->config.tsc_deadline)
        return LAPIC_GP;
    lapic_write_tsc_deadline(l, value, now);
    return LAPIC_OK;
}
