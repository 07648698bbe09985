// SPDX-License-Identifier: MIT
// What a PC's firmware leaves below 1 MiB beside the ACPI tables: the vectors of real mode at 0,
// the BIOS data area at 0x400, the extended one at 0x9fc00, and the tables of Intel's
// MultiProcessor Specification 1.4. There are no BIOS services: a call of one returns at once with
// the carry flag set and "unsupported" in AH.
#pragma once

#include "lib/error.h"
#include "lib/types.h"
#include "x86/guest_memory.h"

#define BIOS_CODE   0xfff53ul // gpa of what the vectors lead to; the first byte is an IRET
#define BDA         0x400ul   // gpa of the BIOS data area
#define EBDA        0x9fc00ul // gpa of the extended BIOS data area, 1 KiB, where low RAM ends
#define MP_FLOATING (EBDA + 16)
#define MP_TABLE    0xf1000ul // gpa of the MP configuration table

struct firmware_config {
    unsigned vcpus;     // local APIC IDs are their numbers; 1 to 255
    u8 uarts;           // bit n: there is a COMn+1
    u32 cpu_signature;  // CPUID.1:EAX
    u32 cpu_features;   // CPUID.1:EDX
    u32 midnight_ticks; // of 18.2 Hz since midnight
};

// Writes them into guest RAM, of which there is some up to 1 MiB. ERR_INVALID: the number of vCPUs;
// ERR_FAULT: no RAM there.
enum error firmware_build(const struct firmware_config *c, struct guest_memory *m);
