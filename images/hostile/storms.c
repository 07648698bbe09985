// SPDX-License-Identifier: MIT
// Interrupts between the guest's own CPUs, and text, as many as there can be.
#include "hostile.h"

enum { MESSAGES = 3000 };

// Real-mode code for CPUs that are started to no end: CLI, HLT, and again; IRET for NMIs.
#define IDLE_PAGE 0x9000
static const u8 idle_code[] = {0xfa, 0xf4, 0xeb, 0xfc, 0xcf};
enum { IRET_AT = 4, REAL_MODE_NMI = 2 * 4 };

static void place_idle_code(void)
{
    memcpy((void *)IDLE_PAGE, idle_code, sizeof(idle_code));
    write32(REAL_MODE_NMI, IDLE_PAGE >> 4 << 16 | IRET_AT);
}

// Takes what comes.
static void listen(unsigned cpu)
{
    (void)cpu;
    interrupts_on();
    for (;;)
        halt_once();
}

void part_ipis(void)
{
    place_idle_code();
    check(smp_start(listen) == acpi.cpus, "all CPUs start, whatever the last pass did to them");
    interrupts_on();
    for (unsigned i = 0; i < MESSAGES; i++) {
        u32 vector = 32 + (u32)random_below(224), to = (u32)random_below(acpi.cpus + 1);
        u32 mode = (u32)random_below(8) << 8, flags = (u32)random_next() & 0xd800;
        u32 shorthand = (u32)random_below(4) << 18;
        switch (random_below(4)) {
        case 0: // fixed, any vector, all destinations, all shorthands
            apic_send(to, vector | ICR_ASSERT | shorthand | (flags & ICR_LOGICAL));
            break;
        case 1: // vectors that there are not
            apic_send(to, (u32)random_below(16) | ICR_ASSERT | shorthand);
            break;
        case 2: // an NMI to everybody
            apic_send(0, ICR_NMI | ICR_ASSERT | ICR_OTHERS);
            break;
        default: // any but INIT and start-up to itself; none of these while all are to listen
            if (mode == ICR_INIT && i < MESSAGES / 2)
                mode = ICR_NMI;
            if (mode == ICR_INIT || mode == ICR_STARTUP)
                shorthand = ICR_OTHERS;
            if (mode == ICR_STARTUP)
                vector = IDLE_PAGE >> PAGE_SHIFT;
            apic_send(to, vector | mode | flags | ICR_ASSERT | shorthand);
        }
    }
    interrupts_off();
    check(true, "all were sent");
}

// INIT, start-up, NMI in turn to CPUs that sleep: each is work for the core that these are on.
void part_wakes(void)
{
    place_idle_code();
    for (unsigned i = 0; i < MESSAGES; i++) {
        apic_send(0, ICR_INIT | ICR_ASSERT | ICR_OTHERS);
        apic_send(0, ICR_STARTUP | ICR_ASSERT | ICR_OTHERS | IDLE_PAGE >> PAGE_SHIFT);
        apic_send(0, ICR_NMI | ICR_ASSERT | ICR_OTHERS);
    }
    apic_send(0, ICR_INIT | ICR_ASSERT | ICR_OTHERS);
    check(true, "all were sent");
}

// Raw, as fast as the port takes it: most is lost, or waits.
void part_output(void)
{
    for (unsigned i = 0; i < 6000; i++) {
        u64 r = random_next();
        if (r & 0x100)
            r = (u8) "\x1b[2J\x1b[999;1H\r\b\x07\x90\xff|"[r % 18];
        outb(0x3f8, r % 97 == 0 ? '\n' : (u8)r);
    }
    outb(0x3f8, '\n');
}
