// SPDX-License-Identifier: MIT
// What all image formats have in common: the memory map, writes to guest RAM, the choice.
#include "vm/load.h"

#include "lib/string.h"
#include "vm/load_internal.h"

u64 e820_high_ram_end(u64 memory)
{
    return MIN(memory, MMIO_HOLE);
}

unsigned e820_build(u64 memory, struct e820_entry map[E820_ENTRIES])
{
    unsigned n = 0;
    map[n++] = (struct e820_entry){0, LOW_RAM_END, E820_RAM};
    map[n++] = (struct e820_entry){LOW_RAM_END, HIGH_RAM - LOW_RAM_END, E820_RESERVED};
    u64 end = e820_high_ram_end(memory);
    if (end > HIGH_RAM)
        map[n++] = (struct e820_entry){HIGH_RAM, end - HIGH_RAM, E820_RAM};
    if (memory > MMIO_HOLE)
        map[n++] = (struct e820_entry){RAM_ABOVE_4G, memory - MMIO_HOLE, E820_RAM};
    return n;
}

u16 get16(const u8 *p)
{
    return (u16)(p[0] | p[1] << 8);
}

u32 get32(const u8 *p)
{
    return get16(p) | (u32)get16(p + 2) << 16;
}

u64 get64(const u8 *p)
{
    return get32(p) | (u64)get32(p + 4) << 32;
}

void put32(u8 *p, u32 v)
{
    memcpy(p, &v, sizeof(v));
}

void put64(u8 *p, u64 v)
{
    memcpy(p, &v, sizeof(v));
}

enum error load_fail(struct loader *l, enum error e, const char *key, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    str_vformat(l->why->text, sizeof(l->why->text), fmt, args);
    va_end(args);
    l->why->key = key;
    return e;
}

bool load_is_ram(const struct loader *l, u64 gpa, u64 len)
{
    struct e820_entry map[E820_ENTRIES];
    unsigned n = e820_build(l->request->memory, map);
    for (unsigned i = 0; i < n; i++) {
        u64 offset = gpa - map[i].start;
        if (map[i].type == E820_RAM && gpa >= map[i].start && offset <= map[i].size &&
            len <= map[i].size - offset)
            return true;
    }
    return false;
}

const char *load_no_ram_text(const struct loader *l, u64 gpa, u64 len, struct text *t)
{
    u64 end = e820_high_ram_end(l->request->memory);
    text_add(t, "RAM is 0 to 0x%lx", LOW_RAM_END - 1);
    if (end > HIGH_RAM)
        text_add(t, " and 0x%lx to 0x%lx", HIGH_RAM, end - 1);
    if (gpa >= HIGH_RAM && gpa < MMIO_HOLE && len <= MMIO_HOLE - gpa)
        text_add(t, "; it takes memory = %luM or more", (ALIGN_UP(gpa + len, MiB) / MiB));
    return t->buf;
}

// How many of len bytes at gpa lie in one region; 0: it is not RAM.
static u64 piece(const struct guest_memory *m, u64 gpa, u64 len)
{
    for (unsigned i = 0; i < m->count; i++) {
        const struct ram_region *r = &m->region[i];
        u64 offset = gpa - r->start.v;
        if (gpa >= r->start.v && offset < r->size)
            return MIN(len, r->size - offset);
    }
    return 0;
}

// data NULL: clear.
static enum error fill(struct loader *l, u64 gpa, const u8 *data, u64 len)
{
    if (l->memory == NULL)
        return OK;
    while (len > 0) {
        u64 n = piece(l->memory, gpa, len);
        enum error e = n == 0         ? ERR_FAULT
                       : data != NULL ? guest_write(l->memory, GPA(gpa), data, n)
                                      : guest_clear(l->memory, GPA(gpa), n);
        if (e != OK)
            return load_fail(l, e, "memory", "no RAM behind address 0x%lx", gpa);
        data += data != NULL ? n : 0;
        gpa += n;
        len -= n;
    }
    return OK;
}

enum error load_write(struct loader *l, u64 gpa, const void *data, u64 len)
{
    return fill(l, gpa, data, len);
}

enum error load_clear(struct loader *l, u64 gpa, u64 len)
{
    return fill(l, gpa, NULL, len);
}

enum error load_image(const struct load_request *r, const struct guest_memory *m,
                      struct entry_state *out, struct load_failure *why)
{
    struct loader l = {.request = r, .memory = m, .out = out, .why = why};
    char what[100];

    memset(out, 0, sizeof(*out));
    if (r->memory < MEMORY_MIN || r->memory > MEMORY_MAX || r->memory % PAGE_SIZE != 0 ||
        r->modules > LOAD_MODULES)
        return load_fail(&l, ERR_INVALID, "memory", "%lu bytes are not 1M to %luG in whole pages",
                         r->memory, MEMORY_MAX / GiB);

    enum image_format format = r->format;
    if (format == FORMAT_FLAT)
        return load_flat(&l);
    if (format == FORMAT_AUTO)
        format = image_format(&r->kernel);
    else if (!image_is(&r->kernel, format))
        return load_fail(&l, ERR_FORMAT, "kernel", "%s is %s, not %s", r->kernel.name,
                         image_text(&r->kernel, what, sizeof(what)), image_format_text(format));
    switch (format) {
    case FORMAT_LINUX:
        return load_bzimage(&l);
    case FORMAT_MULTIBOOT:
        return load_multiboot(&l);
    case FORMAT_MULTIBOOT2:
        return load_multiboot2(&l);
    case FORMAT_PVH:
        return load_pvh(&l);
    default:
        return load_fail(&l, ERR_FORMAT, "kernel",
                         "%s is %s; a kernel is a Linux bzImage or vmlinux, a Multiboot kernel or, "
                         "with 'format = flat', any bytes",
                         r->kernel.name, image_text(&r->kernel, what, sizeof(what)));
    }
}
