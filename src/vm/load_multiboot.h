// SPDX-License-Identifier: MIT
// What the files of the Multiboot loaders share.
#pragma once

#include "vm/load_layout.h"

// Writes the GDT and the Multiboot information into the block; *gdt and *info say where they are.
// ERR_INVALID when the command line and the modules' lines are too long together.
enum error multiboot_write_info(struct loader *l, struct layout *y, u32 *gdt, u32 *info);

// What the header of a Multiboot 2 kernel says beside where the kernel goes.
struct multiboot2 {
    struct layout layout;
    bool relocated; // its header lets it be moved
    u64 base;       // gpa of the lowest byte loaded
};

// Finds a place for the Multiboot 2 information and the GDT, and writes them; *gdt and *info say
// where they are.
enum error multiboot2_write_info(struct loader *l, struct multiboot2 *m, u32 *gdt, u32 *info);
