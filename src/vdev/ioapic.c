// SPDX-License-Identifier: MIT
#include "vdev/ioapic.h"

#include "lib/string.h"

#define RTE_LOGICAL    BIT(11)
#define RTE_STATUS     BIT(12) // delivery status: messages leave at once, so it reads 0
#define RTE_REMOTE_IRR BIT(14)
#define RTE_LEVEL      BIT(15)
#define RTE_MASK       BIT(16)
#define RTE_WRITABLE   0xff0000000001affful

#define REG_ID      0x00
#define REG_VERSION 0x01
#define REG_ARB     0x02
#define REG_RTE     0x10

#define IOREGSEL IOAPIC_SELECT
#define IOWIN    0x10
#define EOIR     0x40

COLD void ioapic_init(struct ioapic *io, void (*send)(void *ctx, const struct ioapic_message *m),
                      void (*routes)(void *ctx), void *ctx)
{
    memset(io, 0, sizeof(*io));
    io->send = send;
    io->routes = routes;
    io->ctx = ctx;
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        io->rte[i] = RTE_MASK;
}

static u8 delivery_mode(u64 rte)
{
    return rte >> 8 & 7;
}

static void send(struct ioapic *io, u64 rte)
{
    struct ioapic_message m = {
        .dest = (u8)(rte >> 56),
        .logical = rte & RTE_LOGICAL,
        .delivery_mode = delivery_mode(rte),
        .vector = (u8)rte,
        .level = rte & RTE_LEVEL,
    };
    io->send(io->ctx, &m);
}

// Sends a level-triggered pin's interrupt unless it is masked or one is on its way. Only fixed
// and lowest-priority interrupts have an EOI; the others are taken as edges.
static void serve_level(struct ioapic *io, unsigned pin)
{
    u64 rte = io->rte[pin];
    if (!(io->lines & BIT(pin)) || !(rte & RTE_LEVEL) || rte & (RTE_MASK | RTE_REMOTE_IRR) ||
        delivery_mode(rte) > 1)
        return;
    io->rte[pin] |= RTE_REMOTE_IRR;
    io->lines &= ~(io->pulses & (u32)BIT(pin));
    send(io, rte);
}

void ioapic_set_irq(struct ioapic *io, unsigned pin, bool level)
{
    if (pin >= IOAPIC_PINS)
        return;
    bool was = io->lines & BIT(pin);
    if (!level) {
        io->lines &= (u32)~BIT(pin);
        return;
    }
    io->lines |= (u32)BIT(pin);
    u64 rte = io->rte[pin];
    if (rte & RTE_LEVEL && delivery_mode(rte) <= 1)
        serve_level(io, pin);
    else if (!was && !(rte & RTE_MASK)) // an edge at a masked pin is lost, as in the 82093AA
        send(io, rte);
}

void ioapic_eoi(struct ioapic *io, u8 vector)
{
    bool changed = false;
    u32 ended = 0;
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        if ((u8)io->rte[i] != vector || !(io->rte[i] & RTE_REMOTE_IRR))
            continue;
        io->rte[i] &= ~RTE_REMOTE_IRR;
        changed |= (io->rte[i] & RTE_MASK) != 0;
        ended |= (u32)BIT(i);
    }
    if (changed && io->routes != NULL)
        io->routes(io->ctx);
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        if (ended & BIT(i))
            serve_level(io, i);
    }
}

void ioapic_level_vectors(const struct ioapic *io, u64 bitmap[4])
{
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        u64 rte = io->rte[i];
        if (rte & RTE_LEVEL && delivery_mode(rte) <= 1 &&
            (!(rte & RTE_MASK) || rte & RTE_REMOTE_IRR))
            bitmap[(u8)rte >> 6] |= BIT(rte & 63);
    }
}

bool ioapic_masked(const struct ioapic *io, unsigned pin)
{
    return pin >= IOAPIC_PINS || io->rte[pin] & RTE_MASK;
}

static void write_rte(struct ioapic *io, unsigned reg, u32 value)
{
    unsigned pin = (reg - REG_RTE) / 2;
    u64 old = io->rte[pin], rte = old;
    if (reg & 1)
        rte = (u32)rte | (u64)value << 32;
    else
        rte = (rte & ~(u64)UINT32_MAX) | value;
    rte = (rte & RTE_WRITABLE) | (old & RTE_REMOTE_IRR);
    if (!(rte & RTE_LEVEL))
        rte &= ~RTE_REMOTE_IRR; // this is how kernels end an interrupt without EOIR
    io->rte[pin] = rte;
    if (io->routes != NULL && (u32)old != (u32)rte)
        io->routes(io->ctx);
    serve_level(io, pin);
}

u32 ioapic_read(const struct ioapic *io, u32 offset)
{
    if (offset == IOREGSEL)
        return io->select;
    if (offset != IOWIN)
        return 0;
    if (io->select == REG_ID || io->select == REG_ARB)
        return (u32)io->id << 24;
    if (io->select == REG_VERSION)
        return (IOAPIC_PINS - 1) << 16 | 0x20;
    unsigned pin = (io->select - REG_RTE) / 2u;
    if (io->select < REG_RTE || pin >= IOAPIC_PINS)
        return 0;
    return (u32)(io->select & 1 ? io->rte[pin] >> 32 : io->rte[pin]);
}

void ioapic_write(struct ioapic *io, u32 offset, u32 value)
{
    if (offset == IOREGSEL)
        io->select = (u8)value;
    else if (offset == EOIR)
        ioapic_eoi(io, (u8)value);
    else if (offset != IOWIN)
        return;
    else if (io->select == REG_ID)
        io->id = value >> 24 & 0xf;
    else if (io->select >= REG_RTE && io->select < REG_RTE + 2 * IOAPIC_PINS)
        write_rte(io, io->select, value);
}
