// SPDX-License-Identifier: MIT
// The Multiboot information (Multiboot Specification 0.6.96, section 3.3).
#include "lib/string.h"
#include "vm/load_multiboot.h"

// Offsets in the Multiboot information, and its flags.
enum {
    MBI_FLAGS = 0,
    MBI_MEM_LOWER = 4,
    MBI_MEM_UPPER = 8,
    MBI_CMDLINE = 16,
    MBI_MODS_COUNT = 20,
    MBI_MODS_ADDR = 24,
    MBI_ELF_NUM = 28,
    MBI_ELF_SIZE = 32,
    MBI_ELF_ADDR = 36,
    MBI_ELF_SHNDX = 40,
    MBI_MMAP_LENGTH = 44,
    MBI_MMAP_ADDR = 48,
    MBI_LOADER_NAME = 64,
    MBI_SIZE = 120,
};
#define HAS_MEM         BIT(0)
#define HAS_CMDLINE     BIT(2)
#define HAS_MODS        BIT(3)
#define HAS_ELF         BIT(5)
#define HAS_MMAP        BIT(6)
#define HAS_LOADER_NAME BIT(9)

#define MODULE_ENTRY 16ul
#define MMAP_ENTRY   24ul

static enum error put_modules(struct loader *l, struct layout *y, u8 *info)
{
    u8 table[LOAD_MODULES * MODULE_ENTRY] = {0};
    enum error e = OK;
    u32 at = 0;
    for (unsigned i = 0; i < y->modules && e == OK; i++) {
        u8 *entry = table + i * MODULE_ENTRY;
        e = layout_put_line(l, y, y->module[i].image.name, y->module[i].args, &at);
        put32(entry, (u32)y->module_at[i]);
        put32(entry + 4, (u32)(y->module_at[i] + y->module[i].image.size));
        put32(entry + 8, at);
    }
    if (e == OK)
        e = layout_put(l, y, table, (u64)y->modules * MODULE_ENTRY, &at);
    put32(info + MBI_MODS_COUNT, y->modules);
    put32(info + MBI_MODS_ADDR, at);
    return e;
}

static enum error put_memory_map(struct loader *l, struct layout *y, u8 *info)
{
    u64 memory = l->request->memory;
    struct e820_entry map[E820_ENTRIES];
    u8 table[E820_ENTRIES * MMAP_ENTRY];
    unsigned n = e820_build(memory, map);
    for (unsigned i = 0; i < n; i++) {
        put32(table + i * MMAP_ENTRY, sizeof(map[0])); // the size without this field
        memcpy(table + i * MMAP_ENTRY + 4, &map[i], sizeof(map[0]));
    }
    u32 at = 0;
    enum error e = layout_put(l, y, table, n * MMAP_ENTRY, &at);
    put32(info + MBI_MMAP_LENGTH, (u32)(n * MMAP_ENTRY));
    put32(info + MBI_MMAP_ADDR, at);
    put32(info + MBI_MEM_LOWER, LOW_RAM_END / KiB);
    put32(info + MBI_MEM_UPPER, (u32)((e820_high_ram_end(memory) - HIGH_RAM) / KiB));
    return e;
}

enum error multiboot_write_info(struct loader *l, struct layout *y, u32 *gdt, u32 *info_at)
{
    static const char loader_name[] = "Vitrine";
    u8 info[MBI_SIZE] = {0};
    u32 flags = HAS_MEM | HAS_CMDLINE | HAS_MODS | HAS_MMAP | HAS_LOADER_NAME, at = 0;

    enum error e = layout_put(l, y, gdt_pc.entry, LOAD_GDT_SIZE, gdt);
    if (e == OK)
        e = layout_take(l, y, MBI_SIZE, info_at);
    if (e == OK)
        e = layout_put_line(l, y, l->request->kernel.name, l->request->cmdline, &at);
    if (e == OK) {
        put32(info + MBI_CMDLINE, at);
        e = layout_put(l, y, loader_name, sizeof(loader_name), &at);
    }
    if (e == OK) {
        put32(info + MBI_LOADER_NAME, at);
        e = put_modules(l, y, info);
    }
    if (e == OK)
        e = put_memory_map(l, y, info);
    if (y->sections_at != 0) {
        flags |= HAS_ELF;
        put32(info + MBI_ELF_NUM, y->sections.count);
        put32(info + MBI_ELF_SIZE, y->sections.entry_size);
        put32(info + MBI_ELF_ADDR, (u32)y->sections_at);
        put32(info + MBI_ELF_SHNDX, y->sections.names);
    }
    put32(info + MBI_FLAGS, flags);
    return e == OK ? load_write(l, *info_at, info, MBI_SIZE) : e;
}
