// SPDX-License-Identifier: MIT
// Flat images, the memory map, and what a file is taken for.
#include "load_helper.h"

static int setup(void **state)
{
    (void)state;
    load_setup();
    return 0;
}

static void a_boot_sector_starts_in_real_mode(void **state)
{
    (void)state;
    u8 sector[512] = {0xfa, 0xf4};
    sector[510] = 0x55;
    sector[511] = 0xaa;
    request.format = FORMAT_FLAT;
    request.kernel = (struct image){"boot", sector, sizeof(sector)};
    request.load = request.entry = GPA(0x7c00);
    load_ok();
    assert_int_equal(entry.format, FORMAT_FLAT);
    assert_int_equal(entry.mode, ENTRY_REAL);
    assert_memory_equal(ram + 0x7c00, sector, sizeof(sector));
    assert_int_equal(ram[0x7bff], 0xa5);
    assert_int_equal(ram[0x7e00], 0xa5);
    assert_int_equal(entry.regs.rip, 0x7c00);
    assert_int_equal(entry.regs.cr0, 0x10);
    assert_int_equal(entry.regs.rflags, 0x2);
    assert_int_equal(entry.regs.gpr[RSP], 0x7c00);
    for (unsigned s = SEG_ES; s <= SEG_GS; s++) {
        assert_int_equal(entry.regs.seg[s].selector, 0);
        assert_int_equal(entry.regs.seg[s].base, 0);
        assert_int_equal(entry.regs.seg[s].limit, 0xffff);
    }
    assert_int_equal(entry.regs.idtr.limit, 0x3ff);
}

// A4.
static void interrupts_are_on_if_that_is_asked_for(void **state)
{
    (void)state;
    request.format = FORMAT_FLAT;
    request.kernel = (struct image){"boot", (const u8 *)"\xf4", 1};
    request.interrupts = true;
    request.load = request.entry = GPA(0x7c00);
    load_ok();
    assert_int_equal(entry.regs.rflags, 0x202);
}

static void the_entry_decides_the_mode(void **state)
{
    (void)state;
    static u8 image[0x20000];
    request.format = FORMAT_FLAT;
    request.kernel = (struct image){"image", image, sizeof(image)};
    request.load = GPA(0x10000);
    request.entry = GPA(0x23456);
    load_ok();
    assert_int_equal(entry.mode, ENTRY_REAL);
    assert_int_equal(entry.regs.seg[SEG_CS].selector, 0x2000);
    assert_int_equal(entry.regs.seg[SEG_CS].base, 0x20000);
    assert_int_equal(entry.regs.rip, 0x3456);

    request.load = GPA(0x100000);
    request.entry = GPA(0x11ffff);
    load_ok();
    assert_protected(0x11ffff);
}

static void a_flat_image_must_be_in_ram(void **state)
{
    (void)state;
    static u8 image[0x1000];
    request.format = FORMAT_FLAT;
    request.kernel = (struct image){"image", image, sizeof(image)};
    request.load = request.entry = GPA(LOW_RAM_END - 0x1000);
    load_ok();
    request.load = request.entry = GPA(RAM_SIZE - 0x1000);
    load_ok();
    request.load = request.entry = GPA(RAM_SIZE - 0xfff);
    load_refused(ERR_NO_MEMORY, "load",
                 "0x1fff001 to 0x2000000 is not all RAM: RAM is 0 to 0x9fbff and 0x100000 to "
                 "0x1ffffff; it takes memory = 33M or more");
    request.memory = MiB;
    request.load = request.entry = GPA(MiB);
    load_refused(
        ERR_NO_MEMORY, "load",
        "0x100000 to 0x100fff is not all RAM: RAM is 0 to 0x9fbff; it takes memory = 2M or "
        "more");
    request.memory = RAM_SIZE;
    static const u64 bad[] = {LOW_RAM_END - 0xfff, 0xa0000,    0xff001,    0xfffff,
                              0xc0000000,          0xffffffff, 1ull << 32, UINT64_MAX};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        request.load = request.entry = GPA(bad[i]);
        assert_int_equal(load_image(&request, &memory, &entry, &why), ERR_NO_MEMORY);
    }
    request.load = GPA(0x8000);
    request.entry = GPA(0x9000);
    load_refused(ERR_INVALID, "entry", "0x9000 is not inside the image");
    request.entry = GPA(0x7fff);
    load_refused(ERR_INVALID, "entry", "0x7fff is not inside the image");
    request.kernel.size = 0;
    load_refused(ERR_FORMAT, "kernel", "image is an empty file");
}

static void the_memory_map_has_all_but_the_holes(void **state)
{
    (void)state;
    struct e820_entry map[E820_ENTRIES];
    static const u64 sizes[] = {MEMORY_MIN, MEMORY_MIN + PAGE_SIZE, 256 * MiB,
                                MMIO_HOLE,  MMIO_HOLE + PAGE_SIZE,  16 * GiB,
                                MEMORY_MAX};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        unsigned n = e820_build(sizes[i], map);
        u64 usable = 0, last = 0;
        assert_true(n <= E820_ENTRIES);
        for (unsigned j = 0; j < n; j++) {
            assert_true(map[j].start >= last && map[j].size > 0);
            last = map[j].start + map[j].size;
            if (map[j].type == E820_RAM)
                usable += map[j].size;
            assert_true(last <= MMIO_HOLE || map[j].start >= RAM_ABOVE_4G);
        }
        // All of the memory but the hole below 1 MiB.
        assert_int_equal(usable, sizes[i] - (HIGH_RAM - LOW_RAM_END));
    }
    assert_int_equal(sizeof(map[0]), 20);
    assert_int_equal(map[1].start, 0x9fc00);
    assert_int_equal(map[1].size, 0x60400);
    assert_int_equal(map[1].type, E820_RESERVED);
}

static void the_memory_size_is_checked(void **state)
{
    (void)state;
    static const u64 bad[] = {0, MEMORY_MIN - PAGE_SIZE, MEMORY_MIN + 1, MEMORY_MAX + PAGE_SIZE,
                              UINT64_MAX};
    request.kernel = (struct image){"k", (const u8 *)"", 0};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        request.memory = bad[i];
        assert_int_equal(load_image(&request, NULL, &entry, &why), ERR_INVALID);
        assert_string_equal(why.key, "memory");
    }
}

static void less_ram_than_promised_is_refused(void **state)
{
    (void)state;
    static u8 image[0x4000];
    request.format = FORMAT_FLAT;
    request.kernel = (struct image){"image", image, sizeof(image)};
    request.load = request.entry = GPA(2 * MiB - 0x2000);
    load_ok(); // across two regions
    memory.count = 1;
    assert_int_equal(load_image(&request, &memory, &entry, &why), ERR_FAULT);
    assert_string_equal(why.text, "no RAM behind address 0x200000");
}

static void what_is_no_kernel_is_told_for_what_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        unsigned len;
        const char *what;
    } files[] = {
        {"", 0, "an empty file"},
        {"\x1f\x8b\x08", 3, "gzip-compressed data: unpack it first"},
        {"\xfd"
         "7zXZ\0",
         6, "xz-compressed data: unpack it first"},
        {"\x28\xb5\x2f\xfd", 4, "zstd-compressed data: unpack it first"},
        {"070701", 6, "a cpio archive: an initrd, not a kernel"},
        {"hello\n", 6, "a text file"},
        {"#!/bin/sh\n", 10, "a script"},
        {"MZ\220", 3, "a DOS or EFI program, or a kernel cut short"},
        {"\0\0\0\0", 4, "nothing but zeros"},
        {"\1\2\3\4", 4, "data of no known format"},
        {"\177ELF\2\1", 6, "an ELF file for another machine (0)"},
        {"\177ELF\1\1\1\0\0\0\0\0\0\0\0\0\2\0\3\0", 20,
         "an ELF32 file without a Multiboot header or a PVH note"},
        {"\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\1\0\76\0", 20,
         "an ELF64 object file without a Multiboot header or a PVH note"},
        {"\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0", 20, "an ELF file for another machine (183)"},
        {"\xd6\x50\x52\xe8\0\0\0\0\x10\0\0\0\x1a\xaf\xad\x17", 16,
         "no ELF file, and its Multiboot header names no addresses"},
    };
    char buf[80], tiny[5];
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        struct image image = copy_image("f", (const u8 *)files[i].bytes, files[i].len);
        assert_string_equal(image_text(&image, buf, sizeof(buf)), files[i].what);
        assert_int_equal(image_format(&image), FORMAT_AUTO);
        assert_int_equal(strlen(image_text(&image, tiny, sizeof(tiny))), 4);
        free_image(&image);
    }
    u8 program[0x88] = {'M', 'Z', [0x3c] = 0x80, [0x80] = 'P', 'E'};
    struct image efi = {"xen.efi", program, sizeof(program)};
    assert_string_equal(image_text(&efi, buf, sizeof(buf)),
                        "an EFI program; what loads is the kernel's ELF file");
    set32(program + 0x3c, UINT32_MAX);
    assert_string_equal(image_text(&efi, buf, sizeof(buf)),
                        "a DOS or EFI program, or a kernel cut short");
    u8 sector[512] = {0xeb};
    memcpy(sector + 510, "\x55\xaa", 2);
    struct image image = {"s", sector, sizeof(sector)};
    assert_string_equal(image_text(&image, buf, sizeof(buf)), "a boot sector");
}

static void a_wrong_format_is_named(void **state)
{
    (void)state;
    request.kernel = (struct image){"vmlinuz.gz", (const u8 *)"\x1f\x8b\x08", 3};
    request.format = FORMAT_LINUX;
    load_refused(ERR_FORMAT, "kernel",
                 "vmlinuz.gz is gzip-compressed data: unpack it first, not a Linux bzImage");
    request.format = FORMAT_MULTIBOOT;
    load_refused(ERR_FORMAT, "kernel",
                 "vmlinuz.gz is gzip-compressed data: unpack it first, not a Multiboot 1 kernel");
    request.format = FORMAT_AUTO;
    load_refused(ERR_FORMAT, "kernel",
                 "vmlinuz.gz is gzip-compressed data: unpack it first; a kernel is a Linux "
                 "bzImage or vmlinux, a Multiboot kernel or, with 'format = flat', any bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_boot_sector_starts_in_real_mode, setup),
        cmocka_unit_test_setup(interrupts_are_on_if_that_is_asked_for, setup),
        cmocka_unit_test_setup(the_entry_decides_the_mode, setup),
        cmocka_unit_test_setup(a_flat_image_must_be_in_ram, setup),
        cmocka_unit_test_setup(the_memory_map_has_all_but_the_holes, setup),
        cmocka_unit_test_setup(the_memory_size_is_checked, setup),
        cmocka_unit_test_setup(less_ram_than_promised_is_refused, setup),
        cmocka_unit_test_setup(what_is_no_kernel_is_told_for_what_it_is, setup),
        cmocka_unit_test_setup(a_wrong_format_is_named, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
