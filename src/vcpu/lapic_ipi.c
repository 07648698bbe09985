// SPDX-License-Identifier: MIT
// Interprocessor interrupts out (SDM Vol. 3, 11.6.1) and who is meant by a destination (11.6.2).
#include "vcpu/lapic_internal.h"

// ---- out -----------------------------------------------------------------------------------

// Fixed to itself needs no one else. Where the manual calls a combination invalid: NMI to a set
// that contains the sender is sent as it says, INIT, SIPI and SMI are not sent at all.
static bool valid(const struct lapic_message *m)
{
    bool with_self = m->shorthand == LAPIC_TO_SELF || m->shorthand == LAPIC_TO_ALL;
    switch (m->mode) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST_PRIORITY:
    case LAPIC_NMI:
        return true;
    case LAPIC_INIT:
    case LAPIC_SIPI:
        return !with_self;
    case LAPIC_SMI:    // no SMM
    case LAPIC_EXTINT: // reserved in the ICR
        break;
    }
    return false; // and the reserved encoding 3
}

static bool illegal_vector(struct lapic *l, const struct lapic_message *m)
{
    if (m->mode > LAPIC_LOWEST_PRIORITY || m->vector >= FIRST_LEGAL_VECTOR)
        return false;
    lapic_error(l, ESR_SEND_ILLEGAL_VECTOR);
    return true;
}

// low: ICR bits 31:0; dest: 32 bits, as lapic_message has it. IPIs are edge-triggered whatever bit
// 15 says, except INIT level de-assert, which does nothing since the Pentium 4.
void lapic_write_icr(struct lapic *l, u32 low, u32 dest)
{
    struct lapic_message m = {
        .source = l,
        .dest = dest,
        .logical = low >> 11 & 1,
        .vector = (u8)low,
        .mode = (enum lapic_delivery)(low >> 8 & 7),
        .shorthand = (enum lapic_shorthand)(low >> 18 & 3),
    };
    bool deassert = (low & (1u << 15 | 1u << 14)) == 1u << 15;
    if (!valid(&m) || (m.mode == LAPIC_INIT && deassert) || illegal_vector(l, &m))
        return;
    bool self = m.shorthand == LAPIC_TO_SELF ||
                (m.shorthand == LAPIC_TO_DEST && !m.logical && dest == l->config.apic_id);
    if (self && m.mode <= LAPIC_NMI)
        lapic_deliver(l, m.mode, m.vector, false);
    else if (l->ops->send)
        l->ops->send(l->ctx, &m);
}

void lapic_self_ipi(struct lapic *l, u8 vector)
{
    lapic_write_icr(l, (u32)LAPIC_TO_SELF << 18 | vector, 0);
}

// ---- destinations --------------------------------------------------------------------------

bool lapic_matches(const struct lapic *l, u32 dest, bool logical)
{
    u64 address = __atomic_load_n(&l->address, __ATOMIC_ACQUIRE);
    enum lapic_mode mode = (enum lapic_mode)(address >> LAPIC_ADDRESS_MODE_SHIFT & 3);
    u32 id = (u32)(address & LAPIC_ADDRESS_ID);
    if (mode == LAPIC_DISABLED)
        return false;
    if (dest == LAPIC_BROADCAST || (mode == LAPIC_XAPIC && dest == 0xff))
        return true;
    // An ID above 254 in xAPIC mode answers to its x2APIC ID, so that it can be started.
    if (!logical)
        return dest == id;
    if (mode == LAPIC_X2APIC) // 11.12.10.2: cluster 31:16, one bit of 15:0 for each
        return dest >> 16 == id >> 4 && dest >> (id & 0xf) & 1;
    u32 own = address >> LAPIC_ADDRESS_LOGICAL_SHIFT & 0xff;
    if (dest > 0xff)
        return false;
    if (address & LAPIC_ADDRESS_CLUSTER)
        return dest >> 4 == own >> 4 && dest & own & 0xf;
    return dest & own;
}

bool lapic_addressed(const struct lapic *l, const struct lapic_message *m)
{
    switch (m->shorthand) {
    case LAPIC_TO_SELF:
        return l == m->source;
    case LAPIC_TO_ALL:
        return lapic_mode(l) != LAPIC_DISABLED;
    case LAPIC_TO_OTHERS:
        return l != m->source && lapic_mode(l) != LAPIC_DISABLED;
    case LAPIC_TO_DEST:
        break;
    }
    return lapic_matches(l, m->dest, m->logical);
}

struct lapic *lapic_arbitrate(struct lapic *const *all, u32 n, const struct lapic_message *m,
                              u32 *turn)
{
    struct lapic *best = NULL;
    u32 best_class = 16;
    u32 first = n ? __atomic_load_n(turn, __ATOMIC_RELAXED) % n : 0;
    for (u32 i = 0; i < n; i++) {
        struct lapic *l = all[first + i < n ? first + i : first + i - n];
        if (!lapic_addressed(l, m) || !lapic_enabled(l))
            continue;
        u32 class = __atomic_load_n(&l->regs[APIC_TPR / 4], __ATOMIC_RELAXED) >> 4 & 0xf;
        if (class < best_class) {
            best = l;
            best_class = class;
        }
    }
    if (best)
        __atomic_fetch_add(turn, 1, __ATOMIC_RELAXED);
    return best;
}
