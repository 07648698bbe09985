// SPDX-License-Identifier: MIT
// Multiboot 2 kernels: ELF32, ELF64, addresses in the header, tags.
#include "elf_file.h"

#define MAGIC 0xe85250d6u

// Tags of the header.
enum {
    REQUEST = 1,
    ADDRESS = 2,
    ENTRY = 3,
    CONSOLE = 4,
    SCREEN = 5,
    ALIGN_MODULES = 6,
    RELOCATE = 10
};

static unsigned header_size;

static void begin_header(void)
{
    memset(file + HEADER, 0, TEXT_AT - HEADER);
    header_size = 16;
}

static void add_tag(u16 type, bool optional, unsigned words, const u32 *word)
{
    u8 *tag = file + HEADER + header_size;
    set16(tag, type);
    set16(tag + 2, optional);
    set32(tag + 4, 8 + words * 4);
    for (unsigned i = 0; i < words; i++)
        set32(tag + 8 + i * 4, word[i]);
    header_size += ALIGN_UP(8 + words * 4, 8u);
    assert_true(HEADER + header_size <= TEXT_AT);
}

static void end_header(void)
{
    add_tag(0, false, 0, NULL);
    set32(file + HEADER, MAGIC);
    set32(file + HEADER + 8, header_size);
    set32(file + HEADER + 12, 0u - MAGIC - header_size);
}

// A header with one tag, or none.
static void put_header(u16 type, bool optional, unsigned words, const u32 *word)
{
    begin_header();
    if (type != 0)
        add_tag(type, optional, words, word);
    end_header();
}

static int elf32(void **state)
{
    (void)state;
    make_elf32();
    put_header(0, false, 0, NULL);
    return 0;
}

static int elf64(void **state)
{
    (void)state;
    make_elf64();
    put_header(0, false, 0, NULL);
    return 0;
}

static void put_addresses(u32 load, u32 load_end, u32 bss_end, u32 start)
{
    const u32 addresses[] = {0x100000 + HEADER - 0x100, load, load_end, bss_end},
              entry_at[] = {start};
    begin_header();
    add_tag(ADDRESS, false, 4, addresses);
    add_tag(ENTRY, false, 1, entry_at);
    end_header();
}

static int addresses(void **state)
{
    (void)state;
    make_file();
    put_addresses(0x100000, 0x100800, 0x102000, 0x100140);
    return 0;
}

// The information's tag of this type, from its type on; how many there are.
static u64 find_info(u32 type, unsigned *count)
{
    u64 info = entry.regs.gpr[RBX], found = 0;
    u32 total = ram32(info), at = 8;
    assert_int_equal(info % 8, 0);
    assert_int_equal(ram32(info + 4), 0);
    *count = 0;
    while (at < total) {
        u32 this_type = ram32(info + at), size = ram32(info + at + 4);
        assert_true(size >= 8 && at + size <= total);
        if (this_type == type && (*count)++ == 0)
            found = info + at;
        if (this_type == 0) {
            assert_int_equal(at + size, total);
            return found;
        }
        at += ALIGN_UP(size, 8u);
    }
    fail_msg("no last tag");
    return 0;
}

// The one tag of this type.
static u64 info_tag(u32 type)
{
    unsigned count;
    u64 at = find_info(type, &count);
    assert_int_equal(count, 1);
    return at;
}

static unsigned info_count(u32 type)
{
    unsigned count;
    find_info(type, &count);
    return count;
}

static void an_elf32_kernel_is_loaded(void **state)
{
    (void)state;
    load_ok();
    assert_int_equal(entry.format, FORMAT_MULTIBOOT2);
    assert_protected(0x100010);
    assert_int_equal(entry.regs.gpr[RAX], 0x36d76289);
    assert_memory_equal(ram + 0x100000, file + TEXT_AT, TEXT_LEN);
    for (unsigned i = 0x10; i < 0x2000; i++)
        assert_int_equal(ram[0x200000 + i], 0); // .bss
    assert_null(entry.note);
}

static void an_elf64_is_entered_by_physical_address(void **state)
{
    (void)state;
    load_ok();
    assert_protected(0x100020);
    assert_memory_equal(ram + 0x100000, file + TEXT_AT, TEXT_LEN);
    const u32 start[] = {0x100030};
    put_header(ENTRY, false, 1, start); // the header's entry goes before ELF's
    load_ok();
    assert_protected(0x100030);
}

// The entry address tag is a physical address, and one of what is loaded, as e_entry.
static void the_entry_tag_must_be_in_what_is_loaded(void **state)
{
    static const struct {
        u32 start;
        const char *text; // NULL: taken
    } cases[] = {
        {0x1000ff, NULL},
        {0x100100, "kernel starts at 0x100100, which is in none of its segments"},
        {0xfffff, "kernel starts at 0xfffff, which is in none of its segments"},
        {0x201fff, NULL},
        {0x202000, "kernel starts at 0x202000, which is in none of its segments"},
        {0xdeadbeef, "kernel starts at 0xdeadbeef, which is in none of its segments"},
        {0, "kernel starts at 0x0, which is in none of its segments"},
    };
    const u32 anywhere[] = {0x100000, UINT32_MAX, 0x1000, 2}; // as high as can be
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
        const u32 *start = &cases[i / 2].start;
        const char *text = cases[i / 2].text;
        bool moves = i % 2;
        elf32(state);
        begin_header();
        add_tag(ENTRY, false, 1, start);
        if (moves)
            add_tag(RELOCATE, false, 4, anywhere);
        end_header();
        if (text != NULL) {
            load_refused(ERR_FORMAT, "kernel", text);
        } else {
            load_ok();
            assert_protected(moves ? *start + RAM_SIZE - 0x202000 : *start);
        }
    }
    elf64(state);
    const u32 linked_at[] = {0x80100030};
    put_header(ENTRY, false, 1, linked_at);
    load_refused(ERR_FORMAT, "kernel",
                 "kernel starts at 0x80100030, which is in none of its segments");
    addresses(state);
    put_addresses(0x100000, 0x100800, 0x102000, 0x102000);
    load_refused(ERR_FORMAT, "kernel", "kernel starts at 0x102000, outside of what is loaded");
}

static void the_boot_information_tells_what_was_loaded(void **state)
{
    (void)state;
    static u8 m1[5000], m2[1];
    memset(m1, 0x11, sizeof(m1));
    m2[0] = 0x22;
    request.cmdline = "a=1 b";
    request.module[0] = (struct load_module){{"mod1", m1, sizeof(m1)}, "x y"};
    request.module[1] = (struct load_module){{"mod2", m2, sizeof(m2)}, ""};
    request.modules = 2;
    load_ok();
    assert_string_equal((char *)ram + info_tag(1) + 8, "a=1 b");
    assert_string_equal((char *)ram + info_tag(2) + 8, "Vitrine");
    assert_int_equal(ram32(info_tag(4) + 8), 639);
    assert_int_equal(ram32(info_tag(4) + 12), (RAM_SIZE - MiB) / KiB);

    assert_int_equal(info_count(3), 2);
    unsigned count;
    u64 module = find_info(3, &count);
    assert_int_equal(ram32(module + 8), 0x202000); // behind the kernel, page-aligned
    assert_int_equal(ram32(module + 12), 0x202000 + sizeof(m1));
    assert_string_equal((char *)ram + module + 16, "x y");
    u64 second = module + ALIGN_UP(ram32(module + 4), 8u);
    assert_int_equal(ram32(second), 3);
    assert_int_equal(ram32(second + 8), 0x204000);
    assert_int_equal(ram32(second + 12), 0x204001);
    assert_string_equal((char *)ram + second + 16, "");
    assert_memory_equal(ram + 0x202000, m1, sizeof(m1));
    assert_int_equal(ram[0x204000], 0x22);

    u64 map = info_tag(6);
    struct e820_entry e820[E820_ENTRIES];
    unsigned n = e820_build(RAM_SIZE, e820);
    assert_int_equal(ram32(map + 4), 16 + n * 24);
    assert_int_equal(ram32(map + 8), 24);
    assert_int_equal(ram32(map + 12), 0);
    for (unsigned i = 0; i < n; i++)
        assert_memory_equal(ram + map + 16 + i * 24, &e820[i], 20);

    // No tables, no sections, not moved.
    assert_int_equal(info_count(9) + info_count(13) + info_count(14) + info_count(15), 0);
    assert_int_equal(info_count(21), 0);
}

static void tables_of_the_firmware_are_told(void **state)
{
    (void)state;
    memcpy(ram + 0xe0000, "RSD PTR ", 8);
    memset(ram + 0xe0008, 0x5a, 28);
    memcpy(ram + 0xf0000, "_SM_\x11\x1f\2\x8", 8);
    request.rsdp = GPA(0xe0000);
    request.smbios = GPA(0xf0000);
    load_ok();
    assert_int_equal(ram32(info_tag(14) + 4), 8 + 20);
    assert_memory_equal(ram + info_tag(14) + 8, ram + 0xe0000, 20);
    assert_int_equal(ram32(info_tag(15) + 4), 8 + 36);
    assert_memory_equal(ram + info_tag(15) + 8, ram + 0xe0000, 36);
    u64 smbios = info_tag(13);
    assert_int_equal(ram32(smbios + 4), 16 + 0x1f);
    assert_int_equal(ram[smbios + 8], 2);
    assert_int_equal(ram[smbios + 9], 8);
    assert_memory_equal(ram + smbios + 16, ram + 0xf0000, 0x1f);
}

static void section_headers_are_brought_and_told(void **state)
{
    (void)state;
    add_sections();
    load_ok();
    u64 tag = info_tag(9);
    assert_int_equal(ram32(tag + 8), 5);
    assert_int_equal(ram32(tag + 12), 40);
    assert_int_equal(ram32(tag + 16), 4);
    u64 table = tag + 20;
    assert_int_equal(ram32(table + 40 + 12), 0x100000); // .text stays
    u32 symtab = ram32(table + 120 + 12), names = ram32(table + 160 + 12);
    assert_true(symtab >= 0x202000);
    assert_memory_equal(ram + symtab, file + TEXT_AT, 0x30);
    assert_memory_equal(ram + names, "\0.shstrta", 9);
    request.memory = 0x202000; // no room for them: not told
    load_ok();
    assert_int_equal(info_count(9), 0);
}

static void a_header_with_addresses_places_the_kernel(void **state)
{
    (void)state;
    load_ok();
    assert_protected(0x100140);
    assert_memory_equal(ram + 0x100000, file + 0x100, 0x800);
    for (unsigned i = 0x800; i < 0x2000; i++)
        assert_int_equal(ram[0x100000 + i], 0);

    const u32 from_the_first[] = {0x200000 + HEADER, UINT32_MAX, 0, 0}, start[] = {0x200000};
    begin_header();
    add_tag(ADDRESS, false, 4, from_the_first);
    add_tag(ENTRY, false, 1, start);
    end_header();
    load_ok();
    assert_memory_equal(ram + 0x200000, file, FILE_SIZE);

    put_addresses(0x100000, 0x100f01, 0, 0x100140);
    load_refused(ERR_TRUNCATED, "kernel",
                 "kernel is truncated: its Multiboot header loads 3841 bytes, there are 3840");
    const u32 where[] = {0x100000 + HEADER, 0x100000, 0, 0};
    put_header(ADDRESS, false, 4, where);
    load_refused(ERR_FORMAT, "kernel",
                 "kernel: its Multiboot 2 header says where it is loaded, but not where it starts");
}

static void unknown_requirements_are_refused(void **state)
{
    const u32 known[] = {1, 4, 6, 8, 11, 21}, unknown[] = {4, 22}, screen[] = {1024, 768, 32},
              console[] = {3};
    (void)state;
    put_header(REQUEST, false, ARRAY_SIZE(known), known);
    load_ok();
    put_header(REQUEST, false, ARRAY_SIZE(unknown), unknown);
    load_refused(ERR_UNSUPPORTED, "kernel",
                 "kernel insists on Multiboot 2 information of unknown type 22");
    put_header(REQUEST, true, ARRAY_SIZE(unknown), unknown);
    load_ok();
    put_header(ALIGN_MODULES, false, 0, NULL);
    load_ok();
    put_header(11, true, 0, NULL);
    load_ok();
    put_header(11, false, 0, NULL);
    load_refused(ERR_UNSUPPORTED, "kernel",
                 "kernel insists on what tag 11 of its Multiboot 2 header says, which is unknown");
    put_header(SCREEN, true, 3, screen);
    load_ok();
    assert_null(entry.note);
    put_header(SCREEN, false, 3, screen);
    load_ok();
    assert_non_null(entry.note);
    put_header(CONSOLE, false, 1, console);
    load_ok();
    assert_non_null(entry.note);
}

static void relocate(u32 min, u32 max, u32 align, u32 preference)
{
    const u32 words[] = {min, max, align, preference};
    put_header(RELOCATE, false, 4, words);
}

static void assert_at(u64 base)
{
    load_ok();
    assert_protected(base + 0x10);
    assert_memory_equal(ram + base, file + TEXT_AT, TEXT_LEN);
    assert_memory_equal(ram + base + 0x100000, file + TEXT_AT, 0x10);
    assert_int_equal(ram[base + 0x101fff], 0);
    assert_int_equal(ram32(info_tag(21) + 8), base);
}

static void a_relocatable_kernel_is_placed_as_it_asks(void **state)
{
    (void)state;
    relocate(0, UINT32_MAX, 0x100000, 0);
    assert_at(0x100000);
    relocate(0x300000, UINT32_MAX, 0x200000, 0);
    assert_at(0x400000);
    relocate(0x300000, UINT32_MAX, 0x1000, 1);
    assert_at(0x300000);
    relocate(0x300000, UINT32_MAX, 0x1000, 2);
    assert_at(RAM_SIZE - 0x102000);
    relocate(0x300000, 0x5fffff, 0x100000, 2);
    assert_at(0x400000);
    static u8 m[0x2000];
    request.module[0] = (struct load_module){{"m", m, sizeof(m)}, ""};
    request.modules = 1;
    relocate(0, UINT32_MAX, 0x1000, 2); // up to the last byte of RAM: no room behind it
    load_ok();
    assert_int_equal(ram32(info_tag(3) + 8), 0x100000);
    relocate(0x300000, 0x400fff, 0x1000, 0);
    load_refused(ERR_NO_MEMORY, "memory",
                 "kernel wants 0x102000 bytes of RAM between 0x300000 and 0x400fff, and there are "
                 "none");
}

static void a_damaged_header_is_named(void **state)
{
    const u32 words[] = {0, 0, 0, 0};
    put_header(ADDRESS, false, 3, words);
    load_refused(ERR_FORMAT, "kernel",
                 "kernel is damaged: tag 2 of its Multiboot 2 header is too short");
    put_header(ENTRY, false, 0, words);
    load_refused(ERR_FORMAT, "kernel",
                 "kernel is damaged: tag 3 of its Multiboot 2 header is too short");
    put_header(RELOCATE, false, 3, words);
    load_refused(ERR_FORMAT, "kernel",
                 "kernel is damaged: tag 10 of its Multiboot 2 header is too short");
    put_header(ALIGN_MODULES, false, 0, NULL);
    for (u32 size = 0; size < 8; size++) {
        set32(file + HEADER + 16 + 4, size);
        load_refused(ERR_FORMAT, "kernel",
                     "kernel is damaged: the tags of its Multiboot 2 header do not fit into it");
    }
    set32(file + HEADER + 16 + 4, UINT32_MAX);
    load_refused(ERR_FORMAT, "kernel",
                 "kernel is damaged: the tags of its Multiboot 2 header do not fit into it");

    elf32(state);
    set32(file + HEADER + 4, 4); // MIPS
    set32(file + HEADER + 12, 0u - MAGIC - 4 - header_size);
    load_refused(ERR_UNSUPPORTED, "kernel",
                 "kernel is for another machine (architecture 4 of its Multiboot 2 header)");
    elf32(state);
    set32(file + HEADER + 8, 0x8000);
    set32(file + HEADER + 12, 0u - MAGIC - 0x8000);
    load_refused(ERR_TRUNCATED, "kernel", "kernel is truncated: it ends within its header");
    elf32(state);
    request.initrd = (struct image){"initrd", file, 1};
    load_refused(ERR_UNSUPPORTED, "initrd",
                 "goes with a Linux kernel only; Multiboot kernels take 'module = IMAGE'");
}

static void the_header_must_be_in_the_first_32_kib(void **state)
{
    (void)state;
    static u8 big[0x9000];
    const u32 words[4] = {MAGIC, 0, 16, 0u - MAGIC - 16};
    struct image image = {"big", big, sizeof(big)};
    memcpy(big, "\177ELF\1\1\1", 7);
    memcpy(big + 0x8000 - 16, words, sizeof(words));
    assert_int_equal(image_format(&image), FORMAT_MULTIBOOT2);
    memset(big + 0x8000 - 16, 0, 16);
    memcpy(big + 0x8000 - 8, words, sizeof(words));
    assert_int_equal(image_format(&image), FORMAT_AUTO);
    memset(big + 0x8000 - 8, 0, 16);
    memcpy(big + 0x104, words, sizeof(words)); // not at a multiple of 8
    assert_int_equal(image_format(&image), FORMAT_AUTO);
}

// As Xen has it: QEMU takes such a kernel by Multiboot 1, and so do we unless told otherwise.
static void a_kernel_with_both_headers_starts_by_multiboot_1(void **state)
{
    (void)state;
    u8 *p = file + TEXT_AT - 12; // Multiboot 1's
    set32(p, 0x1badb002);
    set32(p + 8, 0u - 0x1badb002);
    load_ok();
    assert_int_equal(entry.format, FORMAT_MULTIBOOT);
    request.format = FORMAT_MULTIBOOT2;
    load_ok();
    assert_int_equal(entry.format, FORMAT_MULTIBOOT2);
    request.format = FORMAT_PVH;
    load_refused(ERR_FORMAT, "kernel",
                 "kernel is a Multiboot 1 kernel, not a kernel with a PVH start");
}

static void no_room_for_the_boot_information_is_told(void **state)
{
    (void)state;
    put_phdr32(1, 1, TEXT_AT, 0, 0, 0x10, 0x9fc00);
    request.memory = 0x101000;
    load_refused(ERR_NO_MEMORY, "memory", "kernel leaves no room for its boot information");
    request.memory = 0x102000;
    load_ok();
    assert_int_equal(entry.regs.gdtr.base, 0x101000);
}

static void a_kernel_cut_anywhere_is_refused(void **state)
{
    elf32(state);
    try_truncations();
    elf64(state);
    try_truncations();
    addresses(state);
    try_truncations();
}

static void an_extreme_value_anywhere_does_no_harm(void **state)
{
    elf32(state);
    add_sections();
    relocate(0x300000, UINT32_MAX, 0x1000, 2);
    try_extremes();
    elf64(state);
    try_extremes();
    addresses(state);
    try_extremes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_elf32_kernel_is_loaded, elf32),
        cmocka_unit_test_setup(an_elf64_is_entered_by_physical_address, elf64),
        cmocka_unit_test_setup(the_entry_tag_must_be_in_what_is_loaded, elf32),
        cmocka_unit_test_setup(the_boot_information_tells_what_was_loaded, elf32),
        cmocka_unit_test_setup(tables_of_the_firmware_are_told, elf32),
        cmocka_unit_test_setup(section_headers_are_brought_and_told, elf32),
        cmocka_unit_test_setup(a_header_with_addresses_places_the_kernel, addresses),
        cmocka_unit_test_setup(unknown_requirements_are_refused, elf32),
        cmocka_unit_test_setup(a_relocatable_kernel_is_placed_as_it_asks, elf32),
        cmocka_unit_test_setup(a_damaged_header_is_named, elf32),
        cmocka_unit_test_setup(the_header_must_be_in_the_first_32_kib, elf32),
        cmocka_unit_test_setup(a_kernel_with_both_headers_starts_by_multiboot_1, elf32),
        cmocka_unit_test_setup(no_room_for_the_boot_information_is_told, elf32),
        cmocka_unit_test_setup(a_kernel_cut_anywhere_is_refused, elf32),
        cmocka_unit_test_setup(an_extreme_value_anywhere_does_no_harm, elf32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
