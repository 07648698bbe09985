// SPDX-License-Identifier: MIT
#include "pic.h"

#include "cpu.h"

enum { ICW1_INIT_ICW4 = 0x11, ICW4_8086 = 0x01, OCW2_EOI = 0x20, OCW3_IRR = 0x0a, OCW3_ISR = 0x0b };
enum { CASCADE = 2 };

void pic_init(void)
{
    outb(PIC1_COMMAND, ICW1_INIT_ICW4);
    outb(PIC2_COMMAND, ICW1_INIT_ICW4);
    outb(PIC1_DATA, PIC_VECTOR);
    outb(PIC2_DATA, PIC_VECTOR + 8);
    outb(PIC1_DATA, 1 << CASCADE);
    outb(PIC2_DATA, CASCADE);
    outb(PIC1_DATA, ICW4_8086);
    outb(PIC2_DATA, ICW4_8086);
    outb(PIC1_DATA, 0xff);
    outb(PIC2_DATA, 0xff);
}

void pic_mask(u8 irq, bool masked)
{
    u16 port = irq < 8 ? PIC1_DATA : PIC2_DATA;
    u8 bit = (u8)(1 << (irq & 7));
    u8 mask = inb(port);
    outb(port, (u8)(masked ? mask | bit : mask & ~bit));
    if (irq >= 8 && !masked)
        outb(PIC1_DATA, (u8)(inb(PIC1_DATA) & ~(1 << CASCADE)));
}

void pic_eoi(u8 irq)
{
    if (irq >= 8)
        outb(PIC2_COMMAND, OCW2_EOI);
    outb(PIC1_COMMAND, OCW2_EOI);
}

static u16 read_both(u8 ocw3)
{
    outb(PIC1_COMMAND, ocw3);
    outb(PIC2_COMMAND, ocw3);
    return (u16)(inb(PIC1_COMMAND) | inb(PIC2_COMMAND) << 8);
}

u16 pic_irr(void)
{
    return read_both(OCW3_IRR);
}

u16 pic_isr(void)
{
    return read_both(OCW3_ISR);
}
