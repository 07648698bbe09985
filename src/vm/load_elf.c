// SPDX-License-Identifier: MIT
// ELF executables, 32 and 64 bits, as far as loading a kernel needs (System V gABI, chapters 4, 5).
#include "lib/string.h"
#include "vm/load_internal.h"

enum { ET_EXEC = 2, ET_DYN = 3, EM_386 = 3, EM_X86_64 = 62, PT_LOAD = 1, PT_NOTE = 4 };
enum { SHT_SYMTAB = 2, SHT_STRTAB = 3, SHF_ALLOC = 2 };
#define PROGRAM_HEADERS_MAX 128

struct elf {
    const struct image *image;
    bool is64;
};

bool image_is_i386(const struct image *i)
{
    return i->size >= 20 && memcmp(i->data, "\177ELF\1\1", 6) == 0 && get16(i->data + 18) == EM_386;
}

// A field whose offset and size differ between the two classes.
static u64 field(const struct elf *f, const u8 *base, unsigned offset32, unsigned offset64)
{
    return f->is64 ? get64(base + offset64) : get32(base + offset32);
}

static bool inside(const struct image *i, u64 offset, u64 len)
{
    return offset <= i->size && len <= i->size - offset;
}

static enum error truncated(struct loader *l, const char *what)
{
    return load_fail(l, ERR_TRUNCATED, "kernel", "%s is truncated: its %s outside of its %lu bytes",
                     l->request->kernel.name, what, l->request->kernel.size);
}

// The caller knows that it is ELF.
static enum error check_header(struct loader *l, struct elf *f)
{
    const struct image *i = &l->request->kernel;
    f->image = i;
    f->is64 = i->data[4] == 2;
    if (i->size < (f->is64 ? 64 : 52))
        return truncated(l, "header is");
    if ((i->data[4] != 1 && i->data[4] != 2) || i->data[5] != 1)
        return load_fail(l, ERR_FORMAT, "kernel", "%s is neither ELF32 nor ELF64, little-endian",
                         i->name);
    unsigned type = get16(i->data + 16), machine = get16(i->data + 18);
    if (machine != EM_386 && machine != EM_X86_64)
        return load_fail(l, ERR_UNSUPPORTED, "kernel", "%s is an ELF file for another machine (%u)",
                         i->name, machine);
    if (type == ET_DYN)
        return load_fail(l, ERR_UNSUPPORTED, "kernel",
                         "%s is a position-independent executable: link it with -no-pie", i->name);
    if (type != ET_EXEC)
        return load_fail(l, ERR_UNSUPPORTED, "kernel",
                         "%s is an ELF file of type %u, no executable", i->name, type);
    return OK;
}

// e_entry is a virtual address; the start is in 32-bit mode without paging.
static bool physical_entry(u64 entry, u64 vaddr, u64 paddr, u64 memsz, u64 *out)
{
    if (entry < vaddr || entry - vaddr >= memsz)
        return false;
    *out = paddr + (entry - vaddr);
    return true;
}

static enum error add_segment(struct loader *l, const struct elf *f, const u8 *ph,
                              struct load_segments *out)
{
    u64 offset = field(f, ph, 4, 8), paddr = field(f, ph, 12, 24);
    u64 filesz = field(f, ph, 16, 32), memsz = field(f, ph, 20, 40);
    if (memsz == 0)
        return OK;
    if (filesz > memsz)
        return load_fail(l, ERR_FORMAT, "kernel",
                         "%s is damaged: a segment has more bytes in the file than in memory",
                         f->image->name);
    if (!inside(f->image, offset, filesz))
        return truncated(l, "segments are");
    if (out->count == LOAD_SEGMENTS)
        return load_fail(l, ERR_UNSUPPORTED, "kernel", "%s has more than %u segments to load",
                         f->image->name, LOAD_SEGMENTS);
    out->segment[out->count++] = (struct load_segment){
        .data = f->image->data + offset, .file_size = filesz, .gpa = paddr, .size = memsz};
    return OK;
}

enum error elf_segments(struct loader *l, struct load_segments *out)
{
    struct elf f = {0};
    *out = (struct load_segments){0};
    enum error e = check_header(l, &f);
    if (e != OK)
        return e;

    const struct image *i = f.image;
    u64 phoff = field(&f, i->data, 28, 32), entry = field(&f, i->data, 24, 24);
    unsigned size = get16(i->data + (f.is64 ? 54 : 42)),
             count = get16(i->data + (f.is64 ? 56 : 44));
    bool by_vaddr = false, by_paddr = false;
    u64 by_vaddr_entry = 0, ignored;

    if (count == 0 || count > PROGRAM_HEADERS_MAX || size < (f.is64 ? 56 : 32))
        return load_fail(l, ERR_FORMAT, "kernel", "%s has %u program headers of %u bytes", i->name,
                         count, size);
    if (!inside(i, phoff, (u64)count * size))
        return truncated(l, "program headers are");
    for (unsigned n = 0; n < count && e == OK; n++) {
        const u8 *ph = i->data + phoff + (u64)n * size;
        if (get32(ph) != PT_LOAD)
            continue;
        e = add_segment(l, &f, ph, out);
        u64 vaddr = field(&f, ph, 8, 16), paddr = field(&f, ph, 12, 24);
        u64 memsz = field(&f, ph, 20, 40);
        if (!by_vaddr)
            by_vaddr = physical_entry(entry, vaddr, paddr, memsz, &by_vaddr_entry);
        by_paddr |= physical_entry(entry, paddr, paddr, memsz, &ignored);
    }
    if (e != OK)
        return e;
    if (!by_vaddr && !by_paddr)
        return load_fail(l, ERR_FORMAT, "kernel",
                         "%s starts at 0x%lx, which is in none of its "
                         "segments",
                         i->name, entry);
    out->entry = by_vaddr ? by_vaddr_entry : entry;
    return OK;
}

enum error elf_find_sections(struct loader *l, struct elf_sections *out)
{
    struct elf f = {0};
    *out = (struct elf_sections){0};
    enum error e = check_header(l, &f);
    if (e != OK)
        return e;

    const struct image *i = f.image;
    u64 shoff = field(&f, i->data, 32, 40);
    const u8 *p = i->data + (f.is64 ? 58 : 46);
    unsigned size = get16(p), count = get16(p + 2), names = get16(p + 4);
    if (shoff == 0 || count == 0)
        return OK;
    if (size != (f.is64 ? 64 : 40))
        return load_fail(l, ERR_FORMAT, "kernel", "%s has section headers of %u bytes", i->name,
                         size);
    // Linkers put them at the very end, so a file cut short shows here.
    if (!inside(i, shoff, (u64)count * size))
        return truncated(l, "section headers are");
    *out = (struct elf_sections){i, i->data + shoff, count, size, names, f.is64};
    return OK;
}

// A section whose bytes the table's reader expects in memory and that no segment brings there.
static bool is_wanted(const struct elf_sections *s, const u8 *sh, u64 *offset, u64 *size)
{
    struct elf f = {s->image, s->is64};
    u32 type = get32(sh + 4);
    *offset = field(&f, sh, 16, 24);
    *size = field(&f, sh, 20, 32);
    return (type == SHT_SYMTAB || type == SHT_STRTAB) && (get32(sh + 8) & SHF_ALLOC) == 0 &&
           inside(s->image, *offset, *size);
}

u64 elf_table_size(const struct elf_sections *s)
{
    return ALIGN_UP((u64)s->count * s->entry_size, 16ul);
}

u64 elf_sections_size(const struct elf_sections *s)
{
    u64 total = 0, offset, size;
    for (unsigned n = 0; n < s->count; n++) {
        if (is_wanted(s, s->table + (u64)n * s->entry_size, &offset, &size))
            total += ALIGN_UP(size, 16ul);
    }
    return total;
}

enum error elf_write_sections(struct loader *l, const struct elf_sections *s, u64 table, u64 at)
{
    u64 offset, size;
    enum error e = OK;
    for (unsigned n = 0; n < s->count && e == OK; n++) {
        u8 header[64];
        memcpy(header, s->table + (u64)n * s->entry_size, s->entry_size);
        if (is_wanted(s, header, &offset, &size)) {
            e = load_write(l, at, s->image->data + offset, size);
            if (s->is64)
                put64(header + 16, at);
            else
                put32(header + 12, (u32)at);
            at += ALIGN_UP(size, 16ul);
        }
        if (e == OK)
            e = load_write(l, table + (u64)n * s->entry_size, header, s->entry_size);
    }
    return e;
}

bool elf_is(const struct image *image)
{
    return image->size >= 5 && memcmp(image->data, "\177ELF", 4) == 0;
}

static bool all_zero(const u8 *p, u64 n)
{
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n == 0;
}

// The note in size bytes of notes, each part of which is padded to `align`.
static enum elf_note find_in_notes(const u8 *notes, u64 size, u64 align, const char *owner,
                                   u32 type, u64 *value)
{
    enum elf_note found = NOTE_NONE;
    size_t owner_size = strlen(owner) + 1;
    u64 at = 0;
    while (at < size && size - at >= 12) {
        u64 name_size = get32(notes + at), data_size = get32(notes + at + 4);
        u64 name = at + 12, data = ALIGN_UP(name + name_size, align);
        if (data > size || data_size > size - data)
            return MAX(found, NOTE_DAMAGED);
        if (get32(notes + at + 8) == type && name_size == owner_size &&
            memcmp(notes + name, owner, owner_size) == 0) {
            if (data_size == 4 || data_size == 8) {
                *value = data_size == 8 ? get64(notes + data) : get32(notes + data);
                return NOTE_GOOD;
            }
            found = NOTE_BAD;
        }
        at = ALIGN_UP(data + data_size, align);
    }
    return at < size && !all_zero(notes + at, size - at) ? MAX(found, NOTE_DAMAGED) : found;
}

enum elf_note elf_find_note(const struct image *image, const char *owner, u32 type, u64 *value)
{
    const struct elf f = {image, elf_is(image) && image->data[4] == 2};
    enum elf_note found = NOTE_NONE;
    if (!elf_is(image) || image->size < (f.is64 ? 64 : 52))
        return NOTE_NONE;
    u64 phoff = field(&f, image->data, 28, 32);
    unsigned size = get16(image->data + (f.is64 ? 54 : 42)),
             count = get16(image->data + (f.is64 ? 56 : 44));
    if (size < (f.is64 ? 56 : 32) || count > PROGRAM_HEADERS_MAX ||
        !inside(image, phoff, (u64)count * size))
        return NOTE_NONE;
    for (unsigned n = 0; n < count && found != NOTE_GOOD; n++) {
        const u8 *ph = image->data + phoff + (u64)n * size;
        u64 offset = field(&f, ph, 4, 8), length = field(&f, ph, 16, 32);
        u64 align = field(&f, ph, 28, 48) == 8 ? 8 : 4;
        if (get32(ph) != PT_NOTE)
            continue;
        enum elf_note here =
            inside(image, offset, length)
                ? find_in_notes(image->data + offset, length, align, owner, type, value)
                : NOTE_DAMAGED;
        found = MAX(found, here);
    }
    return found;
}
