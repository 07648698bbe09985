// SPDX-License-Identifier: MIT
// The Multiboot 2 information (Multiboot2 Specification 2.0, section 3.6): one block of tags. It is
// gone through twice: once to learn its size, once to write it where there is room for that.
#include "lib/string.h"
#include "vm/load_multiboot.h"

enum {
    INFO_END = 0,
    INFO_CMDLINE = 1,
    INFO_LOADER_NAME = 2,
    INFO_MODULE = 3,
    INFO_MEMORY = 4,
    INFO_MEMORY_MAP = 6,
    INFO_ELF_SECTIONS = 9,
    INFO_SMBIOS = 13,
    INFO_ACPI_1 = 14,
    INFO_ACPI_2 = 15,
    INFO_LOAD_BASE = 21,
};

#define FIXED_PART   8u  // total size, and a reserved word
#define RSDP_1_SIZE  20u // ACPI 6.4, 5.2.5.3
#define RSDP_2_SIZE  36u
#define SMBIOS_SIZE  0x1fu // SMBIOS 2.8, 5.2.1
#define SMBIOS_MAJOR 6u

struct info {
    struct loader *l;
    u64 start; // gpa; 0: it is only measured
    u64 size;  // bytes so far
    enum error error;
};

static void put(struct info *i, const void *data, u64 len)
{
    if (i->start != 0 && i->error == OK)
        i->error = load_write(i->l, i->start + i->size, data, len);
    i->size += len;
}

static void put_u32(struct info *i, u32 value)
{
    put(i, &value, sizeof(value));
}

// What is said of a tag's contents: len bytes.
static void begin_tag(struct info *i, u32 type, u64 len)
{
    put_u32(i, type);
    put_u32(i, (u32)(8 + len));
}

// The next tag is at a multiple of 8.
static void end_tag(struct info *i)
{
    static const u8 zeros[8];
    put(i, zeros, ALIGN_UP(i->size, 8ul) - i->size);
}

static void put_tag(struct info *i, u32 type, const void *data, u64 len)
{
    begin_tag(i, type, len);
    put(i, data, len);
    end_tag(i);
}

static void put_string_tag(struct info *i, u32 type, const char *text)
{
    put_tag(i, type, text, strlen(text) + 1);
}

static void put_modules(struct info *i, const struct layout *y)
{
    for (unsigned n = 0; n < y->modules; n++) {
        const struct load_module *m = &y->module[n];
        begin_tag(i, INFO_MODULE, 8 + strlen(m->args) + 1);
        put_u32(i, (u32)y->module_at[n]);
        put_u32(i, (u32)(y->module_at[n] + m->image.size));
        put(i, m->args, strlen(m->args) + 1);
        end_tag(i);
    }
}

static void put_memory(struct info *i)
{
    struct e820_entry map[E820_ENTRIES];
    u64 memory = i->l->request->memory;
    unsigned n = e820_build(memory, map);
    begin_tag(i, INFO_MEMORY, 8);
    put_u32(i, LOW_RAM_END / KiB);
    put_u32(i, (u32)((e820_high_ram_end(memory) - HIGH_RAM) / KiB));
    end_tag(i);

    begin_tag(i, INFO_MEMORY_MAP, 8 + n * 24);
    put_u32(i, 24); // bytes of an entry
    put_u32(i, 0);  // its version
    for (unsigned k = 0; k < n; k++) {
        put(i, &map[k], sizeof(map[k]));
        put_u32(i, 0);
    }
    end_tag(i);
}

// The sections themselves go where there is room for them; without, they are not told.
static void put_sections(struct info *i, const struct layout *y)
{
    const struct elf_sections *s = &y->sections;
    if (y->sections_at == 0)
        return;
    begin_tag(i, INFO_ELF_SECTIONS, 12 + elf_table_size(s));
    put_u32(i, s->count);
    put_u32(i, s->entry_size);
    put_u32(i, s->names);
    if (i->start != 0 && i->error == OK)
        i->error = elf_write_sections(i->l, s, i->start + i->size, y->sections_at);
    i->size += elf_table_size(s);
    end_tag(i);
}

// A copy of len bytes of what the firmware's tables have at gpa.
static void copy_table(struct info *i, gpa_t gpa, u8 *out, u64 len)
{
    memset(out, 0, len);
    if (i->start != 0 && i->error == OK)
        i->error = guest_read(i->l->memory, gpa, out, len);
}

static void put_tables(struct info *i)
{
    const struct load_request *r = i->l->request;
    if (r->rsdp.v != 0) {
        u8 rsdp[RSDP_2_SIZE];
        copy_table(i, r->rsdp, rsdp, sizeof(rsdp));
        put_tag(i, INFO_ACPI_1, rsdp, RSDP_1_SIZE);
        put_tag(i, INFO_ACPI_2, rsdp, RSDP_2_SIZE);
    }
    if (r->smbios.v != 0) {
        u8 entry[8 + SMBIOS_SIZE] = {0};
        copy_table(i, r->smbios, entry + 8, SMBIOS_SIZE);
        memcpy(entry, entry + 8 + SMBIOS_MAJOR, 2); // major and minor version
        put_tag(i, INFO_SMBIOS, entry, sizeof(entry));
    }
}

static void put_all(struct info *i, const struct multiboot2 *m, u64 total)
{
    put_u32(i, (u32)total);
    put_u32(i, 0);
    put_string_tag(i, INFO_CMDLINE, i->l->request->cmdline);
    put_string_tag(i, INFO_LOADER_NAME, "Vitrine");
    put_modules(i, &m->layout);
    put_memory(i);
    put_sections(i, &m->layout);
    put_tables(i);
    if (m->relocated) {
        u32 base = (u32)m->base;
        put_tag(i, INFO_LOAD_BASE, &base, sizeof(base));
    }
    begin_tag(i, INFO_END, 0);
}

enum error multiboot2_write_info(struct loader *l, struct multiboot2 *m, u32 *gdt, u32 *info_at)
{
    struct layout *y = &m->layout;
    if (y->sections.table != NULL && elf_sections_size(&y->sections) > 0)
        y->sections_at = layout_place(l, y, y->modules_from, elf_sections_size(&y->sections));
    struct info measured = {.l = l};
    put_all(&measured, m, 0);
    enum error e = layout_block(l, y, LOAD_GDT_SIZE + measured.size);
    if (e != OK)
        return e;
    u64 at = y->block;
    *gdt = (u32)at;
    *info_at = (u32)(at + LOAD_GDT_SIZE);
    e = load_write(l, at, gdt_pc.entry, LOAD_GDT_SIZE);
    if (e != OK || l->memory == NULL)
        return e;
    struct info info = {.l = l, .start = at + LOAD_GDT_SIZE};
    put_all(&info, m, measured.size);
    return info.error == OK ? OK
                            : load_fail(l, info.error, "memory",
                                        "there is no RAM where its boot information goes");
}
