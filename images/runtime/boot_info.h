// SPDX-License-Identifier: MIT
// What the loader and fw_cfg tell: command line, memory, CPU count.
#pragma once

#include "lib/types.h"

struct memory_range {
    u64 base, size; // bytes
    u32 type;       // as in E820: 1 is RAM
};

enum { MEMORY_RAM = 1, MEMORY_RANGES = 32, BOOT_MODULES = 16 };

enum boot_protocol { BOOT_UNKNOWN, BOOT_MULTIBOOT, BOOT_MULTIBOOT2, BOOT_PVH };

struct boot_file {
    const u8 *data;
    u64 size;         // bytes
    const char *text; // what stands behind its name, or with it
};

struct boot_info {
    char command_line[256]; // as the loader gave it, often with the kernel's name first
    struct memory_range memory[MEMORY_RANGES];
    unsigned memory_ranges;
    enum boot_protocol protocol;
    u16 cs, ds, ss;                      // as they were at the first instruction
    struct boot_file file[BOOT_MODULES]; // Multiboot's modules; where the loader put them
    unsigned files;
    const void *rsdp, *smbios; // told by the loader; NULL: not told
    u64 memory_total;          // bytes of RAM in all ranges
    unsigned cpus;             // from fw_cfg, else from the MADT, else 1
    bool fw_cfg;               // there is an fw_cfg with its signature
};

extern struct boot_info boot_info;

// Copies what the Multiboot information and fw_cfg hold; later, low memory may be used for other
// things. Called by the runtime.
void boot_info_init(u32 magic, u32 information);

// Whether `word` stands on the command line, alone between blanks.
bool option(const char *word);

// The value of the command line's word NAME=VALUE, decimal or 0x hexadecimal; `otherwise` where
// there is none.
u64 option_number(const char *name, u64 otherwise);

// The value as text, up to the next blank, cut to size. False where there is none.
bool option_text(const char *name, char *value, size_t size);
