// SPDX-License-Identifier: MIT
// ELF kernels with the note of Xen's PVH start.
#include "elf_file.h"

#define NOTE (HEADER + 0x18) // behind another note

// A note of 4 bytes: owner of up to 4 characters, data.
static u8 *put_note(u8 *p, const char *owner, u32 type, u32 data)
{
    set32(p, (u32)strlen(owner) + 1);
    set32(p + 4, 4);
    set32(p + 8, type);
    strcpy((char *)p + 12, owner);
    set32(p + 16, data);
    return p + 20;
}

static void put_notes(u32 start)
{
    put_note(file + HEADER, "GNU", 1, 0x100);
    put_note(file + NOTE - 4, "Xen", 18, start);
}

static int elf32(void **state)
{
    (void)state;
    make_elf32();
    put_notes(0x100040);
    set16(file + 44, 3);
    put_phdr32(2, 4, HEADER, 0, 0, 0x28, 0x28);
    return 0;
}

// As a 64-bit Linux has it: 8 bytes in the note.
static int elf64(void **state)
{
    (void)state;
    make_elf64();
    u8 *p = file + HEADER;
    set32(p, 4);
    set32(p + 4, 8);
    set32(p + 8, 18);
    memcpy(p + 12, "Xen", 4);
    set64(p + 16, 0x100050);
    set16(file + 56, 2);
    u8 *ph = file + PHDRS + 56;
    set32(ph, 4);
    set64(ph + 8, HEADER);
    set64(ph + 32, 24);
    set64(ph + 48, 4);
    return 0;
}

static u64 start_info(unsigned offset)
{
    return ram64(entry.regs.gpr[RBX] + offset);
}

static void the_kernel_finds_its_start_info(void **state)
{
    (void)state;
    request.rsdp = GPA(0xe0000);
    request.cmdline = "console=ttyS0";
    load_ok();
    assert_int_equal(entry.format, FORMAT_PVH);
    assert_protected(0x100040);
    assert_int_equal(entry.regs.seg[SEG_TR].limit, 0x67);
    assert_memory_equal(ram + 0x100000, file + TEXT_AT, TEXT_LEN);
    assert_int_equal(ram[0x201fff], 0);

    assert_int_equal((u32)start_info(0), 0x336ec578);
    assert_int_equal(start_info(0) >> 32, 1); // version
    assert_int_equal(start_info(8), 0);       // flags, no modules
    assert_string_equal((char *)ram + start_info(24), "console=ttyS0");
    assert_int_equal(start_info(32), 0xe0000);
    struct e820_entry e820[E820_ENTRIES];
    unsigned n = e820_build(RAM_SIZE, e820);
    assert_int_equal(start_info(48), n);
    for (unsigned i = 0; i < n; i++)
        assert_memory_equal(ram + start_info(40) + i * 24, &e820[i], 20);
}

static void an_elf64_is_entered_where_its_note_says(void **state)
{
    (void)state;
    load_ok();
    assert_protected(0x100050);
    set64(file + HEADER + 16, 0x103000);
    load_refused(ERR_FORMAT, "kernel",
                 "kernel starts at 0x103000, which is in none of its segments");
}

static void the_initrd_is_the_first_module(void **state)
{
    (void)state;
    static u8 initrd[5000], more[10];
    memset(initrd, 0x11, sizeof(initrd));
    memset(more, 0x22, sizeof(more));
    request.initrd = (struct image){"initrd", initrd, sizeof(initrd)};
    request.modules = LOAD_MODULES;
    for (unsigned i = 0; i < LOAD_MODULES; i++)
        request.module[i] = (struct load_module){{"more", more, sizeof(more)}, i == 0 ? "x y" : ""};
    load_ok();
    assert_int_equal(start_info(8) >> 32, LOAD_MODULES + 1);
    u64 list = start_info(16);
    assert_int_equal(ram64(list), 0x202000);
    assert_int_equal(ram64(list + 8), sizeof(initrd));
    assert_int_equal(ram64(list + 16), 0);
    assert_memory_equal(ram + 0x202000, initrd, sizeof(initrd));
    assert_int_equal(ram64(list + 32), 0x204000);
    assert_string_equal((char *)ram + ram64(list + 48), "x y");
    assert_memory_equal(ram + ram64(list + LOAD_MODULES * 32), more, sizeof(more));

    request.initrd.size = 0;
    load_refused(ERR_FORMAT, "initrd", "initrd is an empty file");
    request.initrd.size = sizeof(initrd);
    request.memory = 0x203000;
    load_refused(ERR_NO_MEMORY, "initrd", "initrd, 4 KiB, does not fit behind the kernel");
    request.memory = RAM_SIZE;
    request.interrupts = true;
    load_refused(ERR_UNSUPPORTED, "interrupts", "a PVH start has interrupts off");
}

static void only_its_own_note_counts(void **state)
{
    static const u32 lengths[] = {0, 8, 0x10, 0x14, 0x27};
    elf32(state);
    set32(file + NOTE - 4 + 8, 17); // another type
    assert_int_equal(image_format(&request.kernel), FORMAT_AUTO);
    elf32(state);
    memcpy(file + NOTE - 4 + 12, "Xem", 4); // another owner
    assert_int_equal(image_format(&request.kernel), FORMAT_AUTO);
    elf32(state);
    set32(file + HEADER, UINT32_MAX); // a note before it that has no end
    assert_int_equal(image_format(&request.kernel), FORMAT_AUTO);
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        elf32(state);
        put_phdr32(2, 4, HEADER, 0, 0, lengths[i], lengths[i]);
        assert_int_equal(image_format(&request.kernel), FORMAT_AUTO);
    }
    elf32(state);
    assert_int_equal(image_format(&request.kernel), FORMAT_PVH);
}

static void refused_as(const char *what)
{
    char text[300];
    snprintf(text, sizeof(text),
             "kernel is %s; a kernel is a Linux bzImage or vmlinux, a Multiboot kernel or, with "
             "'format = flat', any bytes",
             what);
    assert_true(strlen(text) < sizeof(why.text));
    load_refused(ERR_FORMAT, "kernel", text);
}

// A note that is there and damaged is called so, and is not said to be missing.
static void damage_is_named(void **state)
{
    static const char bad[] = "an ELF32 file without a Multiboot header, with a damaged PVH note",
                      cut[] = "an ELF32 file without a Multiboot header, with notes that are "
                              "damaged or cut off",
                      none[] = "an ELF32 file without a Multiboot header or a PVH note";
    static const u32 sizes[] = {0, 1, 2, 3}, lengths[] = {8, 0x15, 0x19, 0x27};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        elf32(state);
        set32(file + NOTE - 4 + 4, sizes[i]);
        refused_as(bad);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) { // in the middle of a note
        elf32(state);
        put_phdr32(2, 4, HEADER, 0, 0, lengths[i], lengths[i]);
        refused_as(cut);
    }
    elf32(state);
    set32(file + NOTE - 4 + 4, 0xfffffffd);
    refused_as(cut);
    elf32(state);
    set32(file + NOTE - 4, 0xfffffffc);
    refused_as(cut);
    elf32(state);
    put_phdr32(2, 4, HEADER, 0, 0, 0x7fffffff, 0x28); // beyond the file
    refused_as(cut);
    elf32(state);
    put_phdr32(2, 4, 0xfffff000, 0, 0, 0x28, 0x28);
    refused_as(cut);
    elf32(state);
    put_phdr32(2, 4, HEADER, 0, 0, 0x14, 0x14); // whole, and another's
    refused_as(none);
    elf32(state);
    put_note(file + NOTE - 4, "Xem", 18, 0x100040);
    put_phdr32(2, 4, HEADER, 0, 0, 0x2c, 0x2c); // padded
    refused_as(none);
}

static void a_kernel_cut_anywhere_is_refused(void **state)
{
    elf32(state);
    try_truncations();
    elf64(state);
    try_truncations();
}

static void an_extreme_value_anywhere_does_no_harm(void **state)
{
    elf32(state);
    try_extremes();
    elf64(state);
    try_extremes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_kernel_finds_its_start_info, elf32),
        cmocka_unit_test_setup(an_elf64_is_entered_where_its_note_says, elf64),
        cmocka_unit_test_setup(the_initrd_is_the_first_module, elf32),
        cmocka_unit_test_setup(only_its_own_note_counts, elf32),
        cmocka_unit_test_setup(damage_is_named, elf32),
        cmocka_unit_test_setup(a_kernel_cut_anywhere_is_refused, elf32),
        cmocka_unit_test_setup(an_extreme_value_anywhere_does_no_harm, elf32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
