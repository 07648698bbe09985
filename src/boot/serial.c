// SPDX-License-Identifier: MIT
#include "boot/serial.h"

#include "boot/cmdline.h"
#include "lib/cpu.h"
#include "lib/string.h"

enum { REG_DATA, REG_IER, REG_IIR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCRATCH };
enum { IIR_NONE = 1 };
enum { IER_RX = 1, IER_TX = 2, IER_LINE = 4 };
enum { LCR_FORMAT = 0x3f }; // all but the break and the divisor latch's bit
enum { LSR_DATA = 0x01, LSR_BREAK = 0x10, LSR_THRE = 0x20, LSR_IDLE = 0x40, LSR_NONE = 0xff };
enum { MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_DCD = 0x80 };

#define CPUID_1_ECX_HYPERVISOR BIT(31)

#define FIFO_SIZE   16
#define RECEIVE_MAX 64
#define CAUSES_MAX  8
#define POST_PORT   0x80          // takes anything, and does nothing
#define PATIENCE    20000000000ul // ticks before a transmitter counts as dead: 5 s at 4 GHz

static u8 console_tx[SERIAL_TX_SIZE], debug_tx[SERIAL_TX_SIZE];
struct serial_line serial_console = {.tx = RING(console_tx), .lock = {.breakable = true}};
struct serial_line serial_debug = {.tx = RING(debug_tx), .lock = {.breakable = true}};

const struct serial_port serial_ports[SERIAL_PORTS] = {
    {0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};

// "comN,BAUD"; leaves what it does not understand at the default.
static void parse(const char *text, unsigned *number, u32 *baud)
{
    if (strncmp(text, "com", 3) == 0 && text[3] >= '1' && text[3] <= '4') {
        *number = (unsigned)(text[3] - '1');
        text += 4;
    }
    if (*text != ',')
        return;
    u32 value = 0;
    for (text++; *text >= '0' && *text <= '9' && value < 1000000; text++)
        value = value * 10 + (u32)(*text - '0');
    if (value > 0 && value <= 115200)
        *baud = value;
}

bool serial_answers(u16 base)
{
    static const u8 values[] = {0x5a, 0xa5};
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        outb(base + REG_SCRATCH, values[i]);
        outb(POST_PORT, (u8)~values[i]); // a bus without a UART may keep what was on it last
        if (inb(base + REG_SCRATCH) != values[i])
            return false;
    }
    return inb(base + REG_LSR) != LSR_NONE;
}

bool serial_is_attended(const struct serial_line *u)
{
    bool emulated = cpuid(1, 0).ecx & CPUID_1_ECX_HYPERVISOR;
    return u->port != 0 && (emulated || inb(u->port + REG_MSR) & (MSR_CTS | MSR_DSR | MSR_DCD));
}

void serial_quiet(u16 base)
{
    outb(base + REG_LCR, inb(base + REG_LCR) & LCR_FORMAT); // at whose place there may be a divisor
    outb(base + REG_IER, 0);
    outb(base + REG_MCR, 0);
}

void serial_reset(u16 base)
{
    serial_quiet(base);
    outb(base + REG_LCR, 0);
    outb(base + REG_IIR, 0x07); // (FCR) what empties the FIFOs
    outb(base + REG_IIR, 0);
    inb(base + REG_LSR);
    inb(base + REG_DATA);
    inb(base + REG_IIR);
    inb(base + REG_MSR);
}

static void line_init(struct serial_line *u, const char *key, unsigned number)
{
    char value[32];
    u32 baud = 115200;
    if (cmdline_value(key, value, sizeof(value)))
        parse(value, &number, &baud);
    if (strcmp(value, "none") == 0)
        return;

    u16 port = serial_ports[number].base;
    if (!serial_answers(port))
        return;
    u16 divisor = (u16)(115200 / baud);
    outb(port + REG_IER, 0);
    outb(port + REG_LCR, 0x80);
    outb(port + REG_DATA, (u8)divisor);
    outb(port + REG_IER, (u8)(divisor >> 8));
    outb(port + REG_LCR, 0x03); // 8 bits, no parity, 1 stop bit
    outb(port + REG_IIR, 0x87); // (FCR) FIFOs on and empty, interrupt at 8 bytes
    outb(port + REG_MCR, 0x0b); // DTR, RTS, OUT2 (interrupt gate)
    u->port = port;
    u->irq = serial_ports[number].irq;
}

void serial_init(void)
{
    line_init(&serial_console, "console", 0);
    line_init(&serial_debug, "gdb", 1);
    if (serial_debug.port == serial_console.port)
        serial_debug.port = 0;
}

// The transmitter interrupts only while there is something to send. With the lock held.
static void update_ier(struct serial_line *u)
{
    u8 ier = (u8)(IER_RX | IER_LINE | (ring_used(&u->tx) > 0 ? IER_TX : 0));
    if (!u->interrupts || ier == u->ier)
        return;
    u->ier = ier;
    outb(u->port + REG_IER, ier);
}

// Returns whether the transmitter has taken something. With the lock held.
static bool transmit(struct serial_line *u)
{
    if (ring_used(&u->tx) == 0 || !(inb(u->port + REG_LSR) & LSR_THRE))
        return false;
    u8 byte;
    for (unsigned i = 0; i < FIFO_SIZE && ring_get(&u->tx, &byte); i++)
        outb(u->port + REG_DATA, byte);
    u->dead = false;
    return true;
}

// Puts bytes into the ring; returns how many fitted. With the lock held.
static size_t queue(struct serial_line *u, const u8 *bytes, size_t n)
{
    size_t done = 0;
    while (done < n && ring_put(&u->tx, bytes[done]))
        done++;
    return done;
}

// Waits a little, unless nothing has moved since that tick for too long. A full ring takes 11 s to
// drain.
static bool wait_more(struct serial_line *u, u64 since)
{
    if (u->dead || rdtsc() - since > PATIENCE) {
        u->dead = true;
        return false;
    }
    if (core_waits != NULL)
        core_waits();
    cpu_relax();
    return true;
}

void serial_write(struct serial_line *u, const void *bytes, size_t n, bool wait)
{
    if (u->port == 0)
        return;
    spin_lock(&u->lock);
    size_t done = queue(u, bytes, n);
    u64 moved = rdtsc();
    while (wait && done < n && wait_more(u, moved)) {
        if (transmit(u))
            moved = rdtsc();
        done += queue(u, (const u8 *)bytes + done, n - done);
    }
    u->dropped += n - done;
    transmit(u);
    update_ier(u);
    spin_unlock(&u->lock);
}

static void receive(struct serial_line *u)
{
    // Bounded: a line that never stops giving bytes must not keep the core.
    for (unsigned i = 0; i < RECEIVE_MAX; i++) {
        u8 lsr = inb(u->port + REG_LSR);
        if (!(lsr & LSR_DATA))
            break;
        u8 byte = inb(u->port + REG_DATA);
        if ((lsr & LSR_BREAK) && byte == 0) {
            if (u->line_break != NULL)
                u->line_break();
        } else if (u->receive != NULL) {
            u->receive(byte);
        }
    }
}

void serial_pump(struct serial_line *u)
{
    if (u->port == 0)
        return;
    // The interrupt is edge-triggered: all its causes must be gone before the next can come.
    for (unsigned i = 0; i < CAUSES_MAX; i++) {
        bool none = inb(u->port + REG_IIR) & IIR_NONE;
        receive(u);
        spin_lock(&u->lock);
        transmit(u);
        update_ier(u);
        spin_unlock(&u->lock);
        if (none)
            break;
    }
}

void serial_flush(struct serial_line *u)
{
    if (u->port == 0)
        return;
    u64 moved = rdtsc();
    while (ring_used(&u->tx) > 0 && wait_more(u, moved)) {
        if (transmit(u))
            moved = rdtsc();
    }
    while (!(inb(u->port + REG_LSR) & LSR_IDLE) && wait_more(u, moved))
        ;
}

void serial_enable_interrupts(struct serial_line *u)
{
    if (u->port == 0)
        return;
    spin_lock(&u->lock);
    u->interrupts = true;
    update_ier(u);
    spin_unlock(&u->lock);
}
