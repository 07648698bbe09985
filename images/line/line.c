// SPDX-License-Identifier: MIT
// A serial port of the host that this VM was given (`devices = com2`): what comes in goes back, by
// interrupts alone. Escape and a letter is a command, answered on the line by the letter in
// brackets:
//   h  CPUs sleep until the next interrupt, as at the start     l  they loop with interrupts on
//   i  the interrupt comes by the IOAPIC, as at the start       p  by the PIC
//   c  by the IOAPIC to the second CPU                          s  ask for it as often as can be
//   r  reset, with a byte unread and interrupts on              e  end
//   port=N irq=N  which; COM2 (0x2f8, 3) without them
#include "guest.h"
#include "lib/ring.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { FCR = IIR, DIVISOR_LOW = DATA, DIVISOR_HIGH = IER };
enum { IER_RX = 0x01, IER_TX = 0x02, IIR_NONE = 0x01, LSR_DR = 0x01, LSR_OE = 0x02 };
enum { LSR_THRE = 0x20, LCR_8N1 = 0x03, LCR_DLAB = 0x80, MCR_ON = 0x0b, FIFO = 16 };
enum { VECTOR_LINE = 0x43, VECTOR_COMMAND = 0x44, ESCAPE = 0x1b, STORM_MS = 20 };

static u16 port;
static u8 irq;
static bool looping, by_pic, second_cpu, escaped, leaving;
static volatile u8 command; // for the first CPU
static u8 buffer[4096];
static struct ring out = RING(buffer);
static u64 taken, for_nothing, received, sent, overruns, asked;

static u8 get(u16 reg)
{
    return inb((u16)(port + reg));
}

static void set(u16 reg, u8 value)
{
    outb((u16)(port + reg), value);
}

static void send(void)
{
    u8 byte;
    if (get(LSR) & LSR_THRE) {
        for (unsigned i = 0; i < FIFO && ring_get(&out, &byte); i++) {
            set(DATA, byte);
            sent++;
        }
    }
    set(IER, ring_used(&out) > 0 ? IER_RX | IER_TX : IER_RX);
}

static void say(const char *text)
{
    while (*text != '\0')
        ring_put(&out, (u8)*text++);
}

static void answer(u8 letter)
{
    const char text[] = {'[', (char)letter, ']', '\0'};
    say(text);
}

static void take(u8 byte)
{
    if (escaped) {
        escaped = false;
        command = byte;
        apic_send(smp_apic_id(0), VECTOR_COMMAND);
    } else if (byte == ESCAPE) {
        escaped = true;
    } else {
        received++;
        ring_put(&out, byte);
    }
}

// The interrupt is an edge: before it can come again all that it may be for must be gone.
static void serve(void)
{
    bool any = false;
    while (!(get(IIR) & IIR_NONE)) {
        any = true;
        for (u8 status; (status = get(LSR)) & LSR_DR;) {
            overruns += (status & LSR_OE) != 0;
            take(get(DATA));
        }
        send();
    }
    taken++;
    for_nothing += !any;
}

static void on_interrupt(void)
{
    if (!leaving)
        serve();
}

static void on_line(struct interrupt_frame *f)
{
    (void)f;
    on_interrupt();
    apic_eoi();
}

static void on_pic(struct interrupt_frame *f)
{
    (void)f;
    on_interrupt();
    pic_eoi(irq);
}

static void on_command(struct interrupt_frame *f)
{
    (void)f;
    apic_eoi();
}

// To the calling CPU.
static void route(void)
{
    pic_mask(irq, !by_pic);
    if (by_pic)
        ioapic_mask(acpi.isa_gsi[irq]);
    else
        ioapic_route(acpi.isa_gsi[irq], VECTOR_LINE, 0);
    serve(); // an edge in between is lost on every PC
}

static void wait(void)
{
    if (looping) {
        interrupts_on();
        for (unsigned i = 0; i < 1000; i++)
            __asm__ volatile("");
        interrupts_off();
    } else {
        halt_once();
    }
}

static void second_main(unsigned cpu)
{
    if (cpu != 1)
        return;
    for (bool mine = false;;) {
        bool wanted = __atomic_load_n(&second_cpu, __ATOMIC_ACQUIRE);
        if (wanted && !mine)
            route();
        mine = wanted;
        wait();
    }
}

static void storm(void)
{
    u64 end = rdtsc() + tsc_ms(STORM_MS);
    WAIT_FOR(ring_used(&out) == 0 && get(LSR) & LSR_THRE, 100);
    for (; rdtsc() < end; asked++) { // with interrupts off: only the host has the work
        set(IER, 0);
        set(IER, IER_TX);
    }
    serve();
}

static void leave(void)
{
    WAIT_FOR(ring_used(&out) == 0, 100);
    interrupts_off();
    leaving = true;
    while (!(get(LSR) & LSR_DR)) {
    }
    set(LCR, LCR_8N1 | LCR_DLAB);
    outb(0xcf9, 6);
    for (;;)
        halt_once();
}

// On the first CPU, interrupts off. Returns whether to go on.
static bool carry_out(u8 letter)
{
    bool was_second = second_cpu;
    if (letter == 'h' || letter == 'l')
        looping = letter == 'l';
    if (letter == 'i' || letter == 'p' || letter == 'c')
        by_pic = letter == 'p';
    second_cpu = letter == 'c' || (was_second && letter != 'i' && letter != 'p');
    if (letter == 'i' || letter == 'p')
        route();
    if (second_cpu != was_second) { // that CPU routes it to itself
        apic_send(smp_apic_id(1), VECTOR_COMMAND);
        delay_us(100);
    }
    if (letter == 's')
        storm();
    answer(letter);
    set(IER, IER_RX | IER_TX);
    if (letter == 'r') {
        interrupts_on();
        leave();
    }
    return letter != 'e';
}

static void check_reset_state(void)
{
    report(get(IER) == 0 && get(LCR) == 0 && (get(MCR) & 0x1f) == 0 && !(get(LSR) & LSR_DR) &&
               get(IIR) == IIR_NONE,
           "A3: port %x: as after a reset", port);
    set(SCR, 0xa5);
    bool scratch = get(SCR) == 0xa5;
    set(SCR, 0x5a);
    report(scratch && get(SCR) == 0x5a, "A3: port %x: scratch register", port);
}

int main(void)
{
    port = (u16)option_number("port", 0x2f8);
    irq = (u8)option_number("irq", 3);
    check_reset_state();
    smp_start(second_main);
    interrupt_set(VECTOR_LINE, on_line);
    interrupt_set(VECTOR_COMMAND, on_command);
    interrupt_set((u8)(PIC_VECTOR + irq), on_pic);
    set(LCR, LCR_8N1 | LCR_DLAB);
    set(DIVISOR_LOW, 1);
    set(DIVISOR_HIGH, 0);
    set(LCR, LCR_8N1);
    set(FCR, 0x87); // FIFOs on and empty, interrupt at 8 bytes
    set(MCR, MCR_ON);
    route();
    say("[start]");
    set(IER, IER_RX | IER_TX);
    apic_write(APIC_LVT_LINT0, LVT_EXTINT); // for the PIC
    printf("line: port %x, IRQ %u, %u CPUs\n", port, irq, boot_info.cpus);
    for (bool more = true; more;) {
        u8 letter = command;
        command = 0;
        if (letter != 0)
            more = carry_out(letter);
        else
            wait();
    }
    interrupts_on();
    WAIT_FOR(ring_used(&out) == 0, 100);
    interrupts_off();
    report(taken > 0 && received > 0, "F9: %lu bytes received by %lu interrupts of my own vector",
           received, taken);
    report(sent >= received && ring_used(&out) == 0, "F9: %lu bytes sent by interrupts", sent);
    report(overruns == 0, "F9: no byte was overrun");
    printf("line: asked %lu times in %d ms\n", asked, STORM_MS);
    printf("line: %lu interrupts found nothing to do\n", for_nothing);
    return report_summary();
}
