// SPDX-License-Identifier: MIT
#include "devices.h"
#include "guest.h"

enum { IRQ0 = PIC_VECTOR, OTHER_BASE = 0x48, SHORT = PIT_HZ / 1000 };

static u16 isr_in_handler;

static void with_eoi(struct interrupt_frame *f)
{
    (void)f;
    isr_in_handler = pic_isr();
    pic_eoi(0);
}

static void without_eoi(struct interrupt_frame *f)
{
    (void)f;
}

static u64 seen(u8 vector)
{
    return interrupts[vector];
}

// Lets a millisecond's PIT count run out with interrupts on and waits up to `ms` for the vector.
static bool arrives(u8 vector, u64 ms)
{
    u64 before = seen(vector);
    pit_once(SHORT);
    interrupts_on();
    bool arrived = WAIT_FOR(seen(vector) != before, ms);
    interrupts_off();
    return arrived;
}

static void check_registers(void)
{
    outb(PIC1_DATA, 0xa5);
    outb(PIC2_DATA, 0x5a);
    report(inb(PIC1_DATA) == 0xa5 && inb(PIC2_DATA) == 0x5a, "F10: PIC: masks read back");
    outb(PIC1_DATA, 0xff);
    outb(PIC2_DATA, 0xff);
}

static void check_irq0(void)
{
    report(!arrives(IRQ0, 20), "F10: PIC: a masked IRQ 0 stays out");
    report((pic_irr() & 1) != 0, "F10: PIC: it is in the IRR");
    isr_in_handler = 0;
    pic_mask(0, false);
    u64 before = seen(IRQ0);
    interrupts_on();
    report(WAIT_FOR(seen(IRQ0) != before, 100), "F10: PIC: unmasked, it comes as ExtINT");
    interrupts_off();
    report(isr_in_handler == 1, "F10: PIC: in the ISR while it is handled (0x%x)", isr_in_handler);
    report(pic_isr() == 0, "F10: PIC: EOI clears the ISR");
    report(arrives(IRQ0, 100), "F10: PIC: the next one comes");

    interrupt_set(IRQ0, without_eoi);
    arrives(IRQ0, 100);
    report(!arrives(IRQ0, 20), "F10: PIC: without EOI no second one");
    pic_eoi(0);
    interrupt_set(IRQ0, with_eoi);
    before = seen(IRQ0);
    interrupts_on();
    report(WAIT_FOR(seen(IRQ0) != before, 100), "F10: PIC: after EOI it comes");
    interrupts_off();
}

static void check_base(void)
{
    outb(PIC1_COMMAND, 0x11);
    outb(PIC1_DATA, OTHER_BASE);
    outb(PIC1_DATA, 0x04);
    outb(PIC1_DATA, 0x01);
    outb(PIC1_DATA, 0xfe);
    interrupt_set(OTHER_BASE, with_eoi);
    report(arrives(OTHER_BASE, 100), "F10: PIC: initialized again with another base");
    interrupt_set(OTHER_BASE, NULL);
}

static void check_periodic(void)
{
    u64 before = seen(IRQ0);
    pic_init();
    pic_mask(0, false);
    u64 start = rdtsc();
    pit_periodic(SHORT);
    interrupts_on();
    bool all = WAIT_FOR(seen(IRQ0) - before >= 50, 1000);
    interrupts_off();
    u64 us = (rdtsc() - start) * 1000 / tsc_ms(1);
    report(all && near(us, 50000, 20), "F10: PIC: 50 ticks at 1 kHz take 50 ms (%lu us)", us);
}

void check_pic(void)
{
    pic_init();
    check_registers();
    interrupt_set(IRQ0, with_eoi);
    apic_write(APIC_LVT_LINT0, LVT_EXTINT);
    check_irq0();
    check_base();
    check_periodic();
    pit_stop();
    pic_init();
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    interrupt_set(IRQ0, NULL);
}
