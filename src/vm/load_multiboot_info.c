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

#define MODULE_ENTRY 16ull
#define MMAP_ENTRY   24ull

// Takes len bytes of the block.
static enum error take(struct loader *l, struct multiboot *m, u64 len, u32 *gpa)
{
    u64 left = m->block + MULTIBOOT_BLOCK_SIZE - m->next;
    if (len > left || ALIGN_UP(len, 8ull) > left)
        return load_fail(l, ERR_INVALID, "cmdline",
                         "the command line and the modules' lines are too long together");
    *gpa = (u32)m->next;
    m->next += ALIGN_UP(len, 8ull);
    return OK;
}

// Puts bytes into the block; *gpa says where.
static enum error put_block(struct loader *l, struct multiboot *m, const void *data, u64 len,
                            u32 *gpa)
{
    enum error e = take(l, m, len, gpa);
    return e == OK ? load_write(l, *gpa, data, len) : e;
}

// "name args", as QEMU has it.
static enum error put_line(struct loader *l, struct multiboot *m, const char *name,
                           const char *args, u32 *gpa)
{
    size_t name_len = strlen(name), args_len = strlen(args);
    enum error e = take(l, m, name_len + args_len + 2, gpa);
    if (e == OK)
        e = load_write(l, *gpa, name, name_len + 1);
    if (e == OK && args_len > 0)
        e = load_write(l, *gpa + name_len, " ", 1);
    if (e == OK && args_len > 0)
        e = load_write(l, *gpa + name_len + 1, args, args_len + 1);
    return e;
}

static enum error put_modules(struct loader *l, struct multiboot *m, u8 *info)
{
    const struct load_request *r = l->request;
    u8 table[LOAD_MODULES * MODULE_ENTRY] = {0};
    enum error e = OK;
    u32 at = 0;
    for (unsigned i = 0; i < r->modules && e == OK; i++) {
        u8 *entry = table + i * MODULE_ENTRY;
        e = put_line(l, m, r->module[i].image.name, r->module[i].args, &at);
        put32(entry, (u32)m->module_at[i]);
        put32(entry + 4, (u32)(m->module_at[i] + r->module[i].image.size));
        put32(entry + 8, at);
    }
    if (e == OK)
        e = put_block(l, m, table, (u64)r->modules * MODULE_ENTRY, &at);
    put32(info + MBI_MODS_COUNT, r->modules);
    put32(info + MBI_MODS_ADDR, at);
    return e;
}

static enum error put_memory_map(struct loader *l, struct multiboot *m, u8 *info)
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
    enum error e = put_block(l, m, table, n * MMAP_ENTRY, &at);
    put32(info + MBI_MMAP_LENGTH, (u32)(n * MMAP_ENTRY));
    put32(info + MBI_MMAP_ADDR, at);
    put32(info + MBI_MEM_LOWER, LOW_RAM_END / KiB);
    put32(info + MBI_MEM_UPPER, (u32)((e820_high_ram_end(memory) - HIGH_RAM) / KiB));
    return e;
}

enum error multiboot_write_info(struct loader *l, struct multiboot *m, u32 *gdt, u32 *info_at)
{
    static const char loader_name[] = "Vitrine";
    u8 info[MBI_SIZE] = {0};
    u32 flags = HAS_MEM | HAS_CMDLINE | HAS_MODS | HAS_MMAP | HAS_LOADER_NAME, at = 0;

    enum error e = put_block(l, m, load_gdt, LOAD_GDT_SIZE, gdt);
    if (e == OK)
        e = take(l, m, MBI_SIZE, info_at);
    if (e == OK)
        e = put_line(l, m, l->request->kernel.name, l->request->cmdline, &at);
    if (e == OK) {
        put32(info + MBI_CMDLINE, at);
        e = put_block(l, m, loader_name, sizeof(loader_name), &at);
    }
    if (e == OK) {
        put32(info + MBI_LOADER_NAME, at);
        e = put_modules(l, m, info);
    }
    if (e == OK)
        e = put_memory_map(l, m, info);
    if (m->sections_at != 0) {
        flags |= HAS_ELF;
        put32(info + MBI_ELF_NUM, m->sections.count);
        put32(info + MBI_ELF_SIZE, m->sections.entry_size);
        put32(info + MBI_ELF_ADDR, (u32)m->sections_at);
        put32(info + MBI_ELF_SHNDX, m->sections.names);
    }
    put32(info + MBI_FLAGS, flags);
    return e == OK ? load_write(l, *info_at, info, MBI_SIZE) : e;
}
