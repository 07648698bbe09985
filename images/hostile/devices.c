// SPDX-License-Identifier: MIT
// Garbage in the registers of the devices that the guest has, and timers at rates that nobody
// wants.
#include "hostile.h"

enum { PM1_CONTROL = 0x604, SLP_EN = BIT(13), SLP_S5 = 0 };
#define IOAPIC 0xfec00000ul
enum { RTC_INDEX = 0x70, RTC_DATA = 0x71 };

static void set_rtc(u8 index, u8 value)
{
    outb(RTC_INDEX, index);
    outb(RTC_DATA, value);
}

// All that interrupts by itself comes to rest.
static void quiet(void)
{
    set_rtc(0xb, 2);
    outb(PIT_COMMAND, 0x30);
    pic_init();
    for (u32 n = 0; n < 24; n++) {
        write32(IOAPIC, 0x10 + 2 * n);
        write32(IOAPIC + 0x10, LVT_MASKED);
    }
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

static void sleep_types(void)
{
    for (u32 type = 0; type < 8; type++) {
        if (type == SLP_S5)
            continue;
        outw(PM1_CONTROL, (u16)(SLP_EN | type << 10 | (random_next() & 0xc3ff)));
        outb(PM1_CONTROL + 1, (u8)((SLP_EN | type << 10) >> 8));
    }
}

// What keeps the PICs' vectors from 32 on, since an interrupt cannot be told from an exception.
static u32 pic_base(u32 port)
{
    return (port & ~0x80u) == 0x21 ? 0x20 : 0;
}

void part_devices(void)
{
    static const u16 ports[] = {0x20,  0x21,  0xa0,  0xa1,  0x4d0, 0x4d1, 0x40,  0x41,
                                0x42,  0x43,  0x61,  0x70,  0x71,  0xb2,  0xb3,  0x2f8,
                                0x2f9, 0x2fa, 0x2fb, 0x2fc, 0x2ff, 0x510, 0x511, 0x600,
                                0x602, 0x608, 0xcf8, 0xcfc, 0xcfd, 0x80};
    for (unsigned i = 0; i < 8000; i++) {
        if (i % 64 == 0)
            let_in();
        u16 port = ports[random_below(ARRAY_SIZE(ports))];
        u32 value = (u32)random_odd();
        switch (random_below(6)) {
        case 0:
            (void)inb(port);
            break;
        case 1:
            if (port == 0xcf8) // as words these reach the reset register
                outl(port, value);
            else
                outw(port, (u16)(value | pic_base(port) | pic_base(port + 1) << 8));
            break;
        case 2: // its low bits choose the register
            write32(IOAPIC, (u32)random_below(0x50));
            // INIT and NMI are not for this part: they end it
            write32(IOAPIC + 0x10, value & ~0x700u);
            break;
        case 3:
            write32(IOAPIC + 4 * (u32)random_below(1024), value & ~0x700u);
            break;
        default:
            outb(port, (u8)(value | pic_base(port)));
        }
    }
    sleep_types();
    interrupts_off();
    quiet();
    // They still do what they did.
    pic_init();
    check(inb(0x21) == 0xff, "the PIC's mask is %x", inb(0x21));
    outb(PIT_COMMAND, 0x30);
    outb(PIT_CHANNEL0, 0);
    outb(PIT_CHANNEL0, 0x80);
    outb(PIT_COMMAND, 0);
    u8 low = inb(PIT_CHANNEL0);
    check(low + 256 * inb(PIT_CHANNEL0) <= 0x8000, "the PIT counts from 8000");
}

void part_apic(void)
{
    static const u32 registers[] = {APIC_TPR,
                                    APIC_EOI,
                                    APIC_LDR,
                                    APIC_DFR,
                                    APIC_SVR,
                                    APIC_ESR,
                                    APIC_LVT_TIMER,
                                    0x330,
                                    0x340,
                                    APIC_LVT_LINT0,
                                    APIC_LVT_LINT1,
                                    APIC_LVT_ERROR,
                                    APIC_TIMER_INITIAL,
                                    APIC_TIMER_DIVIDE,
                                    0x2f0,
                                    APIC_VERSION};
    u64 value;
    for (unsigned round = 0; round < 2; round++) {
        apic_set_x2apic(round == 1);
        for (unsigned i = 0; i < 3000; i++) {
            if (i % 64 == 0)
                let_in();
            u32 reg = registers[random_below(ARRAY_SIZE(registers))];
            u64 odd = random_odd();
            // Of the LVT no INIT and no SMI.
            if (reg >= 0x2f0 && reg <= APIC_LVT_ERROR)
                odd &= ~0x300ul;
            if (round == 0 && reg != 0x2f0)
                write32(XAPIC_PAGE + reg, (u32)odd);
            else if (round == 1)
                (void)wrmsr_try(0x800 + reg / 16, odd);
            if (round == 0)
                (void)read64_try(XAPIC_PAGE + random_below(0xff8), &value);
            else
                (void)rdmsr_try(0x800 + (u32)random_below(0x100), &value);
        }
        interrupts_off();
        apic_write(APIC_LVT_TIMER, LVT_MASKED);
    }
    // Its base and mode, back and forth.
    u64 base = rdmsr(MSR_IA32_APIC_BASE);
    for (unsigned i = 0; i < 300; i++) {
        u64 odd = i & 1 ? random_odd() : base ^ BIT(random_below(40));
        int fault = wrmsr_try(MSR_IA32_APIC_BASE, odd);
        check(fault == NO_FAULT || fault == VECTOR_GP, "APIC base %lx: %d", odd, fault);
    }
    (void)wrmsr_try(MSR_IA32_APIC_BASE, APIC_BASE_RESET | (base & APIC_BASE_BSP));
    (void)wrmsr_try(MSR_IA32_APIC_BASE, APIC_BASE_RESET | (base & APIC_BASE_BSP) | APIC_BASE_EN);
    apic_init();
}

void part_timers(void)
{
    u64 before = rdtsc(), handled = interrupts[VECTOR_TIMER];
    u64 end = before + tsc_ms(20);
    quiet();
    pic_init();
    outb(0x21, 0xfe); // the PIT's
    outb(PIT_COMMAND, 0x34);
    outb(PIT_CHANNEL0, 2);
    outb(PIT_CHANNEL0, 0);
    set_rtc(0xa, 0x21); // 8192 Hz and up
    set_rtc(0xb, 0x72);
    outl(0x600, 0x00010001);
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR_TIMER);
    apic_write(APIC_TIMER_INITIAL, 1);
    interrupts_on();
    for (unsigned i = 0; i < 50 || rdtsc() < end; i++) {
        if (i > 1000000)
            break;
        set_rtc(0xa, (u8)(0x20 | random_below(16)));
        (void)inb(PIT_CHANNEL0);
    }
    interrupts_off();
    check(interrupts[VECTOR_TIMER] > handled, "the APIC's timer came");
    // One that is always due, and one that never comes.
    apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_TIMER);
    for (unsigned i = 0; i < 500; i++) {
        let_in();
        (void)wrmsr_try(MSR_IA32_TSC_DEADLINE, i & 1 ? 1 : random_odd());
        (void)wrmsr_try(0x10, random_odd()); // time itself
        (void)wrmsr_try(0x3b, random_odd());
    }
    interrupts_off();
    (void)wrmsr_try(0x3b, 0);
    quiet();
}
