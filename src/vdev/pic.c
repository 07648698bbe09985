// SPDX-License-Identifier: MIT
#include "vdev/pic.h"

#include "lib/string.h"

#define CASCADE 2 // the master's input that the slave drives

#define ICW1_INIT   BIT(4)
#define ICW1_SINGLE BIT(1)
#define ICW1_ICW4   BIT(0)
#define ICW4_SFNM   BIT(4)
#define ICW4_AEOI   BIT(1)

#define OCW3_SELECT BIT(3)
#define OCW3_ESMM   BIT(6)
#define OCW3_SMM    BIT(5)
#define OCW3_POLL   BIT(2)
#define OCW3_RR     BIT(1)
#define OCW3_RIS    BIT(0)

COLD void pic_init(struct pic *p, void (*output)(void *ctx, bool level), void *ctx)
{
    memset(p, 0, sizeof(*p));
    p->output = output;
    p->ctx = ctx;
    p->chip[0].master = true;
    p->chip[0].elcr_mask = 0xf8; // IRQ 0, 1, 2 are always edge-triggered
    p->chip[1].elcr_mask = 0xde; // so are IRQ 8 and 13
    p->chip[0].lowest = p->chip[1].lowest = 7;
}

// The slave's INT reaches the master as a level, whatever else is edge-triggered: the slave drops
// it at each acknowledge and raises it again by itself.
static u8 irr(const struct pic_chip *c)
{
    u8 level = c->master ? c->elcr | (u8)BIT(CASCADE) : c->elcr;
    return (c->edges & ~level) | (c->lines & level);
}

// The input that would be acknowledged now, or -1.
static int request(const struct pic_chip *c)
{
    if (!c->ready)
        return -1;
    u8 wanted = irr(c) & ~c->imr;
    if (wanted == 0) // as nearly always
        return -1;
    u8 serving = c->special_mask ? c->isr & ~c->imr : c->isr;
    for (unsigned i = 1; i <= 8; i++) {
        unsigned n = (c->lowest + i) & 7;
        bool wants = wanted & BIT(n);
        if (serving & BIT(n)) {
            // In special fully nested mode a slave in service may interrupt again.
            bool nests = c->master && c->special_nested && n == CASCADE;
            return nests && wants ? (int)n : -1;
        }
        if (wants)
            return (int)n;
    }
    return -1;
}

static void update(struct pic *p)
{
    if (request(&p->chip[1]) >= 0)
        p->chip[0].lines |= BIT(CASCADE);
    else
        p->chip[0].lines &= (u8)~BIT(CASCADE);

    bool level = request(&p->chip[0]) >= 0;
    if (level != p->level) {
        p->level = level;
        p->output(p->ctx, level);
    }
}

void pic_set_irq(struct pic *p, unsigned irq, bool level)
{
    if (irq >= PIC_IRQS || irq == CASCADE)
        return;
    struct pic_chip *c = &p->chip[irq >> 3];
    u8 bit = (u8)BIT(irq & 7);
    if (level) {
        c->edges |= bit & ~c->lines;
        c->lines |= bit;
    } else {
        // An input must stay high until it is acknowledged, in both trigger modes.
        c->edges &= ~bit;
        c->lines &= ~bit;
    }
    update(p);
}

static void chip_ack(struct pic_chip *c, unsigned n)
{
    c->edges &= (u8)~BIT(n);
    if (!c->auto_eoi)
        c->isr |= BIT(n);
    else if (c->rotate_auto)
        c->lowest = (u8)n;
}

u8 pic_ack(struct pic *p, unsigned *irq)
{
    struct pic_chip *c = &p->chip[0];
    unsigned taken = PIC_IRQS;
    int n = request(c);
    u8 vector = c->base + 7;
    if (n == CASCADE) {
        struct pic_chip *slave = &p->chip[1];
        int m = request(slave);
        chip_ack(c, CASCADE);
        vector = slave->base + 7;
        if (m >= 0) {
            chip_ack(slave, (unsigned)m);
            vector = slave->base + (u8)m;
            taken = 8 + (unsigned)m;
        }
    } else if (n >= 0) {
        chip_ack(c, (unsigned)n);
        vector = c->base + (u8)n;
        taken = (unsigned)n;
    }
    update(p);
    if (irq != NULL)
        *irq = taken;
    return vector;
}

bool pic_masked(const struct pic *p, unsigned irq)
{
    const struct pic_chip *c = &p->chip[irq >> 3 & 1];
    if (!c->ready || c->imr & BIT(irq & 7))
        return true;
    return !c->master && (!p->chip[0].ready || p->chip[0].imr & BIT(CASCADE));
}

bool pic_requested(const struct pic *p, unsigned irq)
{
    return irr(&p->chip[irq >> 3 & 1]) & BIT(irq & 7);
}

static void write_icw1(struct pic_chip *c, u8 value)
{
    c->icw1 = value;
    c->icw_next = 2;
    c->ready = false;
    c->edges = c->imr = c->isr = 0; // an edge must come anew
    c->lowest = 7;
    c->read_isr = c->poll = c->special_mask = false;
    c->rotate_auto = false;
    if (!(value & ICW1_ICW4))
        c->special_nested = c->auto_eoi = false;
}

// ICW2 to ICW4, in the order that ICW1 asked for. ICW3 (where the slave is) is fixed by wiring.
static void write_icw(struct pic_chip *c, u8 value)
{
    u8 word = c->icw_next;
    if (word == 2)
        c->base = value & 0xf8;
    if (word == 4) {
        c->special_nested = value & ICW4_SFNM;
        c->auto_eoi = value & ICW4_AEOI;
    }
    if (word == 2 && !(c->icw1 & ICW1_SINGLE))
        c->icw_next = 3;
    else if (word != 4 && c->icw1 & ICW1_ICW4)
        c->icw_next = 4;
    else
        c->icw_next = 0;
    c->ready = c->icw_next == 0;
}

// The input that a non-specific EOI ends, or -1.
static int highest_in_service(const struct pic_chip *c)
{
    u8 serving = c->special_mask ? c->isr & ~c->imr : c->isr;
    for (unsigned i = 1; i <= 8; i++) {
        unsigned n = (c->lowest + i) & 7;
        if (serving & BIT(n))
            return (int)n;
    }
    return -1;
}

static void write_ocw2(struct pic_chip *c, u8 value)
{
    bool rotate = value & BIT(7), specific = value & BIT(6), eoi = value & BIT(5);
    int n = specific ? value & 7 : highest_in_service(c);

    if (!eoi && !specific) {
        c->rotate_auto = rotate;
        return;
    }
    if (n < 0)
        return;
    if (eoi)
        c->isr &= (u8)~BIT(n);
    if (rotate)
        c->lowest = (u8)n;
}

static void write_ocw3(struct pic_chip *c, u8 value)
{
    if (value & OCW3_ESMM)
        c->special_mask = value & OCW3_SMM;
    if (value & OCW3_POLL)
        c->poll = true;
    else if (value & OCW3_RR)
        c->read_isr = value & OCW3_RIS;
}

void pic_write(struct pic *p, u16 port, u8 value)
{
    struct pic_chip *c = &p->chip[port >= 0x4d0 ? port & 1 : port >> 7 & 1];
    if (port >= 0x4d0)
        c->elcr = value & c->elcr_mask;
    else if (port & 1) {
        if (c->icw_next != 0)
            write_icw(c, value);
        else
            c->imr = value;
    } else if (value & ICW1_INIT)
        write_icw1(c, value);
    else if (value & OCW3_SELECT)
        write_ocw3(c, value);
    else
        write_ocw2(c, value);
    update(p);
}

u8 pic_read(struct pic *p, u16 port)
{
    if (port >= 0x4d0)
        return p->chip[port & 1].elcr;
    struct pic_chip *c = &p->chip[port >> 7 & 1];
    if (c->poll) {
        c->poll = false;
        int n = request(c);
        if (n < 0)
            return 0;
        chip_ack(c, (unsigned)n);
        update(p);
        return (u8)(0x80 | n);
    }
    if (port & 1)
        return c->imr;
    return c->read_isr ? c->isr : irr(c);
}
