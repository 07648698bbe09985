// SPDX-License-Identifier: MIT
#include "ioapic.h"

#include "devices.h"
#include "guest.h"

enum { VECTOR_PIT = 0x31, VECTOR_OTHER = 0x32 };

static void on_edge(struct interrupt_frame *f)
{
    (void)f;
    apic_eoi();
}

static bool arrives(u8 vector, u64 ms)
{
    u64 before = interrupts[vector];
    pit_once(PIT_HZ / 1000);
    interrupts_on();
    bool arrived = WAIT_FOR(interrupts[vector] != before, ms);
    interrupts_off();
    return arrived;
}

void check_ioapic(void)
{
    if (acpi.ioapic_address == 0) {
        report(false, "F10: IOAPIC: the MADT names one");
        return;
    }
    u32 version = ioapic_read(IOAPIC_VERSION);
    report((version & 0xff) >= 0x11 && (version >> 16 & 0xff) >= 23,
           "F10: IOAPIC: version 0x%x with at least 24 inputs", version);
    u32 gsi = acpi.isa_gsi[0];
    u8 entry = (u8)(IOAPIC_REDIRECTION + 2 * (gsi - acpi.ioapic_gsi_base));
    ioapic_write((u8)(entry + 1), 0x5a000000);
    ioapic_write(entry, IOAPIC_MASKED | IOAPIC_LEVEL | IOAPIC_LOW | VECTOR_PIT);
    report(ioapic_read(entry) == (IOAPIC_MASKED | IOAPIC_LEVEL | IOAPIC_LOW | VECTOR_PIT) &&
               (ioapic_read((u8)(entry + 1)) & 0x7f000000) == 0x5a000000,
           "F10: IOAPIC: a redirection entry reads back");

    interrupt_set(VECTOR_PIT, on_edge);
    interrupt_set(VECTOR_OTHER, on_edge);
    pit_stop();
    ioapic_route(gsi, VECTOR_PIT, 0);
    report(arrives(VECTOR_PIT, 100), "F10: IOAPIC: the PIT by GSI %u", gsi);
    ioapic_route(gsi, VECTOR_OTHER, 0);
    report(arrives(VECTOR_OTHER, 100), "F10: IOAPIC: by another vector");
    u64 before = interrupts[VECTOR_OTHER];
    pit_periodic(PIT_HZ / 1000);
    u64 start = rdtsc();
    interrupts_on();
    bool all = WAIT_FOR(interrupts[VECTOR_OTHER] - before >= 50, 1000);
    interrupts_off();
    u64 us = (rdtsc() - start) * 1000 / tsc_ms(1);
    report(all && near(us, 50000, 20), "F10: IOAPIC: 50 ticks at 1 kHz (%lu us)", us);
    ioapic_mask(gsi);
    // What was on its way when the entry was masked may still come.
    interrupts_on();
    delay_us(1000);
    before = interrupts[VECTOR_OTHER];
    delay_us(20000);
    interrupts_off();
    report(interrupts[VECTOR_OTHER] == before, "F10: IOAPIC: masked, nothing more comes");
    pit_stop();
    interrupt_set(VECTOR_PIT, NULL);
    interrupt_set(VECTOR_OTHER, NULL);
}
