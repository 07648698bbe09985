// SPDX-License-Identifier: MIT
// Multiboot 1 kernels (Multiboot Specification 0.6.96), ELF or with addresses in the header.
#include "vm/load_multiboot.h"

#define HEADER_SEARCH 8192u
#define HEADER_MAGIC  0x1badb002u
#define LOADER_MAGIC  0x2badb002u

// Flags of the header; what the image insists on is in bits 0 to 15.
#define WANTS_ALIGNED_MODULES BIT(0) // they always are
#define WANTS_MEMORY          BIT(1) // always told
#define WANTS_VIDEO           BIT(2) // only told of
#define REQUIREMENTS          0xffffu
#define HAS_ADDRESSES         BIT(16)

i64 multiboot_find_header(const struct image *image)
{
    u64 end = MIN(image->size, HEADER_SEARCH);
    for (u64 at = 0; at + 12 <= end; at += 4) {
        const u8 *p = image->data + at;
        if (get32(p) != HEADER_MAGIC || (u32)(get32(p) + get32(p + 4) + get32(p + 8)) != 0)
            continue;
        return (i64)at;
    }
    return -1;
}

bool multiboot_is_kernel(const struct image *image)
{
    i64 at = multiboot_find_header(image);
    return at >= 0 && (elf_is(image) || (get32(image->data + at + 4) & (u32)HAS_ADDRESSES) != 0);
}

static enum error read_addresses(struct loader *l, u64 at, struct load_segments *out)
{
    const struct image *k = &l->request->kernel;
    if (MIN(k->size, HEADER_SEARCH) - at < 32)
        return load_fail(l, ERR_TRUNCATED, "kernel", "%s is truncated: it ends within its header",
                         k->name);
    const u8 *p = k->data + at;
    const struct load_addresses a = {.header = get32(p + 12),
                                     .load = get32(p + 16),
                                     .load_end = get32(p + 20),
                                     .bss_end = get32(p + 24),
                                     .entry = get32(p + 28)};
    return addresses_segment(l, at, &a, out);
}

static enum error read_header(struct loader *l, struct layout *y)
{
    const struct image *k = &l->request->kernel;
    u64 at = (u64)multiboot_find_header(k); // there is one: load_image looked
    u32 flags = get32(k->data + at + 4);
    if ((flags & WANTS_VIDEO) != 0)
        l->out->note = "it wants a video mode (bit 2 of its Multiboot flags), and a VM has no "
                       "display: it is told of none";
    u32 unknown = flags & REQUIREMENTS & ~(u32)(WANTS_ALIGNED_MODULES | WANTS_MEMORY | WANTS_VIDEO);
    if (unknown != 0)
        return load_fail(l, ERR_UNSUPPORTED, "kernel", "%s insists on unknown Multiboot flags 0x%x",
                         k->name, unknown);
    if ((flags & HAS_ADDRESSES) != 0)
        return read_addresses(l, at, &y->segments);
    enum error e = elf_segments(l, &y->segments);
    return e == OK ? elf_find_sections(l, &y->sections) : e;
}

static enum error place_all(struct loader *l, struct layout *y)
{
    enum error e = layout_segments(l, y);
    if (e == OK)
        e = layout_block(l, y, LAYOUT_BLOCK_SIZE);
    if (e == OK)
        e = layout_modules(l, y);
    if (e == OK && y->sections.table != NULL) // told if there is room
        y->sections_at = layout_place(
            l, y, y->modules_from, elf_table_size(&y->sections) + elf_sections_size(&y->sections));
    return e;
}

static enum error write_all(struct loader *l, const struct layout *y)
{
    enum error e = layout_write(l, y);
    if (e == OK && y->sections_at != 0)
        e = elf_write_sections(l, &y->sections, y->sections_at,
                               y->sections_at + elf_table_size(&y->sections));
    return e;
}

enum error load_multiboot(struct loader *l)
{
    struct layout y = {0};
    u32 gdt = 0, info = 0;

    if (l->request->initrd.data != NULL)
        return load_fail(l, ERR_UNSUPPORTED, "initrd",
                         "goes with a Linux kernel only; Multiboot kernels take 'module = IMAGE'");
    enum error e = read_header(l, &y);
    if (e == OK)
        e = place_all(l, &y);
    if (e == OK)
        e = write_all(l, &y);
    if (e == OK)
        e = multiboot_write_info(l, &y, &gdt, &info);
    if (e == OK) {
        load_entry_protected(l->out, y.segments.entry, &gdt_pc, gdt, l->request->interrupts);
        l->out->format = FORMAT_MULTIBOOT;
        l->out->regs.gpr[RAX] = LOADER_MAGIC;
        l->out->regs.gpr[RBX] = info;
    }
    return e;
}
