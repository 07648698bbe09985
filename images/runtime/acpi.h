// SPDX-License-Identifier: MIT
// The few things that guests want from the ACPI tables (ACPI 6.5, chapter 5).
#pragma once

#include "lib/types.h"

enum { ACPI_MAX_CPUS = 64 };

struct acpi {
    bool found;            // an RSDP and a root table, both with right checksums
    u16 pm_timer_port;     // 0: none
    bool pm_timer_32bit;   // else it counts 24 bits
    u16 pm1a_control_port; // 0: none
    u64 ioapic_address;    // 0: none
    u32 ioapic_gsi_base;   // the GSI of its first input
    u32 isa_gsi[16];       // the GSI of each ISA interrupt
    unsigned cpus;         // enabled local APICs in the MADT
    u32 apic_id[ACPI_MAX_CPUS];
};

extern struct acpi acpi;

// Reads the tables, and gives boot_info.cpus its value where fw_cfg has not. Called by the runtime.
void acpi_init(void);
