// SPDX-License-Identifier: MIT
// What GRUB hands over (Multiboot2 specification, 3.6), checked and kept.
#pragma once

#include "lib/error.h"
#include "lib/types.h"

#define BOOT_MODULES_MAX 32
#define BOOT_MEMORY_MAX  128

struct boot_module {
    hpa_t start;
    u64 size;      // bytes
    char name[64]; // first word of its command line
    char args[64]; // the second
};

enum memory_type {
    MEMORY_AVAILABLE = 1,
    MEMORY_RESERVED = 2,
    MEMORY_ACPI = 3,
    MEMORY_NVS = 4,
    MEMORY_BAD = 5
};

struct memory_range {
    hpa_t start;
    u64 size; // bytes
    u32 type; // enum memory_type
};

enum framebuffer_kind { FRAMEBUFFER_PALETTE, FRAMEBUFFER_RGB, FRAMEBUFFER_TEXT };

struct color_field {
    u8 position, size; // bits, in a dot's value
};

struct framebuffer {
    hpa_t start;
    u32 pitch;         // bytes from one row to the next
    u32 width, height; // dots; of text: letters
    u8 bits;           // of a dot
    u8 kind;           // enum framebuffer_kind
    struct color_field red, green, blue;
};

struct boot_info {
    char cmdline[512];
    struct boot_module module[BOOT_MODULES_MAX];
    unsigned modules, modules_left_out;
    struct memory_range memory[BOOT_MEMORY_MAX];
    unsigned memory_ranges;
    bool has_framebuffer;
    struct framebuffer framebuffer; // as it was told: see framebuffer.h
    u8 rsdp[36]; // copy of the RSDP from the tags; signature absent when there was none
    hpa_t info_start;
    u64 info_size;
};

extern struct boot_info boot_info;
extern u64 boot_handover_tsc; // when the loader handed over (entry.S)

// Reads the information structure at info. Boot core, on the boot page tables. ERR_FORMAT: it
// is not Multiboot2's; ERR_NOT_FOUND: it has no memory map.
enum error multiboot2_read(u32 magic, hpa_t info);
