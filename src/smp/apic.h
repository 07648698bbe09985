// SPDX-License-Identifier: MIT
// The host's local APIC, in x2APIC mode where the CPU has it (SDM Vol. 3, chapter 11), and IOAPICs.
#pragma once

#include "lib/types.h"

// Turns on the calling core's local APIC, with its timer in TSC-deadline mode (or one-shot where
// the CPU lacks that) and everything else masked.
void apic_init(void);

bool apic_is_x2apic(void);
u32 apic_id(void);
void apic_eoi(void);

// Sends a fixed interrupt, INIT, start-up (page: physical address >> 12) or NMI to one core.
void apic_send(u32 apic_id, u8 vector);
void apic_send_init(u32 apic_id);
void apic_send_startup(u32 apic_id, u8 page);
void apic_send_nmi(u32 apic_id);

// Interrupts the calling core by VECTOR_TIMER at the absolute TSC time deadline, or soon when that
// is past; UINT64_MAX: never.
void apic_set_deadline(u64 deadline);

// Routes an ISA interrupt to vector on the core with that APIC ID. False when no IOAPIC has it.
bool host_irq_route(u8 irq, u8 vector, u32 apic_id);

// Masks every pin of every IOAPIC and the 8259 pair. Boot core, before any route.
void host_irqs_init(void);
