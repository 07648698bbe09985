// SPDX-License-Identifier: MIT
// Multiboot kernels (Multiboot Specification 0.6.96), ELF or with addresses in the header.
#include "vm/load_multiboot.h"
#include "lib/string.h"

#define HEADER_SEARCH 8192u
#define HEADER_MAGIC  0x1badb002u
#define LOADER_MAGIC  0x2badb002u
#define BLOCK_FROM    0x9000u // as QEMU; kernels start their other CPUs from below

// Flags of the header; what the image insists on is in bits 0 to 15.
#define WANTS_ALIGNED_MODULES BIT(0) // they always are
#define WANTS_MEMORY          BIT(1) // always told
#define WANTS_VIDEO           BIT(2)
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

// The segment that a header with addresses describes (section 3.1.3).
static enum error header_segment(struct loader *l, u64 at, struct load_segments *out)
{
    const struct image *k = &l->request->kernel;
    if (MIN(k->size, HEADER_SEARCH) - at < 32)
        return load_fail(l, ERR_TRUNCATED, "kernel", "%s is truncated: it ends within its header",
                         k->name);
    const u8 *p = k->data + at;
    u64 header_addr = get32(p + 12), load_addr = get32(p + 16), load_end = get32(p + 20);
    u64 bss_end = get32(p + 24), entry = get32(p + 28);
    if (load_addr > header_addr || header_addr - load_addr > at)
        return load_fail(l, ERR_FORMAT, "kernel",
                         "%s: its Multiboot header loads it from before the file's first byte",
                         k->name);
    u64 offset = at - (header_addr - load_addr);
    u64 size = k->size - offset;
    if (load_end != 0) {
        if (load_end <= load_addr)
            return load_fail(l, ERR_FORMAT, "kernel",
                             "%s: load_end_addr of its Multiboot header is not above load_addr",
                             k->name);
        if (load_end - load_addr > size)
            return load_fail(l, ERR_TRUNCATED, "kernel",
                             "%s is truncated: its Multiboot header loads %llu bytes, there are "
                             "%llu",
                             k->name, (unsigned long long)(load_end - load_addr),
                             (unsigned long long)size);
        size = load_end - load_addr;
    }
    u64 memory = bss_end != 0 ? bss_end - load_addr : size;
    if (bss_end != 0 && (bss_end < load_addr || memory < size))
        return load_fail(l, ERR_FORMAT, "kernel",
                         "%s: bss_end_addr of its Multiboot header is below the end of the data",
                         k->name);
    if (entry < load_addr || entry - load_addr >= memory)
        return load_fail(l, ERR_FORMAT, "kernel", "%s starts at 0x%llx, outside of what is loaded",
                         k->name, (unsigned long long)entry);
    *out = (struct load_segments){
        .segment = {{k->data + offset, size, load_addr, memory}}, .count = 1, .entry = entry};
    return OK;
}

static enum error read_header(struct loader *l, struct multiboot *m)
{
    const struct image *k = &l->request->kernel;
    i64 at = multiboot_find_header(k);
    if (at < 0)
        return load_fail(l, ERR_FORMAT, "kernel", "%s has no Multiboot header", k->name);
    u32 flags = get32(k->data + at + 4);
    if ((flags & WANTS_VIDEO) != 0)
        return load_fail(l, ERR_UNSUPPORTED, "kernel",
                         "%s insists on a video mode (bit 2 of its Multiboot flags); a VM has no "
                         "display",
                         k->name);
    u32 unknown = flags & REQUIREMENTS & ~(u32)(WANTS_ALIGNED_MODULES | WANTS_MEMORY);
    if (unknown != 0)
        return load_fail(l, ERR_UNSUPPORTED, "kernel", "%s insists on unknown Multiboot flags 0x%x",
                         k->name, unknown);
    if ((flags & HAS_ADDRESSES) != 0)
        return header_segment(l, (u64)at, &m->segments);
    enum error e = elf_segments(l, &m->segments);
    return e == OK ? elf_find_sections(l, &m->sections) : e;
}

static bool is_free(const struct multiboot *m, u64 start, u64 end, u64 *after)
{
    for (unsigned i = 0; i < m->used_count; i++) {
        if (start < m->used[i].end && m->used[i].start < end) {
            *after = m->used[i].end;
            return false;
        }
    }
    return true;
}

static void use(struct multiboot *m, u64 start, u64 end)
{
    m->used[m->used_count++] = (struct range){start, end};
}

// The lowest free, page-aligned place for size bytes at or above `from` and below 3 GiB; 0 when
// there is none. Each turn passes one range for good.
static u64 place(const struct loader *l, struct multiboot *m, u64 from, u64 size)
{
    u64 at = ALIGN_UP(from, PAGE_SIZE), after;
    for (unsigned turn = 0; turn < 2 * ARRAY_SIZE(m->used) + 2; turn++) {
        if (!load_is_ram(l, at, size)) {
            if (at >= HIGH_RAM)
                return 0;
            at = HIGH_RAM;
        } else if (is_free(m, at, at + size, &after)) {
            use(m, at, at + size);
            return at;
        } else {
            at = ALIGN_UP(after, PAGE_SIZE);
        }
    }
    return 0;
}

static enum error place_segments(struct loader *l, struct multiboot *m, u64 *end)
{
    const char *name = l->request->kernel.name;
    u64 after;
    *end = HIGH_RAM;
    for (unsigned i = 0; i < m->segments.count; i++) {
        const struct load_segment *s = &m->segments.segment[i];
        if (!load_is_ram(l, s->gpa, s->size))
            return load_fail(l, ERR_NO_MEMORY, "memory",
                             "%s wants 0x%llx bytes at 0x%llx, which is not all RAM (0 to 0x%llx, "
                             "0x%llx to 0x%llx)",
                             name, (unsigned long long)s->size, (unsigned long long)s->gpa,
                             LOW_RAM_END - 1, HIGH_RAM,
                             (unsigned long long)e820_high_ram_end(l->request->memory) - 1);
        if (!is_free(m, s->gpa, s->gpa + s->size, &after))
            return load_fail(l, ERR_FORMAT, "kernel", "%s: its segment at 0x%llx overlaps another",
                             name, (unsigned long long)s->gpa);
        use(m, s->gpa, s->gpa + s->size);
        if (s->gpa + s->size > *end && s->gpa < MMIO_HOLE)
            *end = s->gpa + s->size;
    }
    if (m->segments.entry > UINT32_MAX)
        return load_fail(l, ERR_UNSUPPORTED, "kernel",
                         "%s starts at 0x%llx, out of a 32-bit start's reach", name,
                         (unsigned long long)m->segments.entry);
    return OK;
}

static enum error place_all(struct loader *l, struct multiboot *m)
{
    const struct load_request *r = l->request;
    u64 end;
    enum error e = place_segments(l, m, &end);
    if (e != OK)
        return e;
    m->block = m->next = place(l, m, BLOCK_FROM, MULTIBOOT_BLOCK_SIZE);
    if (m->block == 0)
        return load_fail(l, ERR_NO_MEMORY, "memory", "%s leaves no room for its boot information",
                         r->kernel.name);
    // Behind the kernel: some take what lies between for their heap.
    for (unsigned i = 0; i < r->modules; i++) {
        const struct image *image = &r->module[i].image;
        if (image->size == 0)
            return load_fail(l, ERR_FORMAT, "module", "%s is an empty file", image->name);
        m->module_at[i] = place(l, m, end, image->size);
        if (m->module_at[i] == 0)
            return load_fail(l, ERR_NO_MEMORY, "module",
                             "%s, %llu KiB, does not fit behind the kernel", image->name,
                             (unsigned long long)(image->size / KiB));
        end = m->module_at[i] + image->size;
    }
    if (m->sections.table != NULL) // told if there is room
        m->sections_at = place(l, m, end, elf_sections_size(&m->sections));
    return OK;
}

static enum error write_segments(struct loader *l, const struct multiboot *m)
{
    enum error e = OK;
    for (unsigned i = 0; i < m->segments.count && e == OK; i++) {
        const struct load_segment *s = &m->segments.segment[i];
        e = load_write(l, s->gpa, s->data, s->file_size);
        if (e == OK)
            e = load_clear(l, s->gpa + s->file_size, s->size - s->file_size);
    }
    for (unsigned i = 0; i < l->request->modules && e == OK; i++) {
        const struct image *image = &l->request->module[i].image;
        e = load_write(l, m->module_at[i], image->data, image->size);
    }
    if (e == OK && m->sections_at != 0)
        e = elf_write_sections(l, &m->sections, m->sections_at);
    return e;
}

enum error load_multiboot(struct loader *l)
{
    struct multiboot m = {0};
    u32 gdt = 0, info = 0;

    if (l->request->initrd.data != NULL)
        return load_fail(l, ERR_UNSUPPORTED, "initrd",
                         "goes with a Linux kernel only; Multiboot kernels take 'module = IMAGE'");
    enum error e = read_header(l, &m);
    if (e == OK)
        e = place_all(l, &m);
    if (e == OK)
        e = write_segments(l, &m);
    if (e == OK)
        e = multiboot_write_info(l, &m, &gdt, &info);
    if (e == OK) {
        entry_protected(l->out, m.segments.entry, gdt, l->request->interrupts);
        l->out->format = FORMAT_MULTIBOOT;
        l->out->regs.gpr[RAX] = LOADER_MAGIC;
        l->out->regs.gpr[RBX] = info;
    }
    return e;
}
