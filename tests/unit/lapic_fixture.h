// SPDX-License-Identifier: MIT
// An APIC with everything around it recorded, for test_lapic*.c.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "vcpu/lapic.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"

#define TSC_HZ 1000000000ull

struct apic {
    _Alignas(4096) u32 page[1024];
    struct posted_interrupt_descriptor pid;
    struct lapic l;
    struct lapic_message sent;
    u32 sends, eois, nmis, inits, sipis, extints, bases;
    u8 eoi_vector, sipi_vector;
};

static inline void on_send(void *ctx, const struct lapic_message *m)
{
    struct apic *a = ctx;
    a->sent = *m;
    a->sends++;
}
static inline void on_eoi(void *ctx, u8 vector)
{
    struct apic *a = ctx;
    a->eoi_vector = vector;
    a->eois++;
}
static inline void on_nmi(void *ctx)
{
    ((struct apic *)ctx)->nmis++;
}
static inline void on_init(void *ctx)
{
    ((struct apic *)ctx)->inits++;
}
static inline void on_sipi(void *ctx, u8 vector)
{
    struct apic *a = ctx;
    a->sipi_vector = vector;
    a->sipis++;
}
static inline void on_extint(void *ctx)
{
    ((struct apic *)ctx)->extints++;
}
static inline void on_base(void *ctx)
{
    ((struct apic *)ctx)->bases++;
}

static const struct lapic_ops recorder = {
    .send = on_send,
    .eoi = on_eoi,
    .nmi = on_nmi,
    .init = on_init,
    .sipi = on_sipi,
    .extint = on_extint,
    .base = on_base,
};

static const struct lapic_config usual = {
    .x2apic = true,
    .tsc_deadline = true,
    .eoi_suppression = true,
    .phys_bits = 40,
    .tsc_hz = TSC_HZ,
};

static inline void apic_start_with(struct apic *a, u32 id, struct lapic_config config)
{
    memset(a, 0, sizeof(*a));
    config.apic_id = id;
    config.bsp = id == 0;
    lapic_init(&a->l, a->page, &a->pid, &config, &recorder, a);
}

static inline void apic_start(struct apic *a, u32 id)
{
    apic_start_with(a, id, usual);
}

static inline u32 get(struct apic *a, u32 offset)
{
    return (u32)lapic_mmio_read(&a->l, offset, 4, 0);
}
static inline void put(struct apic *a, u32 offset, u32 value)
{
    lapic_mmio_write(&a->l, offset, 4, value, 0);
}
static inline void put_at(struct apic *a, u32 offset, u32 value, u64 now)
{
    lapic_mmio_write(&a->l, offset, 4, value, now);
}

// Powered up and enabled by SVR, in xAPIC mode.
static inline void apic_on(struct apic *a, u32 id)
{
    apic_start(a, id);
    put(a, APIC_SVR, 0x1ff);
    lapic_sync(&a->l);
}

static inline void apic_on_x2apic(struct apic *a, u32 id)
{
    apic_on(a, id);
    u64 base = APIC_BASE_RESET | APIC_BASE_EN | APIC_BASE_EXTD;
    assert_int_equal(lapic_msr_write(&a->l, MSR_IA32_APIC_BASE, base, 0), LAPIC_OK);
}

static inline u64 rd(struct apic *a, u32 msr)
{
    u64 value = 0;
    assert_int_equal(lapic_msr_read(&a->l, msr, &value, 0), LAPIC_OK);
    return value;
}

// Takes what can be delivered as a CPU with IF=1 would. Returns the vector, -1: none.
static inline int take(struct apic *a)
{
    u8 vector;
    lapic_sync(&a->l);
    if (!lapic_deliverable(&a->l, &vector))
        return -1;
    lapic_accept(&a->l, vector);
    return vector;
}
