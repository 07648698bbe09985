// SPDX-License-Identifier: MIT
// What the loaders share.
#pragma once

#include "lib/format.h"
#include "vm/load.h"

// One load under way. memory NULL: only check.
struct loader {
    const struct load_request *request;
    const struct guest_memory *memory;
    struct entry_state *out;
    struct load_failure *why;
};

// Records the reason and returns e.
enum error load_fail(struct loader *l, enum error e, const char *key, const char *fmt, ...)
    PRINTF(4, 5);

// True when all len bytes at gpa are RAM of this VM's memory map.
bool load_is_ram(const struct loader *l, u64 gpa, u64 len);

// Why len bytes at gpa, of which some are not RAM, cannot be had: where RAM is (below 4 GiB), and
// how much memory would do, if that is all that lacks. Returns t->buf.
const char *load_no_ram_text(const struct loader *l, u64 gpa, u64 len, struct text *t);

// Copy to, or clear, guest RAM that load_is_ram. They do nothing when only checking.
enum error load_write(struct loader *l, u64 gpa, const void *data, u64 len);
enum error load_clear(struct loader *l, u64 gpa, u64 len);

// Little-endian numbers at any alignment; the caller has checked that they are inside.
u16 get16(const u8 *p);
u32 get32(const u8 *p);
u64 get64(const u8 *p);
void put32(u8 *p, u32 v);
void put64(u8 *p, u64 v);

// The GDT that a kernel starts with: flat segments.
#define LOAD_GDT_SIZE 32
struct flat_gdt {
    u64 entry[LOAD_GDT_SIZE / 8];
    u16 code, data; // selectors
};
extern const struct flat_gdt gdt_linux; // what its boot protocol names __BOOT_CS and __BOOT_DS
extern const struct flat_gdt gdt_pc;    // for all others: as in QEMU, where kernels get tested

// Start states. For protected mode the entries of `selectors` are to be at gpa `gdt`.
void load_entry_protected(struct entry_state *e, u64 rip, const struct flat_gdt *selectors, u64 gdt,
                          bool interrupts);
void load_entry_real(struct entry_state *e, u64 entry, bool interrupts);

// A format that a header names, in words: "a Linux bzImage".
const char *image_format_text(enum image_format f);

enum error load_bzimage(struct loader *l);
enum error load_multiboot(struct loader *l);
enum error load_multiboot2(struct loader *l);
enum error load_pvh(struct loader *l);
enum error load_flat(struct loader *l);

#define LOAD_SEGMENTS 16u

struct load_segment {
    const u8 *data;
    u64 file_size; // bytes of data; what of `size` is beyond is cleared
    u64 gpa;
    u64 size; // bytes
};

struct load_segments {
    struct load_segment segment[LOAD_SEGMENTS];
    unsigned count;
    u64 entry; // gpa
};

// The loadable segments of an ELF executable for x86, each with its bytes inside the file; where
// they go is not checked. ERR_FORMAT, ERR_TRUNCATED, ERR_UNSUPPORTED with the reason.
enum error elf_segments(struct loader *l, struct load_segments *out);

bool elf_is(const struct image *image);

// What an ELF file's PT_NOTE segments say of a note.
enum elf_note {
    NOTE_NONE,
    NOTE_DAMAGED, // the segments are, or are not all in the file: the note may have been among them
    NOTE_BAD,     // it is there, and what it has is no number of 4 or 8 bytes
    NOTE_GOOD,
};

// The number in the note of this owner and type: NOTE_GOOD if there is one that has it.
enum elf_note elf_find_note(const struct image *image, const char *owner, u32 type, u64 *value);

// Section headers with the sections that a kernel's own backtraces want: symbols and strings.
struct elf_sections {
    const struct image *image;
    const u8 *table; // NULL: there are none
    unsigned count, entry_size, names;
    bool is64;
};
enum error elf_find_sections(struct loader *l, struct elf_sections *out);

// Bytes that elf_write_sections needs for the table, a multiple of 16, and for the sections.
u64 elf_table_size(const struct elf_sections *s);
u64 elf_sections_size(const struct elf_sections *s);

// Writes the table to gpa `table`, and the sections of symbols and strings to gpa `at`; their
// sh_addr then says where they are.
enum error elf_write_sections(struct loader *l, const struct elf_sections *s, u64 table, u64 at);

// The offset of a valid Multiboot header in the image, or -1.
i64 multiboot_find_header(const struct image *image);
i64 multiboot2_find_header(const struct image *image);

// Whether there is such a header, and something that says where the kernel goes: ELF's headers or
// addresses in the header.
bool multiboot_is_kernel(const struct image *image);
bool multiboot2_is_kernel(const struct image *image);

// Whether it is an ELF file with the note that names the entry of Xen's PVH start.
bool pvh_is_kernel(const struct image *image);

// What the file has where pvh_is_kernel would not say no if it were whole, in words: "a damaged PVH
// note". NULL: there is nothing of the kind.
const char *pvh_damage_text(const struct image *image);
