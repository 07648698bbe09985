// SPDX-License-Identifier: MIT
// What an image is, by its own bytes.
#include "lib/string.h"
#include "vm/load_internal.h"

const char *image_format_name(enum image_format f)
{
    static const char *const names[IMAGE_FORMATS] = {"auto",       "linux", "multiboot",
                                                     "multiboot2", "pvh",   "flat"};
    return names[f];
}

const char *image_format_text(enum image_format f)
{
    static const char *const texts[IMAGE_FORMATS] = {
        [FORMAT_LINUX] = "a Linux bzImage",
        [FORMAT_MULTIBOOT] = "a Multiboot 1 kernel",
        [FORMAT_MULTIBOOT2] = "a Multiboot 2 kernel",
        [FORMAT_PVH] = "a kernel with a PVH start",
    };
    return texts[f];
}

static bool has(const struct image *i, u64 offset, const char *bytes, u64 len)
{
    return i->size >= offset && i->size - offset >= len &&
           memcmp(i->data + offset, bytes, len) == 0;
}

static bool is_bzimage(const struct image *i)
{
    return has(i, 0x1fe, "\x55\xaa", 2) && has(i, 0x202, "HdrS", 4);
}

bool image_is(const struct image *image, enum image_format f)
{
    switch (f) {
    case FORMAT_LINUX:
        return is_bzimage(image);
    case FORMAT_MULTIBOOT:
        return multiboot_is_kernel(image);
    case FORMAT_MULTIBOOT2:
        return multiboot2_is_kernel(image);
    case FORMAT_PVH:
        return pvh_is_kernel(image);
    default:
        return false;
    }
}

enum image_format image_format(const struct image *image)
{
    for (unsigned f = FORMAT_AUTO + 1; f < IMAGE_FORMATS; f++) {
        if (image_is(image, (enum image_format)f))
            return (enum image_format)f;
    }
    return FORMAT_AUTO;
}

// A program for EFI is in the format of Windows; its header's place is at 0x3c.
static bool is_pe(const struct image *i)
{
    return has(i, 0, "MZ", 2) && i->size >= 0x40 && has(i, get32(i->data + 0x3c), "PE\0\0", 4);
}

static bool is_text(const struct image *i)
{
    u64 end = MIN(i->size, 512);
    for (u64 at = 0; at < end; at++) {
        u8 c = i->data[at];
        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_zero(const struct image *i)
{
    u64 end = MIN(i->size, 4096);
    for (u64 at = 0; at < end; at++) {
        if (i->data[at] != 0)
            return false;
    }
    return true;
}

static const struct {
    u16 offset;
    u8 len;
    const char *bytes;
    const char *what;
} signatures[] = {
    {0, 2, "\x1f\x8b", "gzip-compressed data: unpack it first"},
    {0, 6,
     "\xfd"
     "7zXZ\0",
     "xz-compressed data: unpack it first"},
    {0, 3, "BZh", "bzip2-compressed data: unpack it first"},
    {0, 4, "\x28\xb5\x2f\xfd", "zstd-compressed data: unpack it first"},
    {0, 4, "\x02\x21\x4c\x18", "lz4-compressed data: unpack it first"},
    {0, 4, "\x04\x22\x4d\x18", "lz4-compressed data: unpack it first"},
    {0, 3, "\x5d\0\0", "lzma-compressed data: unpack it first"},
    {0, 5, "07070", "a cpio archive: an initrd, not a kernel"},
    {0, 4, "PK\3\4", "a zip archive"},
    {0, 8, "!<arch>\n", "an ar archive: a Debian package or a library, not a kernel"},
    {0, 4, "QFI\xfb", "a qcow2 disk image"},
    {0, 2, "#!", "a script"},
    {257, 5, "ustar", "a tar archive"},
    {0x8001, 5, "CD001", "a CD image"},
};

static void describe_elf(const struct image *i, struct text *t)
{
    bool is64 = i->size > 4 && i->data[4] == 2;
    u16 type = i->size >= 20 ? get16(i->data + 16) : 0;
    u16 machine = i->size >= 20 ? get16(i->data + 18) : 0;
    if (machine != 3 && machine != 62) {
        text_add(t, "an ELF file for another machine (%u)", machine);
        return;
    }
    const char *damage = pvh_damage_text(i);
    text_add(t, "an ELF%s %s without a Multiboot header", is64 ? "64" : "32",
             type == 1   ? "object file"
             : type == 3 ? "shared object"
                         : "file");
    if (damage != NULL)
        text_add(t, ", with %s", damage);
    else
        text_add(t, " or a PVH note");
}

const char *image_text(const struct image *image, char *buf, size_t size)
{
    struct text t = {.buf = buf, .size = size};

    if (image->size == 0) {
        text_add(&t, "an empty file");
        return buf;
    }
    if (image_format(image) != FORMAT_AUTO) {
        text_add(&t, "%s", image_format_text(image_format(image)));
        return buf;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(signatures); i++) {
        if (has(image, signatures[i].offset, signatures[i].bytes, signatures[i].len)) {
            text_add(&t, "%s", signatures[i].what);
            return buf;
        }
    }
    if (elf_is(image))
        describe_elf(image, &t);
    else if (is_pe(image))
        text_add(&t, "an EFI program; what loads is the kernel's ELF file");
    else if (multiboot_find_header(image) >= 0 || multiboot2_find_header(image) >= 0)
        text_add(&t, "no ELF file, and its Multiboot header names no addresses");
    else if (has(image, 0, "MZ", 2))
        text_add(&t, "a DOS or EFI program, or a kernel cut short");
    else if (has(image, 0x1fe, "\x55\xaa", 2))
        text_add(&t, "a boot sector");
    else if (is_zero(image))
        text_add(&t, "nothing but zeros");
    else if (is_text(image))
        text_add(&t, "a text file");
    else
        text_add(&t, "data of no known format");
    return buf;
}
