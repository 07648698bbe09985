// SPDX-License-Identifier: MIT
// ELF kernels that have the note of Xen's PVH start: a Linux vmlinux as its build leaves it, and
// others. (Xen's docs/misc/pvh.pandoc; the structures are in its public/arch-x86/hvm/start_info.h.)
#include "lib/string.h"
#include "vm/load_layout.h"

#define NOTE_OWNER        "Xen"
#define NOTE_PHYS32_ENTRY 18u
#define TSS_LIMIT         0x67u

struct start_info {
    u32 magic, version, flags, modules;
    u64 module_list, cmdline, rsdp, memory_map; // gpa
    u32 memory_map_entries, reserved;
} PACKED;
#define START_MAGIC   0x336ec578u
#define START_VERSION 1u // with a memory map

struct module_entry {
    u64 start, size, cmdline, reserved;
} PACKED;

struct memory_map_entry {
    u64 start, size;
    u32 type; // as in E820
    u32 reserved;
} PACKED;

bool pvh_is_kernel(const struct image *image)
{
    u64 entry;
    return elf_find_note(image, NOTE_OWNER, NOTE_PHYS32_ENTRY, &entry) == NOTE_GOOD;
}

const char *pvh_damage_text(const struct image *image)
{
    u64 entry;
    switch (elf_find_note(image, NOTE_OWNER, NOTE_PHYS32_ENTRY, &entry)) {
    case NOTE_BAD:
        return "a damaged PVH note";
    case NOTE_DAMAGED:
        return "notes that are damaged or cut off";
    default:
        return NULL;
    }
}

// The entry is a physical address, and one in a segment.
static enum error read_entry(struct loader *l, struct load_segments *s)
{
    const struct image *k = &l->request->kernel;
    enum error e = elf_segments(l, s);
    if (e != OK || elf_find_note(k, NOTE_OWNER, NOTE_PHYS32_ENTRY, &s->entry) != NOTE_GOOD)
        return e;
    return layout_check_entry(l, s);
}

static enum error place_all(struct loader *l, struct layout *y)
{
    const struct load_request *r = l->request;
    enum error e = layout_segments(l, y);
    if (e == OK)
        e = layout_block(l, y, LAYOUT_BLOCK_SIZE);
    if (e == OK && r->initrd.data != NULL)
        e = layout_module(l, y, "initrd", &(struct load_module){.image = r->initrd, .args = ""});
    return e == OK ? layout_modules(l, y) : e;
}

static enum error put_modules(struct loader *l, struct layout *y, struct start_info *s)
{
    struct module_entry entry[LOAD_MODULES + 1] = {0};
    enum error e = OK;
    u32 at = 0;
    for (unsigned i = 0; i < y->modules && e == OK; i++) {
        const struct load_module *m = &y->module[i];
        entry[i] = (struct module_entry){.start = y->module_at[i], .size = m->image.size};
        if (m->args[0] != '\0') {
            e = layout_put(l, y, m->args, strlen(m->args) + 1, &at);
            entry[i].cmdline = at;
        }
    }
    if (e == OK && y->modules > 0) {
        e = layout_put(l, y, entry, y->modules * sizeof(entry[0]), &at);
        s->module_list = at;
        s->modules = y->modules;
    }
    return e;
}

static enum error put_memory_map(struct loader *l, struct layout *y, struct start_info *s)
{
    struct e820_entry map[E820_ENTRIES];
    struct memory_map_entry entry[E820_ENTRIES];
    unsigned n = e820_build(l->request->memory, map);
    u32 at = 0;
    for (unsigned i = 0; i < n; i++)
        entry[i] = (struct memory_map_entry){map[i].start, map[i].size, map[i].type, 0};
    enum error e = layout_put(l, y, entry, n * sizeof(entry[0]), &at);
    s->memory_map = at;
    s->memory_map_entries = n;
    return e;
}

static enum error write_info(struct loader *l, struct layout *y, u32 *gdt, u32 *info)
{
    const struct load_request *r = l->request;
    struct start_info s = {.magic = START_MAGIC, .version = START_VERSION, .rsdp = r->rsdp.v};
    u32 at = 0;
    enum error e = layout_put(l, y, gdt_pc.entry, LOAD_GDT_SIZE, gdt);
    if (e == OK)
        e = layout_put(l, y, r->cmdline, strlen(r->cmdline) + 1, &at);
    s.cmdline = at;
    if (e == OK)
        e = put_modules(l, y, &s);
    if (e == OK)
        e = put_memory_map(l, y, &s);
    return e == OK ? layout_put(l, y, &s, sizeof(s), info) : e;
}

enum error load_pvh(struct loader *l)
{
    struct layout y = {0};
    u32 gdt = 0, info = 0;

    if (l->request->interrupts)
        return load_fail(l, ERR_UNSUPPORTED, "interrupts", "a PVH start has interrupts off");
    enum error e = read_entry(l, &y.segments);
    if (e == OK)
        e = place_all(l, &y);
    if (e == OK)
        e = layout_write(l, &y);
    if (e == OK)
        e = write_info(l, &y, &gdt, &info);
    if (e == OK) {
        load_entry_protected(l->out, y.segments.entry, &gdt_pc, gdt, false);
        l->out->format = FORMAT_PVH;
        l->out->regs.seg[SEG_TR].limit = TSS_LIMIT;
        l->out->regs.gpr[RBX] = info;
    }
    return e;
}
