// SPDX-License-Identifier: MIT
// The host's local APIC, in x2APIC mode where the CPU has it (SDM Vol. 3, chapter 11), and IOAPICs.
#pragma once

#include "boot/serial.h"
#include "lib/cpu.h"
#include "x86/msr_numbers.h"

#define APIC_ICR_ASSERT (1u << 14)

// Turns on the calling core's local APIC, with its timer in TSC-deadline mode (or one-shot where
// the CPU lacks that) and everything else masked.
void apic_init(void);

// It is in x2APIC mode, like every other core's. Set by apic_init.
extern bool apic_x2apic;

static inline bool apic_is_x2apic(void)
{
    return apic_x2apic;
}

u32 apic_id(void);
void apic_eoi(void);

// Sends a fixed interrupt, INIT, start-up (page: physical address >> 12) or NMI to one core, which
// sees with it all that the caller has stored.
void apic_send(u32 apic_id, u8 vector);
void apic_send_init(u32 apic_id);
void apic_send_startup(u32 apic_id, u8 page);
void apic_send_nmi(u32 apic_id);

// apic_send for a caller that has made all its stores, at the latest, by a locked instruction:
// these are seen by others when that is complete, and LFENCE has the WRMSR wait for it
// (SDM 9.2.2, 11.12.3).
static inline void apic_send_after_locked(u32 apic_id, u8 vector)
{
    if (!apic_x2apic) {
        apic_send(apic_id, vector);
        return;
    }
    __asm__ volatile("lfence" ::: "memory");
    wrmsr(MSR_IA32_X2APIC_ICR, (u64)apic_id << 32 | APIC_ICR_ASSERT | vector);
}

// Interrupts the calling core by VECTOR_TIMER at the absolute TSC time deadline, or soon when that
// is past; UINT64_MAX: never.
void apic_set_deadline(u64 deadline);

// Routes an ISA interrupt to vector on the core with that APIC ID, below 255. ERR_NOT_FOUND: no
// IOAPIC has it. Any core.
enum error host_irq_route(u8 irq, u8 vector, u32 apic_id);

// Routes a serial line's interrupt to the calling core as that vector, and has the line interrupt.
// ERR_NOT_FOUND: no IOAPIC has its IRQ, and somebody has to look.
enum error host_serial_route(struct serial_line *u, u8 vector);

// Masks one that is routed, or lets it through again. Any core.
void host_irq_mask(u8 irq, bool masked);

// Masks every pin of every IOAPIC and the 8259 pair. Boot core, before any route.
void host_irqs_init(void);
