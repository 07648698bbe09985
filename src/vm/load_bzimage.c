// SPDX-License-Identifier: MIT
// Linux bzImage by the boot protocol (Linux's Documentation/arch/x86/boot.rst), version 2.10 or
// later (Linux 2.6.31, 2009): the first that tells how much memory the kernel needs.
//
// The kernel is entered at its 32-bit entry point. Every bzImage has one, 64-bit kernels too, and
// it needs no page tables in guest RAM; the way to long mode costs the guest a handful of exits.
#include "lib/string.h"
#include "vm/load_internal.h"

// Offsets in the image's first sectors, and the same in struct boot_params.
enum {
    BP_ACPI_RSDP = 0x070,
    BP_E820_ENTRIES = 0x1e8,
    BP_HEADER = 0x1f1,
    BP_SETUP_SECTS = 0x1f1,
    BP_SYSSIZE = 0x1f4,
    BP_JUMP_OFFSET = 0x201, // the header ends at 0x202 + this byte
    BP_VERSION = 0x206,
    BP_TYPE_OF_LOADER = 0x210,
    BP_LOADFLAGS = 0x211,
    BP_CODE32_START = 0x214,
    BP_RAMDISK_IMAGE = 0x218,
    BP_RAMDISK_SIZE = 0x21c,
    BP_CMD_LINE_PTR = 0x228,
    BP_INITRD_ADDR_MAX = 0x22c,
    BP_KERNEL_ALIGNMENT = 0x230,
    BP_RELOCATABLE = 0x234,
    BP_CMDLINE_SIZE = 0x238,
    BP_PAYLOAD_OFFSET = 0x248,
    BP_PAYLOAD_LENGTH = 0x24c,
    BP_SETUP_DATA = 0x250,
    BP_PREF_ADDRESS = 0x258,
    BP_INIT_SIZE = 0x260,
    BP_HEADER_MIN_END = 0x264, // with init_size in it
    BP_HEADER_MAX_END = 0x290, // where the next field of boot_params begins
    BP_E820_TABLE = 0x2d0,
    BP_SIZE = 4096,
};

#define SECTOR           512u
#define LOADED_HIGH      BIT(0)
#define KEEP_SEGMENTS    BIT(6)
#define CAN_USE_HEAP     BIT(7)
#define LOADER_UNDEFINED 0xff

// Low RAM: nothing else is there before the guest runs.
#define GDT_AT     0x1000u
#define BP_AT      0x10000u
#define CMDLINE_AT 0x20000u

struct bzimage {
    const u8 *header;     // the image's first bytes
    unsigned header_size; // bytes from BP_HEADER on that boot_params takes over
    const u8 *code;       // the protected-mode part
    u64 code_size;        // bytes
    u64 at;               // gpa it is loaded at
    u64 window_end;       // gpa where what the kernel needs before it reads the memory map ends
    u64 initrd_at;        // gpa
};

// The parts of the file, as its header describes them.
static enum error check_file(struct loader *l, struct bzimage *b)
{
    const struct image *k = &l->request->kernel;
    if (k->size < BP_HEADER_MIN_END)
        return load_fail(l, ERR_TRUNCATED, "kernel", "%s is truncated: it ends within its header",
                         k->name);
    unsigned version = get16(b->header + BP_VERSION);
    if (version < 0x020a)
        return load_fail(l, ERR_UNSUPPORTED, "kernel",
                         "%s has boot protocol %u.%02u; 2.10 (Linux 2.6.31) is the oldest that is "
                         "loaded",
                         k->name, version >> 8, version & 0xff);
    if ((b->header[BP_LOADFLAGS] & LOADED_HIGH) == 0)
        return load_fail(l, ERR_UNSUPPORTED, "kernel", "%s is a zImage, not a bzImage", k->name);

    unsigned header_end = 0x202u + b->header[BP_JUMP_OFFSET];
    u64 sectors = b->header[BP_SETUP_SECTS] == 0 ? 4 : b->header[BP_SETUP_SECTS];
    u64 setup = (sectors + 1) * SECTOR;
    b->code_size = (u64)get32(b->header + BP_SYSSIZE) * 16;
    if (header_end < BP_HEADER_MIN_END || header_end > setup || b->code_size == 0)
        return load_fail(l, ERR_FORMAT, "kernel", "%s is damaged: its header contradicts itself",
                         k->name);
    if (k->size < setup + b->code_size)
        return load_fail(l, ERR_TRUNCATED, "kernel",
                         "%s is truncated: %lu bytes, and its header says %lu", k->name, k->size,
                         setup + b->code_size);
    u64 payload_end =
        (u64)get32(b->header + BP_PAYLOAD_OFFSET) + get32(b->header + BP_PAYLOAD_LENGTH);
    if (payload_end > b->code_size)
        return load_fail(l, ERR_FORMAT, "kernel",
                         "%s is damaged: its payload ends outside of the file", k->name);
    b->header_size = MIN(header_end, (unsigned)BP_HEADER_MAX_END) - BP_HEADER;
    b->code = k->data + setup;
    return OK;
}

// Where the kernel goes. A kernel loaded below pref_address moves itself up to it, so no lower
// place would make it fit into less RAM.
static enum error place_kernel(struct loader *l, struct bzimage *b)
{
    const struct load_request *r = l->request;
    u64 align = get32(b->header + BP_KERNEL_ALIGNMENT);
    u64 at = get64(b->header + BP_PREF_ADDRESS);
    if (at == 0)
        at = HIGH_RAM;
    if (b->header[BP_RELOCATABLE] == 0)
        align = 1;
    if (align == 0 || (align & (align - 1)) != 0 || at < HIGH_RAM || at > UINT32_MAX - align)
        return load_fail(l, ERR_FORMAT, "kernel", "%s is damaged: it asks for address 0x%lx",
                         r->kernel.name, at);
    b->at = ALIGN_UP(at, align);
    u64 need = MAX(b->code_size, (u64)get32(b->header + BP_INIT_SIZE));
    b->window_end = b->at + need;
    if (!load_is_ram(l, b->at, need))
        return load_fail(l, ERR_NO_MEMORY, "memory",
                         "%s needs RAM up to 0x%lx, that is %luM and more", r->kernel.name,
                         b->window_end, (ALIGN_UP(b->window_end, MiB) / MiB));
    return OK;
}

// As high as the kernel can reach it, so that it is out of the way of what the kernel does first.
static enum error place_initrd(struct loader *l, struct bzimage *b)
{
    const struct load_request *r = l->request;
    u64 size = r->initrd.size;
    if (r->initrd.data == NULL)
        return OK;
    if (size == 0)
        return load_fail(l, ERR_FORMAT, "initrd", "%s is an empty file", r->initrd.name);
    u64 end = MIN(e820_high_ram_end(r->memory), get32(b->header + BP_INITRD_ADDR_MAX) + 1ul);
    u64 at = size <= end ? ALIGN_DOWN(end - size, PAGE_SIZE) : 0;
    if (at < ALIGN_UP(b->window_end, PAGE_SIZE))
        return load_fail(l, ERR_NO_MEMORY, "initrd",
                         "%s, %lu KiB, does not fit between the kernel's end at 0x%lx and 0x%lx",
                         r->initrd.name, size / KiB, b->window_end, end);
    b->initrd_at = at;
    return OK;
}

static enum error check_cmdline(struct loader *l, const struct bzimage *b)
{
    size_t len = strlen(l->request->cmdline);
    u64 limit = MIN((u64)get32(b->header + BP_CMDLINE_SIZE), LOW_RAM_END - CMDLINE_AT - 1);
    if (len > limit)
        return load_fail(l, ERR_INVALID, "cmdline",
                         "%zu characters, and this kernel takes no more than %lu", len, limit);
    return OK;
}

// struct boot_params; screen_info stays zero: there is no display.
static enum error write_boot_params(struct loader *l, const struct bzimage *b)
{
    const struct load_request *r = l->request;
    u8 bp[BP_E820_TABLE + E820_ENTRIES * sizeof(struct e820_entry)];
    memset(bp, 0, sizeof(bp));
    memcpy(bp + BP_HEADER, b->header + BP_HEADER, b->header_size);
    put64(bp + BP_ACPI_RSDP, r->rsdp.v);
    bp[BP_TYPE_OF_LOADER] = LOADER_UNDEFINED;
    bp[BP_LOADFLAGS] &= (u8) ~(KEEP_SEGMENTS | CAN_USE_HEAP);
    put32(bp + BP_CODE32_START, (u32)b->at);
    put32(bp + BP_RAMDISK_IMAGE, (u32)b->initrd_at);
    put32(bp + BP_RAMDISK_SIZE, b->initrd_at != 0 ? (u32)r->initrd.size : 0);
    put32(bp + BP_CMD_LINE_PTR, CMDLINE_AT);
    put64(bp + BP_SETUP_DATA, 0);
    struct e820_entry map[E820_ENTRIES];
    unsigned n = e820_build(r->memory, map);
    bp[BP_E820_ENTRIES] = (u8)n;
    memcpy(bp + BP_E820_TABLE, map, n * sizeof(map[0]));

    enum error e = load_clear(l, BP_AT, BP_SIZE);
    return e == OK ? load_write(l, BP_AT, bp, sizeof(bp)) : e;
}

static enum error write_all(struct loader *l, const struct bzimage *b)
{
    const struct load_request *r = l->request;
    enum error e = load_write(l, b->at, b->code, b->code_size);
    if (e == OK && b->initrd_at != 0)
        e = load_write(l, b->initrd_at, r->initrd.data, r->initrd.size);
    if (e == OK)
        e = load_write(l, CMDLINE_AT, r->cmdline, strlen(r->cmdline) + 1);
    if (e == OK)
        e = load_write(l, GDT_AT, gdt_linux.entry, LOAD_GDT_SIZE);
    if (e == OK)
        e = write_boot_params(l, b);
    return e;
}

enum error load_bzimage(struct loader *l)
{
    const struct load_request *r = l->request;
    struct bzimage b = {.header = r->kernel.data};

    if (r->interrupts)
        return load_fail(l, ERR_UNSUPPORTED, "interrupts",
                         "Linux's boot protocol has interrupts off at the start");
    if (r->modules > 0)
        return load_fail(l, ERR_UNSUPPORTED, "module",
                         "goes with a Multiboot kernel only; Linux takes an initrd");
    enum error e = check_file(l, &b);
    if (e == OK)
        e = place_kernel(l, &b);
    if (e == OK)
        e = place_initrd(l, &b);
    if (e == OK)
        e = check_cmdline(l, &b);
    if (e == OK)
        e = write_all(l, &b);
    if (e == OK) {
        load_entry_protected(l->out, b.at, &gdt_linux, GDT_AT, false);
        l->out->format = FORMAT_LINUX;
        l->out->regs.gpr[RSI] = BP_AT;
    }
    return e;
}
