// SPDX-License-Identifier: MIT
// Guest kernels brought into guest RAM: Linux bzImage, Multiboot 1 and 2, ELF with a PVH start,
// flat images. Pure code: the build host runs the same checks on the same files before they go into
// the ISO.
#pragma once

#include "lib/error.h"
#include "lib/types.h"
#include "vcpu/debug.h"
#include "x86/guest_memory.h"

// Guest-physical layout shared by all loaders and by the tables that describe it.
#define LOW_RAM_END  0x9fc00ul // below: RAM; from here to 1 MiB: reserved, ACPI tables
#define HIGH_RAM     (1 * MiB) // RAM again
#define MMIO_HOLE    (3 * GiB) // RAM that would lie in [3 GiB, 4 GiB) is found above 4 GiB
#define RAM_ABOVE_4G (4 * GiB)
#define MEMORY_MIN   (1 * MiB)    // bytes of RAM a VM has at least
#define MEMORY_MAX   (1024 * GiB) // and at most

enum e820_type { E820_RAM = 1, E820_RESERVED = 2 };

struct PACKED e820_entry {
    u64 start; // gpa
    u64 size;  // bytes
    u32 type;  // enum e820_type
};

#define E820_ENTRIES 4

// The memory map of a VM with `memory` bytes of RAM (MEMORY_MIN to MEMORY_MAX, whole pages).
// Returns the number of entries, ascending and without overlap.
unsigned e820_build(u64 memory, struct e820_entry map[E820_ENTRIES]);

// The end of the RAM that begins at 1 MiB: min(memory, 3 GiB).
u64 e820_high_ram_end(u64 memory);

// A file that came with the appliance.
struct image {
    const char *name;
    const u8 *data; // NULL: none
    u64 size;       // bytes
};

enum image_format {
    FORMAT_AUTO,
    FORMAT_LINUX,      // bzImage
    FORMAT_MULTIBOOT,  // Multiboot 1
    FORMAT_MULTIBOOT2, // Multiboot 2
    FORMAT_PVH,        // ELF with the note of Xen's PVH start
    FORMAT_FLAT,
    IMAGE_FORMATS
};

// "auto", "linux", "multiboot", "multiboot2", "pvh", "flat".
const char *image_format_name(enum image_format f);

// Whether an image's own header says that it is of this format. A flat image has no header.
bool image_is(const struct image *image, enum image_format f);

// The first of the formats in the order of enum image_format that its header says it is;
// FORMAT_AUTO when there is none (a flat image is only loaded as one when the configuration says
// so).
enum image_format image_format(const struct image *image);

// What an image looks like, in words that complete "this is …": "gzip-compressed data", "a text
// file". Writes into buf (size bytes) and returns it.
const char *image_text(const struct image *image, char *buf, size_t size);

// Whether an image is an ELF file for the i386, and so most likely a 32-bit kernel: nothing else
// tells one that never pages from one on its way to long mode.
bool image_is_i386(const struct image *image);

#define LOAD_MODULES 8u

struct load_module {
    struct image image;
    const char *args; // text after the image's name
};

struct load_request {
    enum image_format format; // FORMAT_AUTO: what the image says it is
    struct image kernel;
    struct image initrd;                     // Linux, PVH
    struct load_module module[LOAD_MODULES]; // Multiboot, PVH
    unsigned modules;
    const char *cmdline;
    u64 memory;        // bytes of RAM, as for e820_build
    gpa_t rsdp;        // ACPI's root pointer, which is there already; 0 for none
    gpa_t smbios;      // the same for SMBIOS's entry point
    gpa_t load, entry; // flat: where the image goes and where it starts
    bool interrupts;   // RFLAGS.IF at the start; Linux insists on false
};

enum entry_mode {
    ENTRY_REAL,      // 16-bit real mode
    ENTRY_PROTECTED, // 32-bit protected mode, flat segments, paging off
};

// The first vCPU's registers at the guest's first instruction, complete. CR0, CR4 and EFER are as
// the guest sees them: bits that VMX operation wants fixed are the caller's business.
struct entry_state {
    enum image_format format; // what was loaded
    enum entry_mode mode;
    struct vcpu_regs regs;
    const char *note; // what the user should know of a kernel that is loaded all the same, or NULL
};

struct load_failure {
    const char *key; // of the VM's configuration, the one to blame: "kernel", "initrd", "memory"…
    char text[200];  // the reason, one line
};

// Checks the images and writes them, and what the boot protocol wants beside them, into guest RAM.
// With m NULL everything is checked for a VM of r->memory bytes and nothing is written. Bytes of
// RAM that no part of the image covers are left alone; .bss and tables are cleared. On failure
// (ERR_FORMAT, ERR_TRUNCATED, ERR_NO_MEMORY, ERR_UNSUPPORTED, ERR_INVALID) *why says why, and guest
// RAM may be partly written. May be called again for the same RAM: it starts the guest afresh.
//
// Flat images: the file goes to r->load unchanged and starts at r->entry. An entry below 1 MiB is
// entered in real mode (CS:IP with CS = 0 below 64 KiB, else CS = the 64 KiB block's; other
// segments 0, SP = 0x7c00), one at or above 1 MiB in 32-bit protected mode with flat segments.
// A boot sector is load = entry = 0x7c00.
//
// In protected mode CS is 8 and the other segments are 0x10, as in QEMU; for a bzImage they are
// 0x10 and 0x18, which its protocol wants.
enum error load_image(const struct load_request *r, const struct guest_memory *m,
                      struct entry_state *out, struct load_failure *why);
