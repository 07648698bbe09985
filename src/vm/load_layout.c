// SPDX-License-Identifier: MIT
#include "vm/load_layout.h"

#include "lib/string.h"

#define BLOCK_FROM 0x9000u // as QEMU; kernels start their other CPUs from below

enum error addresses_segment(struct loader *l, u64 at, const struct load_addresses *a,
                             struct load_segments *out)
{
    const struct image *k = &l->request->kernel;
    u64 load = a->load, load_end = a->load_end, bss_end = a->bss_end, entry = a->entry;
    if (load > a->header || a->header - load > at)
        return load_fail(l, ERR_FORMAT, "kernel",
                         "%s: its Multiboot header loads it from before the file's first byte",
                         k->name);
    u64 offset = at - (a->header - load);
    u64 size = k->size - offset;
    if (load_end != 0) {
        if (load_end <= load)
            return load_fail(l, ERR_FORMAT, "kernel",
                             "%s: load_end_addr of its Multiboot header is not above load_addr",
                             k->name);
        if (load_end - load > size)
            return load_fail(l, ERR_TRUNCATED, "kernel",
                             "%s is truncated: its Multiboot header loads %lu bytes, there are "
                             "%lu",
                             k->name, load_end - load, size);
        size = load_end - load;
    }
    u64 memory = bss_end != 0 ? bss_end - load : size;
    if (bss_end != 0 && (bss_end < load || memory < size))
        return load_fail(l, ERR_FORMAT, "kernel",
                         "%s: bss_end_addr of its Multiboot header is below the end of the data",
                         k->name);
    if (entry < load || entry - load >= memory)
        return load_fail(l, ERR_FORMAT, "kernel", "%s starts at 0x%lx, outside of what is loaded",
                         k->name, entry);
    *out = (struct load_segments){
        .segment = {{k->data + offset, size, load, memory}}, .count = 1, .entry = entry};
    return OK;
}

enum error layout_check_entry(struct loader *l, const struct load_segments *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (s->entry >= s->segment[i].gpa && s->entry - s->segment[i].gpa < s->segment[i].size)
            return OK;
    }
    return load_fail(l, ERR_FORMAT, "kernel",
                     "%s starts at 0x%lx, which is in none of its segments",
                     l->request->kernel.name, s->entry);
}

static bool is_free(const struct layout *y, u64 start, u64 end, u64 *after)
{
    for (unsigned i = 0; i < y->used_count; i++) {
        if (start < y->used[i].end && y->used[i].start < end) {
            *after = y->used[i].end;
            return false;
        }
    }
    return true;
}

static void use(struct layout *y, u64 start, u64 end)
{
    y->used[y->used_count++] = (struct range){start, end};
}

// Each turn passes one range for good.
u64 layout_place(const struct loader *l, struct layout *y, u64 from, u64 size)
{
    u64 at = ALIGN_UP(from, PAGE_SIZE), after;
    for (unsigned turn = 0; turn < 2 * ARRAY_SIZE(y->used) + 2; turn++) {
        if (!load_is_ram(l, at, size)) {
            if (at >= HIGH_RAM)
                return 0;
            at = HIGH_RAM;
        } else if (is_free(y, at, at + size, &after)) {
            use(y, at, at + size);
            return at;
        } else {
            at = ALIGN_UP(after, PAGE_SIZE);
        }
    }
    return 0;
}

enum error layout_segments(struct loader *l, struct layout *y)
{
    const char *name = l->request->kernel.name;
    char reason[100];
    u64 after;
    y->modules_from = HIGH_RAM;
    for (unsigned i = 0; i < y->segments.count; i++) {
        const struct load_segment *s = &y->segments.segment[i];
        if (!load_is_ram(l, s->gpa, s->size))
            return load_fail(l, ERR_NO_MEMORY, "memory",
                             "%s wants 0x%lx bytes at 0x%lx, which is not all RAM: %s", name,
                             s->size, s->gpa, load_no_ram_text(l, s->gpa, s->size, &TEXT(reason)));
        if (!is_free(y, s->gpa, s->gpa + s->size, &after))
            return load_fail(l, ERR_FORMAT, "kernel", "%s: its segment at 0x%lx overlaps another",
                             name, s->gpa);
        use(y, s->gpa, s->gpa + s->size);
        if (s->gpa + s->size > y->modules_from && s->gpa < MMIO_HOLE)
            y->modules_from = s->gpa + s->size;
    }
    if (y->segments.entry > UINT32_MAX)
        return load_fail(l, ERR_UNSUPPORTED, "kernel",
                         "%s starts at 0x%lx, out of a 32-bit start's reach", name,
                         y->segments.entry);
    return OK;
}

enum error layout_module(struct loader *l, struct layout *y, const char *key,
                         const struct load_module *module)
{
    const struct image *image = &module->image;
    if (image->size == 0)
        return load_fail(l, ERR_FORMAT, key, "%s is an empty file", image->name);
    u64 at = layout_place(l, y, y->modules_from, image->size);
    if (at == 0)
        return load_fail(l, ERR_NO_MEMORY, key, "%s, %lu KiB, does not fit behind the kernel",
                         image->name, image->size / KiB);
    y->module[y->modules] = *module;
    y->module_at[y->modules++] = at;
    y->modules_from = at + image->size;
    return OK;
}

enum error layout_modules(struct loader *l, struct layout *y)
{
    enum error e = OK;
    for (unsigned i = 0; i < l->request->modules && e == OK; i++)
        e = layout_module(l, y, "module", &l->request->module[i]);
    return e;
}

enum error layout_block(struct loader *l, struct layout *y, u64 size)
{
    y->block = y->next = layout_place(l, y, BLOCK_FROM, size);
    y->block_end = y->block + size;
    return y->block != 0
               ? OK
               : load_fail(l, ERR_NO_MEMORY, "memory", "%s leaves no room for its boot information",
                           l->request->kernel.name);
}

enum error layout_take(struct loader *l, struct layout *y, u64 len, u32 *gpa)
{
    u64 left = y->block_end - y->next;
    if (len > left || ALIGN_UP(len, 8ul) > left)
        return load_fail(l, ERR_INVALID, "cmdline",
                         "the command line and the modules' lines are too long together");
    *gpa = (u32)y->next;
    y->next += ALIGN_UP(len, 8ul);
    return OK;
}

enum error layout_put(struct loader *l, struct layout *y, const void *data, u64 len, u32 *gpa)
{
    enum error e = layout_take(l, y, len, gpa);
    return e == OK ? load_write(l, *gpa, data, len) : e;
}

enum error layout_put_line(struct loader *l, struct layout *y, const char *name, const char *args,
                           u32 *gpa)
{
    size_t name_len = strlen(name), args_len = strlen(args);
    enum error e = layout_take(l, y, name_len + args_len + 2, gpa);
    if (e == OK)
        e = load_write(l, *gpa, name, name_len + 1);
    if (e == OK && args_len > 0)
        e = load_write(l, *gpa + name_len, " ", 1);
    if (e == OK && args_len > 0)
        e = load_write(l, *gpa + name_len + 1, args, args_len + 1);
    return e;
}

enum error layout_write(struct loader *l, const struct layout *y)
{
    enum error e = OK;
    for (unsigned i = 0; i < y->segments.count && e == OK; i++) {
        const struct load_segment *s = &y->segments.segment[i];
        e = load_write(l, s->gpa, s->data, s->file_size);
        if (e == OK)
            e = load_clear(l, s->gpa + s->file_size, s->size - s->file_size);
    }
    for (unsigned i = 0; i < y->modules && e == OK; i++)
        e = load_write(l, y->module_at[i], y->module[i].image.data, y->module[i].image.size);
    return e;
}
