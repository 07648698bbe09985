// SPDX-License-Identifier: MIT
// The APIC's core: IRR, ISR, TMR and priorities, interrupts in and out, reset.
#include "vcpu/lapic_internal.h"
#include "x86/bits.h"

enum { // lapic_remote.flags
    REMOTE_VECTORS = 1 << 0,
    REMOTE_ILLEGAL = 1 << 1, // a vector below 16 came
};

enum { VERSION = 0x15, MAX_LVT = 5, VERSION_SUPPRESS_EOI = 1 << 24 };

// ---- 256-bit registers ---------------------------------------------------------------------

// The word of ISR, TMR or IRR that holds the vector.
static inline u32 *word(struct lapic *l, u32 base, u8 vector)
{
    return &l->regs[(base + (vector >> 5) * 16) / 4];
}

static inline u32 bit(u8 vector)
{
    return 1u << (vector & 31);
}

static inline int highest(const struct lapic *l, u32 base)
{
    const u32 *r = &l->regs[base / 4];
    for (int i = 7; i >= 0; i--)
        if (r[i * 4])
            return i * 32 + 31 - __builtin_clz(r[i * 4]);
    return -1;
}

int lapic_highest_irr(const struct lapic *l)
{
    return highest(l, APIC_IRR);
}

int lapic_highest_isr(const struct lapic *l)
{
    return highest(l, APIC_ISR);
}

// TMR and its copy for senders. A bit is cleared for edge and set for level on acceptance (11.8.4).
static void set_trigger(struct lapic *l, u8 vector, bool level)
{
    u64 old = l->level[vector >> 6];
    u64 new = level ? old | BIT(vector & 63) : old & ~BIT(vector & 63);
    if (new == old)
        return;
    if (level)
        *word(l, APIC_TMR, vector) |= bit(vector);
    else
        *word(l, APIC_TMR, vector) &= ~bit(vector);
    // A sender who sees this uses the descriptor; the owner writes the EOI-exit bitmap before the
    // processor can empty that.
    __atomic_store_n(&l->level[vector >> 6], new, __ATOMIC_RELEASE);
    l->changed |= LAPIC_CHANGED_EOI_BITMAP;
}

static void accept_into_irr(struct lapic *l, u8 vector, bool level)
{
    set_trigger(l, vector, level);
    *word(l, APIC_IRR, vector) |= bit(vector);
    l->irr_pending = true;
    l->changed |= LAPIC_CHANGED_STATUS;
    l->added = MAX(l->added, vector);
}

// ---- reset ---------------------------------------------------------------------------------

void lapic_publish(struct lapic *l)
{
    enum lapic_mode mode = LAPIC_DISABLED;
    if (l->base & APIC_BASE_EN)
        mode = (l->base & APIC_BASE_EXTD) ? LAPIC_X2APIC : LAPIC_XAPIC;
    u64 address = l->config.apic_id | (u64)mode << LAPIC_ADDRESS_MODE_SHIFT |
                  (u64)(reg(l, APIC_LDR) >> 24) << LAPIC_ADDRESS_LOGICAL_SHIFT;
    if (reg(l, APIC_DFR) >> 28 == 0)
        address |= LAPIC_ADDRESS_CLUSTER;
    if (mode != LAPIC_DISABLED && reg(l, APIC_SVR) & SVR_ENABLE)
        address |= LAPIC_ADDRESS_ENABLED;
    __atomic_store_n(&l->address, address, __ATOMIC_RELEASE);
}

void lapic_load_ids(struct lapic *l)
{
    u32 id = l->config.apic_id;
    if (l->base & APIC_BASE_EXTD) {
        set_reg(l, APIC_ID, id);
        set_reg(l, APIC_LDR, (id >> 4) << 16 | 1u << (id & 0xf)); // 11.12.10.2
    } else {
        set_reg(l, APIC_ID, id << 24);
    }
}

static void drop_posted(struct lapic *l)
{
    pid_acknowledge(l->pid);
    __atomic_store_n(&l->remote.flags, 0, __ATOMIC_SEQ_CST);
    for (u32 i = 0; i < 4; i++) {
        pid_take(l->pid, i);
        __atomic_store_n(&l->remote.to_edge[i], 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&l->remote.to_level[i], 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&l->level[i], 0, __ATOMIC_RELEASE);
    }
}

// 11.4.7.1. The lines LINT0 and LINT1 belong to the platform and stay.
void lapic_reset_registers(struct lapic *l)
{
    memset(l->regs, 0, PAGE_SIZE);
    lapic_load_ids(l);
    set_reg(l, APIC_VERSION,
            VERSION | MAX_LVT << 16 | (l->config.eoi_suppression ? VERSION_SUPPRESS_EOI : 0u));
    set_reg(l, APIC_DFR, ~0u);
    set_reg(l, APIC_SVR, 0xff);
    for (u32 lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 16)
        set_reg(l, lvt, LVT_MASKED);
    l->errors = 0;
    l->error_armed = true;
    l->lint0_remote_irr = false;
    l->irr_pending = false;
    l->changed = LAPIC_CHANGED_STATUS | LAPIC_CHANGED_EOI_BITMAP;
    l->recount = true;
    lapic_timer_reset(l);
    lapic_publish(l); // before the drop: senders see the APIC disabled from here on
    drop_posted(l);
}

COLD void lapic_reset(struct lapic *l, bool init_only)
{
    if (!init_only)
        l->base = APIC_BASE_RESET | APIC_BASE_EN | (l->config.bsp ? APIC_BASE_BSP : 0);
    lapic_reset_registers(l);
}

COLD void lapic_init(struct lapic *l, void *page, struct posted_interrupt_descriptor *pid,
                     const struct lapic_config *config, const struct lapic_ops *ops, void *ctx)
{
    memset(l, 0, sizeof(*l));
    l->regs = page;
    l->pid = pid;
    l->config = *config;
    if (l->config.timer_hz == 0)
        l->config.timer_hz = l->config.tsc_hz;
    l->ops = ops;
    l->ctx = ctx;
    lapic_reset(l, false);
}

void lapic_virtual_wire(struct lapic *l)
{
    set_reg(l, APIC_SVR, SVR_ENABLE | 0xff);
    set_reg(l, APIC_LVT_LINT0, LAPIC_EXTINT << 8);
    set_reg(l, APIC_LVT_LINT1, LAPIC_NMI << 8);
    lapic_publish(l);
}

// ---- in ------------------------------------------------------------------------------------

// The trigger mode differs from the TMR's: only the owner may change that, so the vector waits
// beside the descriptor until it syncs. Were it in PIR, the processor could take it, and its EOI
// would pass without the exit.
static enum lapic_posted post_at_door(struct lapic *l, u8 vector, bool level)
{
    u64 *vectors = level ? l->remote.to_level : l->remote.to_edge;
    __atomic_fetch_or(&vectors[vector >> 6], BIT(vector & 63), __ATOMIC_SEQ_CST);
    u32 old = __atomic_fetch_or(&l->remote.flags, REMOTE_VECTORS, __ATOMIC_SEQ_CST);
    return old & REMOTE_VECTORS ? LAPIC_POSTED : LAPIC_KICK;
}

enum lapic_posted lapic_post(struct lapic *l, u8 vector, bool level)
{
    if (!lapic_enabled(l))
        return LAPIC_DROPPED;
    if (vector < FIRST_LEGAL_VECTOR) {
        u32 old = __atomic_fetch_or(&l->remote.flags, REMOTE_ILLEGAL, __ATOMIC_SEQ_CST);
        return old & REMOTE_ILLEGAL ? LAPIC_POSTED : LAPIC_KICK;
    }
    u64 known = __atomic_load_n(&l->level[vector >> 6], __ATOMIC_ACQUIRE);
    if ((known >> (vector & 63) & 1) != level)
        return post_at_door(l, vector, level);
    return pid_post(l->pid, vector) ? LAPIC_NOTIFY : LAPIC_POSTED;
}

// posted: what the descriptor held.
static NOINLINE void drain_door(struct lapic *l, const u64 posted[4])
{
    // Flags first: a sender sets its bit, then the flag, so a bit missed here has its flag to come.
    u32 flags = __atomic_exchange_n(&l->remote.flags, 0, __ATOMIC_SEQ_CST);
    for (u32 i = 0; flags & REMOTE_VECTORS && i < 4; i++) {
        u64 edge = __atomic_exchange_n(&l->remote.to_edge[i], 0, __ATOMIC_SEQ_CST);
        u64 level = __atomic_exchange_n(&l->remote.to_level[i], 0, __ATOMIC_SEQ_CST);
        // A vector that comes both ways needs its EOI broadcast. One that waits here as edge and
        // in the descriptor too is there as level.
        edge &= ~(level | posted[i]);
        for (; edge; edge &= edge - 1)
            accept_into_irr(l, (u8)(i * 64 + (u32)__builtin_ctzll(edge)), false);
        for (; level; level &= level - 1)
            accept_into_irr(l, (u8)(i * 64 + (u32)__builtin_ctzll(level)), true);
    }
    if (flags & REMOTE_ILLEGAL)
        lapic_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
}

// taken: from the descriptor's word i.
static inline void accept_posted(struct lapic *l, u32 i, u64 taken)
{
    u32 *irr = &l->regs[APIC_IRR / 4 + i * 8];
    irr[0] |= (u32)taken;
    irr[4] |= (u32)(taken >> 32);
    l->added = MAX(l->added, (u8)(i * 64 + 63 - (u32)__builtin_clzll(taken)));
    l->irr_pending = true;
    l->changed |= LAPIC_CHANGED_STATUS;
}

u32 lapic_sync_slow(struct lapic *l)
{
    u64 posted[4] = {0};
    if (pid_acknowledge(l->pid)) {
        for (u32 i = 0; i < 4; i++) {
            u64 taken = pid_take(l->pid, i);
            if (taken == 0)
                continue;
            posted[i] = taken;
            accept_posted(l, i, taken);
        }
    }
    if (__atomic_load_n(&l->remote.flags, __ATOMIC_ACQUIRE))
        drain_door(l, posted);
    u32 changed = l->changed;
    l->changed = 0;
    return changed;
}

void lapic_error(struct lapic *l, u32 esr_bits)
{
    l->errors |= esr_bits;
    if (!l->error_armed)
        return;
    l->error_armed = false; // first: the error entry's own vector may be illegal
    l->error_armed = !lapic_lvt_event(l, APIC_LVT_ERROR);
}

void lapic_deliver(struct lapic *l, enum lapic_delivery mode, u8 vector, bool level)
{
    if (lapic_mode(l) == LAPIC_DISABLED)
        return;
    switch (mode) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST_PRIORITY:
        if (!lapic_enabled(l))
            return; // 11.4.7.2
        if (vector < FIRST_LEGAL_VECTOR)
            lapic_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
        else
            accept_into_irr(l, vector, level);
        return;
    case LAPIC_NMI:
        if (l->ops->nmi)
            l->ops->nmi(l->ctx);
        return;
    case LAPIC_INIT:
        if (l->ops->init)
            l->ops->init(l->ctx);
        return;
    case LAPIC_SIPI:
        if (l->ops->sipi)
            l->ops->sipi(l->ctx, vector);
        return;
    case LAPIC_EXTINT:
        if (l->ops->extint)
            l->ops->extint(l->ctx);
        return;
    case LAPIC_SMI:
        return;
    }
}

// ---- out -----------------------------------------------------------------------------------

// 11.8.3.1, with the choice of 30.1.3 where TPR and ISR are of one class. Returns PPR.
u32 lapic_update_ppr(struct lapic *l)
{
    u32 tpr = reg(l, APIC_TPR) & 0xff;
    int top = highest(l, APIC_ISR);
    u32 isr = top < 0 ? 0 : (u32)top & 0xf0;
    u32 ppr = (tpr & 0xf0) >= isr ? tpr : isr;
    set_reg(l, APIC_PPR, ppr);
    return ppr;
}

bool lapic_deliverable(struct lapic *l, u8 *vector)
{
    if (!l->irr_pending && !l->virtual_delivery)
        return false;
    int irr = highest(l, APIC_IRR);
    if (irr < 0) {
        l->irr_pending = false;
        return false;
    }
    *vector = (u8)irr;
    return ((u32)irr & 0xf0) > (lapic_update_ppr(l) & 0xf0);
}

void lapic_accept(struct lapic *l, u8 vector)
{
    *word(l, APIC_IRR, vector) &= ~bit(vector);
    *word(l, APIC_ISR, vector) |= bit(vector);
    lapic_update_ppr(l);
    l->changed |= LAPIC_CHANGED_STATUS;
    l->recount = true;
}

void lapic_eoi_induced(struct lapic *l, u8 vector)
{
    if (!(l->level[vector >> 6] & BIT(vector & 63)))
        return;
    if (l->ops->eoi && !(reg(l, APIC_SVR) & SVR_SUPPRESS_EOI))
        l->ops->eoi(l->ctx, vector);
    if (l->lint0_remote_irr && (u8)reg(l, APIC_LVT_LINT0) == vector) {
        l->lint0_remote_irr = false;
        set_reg(l, APIC_LVT_LINT0, reg(l, APIC_LVT_LINT0) & ~(u32)LVT_REMOTE_IRR);
        lapic_lint0_level(l); // the line may still be asserted
    }
}

void lapic_eoi(struct lapic *l)
{
    int vector = highest(l, APIC_ISR);
    if (vector < 0)
        return;
    *word(l, APIC_ISR, (u8)vector) &= ~bit((u8)vector);
    lapic_update_ppr(l);
    l->changed |= LAPIC_CHANGED_STATUS;
    l->recount = true;
    lapic_eoi_induced(l, (u8)vector);
}

void lapic_set_cr8(struct lapic *l, u64 value)
{
    set_reg(l, APIC_TPR, (u32)(value & 0xf) << 4);
    lapic_update_ppr(l);
}

u32 lapic_tpr_threshold(const struct lapic *l)
{
    if (!l->irr_pending && !l->virtual_delivery)
        return 0;
    int irr = highest(l, APIC_IRR);
    u32 tpr = reg(l, APIC_TPR) >> 4 & 0xf;
    return irr < 0 || tpr < (u32)irr >> 4 ? 0 : (u32)irr >> 4;
}

u16 lapic_guest_interrupt_status(const struct lapic *l)
{
    int rvi = highest(l, APIC_IRR), svi = highest(l, APIC_ISR);
    return (u16)((svi < 0 ? 0 : svi) << 8 | (rvi < 0 ? 0 : rvi));
}
