// SPDX-License-Identifier: MIT
// The ACPI tables and the SMBIOS entry of the board in vdev/board.h, written into guest RAM where a
// guest looks for them: the RSDP by scanning 0xe0000-0xfffff, SMBIOS by scanning 0xf0000-0xfffff.
#pragma once

#include "lib/error.h"
#include "lib/types.h"
#include "x86/guest_memory.h"

#define ACPI_RSDP      0xe0000ul // gpa of the RSDP
#define ACPI_END       0xf0000ul // the tables end before this gpa
#define SMBIOS_ENTRY   0xf0000ul // gpa of the SMBIOS entry point
#define ACPI_MAX_VCPUS 1024

// Local APIC IDs are the vCPU numbers, and every vCPU is enabled.
struct acpi_config {
    unsigned vcpus; // 1 to ACPI_MAX_VCPUS
    u8 uarts;       // beside COM1 and COM2: bit 2 for COM3, bit 3 for COM4
};

// Writes RSDP, RSDT, XSDT, FADT, FACS, MADT and DSDT into guest RAM below ACPI_END; the guest's
// memory map should keep 0xe0000-0xfffff reserved. ERR_INVALID: the number of vCPUs; ERR_FAULT: no
// RAM there.
enum error acpi_build(const struct acpi_config *c, struct guest_memory *m);

// Writes the SMBIOS entry point and the structures BIOS information, system information, end.
// ERR_FAULT: no RAM there.
enum error smbios_build(struct guest_memory *m);

// Makes the sum of n bytes, this one included, 0.
static inline u8 table_checksum(const void *table, size_t n)
{
    const u8 *p = table;
    u8 sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += p[i];
    return (u8)-sum;
}
