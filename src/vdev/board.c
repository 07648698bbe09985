// SPDX-License-Identifier: MIT
#include "vdev/board_internal.h"

#include "lib/string.h"
#include "vdev/ticks.h"

#define IRQ_PIT  0
#define IRQ_COM2 3
#define IRQ_COM1 4
#define PIN_PIT  2 // where the MADT's override puts IRQ 0

// A guest may program the PIT to 600 kHz; the host's time is kept from such rates.
#define PIT_EVENTS_PER_SECOND 50000

// How long a backlog of PIT ticks may grow, as a fraction of a second.
#define PENDING_FRACTION 10

// ---- wires ---------------------------------------------------------------------------------

static unsigned ioapic_pin(unsigned irq)
{
    return irq == IRQ_PIT ? PIN_PIT : irq;
}

bool board_pit_periodic(const struct board *b)
{
    const struct pit_channel *c = &b->pit.channel[0];
    return c->counting && (c->mode == 2 || c->mode == 3);
}

// A vCPU that lost its core for a while must not lose ticks by which its kernel counts time: those
// that find their predecessor unserved in the PIC follow at its acknowledge.
void board_add_pending_ticks(struct board *b, u32 ticks)
{
    if (board_pit_periodic(b) && !pic_masked(&b->pic, IRQ_PIT))
        b->pending_ticks = MIN(b->pending_ticks + ticks,
                               (u32)(PIT_HZ / PENDING_FRACTION) / b->pit.channel[0].count);
}

void board_isa_irq(void *ctx, unsigned irq, bool level)
{
    struct board *b = ctx;
    if (irq == IRQ_PIT) {
        if (pic_requested(&b->pic, IRQ_PIT))
            board_add_pending_ticks(b, 1);
        pic_set_irq(&b->pic, IRQ_PIT, false); // a rise is an edge, whatever was pending before
    }
    if (b->edges & BIT(irq)) { // so it is here, and one of our own devices may share the line
        if (!level)
            return;
        pic_set_irq(&b->pic, irq, false);
        ioapic_set_irq(&b->ioapic, irq, false);
    }
    pic_set_irq(&b->pic, irq, level);
    ioapic_set_irq(&b->ioapic, ioapic_pin(irq), level);
    if (irq == RTC_PIN && level && rtc_alarmed(&b->rtc)) // it wakes, too
        acpipm_rtc_alarm(&b->pm);
}

static void pic_output(void *ctx, bool level)
{
    struct board *b = ctx;
    b->call.intr(b->ctx, level);
}

static void ioapic_send(void *ctx, const struct ioapic_message *m)
{
    struct board *b = ctx;
    b->call.msi(b->ctx, m);
}

static void ioapic_routes(void *ctx)
{
    struct board *b = ctx;
    if (b->call.routes != NULL)
        b->call.routes(b->ctx);
}

// ---- timers --------------------------------------------------------------------------------

static u64 due(const struct board *b, enum board_timer t)
{
    switch (t) {
    case TIMER_PIT:
        return pit_deadline(&b->pit);
    case TIMER_RTC:
        return rtc_deadline(&b->rtc);
    case TIMER_PM:
        return acpipm_deadline(&b->pm);
    case TIMER_COM1:
        return vuart_deadline(&b->com1);
    default:
        return vuart_deadline(&b->com2);
    }
}

void board_update_due(struct board *b, enum board_timer t)
{
    u64 at = due(b, t);
    if (at == b->due[t])
        return;
    b->moved = true;
    b->due[t] = at;
    b->first_due = NEVER;
    for (unsigned i = 0; i < BOARD_TIMERS; i++)
        b->first_due = MIN(b->first_due, b->due[i]);
}

void board_expire_pit(struct board *b, u64 now)
{
    pit_expire(&b->pit, now);
    board_add_pending_ticks(b, b->pit.dropped);
    b->pit.dropped = 0;
    b->pit_expired = now;
    b->moved = true;
    board_update_due(b, TIMER_PIT);
}

void board_expire(struct board *b, u64 now)
{
    now = board_advance(b, now);
    if (now < b->first_due)
        return;
    if (now >= b->due[TIMER_PIT])
        board_expire_pit(b, now);
    if (now >= b->due[TIMER_RTC]) {
        rtc_expire(&b->rtc, now);
        board_update_due(b, TIMER_RTC);
    }
    if (now >= b->due[TIMER_PM]) {
        acpipm_expire(&b->pm, now);
        board_update_due(b, TIMER_PM);
    }
    if (now >= b->due[TIMER_COM1]) {
        vuart_expire(&b->com1, now);
        board_update_due(b, TIMER_COM1);
    }
    if (now >= b->due[TIMER_COM2]) {
        vuart_expire(&b->com2, now);
        board_update_due(b, TIMER_COM2);
    }
}

static inline bool masked(const struct board *b, unsigned irq)
{
    return pic_masked(&b->pic, irq) && ioapic_masked(&b->ioapic, ioapic_pin(irq));
}

// Whether the clock's alarm ends the guest's sleep by the SCI.
static bool alarm_wakes(const struct board *b)
{
    return acpipm_waits_for_rtc(&b->pm) && !masked(b, ACPI_SCI);
}

u64 board_deadline(struct board *b)
{
    static const u8 irq[BOARD_TIMERS] = {IRQ_PIT, RTC_PIN, ACPI_SCI, IRQ_COM1, IRQ_COM2};
    u64 next = NEVER;
    b->moved = false;
    for (unsigned t = 0; t < BOARD_TIMERS; t++) {
        u64 at = b->due[t];
        // An interrupt that is masked everywhere can wait until someone looks.
        if (at >= next || (masked(b, irq[t]) && (t != TIMER_RTC || !alarm_wakes(b))))
            continue;
        if (t == TIMER_PIT)
            at = MAX(at, b->pit_expired + b->pit.tsc_hz / PIT_EVENTS_PER_SECOND);
        next = MIN(next, at);
    }
    return next;
}

// ---- start and reset -----------------------------------------------------------------------

static void write_ports(struct board *b, const u16 (*list)[2], unsigned count, u64 now)
{
    for (unsigned i = 0; i < count; i++) {
        u32 value = list[i][1];
        board_io(b, list[i][0], 1, true, &value, now);
    }
}

static void power_on(struct board *b, u64 tsc_hz, u64 now)
{
    static const u16 firmware[][2] = {
        {0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xff}, // PIC master
        {0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0xff}, // PIC slave
        {0x43, 0x36}, {0x40, 0x00}, {0x40, 0x00},                             // PIT 0: 18.2 Hz
        {0x43, 0x54}, {0x41, 0x12},                                           // PIT 1: refresh
    };
    struct irq_line isa = {board_isa_irq, b};
    pic_init(&b->pic, pic_output, b);
    ioapic_init(&b->ioapic, ioapic_send, ioapic_routes, b);
    // Nobody tells when a host device's line falls, so there is nothing to be had but edges.
    b->pic.chip[0].elcr_mask &= (u8)~b->edges;
    b->ioapic.pulses = b->edges;
    pit_init(&b->pit, tsc_hz, now, isa);
    sysctrl_init(&b->sysctrl, b->call.reset, b->call.exit, b->ctx);
    kbc_init(&b->kbc, isa, b->call.reset, b->ctx);
    fwcfg_select(&b->fwcfg, 0);
    b->pending_ticks = 0;
    write_ports(b, firmware, ARRAY_SIZE(firmware), now);
    board_set_levels(b, now);
    for (unsigned t = 0; t < BOARD_TIMERS; t++)
        board_update_due(b, t);
    b->moved = true; // all interrupts are masked again
}

// The sizes that a PC's firmware leaves in CMOS RAM.
static void fill_cmos(struct board *b, const struct board_config *c)
{
    u8 *cmos = b->rtc.cmos;
    u64 above_1m = c->memory_below_4g > MiB ? c->memory_below_4g - MiB : 0;
    u64 above_16m = c->memory_below_4g > 16 * MiB ? c->memory_below_4g - 16 * MiB : 0;
    u64 kib = MIN(above_1m / KiB, 0xffffu);
    u64 high = c->memory_above_4g / (64 * KiB);
    u16 sum = 0;

    cmos[0x14] = 0x02; // equipment: a coprocessor
    cmos[0x15] = 640 & 0xff;
    cmos[0x16] = 640 >> 8;
    cmos[0x17] = cmos[0x30] = (u8)kib;
    cmos[0x18] = cmos[0x31] = (u8)(kib >> 8);
    above_16m = MIN(above_16m / (64 * KiB), 0xffffu);
    cmos[0x34] = (u8)above_16m;
    cmos[0x35] = (u8)(above_16m >> 8);
    cmos[0x5b] = (u8)high;
    cmos[0x5c] = (u8)(high >> 8);
    cmos[0x5d] = (u8)(high >> 16);
    cmos[0x5f] = (u8)(c->fwcfg.vcpus - 1);
    for (unsigned i = 0x10; i <= 0x2d; i++)
        sum += cmos[i];
    cmos[0x2e] = (u8)(sum >> 8);
    cmos[0x2f] = (u8)sum;
}

enum error board_init(struct board *b, const struct board_config *c, u64 now)
{
    if (c->tsc_hz < BOARD_MIN_TSC_HZ) {
        if (c->why != NULL)
            text_add(c->why, "the TSC is too slow for its devices");
        return ERR_INVALID;
    }
    memset(b, 0, sizeof(*b));
    b->call = c->call;
    b->ctx = c->ctx;
    b->now = now;

    struct irq_line isa = {board_isa_irq, b};
    rtc_init(&b->rtc, c->tsc_hz, c->wall_clock, now, isa);
    acpipm_init(&b->pm, c->tsc_hz, now, isa, c->call.shutdown, c->ctx);
    vuart_init(&b->com1, c->tsc_hz, true, IRQ_COM1, isa, c->call.transmit, c->ctx);
    vuart_init(&b->com2, c->tsc_hz, false, IRQ_COM2, isa, NULL, NULL);
    debugport_init(&b->debug, c->call.transmit, c->ctx);
    b->host_uarts = c->host_uarts;
    b->edges =
        (u8)((c->host_uarts & 5 ? BIT(IRQ_COM1) : 0) | (c->host_uarts & 10 ? BIT(IRQ_COM2) : 0));
    fwcfg_init(&b->fwcfg, &c->fwcfg);
    fill_cmos(b, c);
    bus_init(&b->bus);
    board_init_pci(b);
    enum error e = board_register(b, c->why);
    if (e != OK)
        return e;
    power_on(b, c->tsc_hz, now);
    return OK;
}

void board_reset(struct board *b, u64 now)
{
    now = board_advance(b, now);
    bool intr = b->pic.level;
    // With these quiet, no line is up when the interrupt controllers start anew.
    rtc_reset(&b->rtc, now);
    acpipm_reset(&b->pm);
    vuart_reset(&b->com1);
    vuart_reset(&b->com2);
    pci_reset(&b->pci);
    if (intr && b->pic.level)
        b->call.intr(b->ctx, false);
    power_on(b, b->pit.tsc_hz, now);
    ioapic_routes(b);
}

// ---- interrupts, console ------------------------------------------------------------------

u8 board_pic_ack(struct board *b, u64 now)
{
    unsigned irq;
    board_expire(b, now);
    u8 vector = pic_ack(&b->pic, &irq);
    if (irq == IRQ_PIT && b->pending_ticks != 0) {
        b->pending_ticks--;
        pic_set_irq(&b->pic, IRQ_PIT, false);
        pic_set_irq(&b->pic, IRQ_PIT, true);
    }
    return vector;
}

void board_ioapic_eoi(struct board *b, u8 vector, u64 now)
{
    board_expire(b, now);
    ioapic_eoi(&b->ioapic, vector);
}

void board_level_vectors(const struct board *b, u64 bitmap[4])
{
    memset(bitmap, 0, 4 * sizeof(bitmap[0]));
    ioapic_level_vectors(&b->ioapic, bitmap);
}

void board_host_irq(struct board *b, unsigned irq)
{
    board_isa_irq(b, irq, true);
}

bool board_receive(struct board *b, u8 byte, u64 now)
{
    if (b->host_uarts & HOST_COM1)
        return true; // this COM1 is not there
    bool taken = vuart_receive(&b->com1, byte, board_advance(b, now));
    board_update_due(b, TIMER_COM1);
    return taken;
}

bool board_receive_break(struct board *b, u64 now)
{
    bool taken = vuart_break(&b->com1, board_advance(b, now));
    board_update_due(b, TIMER_COM1);
    return taken;
}

void board_transmit_ready(struct board *b)
{
    vuart_ready(&b->com1);
    debugport_ready(&b->debug);
}

void board_power_button(struct board *b)
{
    acpipm_power_button(&b->pm);
    board_update_due(b, TIMER_PM);
}
