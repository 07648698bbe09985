// SPDX-License-Identifier: MIT
// The 16550 at COM1, which is also the console: no line may be printed while it is looped back.
#include "devices.h"
#include "guest.h"

enum { COM1 = 0x3f8, IRQ_COM1 = 4, VECTOR_COM1 = 0x34, VECTOR_LEVEL = 0x35 };
enum { RBR = COM1, THR = COM1, DLL = COM1, IER = COM1 + 1, DLM = COM1 + 1, IIR = COM1 + 2 };
enum { FCR = COM1 + 2, LCR = COM1 + 3, MCR = COM1 + 4, LSR = COM1 + 5, MSR = COM1 + 6 };
enum { SCR = COM1 + 7 };
enum { LCR_DLAB = 0x80, MCR_LOOP = 0x10, MCR_OUT2 = 0x08, LSR_DR = 0x01, LSR_OE = 0x02 };
enum { LSR_THRE = 0x20, LSR_TEMT = 0x40, IER_RDA = 0x01, IER_THRE = 0x02, IIR_NONE = 0x01 };

static volatile unsigned level_seen;

static void drain(void)
{
    WAIT_FOR((inb(LSR) & LSR_TEMT) != 0, 100);
}

static void check_registers(void)
{
    drain();
    outb(SCR, 0x5a);
    bool scratch = inb(SCR) == 0x5a;
    outb(SCR, 0xa5);
    scratch &= inb(SCR) == 0xa5;
    u8 lcr = inb(LCR);
    outb(LCR, lcr | LCR_DLAB);
    outb(DLL, 0x34);
    outb(DLM, 0x12);
    bool divisor = inb(DLL) == 0x34 && inb(DLM) == 0x12;
    outb(DLL, 1);
    outb(DLM, 0);
    outb(LCR, lcr);
    u8 iir = inb(IIR);
    report(scratch, "F10: UART: scratch register");
    report(divisor, "F10: UART: divisor latch");
    report((iir & 0xc1) == 0xc1, "F10: UART: IIR says FIFOs, nothing pending (0x%x)", iir);
}

static void check_loopback(void)
{
    drain();
    u8 mcr = inb(MCR);
    outb(MCR, MCR_LOOP);
    while ((inb(LSR) & LSR_DR) != 0)
        inb(RBR);
    bool same = true;
    for (unsigned i = 0; i < 256; i += 5) {
        outb(THR, (u8)i);
        same &= WAIT_FOR((inb(LSR) & LSR_DR) != 0, 10) && inb(RBR) == (u8)i;
    }
    // RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD.
    static const u8 wires[][2] = {{0x02, 0x10}, {0x01, 0x20}, {0x04, 0x40}, {0x08, 0x80}};
    bool modem = true;
    for (size_t i = 0; i < ARRAY_SIZE(wires); i++) {
        outb(MCR, MCR_LOOP | wires[i][0]);
        modem &= (inb(MSR) & 0xf0) == wires[i][1];
    }
    outb(MCR, mcr);
    report(same, "F10: UART: looped back, what is sent is received");
    report(modem, "F10: UART: looped back, modem lines");
}

static void on_receive(struct interrupt_frame *f)
{
    (void)f;
    outb(IER, 0);
    apic_eoi();
}

// A level interrupt whose cause is dealt with at the third time only.
static void on_level(struct interrupt_frame *f)
{
    (void)f;
    if (++level_seen >= 3)
        outb(IER, 0);
    apic_eoi();
}

static void check_interrupts(void)
{
    u32 gsi = acpi.isa_gsi[IRQ_COM1];
    u8 entry = (u8)(IOAPIC_REDIRECTION + 2 * (gsi - acpi.ioapic_gsi_base));
    interrupt_set(VECTOR_COM1, on_receive);
    interrupt_set(VECTOR_LEVEL, on_level);
    drain();
    u8 mcr = inb(MCR);
    // The loop disconnects OUT2, which gates the interrupt on PCs, in some UARTs and not in
    // others: so the interrupt is made by sending, not looped.
    ioapic_route(gsi, VECTOR_COM1, 0);
    u64 before = interrupts[VECTOR_COM1];
    interrupts_on();
    outb(IER, IER_THRE);
    bool edge = WAIT_FOR(interrupts[VECTOR_COM1] != before, 100);
    interrupts_off();
    outb(IER, 0);

    ioapic_route(gsi, VECTOR_LEVEL, IOAPIC_LEVEL);
    level_seen = 0;
    outb(MCR, MCR_LOOP | MCR_OUT2);
    outb(THR, 0x42);
    WAIT_FOR((inb(LSR) & LSR_DR) != 0, 10);
    outb(MCR, mcr);
    interrupts_on();
    outb(IER, IER_RDA); // the byte stays unread: the line stays up
    WAIT_FOR(level_seen >= 3, 100);
    delay_us(2000);
    interrupts_off();
    unsigned times = level_seen;
    u32 remote_irr = ioapic_read(entry) & BIT(14);
    outb(IER, 0);
    inb(RBR);
    ioapic_mask(gsi);
    interrupt_set(VECTOR_COM1, NULL);
    interrupt_set(VECTOR_LEVEL, NULL);
    report(edge, "F10: UART: IRQ 4 when the transmitter is empty");
    if (option("bochs")) // its IOAPIC does not look at EOIs
        return;
    report(times == 3, "F5: a level interrupt comes again after EOI until its cause ends (%u)",
           times);
    report(remote_irr == 0, "F5: its remote IRR is clear in the end");
}

void check_uart(void)
{
    check_registers();
    check_loopback();
    if (acpi.ioapic_address != 0)
        check_interrupts();
    serial_init();
}
