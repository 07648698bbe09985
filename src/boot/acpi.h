// SPDX-License-Identifier: MIT
// The host's ACPI tables (ACPI 6.4, 5.2), as far as a hypervisor needs them.
#pragma once

#include "lib/format.h"
#include "lib/types.h"

#define ACPI_CPUS_MAX    512
#define ACPI_IOAPICS_MAX 16

struct acpi_ioapic {
    u8 id;
    hpa_t address;
    u32 gsi_base;
};

struct acpi_info {
    u32 apic_id[ACPI_CPUS_MAX]; // of each enabled CPU, in the MADT's order
    unsigned cpus;
    hpa_t lapic_address;
    struct acpi_ioapic ioapic[ACPI_IOAPICS_MAX];
    unsigned ioapics;
    struct {
        u32 gsi;
        bool active_low, level;
    } isa[16];
    u16 pm1a_control, pm1b_control; // ports; 0: none
    u8 slp_typ_a, slp_typ_b;        // values for S5
    bool has_s5;
    u16 pm_timer;   // port; 0: none
    u16 reset_port; // 0: none
    u8 reset_value;
};

extern struct acpi_info acpi;

// Finds the RSDP (Multiboot2's tags first, then the BIOS areas) and reads MADT, FADT and the DSDT's
// \_S5. ERR_NOT_FOUND: *why says what is missing; the fields that were found are good in any case.
enum error acpi_init(struct text *why);
