// SPDX-License-Identifier: MIT
// What the files of the Multiboot loader share.
#pragma once

#include "vm/load_internal.h"

// One block of low RAM holds all that the loader tells the kernel.
#define MULTIBOOT_BLOCK_SIZE 0x3000u

struct range {
    u64 start, end;
};

struct multiboot {
    struct load_segments segments;
    struct elf_sections sections;
    struct range used[LOAD_SEGMENTS + LOAD_MODULES + 2];
    unsigned used_count;
    u64 block; // gpa
    u64 next;  // gpa in the block where the next piece goes
    u64 module_at[LOAD_MODULES];
    u64 sections_at; // 0: not told
};

// Writes the GDT and the Multiboot information into the block; *gdt and *info say where they are.
// ERR_INVALID when the command line and the modules' lines are too long together.
enum error multiboot_write_info(struct loader *l, struct multiboot *m, u32 *gdt, u32 *info);
