// SPDX-License-Identifier: MIT
// Multiboot 2 kernels (Multiboot2 Specification 2.0), ELF or with addresses in the header.
#include "lib/string.h"
#include "vm/load_multiboot.h"

#define HEADER_SEARCH 32768u
#define HEADER_MAGIC  0xe85250d6u
#define HEADER_SIZE   16u
#define LOADER_MAGIC  0x36d76289u
#define ARCHITECTURE  0u // i386, protected mode
#define OPTIONAL      BIT(0)
#define MODULE_ALIGN  PAGE_SIZE

// Tags of the header (section 3.1).
enum {
    TAG_END = 0,
    TAG_INFORMATION = 1,
    TAG_ADDRESS = 2,
    TAG_ENTRY = 3,
    TAG_CONSOLE = 4,
    TAG_FRAMEBUFFER = 5,
    TAG_MODULE_ALIGN = 6,
    TAG_EFI_BOOT_SERVICES = 7,
    TAG_ENTRY_EFI32 = 8,
    TAG_ENTRY_EFI64 = 9,
    TAG_RELOCATABLE = 10,
};
#define INFORMATION_LAST 21u // the types of information that the specification has end here

enum { PREFER_NONE, PREFER_LOWEST, PREFER_HIGHEST };

struct header2 {
    u64 at;                                  // offset in the file
    u32 size;                                // bytes, tags included
    const u8 *address, *entry, *relocatable; // tags; NULL: not there
};

i64 multiboot2_find_header(const struct image *image)
{
    u64 end = MIN(image->size, HEADER_SEARCH);
    for (u64 at = 0; at + HEADER_SIZE <= end; at += 8) {
        const u8 *p = image->data + at;
        if (get32(p) == HEADER_MAGIC &&
            (u32)(get32(p) + get32(p + 4) + get32(p + 8) + get32(p + 12)) == 0)
            return (i64)at;
    }
    return -1;
}

// The tag at *offset, whose size is inside the header; moves on. NULL at the end, or when the tags
// are damaged (*damaged).
static const u8 *next_tag(const struct image *k, const struct header2 *h, u64 *offset,
                          bool *damaged)
{
    u64 left = h->size - *offset;
    const u8 *tag = k->data + h->at + *offset;
    if (left == 0)
        return NULL;
    *damaged = left < 8 || get32(tag + 4) < 8 || get32(tag + 4) > left;
    if (*damaged || get16(tag) == TAG_END)
        return NULL;
    *offset += MIN(left, ALIGN_UP((u64)get32(tag + 4), 8ul));
    return tag;
}

bool multiboot2_is_kernel(const struct image *image)
{
    i64 at = multiboot2_find_header(image);
    if (at < 0 || elf_is(image))
        return at >= 0;
    struct header2 h = {.at = (u64)at, .size = get32(image->data + at + 8)};
    u64 offset = HEADER_SIZE;
    bool damaged = h.size < HEADER_SIZE || h.size > image->size - h.at;
    const u8 *tag;
    while (!damaged && (tag = next_tag(image, &h, &offset, &damaged)) != NULL) {
        if (get16(tag) == TAG_ADDRESS)
            return true;
    }
    return false;
}

// What the kernel cannot do without; what there is in a VM of which nothing can be told (no
// display, no EFI) is passed over, as GRUB does.
static enum error check_information(struct loader *l, const u8 *tag)
{
    for (u32 i = 8; i + 4 <= get32(tag + 4); i += 4) {
        u32 type = get32(tag + i);
        if (type > INFORMATION_LAST)
            return load_fail(l, ERR_UNSUPPORTED, "kernel",
                             "%s insists on Multiboot 2 information of unknown type %u",
                             l->request->kernel.name, type);
    }
    return OK;
}

static enum error too_short(struct loader *l, unsigned type)
{
    return load_fail(l, ERR_FORMAT, "kernel",
                     "%s is damaged: tag %u of its Multiboot 2 header is "
                     "too short",
                     l->request->kernel.name, type);
}

static enum error read_tag(struct loader *l, struct header2 *h, const u8 *tag)
{
    static const u8 least[] = {
        [TAG_INFORMATION] = 8, [TAG_ADDRESS] = 24, [TAG_ENTRY] = 12, [TAG_RELOCATABLE] = 24};
    unsigned type = get16(tag);
    bool optional = (get16(tag + 2) & OPTIONAL) != 0;
    if (type < ARRAY_SIZE(least) && get32(tag + 4) < least[type])
        return too_short(l, type);
    switch (type) {
    case TAG_INFORMATION:
        return optional ? OK : check_information(l, tag);
    case TAG_ADDRESS:
        h->address = tag;
        return OK;
    case TAG_ENTRY:
        h->entry = tag;
        return OK;
    case TAG_RELOCATABLE:
        h->relocatable = tag;
        return OK;
    case TAG_CONSOLE:
    case TAG_FRAMEBUFFER:
        if (!optional)
            l->out->note = "its Multiboot 2 header wants a screen, and a VM has no display: it is "
                           "told of none";
        return OK;
    case TAG_MODULE_ALIGN: // they always are
    case TAG_EFI_BOOT_SERVICES:
    case TAG_ENTRY_EFI32: // for firmware that the VM does not have
    case TAG_ENTRY_EFI64:
        return OK;
    default:
        return optional ? OK
                        : load_fail(l, ERR_UNSUPPORTED, "kernel",
                                    "%s insists on what tag %u of its Multiboot 2 header says, "
                                    "which is unknown",
                                    l->request->kernel.name, type);
    }
}

static enum error read_header(struct loader *l, struct header2 *h)
{
    const struct image *k = &l->request->kernel;
    h->at = (u64)multiboot2_find_header(k); // there is one: load_image looked
    const u8 *p = k->data + h->at;
    h->size = get32(p + 8);
    if (get32(p + 4) != ARCHITECTURE)
        return load_fail(l, ERR_UNSUPPORTED, "kernel",
                         "%s is for another machine (architecture %u of its Multiboot 2 header)",
                         k->name, get32(p + 4));
    if (h->size < HEADER_SIZE || h->size > MIN(k->size, HEADER_SEARCH) - h->at)
        return load_fail(l, ERR_TRUNCATED, "kernel", "%s is truncated: it ends within its header",
                         k->name);
    enum error e = OK;
    u64 offset = HEADER_SIZE;
    bool damaged = false;
    const u8 *tag;
    while (e == OK && (tag = next_tag(k, h, &offset, &damaged)) != NULL)
        e = read_tag(l, h, tag);
    if (e == OK && damaged)
        return load_fail(l, ERR_FORMAT, "kernel",
                         "%s is damaged: the tags of its Multiboot 2 header do not fit into it",
                         k->name);
    return e;
}

static enum error read_segments(struct loader *l, const struct header2 *h, struct layout *y)
{
    const struct image *k = &l->request->kernel;
    if (h->address == NULL) {
        enum error e = elf_segments(l, &y->segments);
        if (e == OK)
            e = elf_find_sections(l, &y->sections);
        if (e != OK || h->entry == NULL)
            return e;
        y->segments.entry = get32(h->entry + 8); // physical, unlike ELF's
        return layout_check_entry(l, &y->segments);
    }
    if (h->entry == NULL)
        return load_fail(l, ERR_FORMAT, "kernel",
                         "%s: its Multiboot 2 header says where it is loaded, but not where it "
                         "starts",
                         k->name);
    struct load_addresses a = {.header = get32(h->address + 8),
                               .load = get32(h->address + 12),
                               .load_end = get32(h->address + 16),
                               .bss_end = get32(h->address + 20),
                               .entry = get32(h->entry + 8)};
    if (a.load == UINT32_MAX) // from the file's first byte
        a.load = a.header - (u32)MIN((u64)a.header, h->at);
    return addresses_segment(l, h->at, &a, &y->segments);
}

// Where the kernel's `size` bytes, linked for `base`, go: within the bounds of its header's tag, in
// RAM above 1 MiB. 0: nowhere.
static u64 choose_base(const struct loader *l, const u8 *tag, u64 base, u64 size)
{
    u64 align = MAX(get32(tag + 16), 1u), prefer = get32(tag + 20);
    u64 first = MAX((u64)get32(tag + 8), HIGH_RAM);
    u64 end = MIN((u64)get32(tag + 12) + 1, e820_high_ram_end(l->request->memory));
    if (end < size || end - size < first)
        return 0;
    u64 low = (first + align - 1) / align * align, high = (end - size) / align * align;
    if (prefer != PREFER_LOWEST && prefer != PREFER_HIGHEST && base >= first &&
        base <= end - size && base % align == 0)
        return base;
    if (prefer == PREFER_HIGHEST)
        return high >= first ? high : 0;
    return low <= end - size ? low : 0;
}

// Moves the segments to where the header's tag lets them go.
static enum error relocate(struct loader *l, const struct header2 *h, struct multiboot2 *m)
{
    struct load_segments *s = &m->layout.segments;
    u64 base = UINT64_MAX, end = 0;
    for (unsigned i = 0; i < s->count; i++) {
        base = MIN(base, s->segment[i].gpa);
        end = MAX(end, s->segment[i].gpa + s->segment[i].size);
    }
    m->base = base;
    m->relocated = h->relocatable != NULL && s->count > 0 && end > base;
    if (!m->relocated)
        return OK;
    m->base = choose_base(l, h->relocatable, base, end - base);
    if (m->base == 0)
        return load_fail(l, ERR_NO_MEMORY, "memory",
                         "%s wants 0x%lx bytes of RAM between 0x%x and 0x%x, and there are none",
                         l->request->kernel.name, end - base, get32(h->relocatable + 8),
                         get32(h->relocatable + 12));
    for (unsigned i = 0; i < s->count; i++)
        s->segment[i].gpa += m->base - base;
    s->entry += m->base - base;
    return OK;
}

static enum error place_all(struct loader *l, const struct header2 *h, struct multiboot2 *m)
{
    struct layout *y = &m->layout;
    enum error e = relocate(l, h, m);
    if (e == OK)
        e = layout_segments(l, y);
    if (e == OK && m->relocated) // it may be at the end of RAM
        y->modules_from = HIGH_RAM;
    if (e == OK)
        e = layout_modules(l, y);
    return e;
}

enum error load_multiboot2(struct loader *l)
{
    struct multiboot2 m = {0};
    struct header2 h = {0};
    u32 gdt = 0, info = 0;

    if (l->request->initrd.data != NULL)
        return load_fail(l, ERR_UNSUPPORTED, "initrd",
                         "goes with a Linux kernel only; Multiboot kernels take 'module = IMAGE'");
    enum error e = read_header(l, &h);
    if (e == OK)
        e = read_segments(l, &h, &m.layout);
    if (e == OK)
        e = place_all(l, &h, &m);
    if (e == OK)
        e = layout_write(l, &m.layout);
    if (e == OK)
        e = multiboot2_write_info(l, &m, &gdt, &info);
    if (e == OK) {
        load_entry_protected(l->out, m.layout.segments.entry, &gdt_pc, gdt, l->request->interrupts);
        l->out->format = FORMAT_MULTIBOOT2;
        l->out->regs.gpr[RAX] = LOADER_MAGIC;
        l->out->regs.gpr[RBX] = info;
    }
    return e;
}
