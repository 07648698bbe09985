// SPDX-License-Identifier: MIT
#include "boot/multiboot2.h"

#include "boot/paging.h"
#include "lib/format.h"
#include "lib/string.h"

#define MULTIBOOT2_BOOTLOADER_MAGIC 0x36d76289u

enum {
    TAG_END = 0,
    TAG_CMDLINE = 1,
    TAG_MODULE = 3,
    TAG_MMAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_ACPI_OLD = 14,
    TAG_ACPI_NEW = 15
};

struct tag {
    u32 type, size;
};

struct tag_module {
    struct tag tag;
    u32 start, end;
    char cmdline[];
};

struct tag_mmap {
    struct tag tag;
    u32 entry_size, entry_version;
    u8 entries[];
};

struct mmap_entry {
    u64 start, size;
    u32 type, zero;
};

struct tag_framebuffer {
    struct tag tag;
    u64 start;
    u32 pitch, width, height;
    u8 bits, kind;
    u16 reserved;
    struct color_field red, green, blue; // where it has dots with these
} PACKED;

struct boot_info boot_info;

// Copies what fits of the word at p; returns what is behind it and a blank.
static const char *take_word(const char *p, const char *end, char *out, size_t size)
{
    size_t n = 0;
    for (; p < end && *p != '\0' && *p != ' '; p++) {
        if (n + 1 < size)
            out[n++] = *p;
    }
    out[n] = '\0';
    return p < end && *p == ' ' ? p + 1 : p;
}

static void read_module(const struct tag_module *t)
{
    if (boot_info.modules == BOOT_MODULES_MAX || t->end < t->start) {
        boot_info.modules_left_out++;
        return;
    }
    struct boot_module *m = &boot_info.module[boot_info.modules++];
    m->start = HPA(t->start);
    m->size = t->end - t->start;
    const char *rest = t->cmdline, *end = (const char *)t + t->tag.size;
    rest = take_word(rest, end, m->name, sizeof(m->name));
    take_word(rest, end, m->args, sizeof(m->args));
}

static void read_memory(const struct tag_mmap *t)
{
    if (t->entry_size < sizeof(struct mmap_entry))
        return;
    for (u32 at = sizeof(*t); at + t->entry_size <= t->tag.size; at += t->entry_size) {
        const void *p = (const u8 *)t + at;
        const struct mmap_entry *e = p;
        if (e->size == 0 || boot_info.memory_ranges == BOOT_MEMORY_MAX)
            continue;
        boot_info.memory[boot_info.memory_ranges++] =
            (struct memory_range){HPA(e->start), e->size, e->type};
    }
}

static void read_framebuffer(const struct tag_framebuffer *t)
{
    if (t->tag.size < offsetof(struct tag_framebuffer, red))
        return;
    boot_info.has_framebuffer = true;
    struct framebuffer *fb = &boot_info.framebuffer;
    *fb = (struct framebuffer){HPA(t->start), t->pitch, t->width, t->height, t->bits, t->kind};
    if (t->tag.size < sizeof(*t))
        return;
    fb->red = t->red;
    fb->green = t->green;
    fb->blue = t->blue;
}

enum error multiboot2_read(u32 magic, hpa_t info)
{
    if (magic != MULTIBOOT2_BOOTLOADER_MAGIC)
        return ERR_FORMAT;
    const u8 *base = phys_to_virt(info);
    u32 total = *(const u32 *)phys_to_virt(info);
    boot_info.info_start = info;
    boot_info.info_size = total;

    for (u32 at = 8; at + sizeof(struct tag) <= total;) {
        const void *p = base + at;
        const struct tag *t = p;
        if (t->type == TAG_END || t->size < sizeof(*t) || t->size > total - at)
            break;
        switch (t->type) {
        case TAG_CMDLINE:
            str_format(boot_info.cmdline, sizeof(boot_info.cmdline), "%.*s",
                       (int)(t->size - sizeof(*t)), (const char *)(t + 1));
            break;
        case TAG_MODULE:
            read_module(p);
            break;
        case TAG_MMAP:
            read_memory(p);
            break;
        case TAG_FRAMEBUFFER:
            read_framebuffer(p);
            break;
        case TAG_ACPI_OLD:
            // The newer table, where there is one, has a signature already or overwrites this.
            if (boot_info.rsdp[0] == 0)
                memcpy(boot_info.rsdp, t + 1, MIN(t->size - sizeof(*t), 20u));
            break;
        case TAG_ACPI_NEW:
            memcpy(boot_info.rsdp, t + 1, MIN(t->size - sizeof(*t), sizeof(boot_info.rsdp)));
            break;
        default:
            break;
        }
        at += ALIGN_UP(t->size, 8u);
    }
    return boot_info.memory_ranges > 0 ? OK : ERR_NOT_FOUND;
}
