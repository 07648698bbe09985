// SPDX-License-Identifier: MIT
#include "vdev/uart.h"

#include "lib/string.h"
#include "vdev/ticks.h"

#define IER_RX     0x01
#define IER_THRE   0x02
#define IER_LINE   0x04
#define IER_MODEM  0x08
#define IIR_NONE   0x01
#define IIR_MODEM  0x00
#define IIR_THRE   0x02
#define IIR_RX     0x04
#define IIR_LINE   0x06
#define IIR_TIME   0x0c
#define FCR_ENABLE 0x01
#define FCR_RX     0x02
#define LCR_STOP   0x04
#define LCR_PARITY 0x08
#define LCR_BREAK  0x40
#define LCR_DLAB   0x80
#define MCR_LOOP   0x10
#define LSR_DR     0x01
#define LSR_OE     0x02
#define LSR_FE     0x08
#define LSR_BI     0x10
#define LSR_ERRORS 0x1e
#define LSR_EMPTY  0x60 // THRE and TEMT
#define LSR_FIFO   0x80
#define MSR_TERI   0x04
#define MSR_CTS    0x10
#define MSR_DSR    0x20
#define MSR_RI     0x40
#define MSR_DCD    0x80

static bool fifo_enabled(const struct vuart *u)
{
    return u->fcr & FCR_ENABLE;
}

static unsigned trigger_level(const struct vuart *u)
{
    static const u8 levels[4] = {1, 4, 8, 14};
    return fifo_enabled(u) ? levels[u->fcr >> 6] : 1;
}

static bool is_full(const struct vuart *u)
{
    return u->held && !(u->mcr & MCR_LOOP);
}

// Interrupt identification by priority (16550D data sheet, table IV).
static u8 identify(const struct vuart *u)
{
    if (u->ier & IER_LINE && u->line & LSR_ERRORS)
        return IIR_LINE;
    if (u->ier & IER_RX && u->count >= trigger_level(u))
        return IIR_RX;
    if (u->ier & IER_RX && u->timeout)
        return IIR_TIME;
    if (u->ier & IER_THRE && u->thre && !is_full(u))
        return IIR_THRE;
    if (u->ier & IER_MODEM && u->modem & 0x0f)
        return IIR_MODEM;
    return IIR_NONE;
}

// On a PC, OUT2 gates the interrupt. Small kernels forget to set it, and no virtual PC asks for it.
static void update_line(struct vuart *u)
{
    bool level = identify(u) != IIR_NONE;
    if (level != u->level) {
        u->level = level;
        irq_line_set(&u->irq, u->pin, level);
    }
}

// In loopback the modem inputs are the modem control outputs.
static void update_modem(struct vuart *u)
{
    u8 in = 0;
    if (u->mcr & MCR_LOOP)
        in = (u8)((u->mcr & 1) << 5 | (u->mcr & 2) << 3 | (u->mcr & 0x0c) << 4);
    else if (u->connected)
        in = MSR_CTS | MSR_DSR | MSR_DCD;
    u8 changed = (u->modem ^ in) & 0xf0;
    u8 delta = changed >> 4;
    if (!(u->modem & changed & MSR_RI)) // the ring indicator counts at its trailing edge only
        delta &= (u8)~MSR_TERI;
    u->modem = in | (u->modem & 0x0f) | delta;
}

// The line status of the byte at the FIFO's head shows when it gets there.
static void show_head(struct vuart *u)
{
    if (u->count != 0) {
        u->line |= u->errors[u->head];
        u->errors[u->head] = 0;
    }
}

static void clear_fifo(struct vuart *u)
{
    u->head = u->count = 0;
    u->timeout = false;
}

COLD void vuart_init(struct vuart *u, u64 tsc_hz, bool connected, unsigned pin, struct irq_line irq,
                     bool (*transmit)(void *ctx, u8 byte), void *ctx)
{
    memset(u, 0, sizeof(*u));
    u->tsc_hz = tsc_hz;
    u->connected = connected;
    u->pin = pin;
    u->irq = irq;
    u->transmit = transmit;
    u->ctx = ctx;
    vuart_reset(u);
}

void vuart_reset(struct vuart *u)
{
    u->ier = u->lcr = u->mcr = u->fcr = u->line = u->scr = 0;
    u->divisor = 12; // 9600 baud
    u->thre = false;
    clear_fifo(u);
    update_modem(u);
    u->modem &= 0xf0;
    update_line(u);
}

static bool has_room(const struct vuart *u)
{
    return u->count < (fifo_enabled(u) ? UART_FIFO : 1);
}

static void push(struct vuart *u, u8 byte, u8 errors, u64 now)
{
    u->touched = now;
    if (!has_room(u)) {
        u->line |= LSR_OE;
        if (fifo_enabled(u))
            return;    // the byte in the shift register is lost
        clear_fifo(u); // without a FIFO the older byte is
    }
    unsigned at = (u->head + u->count) % UART_FIFO;
    u->fifo[at] = byte;
    u->errors[at] = errors;
    u->count++;
    show_head(u);
}

static bool receive(struct vuart *u, u8 byte, u8 errors, u64 now)
{
    if (u->mcr & MCR_LOOP || !has_room(u))
        return false;
    push(u, byte, errors, now);
    update_line(u);
    return true;
}

bool vuart_receive(struct vuart *u, u8 byte, u64 now)
{
    return receive(u, byte, 0, now);
}

bool vuart_break(struct vuart *u, u64 now)
{
    return receive(u, 0, LSR_BI | LSR_FE, now);
}

static u8 read_data(struct vuart *u, u64 now)
{
    u->touched = now;
    u->timeout = false;
    u8 byte = u->fifo[u->head];
    if (u->count == 0)
        return byte;
    u->head = (u->head + 1) % UART_FIFO;
    u->count--;
    show_head(u);
    return byte;
}

static u8 read_line_status(struct vuart *u)
{
    u8 v = (is_full(u) ? 0 : LSR_EMPTY) | u->line | (u->count != 0 ? LSR_DR : 0);
    bool bad = u->line & (LSR_ERRORS & ~LSR_OE);
    for (unsigned i = 0; i < u->count; i++)
        bad |= u->errors[(u->head + i) % UART_FIFO] != 0;
    if (fifo_enabled(u) && bad)
        v |= LSR_FIFO;
    u->line = 0;
    return v;
}

u8 vuart_read(struct vuart *u, unsigned offset, u64 now)
{
    u8 v;
    vuart_expire(u, now);
    switch (offset & 7) {
    case 0:
        v = u->lcr & LCR_DLAB ? (u8)u->divisor : read_data(u, now);
        break;
    case 1:
        v = u->lcr & LCR_DLAB ? (u8)(u->divisor >> 8) : u->ier;
        break;
    case 2:
        v = identify(u);
        if (v == IIR_THRE)
            u->thre = false; // reading IIR is its acknowledge
        v |= fifo_enabled(u) ? 0xc0 : 0;
        break;
    case 3:
        v = u->lcr;
        break;
    case 4:
        v = u->mcr;
        break;
    case 5:
        v = read_line_status(u);
        break;
    case 6:
        v = u->modem;
        u->modem &= 0xf0;
        break;
    default:
        v = u->scr;
    }
    update_line(u);
    return v;
}

static void write_data(struct vuart *u, u8 byte, u64 now)
{
    // The transmitter is full for an instant: the interrupt goes and comes again, an edge for those
    // who write from their handler without reading IIR.
    u->thre = false;
    update_line(u);
    if (u->mcr & MCR_LOOP)
        push(u, byte, 0, now);
    else if (u->transmit != NULL)
        u->held = !u->transmit(u->ctx, byte);
    u->thre = true;
}

void vuart_ready(struct vuart *u)
{
    u->held = false;
    update_line(u);
}

static void write_fcr(struct vuart *u, u8 value)
{
    if ((u->fcr ^ value) & FCR_ENABLE || value & FCR_RX)
        clear_fifo(u);
    // The other bits are only taken together with the enable bit.
    u->fcr = value & FCR_ENABLE ? value & 0xc1 : 0;
}

void vuart_write(struct vuart *u, unsigned offset, u8 value, u64 now)
{
    vuart_expire(u, now);
    switch (offset & 7) {
    case 0:
        if (u->lcr & LCR_DLAB)
            u->divisor = (u->divisor & 0xff00) | value;
        else
            write_data(u, value, now);
        break;
    case 1:
        if (u->lcr & LCR_DLAB) {
            u->divisor = (u16)(value << 8 | (u->divisor & 0xff));
        } else {
            if (value & ~u->ier & IER_THRE)
                u->thre = true; // enabling it while the transmitter is empty raises it
            u->ier = value & 0x0f;
        }
        break;
    case 2:
        write_fcr(u, value);
        break;
    case 3:
        if (value & ~u->lcr & LCR_BREAK && u->mcr & MCR_LOOP)
            push(u, 0, LSR_BI | LSR_FE, now);
        u->lcr = value;
        break;
    case 4:
        u->mcr = value & 0x1f;
        update_modem(u);
        break;
    case 7:
        u->scr = value;
        break;
    default:
        break; // LSR and MSR are read-only
    }
    update_line(u);
}

// Four character times without a byte coming or going (16550D data sheet, FIFO interrupt mode).
u64 vuart_deadline(const struct vuart *u)
{
    if (!fifo_enabled(u) || u->count == 0 || u->timeout || !(u->ier & IER_RX) ||
        u->count >= trigger_level(u))
        return NEVER;
    u64 bits = 7u + (u->lcr & 3) + (u->lcr & LCR_STOP ? 1 : 0) + (u->lcr & LCR_PARITY ? 1 : 0);
    u64 clocks = 4 * bits * 16 * MAX(u->divisor, 1);
    return u->touched + clocks_to_ticks(clocks, UART_CLOCK, u->tsc_hz);
}

void vuart_expire(struct vuart *u, u64 now)
{
    if (now < vuart_deadline(u))
        return;
    u->timeout = true;
    update_line(u);
}
