// SPDX-License-Identifier: MIT
// Where a loader puts what it loads, for the protocols whose kernel says itself where it goes:
// Multiboot 1 and 2, PVH.
#pragma once

#include "vm/load_internal.h"

// One block, of low RAM where there is room, holds what the loader tells the kernel.
#define LAYOUT_BLOCK_SIZE 0x3000u

struct range {
    u64 start, end; // gpa
};

struct layout {
    struct load_segments segments;
    struct elf_sections sections;
    struct range used[LOAD_SEGMENTS + LOAD_MODULES + 4];
    unsigned used_count;
    u64 modules_from; // gpa; behind the kernel, since some take what lies between for their heap
    struct load_module module[LOAD_MODULES + 1]; // an initrd may be one more
    u64 module_at[LOAD_MODULES + 1];
    unsigned modules;
    u64 block;       // gpa
    u64 block_end;   // gpa
    u64 next;        // gpa in the block where the next piece goes
    u64 sections_at; // gpa of the table of sections; 0: not told
};

// What a kernel's header says instead of ELF's program headers: addresses, as in Multiboot
// Specification 0.6.96, 3.1.3, and 2.0, 3.1.4.
struct load_addresses {
    u32 header;   // gpa of the header
    u32 load;     // gpa of the first byte loaded
    u32 load_end; // gpa; 0: to the file's end
    u32 bss_end;  // gpa; 0: no .bss
    u32 entry;    // gpa
};

// The one segment that the addresses describe; the header is at offset `at` of the kernel's file.
enum error addresses_segment(struct loader *l, u64 at, const struct load_addresses *a,
                             struct load_segments *out);

// OK when the entry is in one of the segments, neither having been moved yet; else ERR_FORMAT.
enum error layout_check_entry(struct loader *l, const struct load_segments *s);

// The lowest free, page-aligned place for size bytes of RAM at or above `from` and below 3 GiB,
// which is taken; 0 when there is none.
u64 layout_place(const struct loader *l, struct layout *y, u64 from, u64 size);

// Takes the segments' places. Fails when one is not all RAM or overlaps another, or when the entry
// is above 4 GiB.
enum error layout_segments(struct loader *l, struct layout *y);

// Finds a place for one more module. `key` is blamed when there is none, or no byte in it.
enum error layout_module(struct loader *l, struct layout *y, const char *key,
                         const struct load_module *module);

// The same for all modules of the request.
enum error layout_modules(struct loader *l, struct layout *y);

// Finds a place for the block of `size` bytes.
enum error layout_block(struct loader *l, struct layout *y, u64 size);

// Takes len bytes of the block, at a multiple of 8. ERR_INVALID when it is full, for which the
// command line and the modules' arguments are to blame.
enum error layout_take(struct loader *l, struct layout *y, u64 len, u32 *gpa);

// The same, and writes them.
enum error layout_put(struct loader *l, struct layout *y, const void *data, u64 len, u32 *gpa);

// Puts "name args" and a zero into the block, as QEMU has it; "name" alone when args is empty.
enum error layout_put_line(struct loader *l, struct layout *y, const char *name, const char *args,
                           u32 *gpa);

// Writes segments and modules.
enum error layout_write(struct loader *l, const struct layout *y);
