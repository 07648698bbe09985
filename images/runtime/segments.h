// SPDX-License-Identifier: MIT
// The runtime's GDT, and addresses below 1 MiB that it uses. Included by C and by assembly.
#pragma once

#include "x86/bits.h"
#include "x86/msr_numbers.h"

#define SEL_CODE64 0x08
#define SEL_DATA   0x10 // flat, for 32-bit and 64-bit code
#define SEL_CODE32 0x18
#define SEL_CODE16 0x20
#define SEL_DATA16 0x28

// The start-up IPI's page for application processors, and a page for real-mode code.
#define AP_START_PAGE  0x8000
#define REAL_MODE_PAGE 0x7000

#define MULTIBOOT_HEADER_MAGIC  0x1badb002
#define MULTIBOOT_BOOT_MAGIC    0x2badb002
#define MULTIBOOT2_HEADER_MAGIC 0xe85250d6
#define MULTIBOOT2_BOOT_MAGIC   0x36d76289
#define PVH_START_MAGIC         0x336ec578
