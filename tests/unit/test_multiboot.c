// SPDX-License-Identifier: MIT
// Multiboot 1 kernels: ELF32, ELF64, addresses in the header.
#include "elf_file.h"

#define MAGIC 0x1badb002u

static void put_header(u8 *p, u32 flags)
{
    set32(p, MAGIC);
    set32(p + 4, flags);
    set32(p + 8, 0u - MAGIC - flags);
}

static int elf32(void **state)
{
    (void)state;
    make_elf32();
    put_header(file + HEADER, 3);
    return 0;
}

static int elf64(void **state)
{
    (void)state;
    make_elf64();
    put_header(file + HEADER, 3);
    return 0;
}

static int kludge(void **state)
{
    (void)state;
    make_file();
    put_header(file + HEADER, 0x10003);
    set32(file + HEADER + 12, 0x100000 + HEADER - 0x100); // header_addr
    set32(file + HEADER + 16, 0x100000);                  // load_addr: the file from 0x100
    set32(file + HEADER + 20, 0x100800);                  // load_end_addr
    set32(file + HEADER + 24, 0x102000);                  // bss_end_addr
    set32(file + HEADER + 28, 0x100140);                  // entry_addr
    return 0;
}

static u32 info_at(unsigned offset)
{
    return ram32(entry.regs.gpr[RBX] + offset);
}

static void an_elf32_kernel_is_loaded(void **state)
{
    (void)state;
    load_ok();
    assert_int_equal(entry.format, FORMAT_MULTIBOOT);
    assert_protected(0x100010);
    assert_int_equal(entry.regs.gpr[RAX], 0x2badb002);
    assert_memory_equal(ram + 0x100000, file + TEXT_AT, TEXT_LEN);
    assert_int_equal(ram[0x100000 + TEXT_LEN], 0xa5);
    assert_memory_equal(ram + 0x200000, file + TEXT_AT, 0x10);
    for (unsigned i = 0x10; i < 0x2000; i++)
        assert_int_equal(ram[0x200000 + i], 0); // .bss
    assert_int_equal(ram[0x202000], 0xa5);
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
    assert_int_equal(info_at(0), 0x24d); // memory, command line, modules, map, name
    assert_int_equal(info_at(4), 639);
    assert_int_equal(info_at(8), (RAM_SIZE - MiB) / KiB);
    assert_string_equal((char *)ram + info_at(16), "kernel a=1 b");
    assert_string_equal((char *)ram + info_at(64), "Vitrine");

    assert_int_equal(info_at(20), 2);
    u32 mods = info_at(24);
    assert_int_equal(ram32(mods), 0x202000); // behind the kernel, page-aligned
    assert_int_equal(ram32(mods + 4), 0x202000 + sizeof(m1));
    assert_string_equal((char *)ram + ram32(mods + 8), "mod1 x y");
    assert_int_equal(ram32(mods + 12), 0);
    assert_int_equal(ram32(mods + 16), 0x204000);
    assert_int_equal(ram32(mods + 20), 0x204001);
    assert_string_equal((char *)ram + ram32(mods + 24), "mod2");
    assert_memory_equal(ram + 0x202000, m1, sizeof(m1));
    assert_int_equal(ram[0x204000], 0x22);

    u32 map = info_at(48);
    struct e820_entry e820[E820_ENTRIES];
    unsigned n = e820_build(RAM_SIZE, e820);
    assert_int_equal(info_at(44), n * 24);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(ram32(map + i * 24), 20);
        assert_memory_equal(ram + map + i * 24 + 4, &e820[i], 20);
    }
}

static void an_empty_command_line_is_the_name_alone(void **state)
{
    (void)state;
    load_ok();
    assert_string_equal((char *)ram + info_at(16), "kernel");
    assert_int_equal(info_at(20), 0);
}

static void the_map_goes_on_beyond_4_gib(void **state)
{
    (void)state;
    request.memory = 5 * GiB;
    load_ok();
    assert_int_equal(info_at(8), (3 * GiB - MiB) / KiB);
    u32 map = info_at(48);
    assert_int_equal(info_at(44), 4 * 24);
    assert_int_equal(ram64(map + 3 * 24 + 4), 4 * GiB);
    assert_int_equal(ram64(map + 3 * 24 + 12), 2 * GiB);
}

static void section_headers_are_brought_and_told(void **state)
{
    (void)state;
    add_sections();
    load_ok();
    assert_int_equal(info_at(0), 0x26d);
    assert_int_equal(info_at(28), 5);
    assert_int_equal(info_at(32), 40);
    assert_int_equal(info_at(40), 4);
    u32 table = info_at(36);
    assert_int_equal(table, 0x202000);
    assert_int_equal(ram32(table + 40 + 12), 0x100000); // .text stays
    assert_int_equal(ram32(table + 80 + 12), 0);        // debug information is not brought
    u32 symtab = ram32(table + 120 + 12), names = ram32(table + 160 + 12);
    assert_memory_equal(ram + symtab, file + TEXT_AT, 0x30);
    assert_memory_equal(ram + names, "\0.shstrta", 9);
    assert_true(symtab >= table + 5 * 40 && names >= symtab + 0x30);

    // Where there is no room for them they are not told.
    request.memory = 0x202000;
    load_ok();
    assert_int_equal(info_at(0), 0x24d);
    request.memory = RAM_SIZE;
    set32(file + 32, FILE_SIZE - 5 * 40 + 1);
    load_refused(ERR_TRUNCATED, "kernel",
                 "kernel is truncated: its section headers are outside of its 4096 bytes");
}

static void an_elf64_is_entered_by_physical_address(void **state)
{
    (void)state;
    load_ok();
    assert_protected(0x100020);
    assert_memory_equal(ram + 0x100000, file + TEXT_AT, TEXT_LEN);
    assert_int_equal(ram[0x102fff], 0);
    assert_int_equal(ram[0x103000], 0xa5);
    set64(file + 24, 0x100030); // physical already
    load_ok();
    assert_protected(0x100030);
    set64(file + 24, 0x103000);
    load_refused(ERR_FORMAT, "kernel",
                 "kernel starts at 0x103000, which is in none of its segments");
    request.memory = 5 * GiB;
    set64(file + PHDRS + 24, 4 * GiB);
    set64(file + 24, 4 * GiB);
    load_refused(ERR_UNSUPPORTED, "kernel",
                 "kernel starts at 0x100000000, out of a 32-bit start's reach");
}

static void a_header_with_addresses_places_the_kernel(void **state)
{
    (void)state;
    load_ok();
    assert_protected(0x100140);
    assert_memory_equal(ram + 0x100000, file + 0x100, 0x800);
    for (unsigned i = 0x800; i < 0x2000; i++)
        assert_int_equal(ram[0x100000 + i], 0);
    assert_int_equal(ram[0x102000], 0xa5);
    assert_int_equal(info_at(0), 0x24d);

    memset(ram, 0xa5, RAM_SIZE);
    set32(file + HEADER + 20, 0); // to the file's end
    set32(file + HEADER + 24, 0); // no .bss
    load_ok();
    assert_memory_equal(ram + 0x100000, file + 0x100, FILE_SIZE - 0x100);
    assert_int_equal(ram[0x100000 + FILE_SIZE - 0x100], 0xa5);
}

static void wrong_addresses_in_the_header_are_named(void **state)
{
    static const struct {
        unsigned at;
        u32 value;
        enum error e;
        const char *text;
    } cases[] = {
        {12, 0xfffff, ERR_FORMAT,
         "kernel: its Multiboot header loads it from before the file's first byte"},
        {12, 0xffffffff, ERR_FORMAT,
         "kernel: its Multiboot header loads it from before the file's first byte"},
        {16, 0, ERR_FORMAT,
         "kernel: its Multiboot header loads it from before the file's first byte"},
        {20, 0x100000, ERR_FORMAT,
         "kernel: load_end_addr of its Multiboot header is not above load_addr"},
        {20, 0x100f01, ERR_TRUNCATED,
         "kernel is truncated: its Multiboot header loads 3841 bytes, there are 3840"},
        {24, 0x1007ff, ERR_FORMAT,
         "kernel: bss_end_addr of its Multiboot header is below the end of the data"},
        {24, 1, ERR_FORMAT,
         "kernel: bss_end_addr of its Multiboot header is below the end of the data"},
        {28, 0x102000, ERR_FORMAT, "kernel starts at 0x102000, outside of what is loaded"},
        {28, 0xfffff, ERR_FORMAT, "kernel starts at 0xfffff, outside of what is loaded"},
        {24, 0xffffffff, ERR_NO_MEMORY,
         "kernel wants 0xffefffff bytes at 0x100000, which is not all RAM: RAM is 0 to 0x9fbff "
         "and 0x100000 to 0x1ffffff"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        kludge(state);
        set32(file + HEADER + cases[i].at, cases[i].value);
        load_refused(cases[i].e, cases[i].e == ERR_NO_MEMORY ? "memory" : "kernel", cases[i].text);
    }
}

// Memory that is too small for any RAM above 1 MiB, or for all of the kernel.
static void how_much_memory_it_takes_is_told(void **state)
{
    (void)state;
    request.memory = MiB;
    load_refused(ERR_NO_MEMORY, "memory",
                 "kernel wants 0x100 bytes at 0x100000, which is not all RAM: RAM is 0 to 0x9fbff; "
                 "it takes memory = 2M or more");
    request.memory = 0x201000;
    load_refused(ERR_NO_MEMORY, "memory",
                 "kernel wants 0x2000 bytes at 0x200000, which is not all RAM: RAM is 0 to 0x9fbff "
                 "and 0x100000 to 0x200fff; it takes memory = 3M or more");
    request.memory = 3 * MiB;
    load_ok();
}

static void unknown_requirements_are_refused(void **state)
{
    put_header(file + HEADER, 0);
    load_ok();
    put_header(file + HEADER, 0xfffe0003); // unknown wishes may be passed over
    load_ok();
    put_header(file + HEADER, 0x8003);
    load_refused(ERR_UNSUPPORTED, "kernel", "kernel insists on unknown Multiboot flags 0x8000");
    elf32(state);
    file[HEADER + 8] ^= 1; // checksum
    load_refused(
        ERR_FORMAT, "kernel",
        "kernel is an ELF32 file without a Multiboot header or a PVH note; a kernel is a "
        "Linux bzImage or vmlinux, a Multiboot kernel or, with 'format = flat', any bytes");
}

// Real kernels have the bit set that go without a mode: GNU Mach, for one.
static void a_video_mode_is_not_insisted_on(void **state)
{
    (void)state;
    load_ok();
    assert_null(entry.note);
    put_header(file + HEADER, 7);
    load_ok();
    assert_string_equal(entry.note,
                        "it wants a video mode (bit 2 of its Multiboot flags), and a VM "
                        "has no display: it is told of none");
    assert_int_equal(info_at(0), 0x24d); // neither VBE nor a framebuffer
}

static void the_header_must_be_in_the_first_8_kib(void **state)
{
    (void)state;
    static u8 big[0x3000];
    struct image image = {"big", big, sizeof(big)};
    memcpy(big, "\177ELF\1", 5);
    put_header(big + 8192 - 12, 3);
    assert_int_equal(image_format(&image), FORMAT_MULTIBOOT);
    memset(big + 5, 0, sizeof(big) - 5);
    put_header(big + 8192 - 8, 3);
    assert_int_equal(image_format(&image), FORMAT_AUTO);
    memset(big + 5, 0, sizeof(big) - 5);
    put_header(big + 0x102, 3);
    assert_int_equal(image_format(&image), FORMAT_AUTO);
}

static void what_is_wrong_in_an_elf_file_is_named(void **state)
{
    put_phdr32(1, 1, TEXT_AT, 0x1000ff, 0x1000ff, 0x10, 0x2000);
    load_refused(ERR_FORMAT, "kernel", "kernel: its segment at 0x1000ff overlaps another");
    put_phdr32(1, 1, TEXT_AT, 0xfffff, 0x9fbff, 1, 2);
    load_refused(ERR_NO_MEMORY, "memory",
                 "kernel wants 0x2 bytes at 0x9fbff, which is not all RAM: RAM is 0 to 0x9fbff and "
                 "0x100000 to 0x1ffffff");
    put_phdr32(1, 1, TEXT_AT, 0x200000, 0x200000, 2, 1);
    load_refused(ERR_FORMAT, "kernel",
                 "kernel is damaged: a segment has more bytes in the file than in memory");
    put_phdr32(1, 1, 0xffffffff, 0x200000, 0x200000, 2, 2);
    load_refused(ERR_TRUNCATED, "kernel",
                 "kernel is truncated: its segments are outside of its 4096 bytes");
    put_phdr32(1, 1, 0, 0xffffffff, 0xffffffff, 2, 0xffffffff);
    assert_int_equal(load_image(&request, &memory, &entry, &why), ERR_NO_MEMORY);
    put_phdr32(1, 1, 0, 0, 0, 0, 0); // nothing in it
    load_ok();

    elf32(state);
    set16(file + 16, 3);
    load_refused(ERR_UNSUPPORTED, "kernel",
                 "kernel is a position-independent executable: link it with -no-pie");
    set16(file + 16, 1);
    load_refused(ERR_UNSUPPORTED, "kernel", "kernel is an ELF file of type 1, no executable");
    set16(file + 18, 183);
    load_refused(ERR_UNSUPPORTED, "kernel", "kernel is an ELF file for another machine (183)");
    elf32(state);
    set16(file + 44, 0);
    load_refused(ERR_FORMAT, "kernel", "kernel has 0 program headers of 32 bytes");
    set16(file + 44, 0xffff);
    load_refused(ERR_FORMAT, "kernel", "kernel has 65535 program headers of 32 bytes");
    elf32(state);
    set16(file + 42, 31);
    load_refused(ERR_FORMAT, "kernel", "kernel has 2 program headers of 31 bytes");
    elf32(state);
    set32(file + 28, 0xffffffff);
    load_refused(ERR_TRUNCATED, "kernel",
                 "kernel is truncated: its program headers are outside of its 4096 bytes");
    elf32(state);
    file[0] = 0;
    load_refused(
        ERR_FORMAT, "kernel",
        "kernel is no ELF file, and its Multiboot header names no addresses; a kernel is a "
        "Linux bzImage or vmlinux, a Multiboot kernel or, with 'format = flat', any bytes");
    elf32(state);
    file[5] = 2;
    load_refused(ERR_FORMAT, "kernel", "kernel is neither ELF32 nor ELF64, little-endian");
    elf32(state);
    request.initrd = (struct image){"initrd", file, 1};
    load_refused(ERR_UNSUPPORTED, "initrd",
                 "goes with a Linux kernel only; Multiboot kernels take 'module = IMAGE'");
}

// The boot information goes where the kernel is not, the modules too.
static void nothing_overlaps_the_kernel(void **state)
{
    (void)state;
    static u8 module[0x1800];
    memset(module, 0x33, sizeof(module));
    put_phdr32(1, 1, TEXT_AT, 0x1000, 0x1000, 0x10, 0x9e000);
    request.module[0] = (struct load_module){{"m", module, sizeof(module)}, ""};
    request.modules = 1;
    load_ok();
    assert_true(entry.regs.gpr[RBX] >= 0x101000);
    u32 start = ram32(info_at(24)), end = ram32(info_at(24) + 4);
    assert_true(start >= 0x101000);
    assert_true(end <= entry.regs.gdtr.base || start > entry.regs.gpr[RBX]);
    for (unsigned i = 0x10; i < 0x9e000; i++)
        assert_int_equal(ram[0x1000 + i], 0);
    assert_memory_equal(ram + 0x100000, file + TEXT_AT, TEXT_LEN);
    assert_memory_equal(ram + start, module, sizeof(module));

    request.memory = 0x102000; // room for neither
    load_refused(ERR_NO_MEMORY, "memory", "kernel leaves no room for its boot information");
    request.memory = 0x105000; // for one
    load_refused(ERR_NO_MEMORY, "module", "m, 6 KiB, does not fit behind the kernel");
    request.memory = RAM_SIZE;
    request.module[0].image.size = 0;
    load_refused(ERR_FORMAT, "module", "m is an empty file");
}

static void texts_that_are_too_long_together_are_refused(void **state)
{
    (void)state;
    static char args[2048];
    memset(args, 'x', sizeof(args) - 1);
    request.cmdline = args;
    request.modules = LOAD_MODULES;
    for (unsigned i = 0; i < LOAD_MODULES; i++)
        request.module[i] = (struct load_module){{"m", file, 1}, "short"};
    load_ok();
    for (unsigned i = 0; i < LOAD_MODULES; i++)
        request.module[i].args = args;
    load_refused(ERR_INVALID, "cmdline",
                 "the command line and the modules' lines are too long together");
}

static void an_elf32_cut_anywhere_is_refused(void **state)
{
    (void)state;
    add_sections();
    set32(file + 32, FILE_SIZE - 5 * 40);
    for (u64 size = 0; size < FILE_SIZE; size++) {
        request.kernel = copy_image("kernel", file, size);
        enum error e = load_image(&request, &memory, &entry, &why);
        assert_int_equal(e, size < HEADER + 12 ? ERR_FORMAT : ERR_TRUNCATED);
        free_image(&request.kernel);
    }
}

static void an_elf64_cut_anywhere_is_refused(void **state)
{
    (void)state;
    try_truncations();
}

static void one_with_addresses_cut_anywhere_is_refused(void **state)
{
    (void)state;
    try_truncations();
}

static void an_i386_image_is_told(void **state)
{
    elf32(state);
    assert_true(image_is_i386(&request.kernel));
    request.kernel.size = 19;
    assert_false(image_is_i386(&request.kernel));
    set16(file + 18, 40); // an ARM's
    request.kernel.size = sizeof(file);
    assert_false(image_is_i386(&request.kernel));
    elf64(state);
    assert_false(image_is_i386(&request.kernel));
    kludge(state);
    assert_false(image_is_i386(&request.kernel));
}

static void an_extreme_value_anywhere_does_no_harm(void **state)
{
    elf32(state);
    add_sections();
    try_extremes();
    elf64(state);
    try_extremes();
    kludge(state);
    try_extremes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_elf32_kernel_is_loaded, elf32),
        cmocka_unit_test_setup(the_boot_information_tells_what_was_loaded, elf32),
        cmocka_unit_test_setup(an_empty_command_line_is_the_name_alone, elf32),
        cmocka_unit_test_setup(the_map_goes_on_beyond_4_gib, elf32),
        cmocka_unit_test_setup(section_headers_are_brought_and_told, elf32),
        cmocka_unit_test_setup(an_elf64_is_entered_by_physical_address, elf64),
        cmocka_unit_test_setup(a_header_with_addresses_places_the_kernel, kludge),
        cmocka_unit_test_setup(wrong_addresses_in_the_header_are_named, kludge),
        cmocka_unit_test_setup(how_much_memory_it_takes_is_told, elf32),
        cmocka_unit_test_setup(unknown_requirements_are_refused, elf32),
        cmocka_unit_test_setup(a_video_mode_is_not_insisted_on, elf32),
        cmocka_unit_test_setup(the_header_must_be_in_the_first_8_kib, elf32),
        cmocka_unit_test_setup(what_is_wrong_in_an_elf_file_is_named, elf32),
        cmocka_unit_test_setup(nothing_overlaps_the_kernel, elf32),
        cmocka_unit_test_setup(texts_that_are_too_long_together_are_refused, elf32),
        cmocka_unit_test_setup(an_elf32_cut_anywhere_is_refused, elf32),
        cmocka_unit_test_setup(an_elf64_cut_anywhere_is_refused, elf64),
        cmocka_unit_test_setup(one_with_addresses_cut_anywhere_is_refused, kludge),
        cmocka_unit_test_setup(an_extreme_value_anywhere_does_no_harm, elf32),
        cmocka_unit_test_setup(an_i386_image_is_told, elf32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
