// SPDX-License-Identifier: MIT
// Linux's boot protocol, on an image made here and on Debian's kernel where the build has it.
#include "load_helper.h"

#define SETUP_SECTS 4
#define SETUP_SIZE  ((SETUP_SECTS + 1) * 512)
#define CODE_SIZE   0x3000
#define FILE_SIZE   (SETUP_SIZE + CODE_SIZE)
#define BOOT_PARAMS 0x10000

static u8 file[FILE_SIZE];

static int setup(void **state)
{
    (void)state;
    load_setup();
    memset(file, 0, sizeof(file));
    for (unsigned i = SETUP_SIZE; i < sizeof(file); i++)
        file[i] = (u8)(i * 13);
    file[0x1f1] = SETUP_SECTS;
    set32(file + 0x1f4, CODE_SIZE / 16);
    memcpy(file + 0x1fe, "\x55\xaa\xeb\x6aHdrS", 8);
    set32(file + 0x206, 0x020f);
    file[0x210] = 0;
    file[0x211] = 0xc1; // LOADED_HIGH, and two that the loader must clear
    set32(file + 0x214, 0x100000);
    set32(file + 0x224, 0x1234);
    set32(file + 0x22c, 0x7fffffff); // initrd_addr_max
    set32(file + 0x230, 0x200000);   // kernel_alignment
    file[0x234] = 1;                 // relocatable
    set32(file + 0x238, 2047);       // cmdline_size
    set32(file + 0x248, 0x100);      // payload
    set32(file + 0x24c, 0x2000);
    set64(file + 0x258, 0x1000000); // pref_address
    set32(file + 0x260, 0x300000);  // init_size
    request.kernel = (struct image){"vmlinuz", file, sizeof(file)};
    return 0;
}

static void the_kernel_finds_its_start_state_and_boot_params(void **state)
{
    (void)state;
    request.cmdline = "console=ttyS0 quiet";
    request.rsdp = GPA(0xe0000);
    load_ok();
    assert_int_equal(entry.format, FORMAT_LINUX);
    assert_protected(0x1000000);
    assert_int_equal(entry.regs.gpr[RSI], BOOT_PARAMS);
    assert_int_equal(entry.regs.gpr[RBP], 0);
    assert_int_equal(entry.regs.gpr[RDI], 0);
    assert_int_equal(entry.regs.gpr[RBX], 0);
    assert_memory_equal(ram + 0x1000000, file + SETUP_SIZE, CODE_SIZE);

    const u8 *bp = ram + BOOT_PARAMS;
    for (unsigned i = 0; i < 0x70; i++)
        assert_int_equal(bp[i], 0); // screen_info: no display
    assert_int_equal(ram64(BOOT_PARAMS + 0x70), 0xe0000);
    assert_int_equal(bp[0x1ef], 0); // sentinel
    assert_memory_equal(bp + 0x1f1, file + 0x1f1, 0x210 - 0x1f1);
    assert_int_equal(bp[0x210], 0xff);
    assert_int_equal(bp[0x211], 0x01);
    assert_int_equal(ram32(BOOT_PARAMS + 0x214), 0x1000000);
    assert_int_equal(ram32(BOOT_PARAMS + 0x218), 0);
    assert_int_equal(ram32(BOOT_PARAMS + 0x21c), 0);
    u32 cmdline = ram32(BOOT_PARAMS + 0x228);
    assert_string_equal((char *)ram + cmdline, "console=ttyS0 quiet");

    assert_int_equal(bp[0x1e8], 3);
    assert_int_equal(ram64(BOOT_PARAMS + 0x2d0), 0);
    assert_int_equal(ram64(BOOT_PARAMS + 0x2d8), 0x9fc00);
    assert_int_equal(ram32(BOOT_PARAMS + 0x2e0), 1);
    assert_int_equal(ram64(BOOT_PARAMS + 0x2e4), 0x9fc00);
    assert_int_equal(ram32(BOOT_PARAMS + 0x2f4), 2);
    assert_int_equal(ram64(BOOT_PARAMS + 0x2f8), 0x100000);
    assert_int_equal(ram64(BOOT_PARAMS + 0x300), RAM_SIZE - 0x100000);
    assert_int_equal(bp[4095], 0);
    assert_int_equal(bp[4096], 0xa5);
}

static void the_initrd_lies_as_high_as_allowed(void **state)
{
    (void)state;
    static u8 initrd[0x2345];
    memset(initrd, 0x77, sizeof(initrd));
    request.initrd = (struct image){"initrd.gz", initrd, sizeof(initrd)};
    load_ok();
    assert_int_equal(ram32(BOOT_PARAMS + 0x218), RAM_SIZE - 0x3000);
    assert_int_equal(ram32(BOOT_PARAMS + 0x21c), sizeof(initrd));
    assert_memory_equal(ram + RAM_SIZE - 0x3000, initrd, sizeof(initrd));

    set32(file + 0x22c, 0x17fffff);
    load_ok();
    assert_int_equal(ram32(BOOT_PARAMS + 0x218), 0x1800000 - 0x3000);

    set32(file + 0x22c, 0x1302344); // the kernel's window ends at 0x1300000
    load_ok();
    assert_int_equal(ram32(BOOT_PARAMS + 0x218), 0x1300000);
    set32(file + 0x22c, 0x1302343);
    load_refused(ERR_NO_MEMORY, "initrd",
                 "initrd.gz, 8 KiB, does not fit between the kernel's end at 0x1300000 and "
                 "0x1302344");
    set32(file + 0x22c, 0);
    assert_int_equal(load_image(&request, NULL, &entry, &why), ERR_NO_MEMORY);
    set32(file + 0x22c, 0xffffffff);
    load_ok();

    request.initrd.size = 0;
    load_refused(ERR_FORMAT, "initrd", "initrd.gz is an empty file");
    request.initrd.size = UINT64_MAX; // never read
    assert_int_equal(load_image(&request, NULL, &entry, &why), ERR_NO_MEMORY);
}

static void the_memory_that_it_needs_is_told(void **state)
{
    (void)state;
    request.memory = 0x1300000;
    assert_int_equal(load_image(&request, NULL, &entry, &why), OK);
    request.memory = 0x12ff000;
    assert_int_equal(load_image(&request, NULL, &entry, &why), ERR_NO_MEMORY);
    assert_string_equal(why.key, "memory");
    assert_string_equal(why.text, "vmlinuz needs RAM up to 0x1300000, that is 19M and more");
    request.memory = RAM_SIZE;
    set64(file + 0x258, 0);
    file[0x234] = 0; // not relocatable: alignment says nothing
    set32(file + 0x230, 0);
    load_ok();
    assert_protected(0x100000);
}

static void the_kernel_limits_its_command_line(void **state)
{
    (void)state;
    static char line[4096];
    memset(line, 'x', 2047);
    request.cmdline = line;
    load_ok();
    assert_string_equal((char *)ram + ram32(BOOT_PARAMS + 0x228), line);
    line[2047] = 'x';
    load_refused(ERR_INVALID, "cmdline",
                 "2048 characters, and this kernel takes no more than 2047");
    set32(file + 0x238, 0xffffffff);
    load_ok();
}

static void a_damaged_header_is_named(void **state)
{
    (void)state;
    struct {
        unsigned at;
        u32 value;
        enum error e;
        const char *text;
    } cases[] = {
        {0x206, 0x0209, ERR_UNSUPPORTED,
         "vmlinuz has boot protocol 2.09; 2.10 (Linux 2.6.31) is the oldest that is loaded"},
        {0x1f4, 0, ERR_FORMAT, "vmlinuz is damaged: its header contradicts itself"},
        {0x1f4, CODE_SIZE / 16 + 1, ERR_TRUNCATED,
         "vmlinuz is truncated: 14848 bytes, and its header says 14864"},
        {0x1f4, 0xffffffff, ERR_TRUNCATED,
         "vmlinuz is truncated: 14848 bytes, and its header says 68719479280"},
        {0x248, 0xfffffff0, ERR_FORMAT, "vmlinuz is damaged: its payload ends outside of the file"},
        {0x24c, CODE_SIZE - 0x100 + 1, ERR_FORMAT,
         "vmlinuz is damaged: its payload ends outside of the file"},
        {0x24c, 0xffffffff, ERR_FORMAT, "vmlinuz is damaged: its payload ends outside of the file"},
        {0x230, 3, ERR_FORMAT, "vmlinuz is damaged: it asks for address 0x1000000"},
        {0x230, 0, ERR_FORMAT, "vmlinuz is damaged: it asks for address 0x1000000"},
        {0x230, 0x80000000, ERR_NO_MEMORY,
         "vmlinuz needs RAM up to 0x80300000, that is 2051M and more"},
        {0x25c, 1, ERR_FORMAT, "vmlinuz is damaged: it asks for address 0x101000000"},
        {0x25c, 0xffffffff, ERR_FORMAT,
         "vmlinuz is damaged: it asks for address 0xffffffff01000000"},
        {0x258, 0xff000, ERR_FORMAT, "vmlinuz is damaged: it asks for address 0xff000"},
        {0x258, 0xfffff000, ERR_FORMAT, "vmlinuz is damaged: it asks for address 0xfffff000"},
        {0x260, 0xffffffff, ERR_NO_MEMORY,
         "vmlinuz needs RAM up to 0x100ffffff, that is 4112M and more"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup(NULL);
        set32(file + cases[i].at, cases[i].value);
        load_refused(cases[i].e, cases[i].e == ERR_NO_MEMORY ? "memory" : "kernel", cases[i].text);
    }
    setup(NULL);
    file[0x201] = 0x20; // the header ends before init_size
    load_refused(ERR_FORMAT, "kernel", "vmlinuz is damaged: its header contradicts itself");
    setup(NULL);
    file[0x201] = 0xff; // and beyond what boot_params has room for
    load_ok();
    setup(NULL);
    file[0x211] = 0;
    load_refused(ERR_UNSUPPORTED, "kernel", "vmlinuz is a zImage, not a bzImage");
    setup(NULL);
    file[0x1f1] = 0; // means 4
    load_ok();
    assert_memory_equal(ram + 0x1000000, file + SETUP_SIZE, CODE_SIZE);
    setup(NULL);
    file[0x1f1] = 255;
    load_refused(ERR_TRUNCATED, "kernel",
                 "vmlinuz is truncated: 14848 bytes, and its header says 143360");
}

static void keys_that_do_not_go_with_linux_are_refused(void **state)
{
    (void)state;
    request.interrupts = true;
    load_refused(ERR_UNSUPPORTED, "interrupts",
                 "Linux's boot protocol has interrupts off at the start");
    request.interrupts = false;
    request.modules = 1;
    load_refused(ERR_UNSUPPORTED, "module",
                 "goes with a Multiboot kernel only; Linux takes an initrd");
}

static void a_kernel_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (u64 size = 0; size < FILE_SIZE; size++) {
        request.kernel = copy_image("vmlinuz", file, size);
        enum error e = load_image(&request, &memory, &entry, &why);
        assert_int_equal(e, size < 0x206 ? ERR_FORMAT : ERR_TRUNCATED);
        assert_string_equal(why.key, "kernel");
        free_image(&request.kernel);
    }
}

// Extremes in every byte and word of the header: refused or loaded, never a fault.
static void an_extreme_value_anywhere_does_no_harm(void **state)
{
    (void)state;
    static const u64 values[] = {0, 1, 0x7fffffff, 0x80000000, UINT32_MAX, INT64_MAX, UINT64_MAX};
    static u8 initrd[100];
    for (unsigned at = 0x1f1; at < 0x268; at++) {
        for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
            for (unsigned width = 1; width <= 8; width *= 2) {
                u8 saved[8];
                memcpy(saved, file + at, 8);
                memcpy(file + at, &values[i], width);
                request.kernel = (struct image){"vmlinuz", file, sizeof(file)};
                request.initrd = (struct image){"initrd", initrd, sizeof(initrd)};
                (void)load_image(&request, &memory, &entry, &why);
                memcpy(file + at, saved, 8);
            }
        }
    }
}

static void debians_kernel_is_loaded_and_when_cut_refused(void **state)
{
    (void)state;
    const char *path = getenv("VMLINUZ") != NULL ? getenv("VMLINUZ") : "build/images/vmlinuz";
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        print_message("%s is not there: Debian's kernel not tried\n", path);
        skip();
    }
    u8 *data = malloc(64 * MiB);
    u64 size = fread(data, 1, 64 * MiB, f);
    fclose(f);
    request.kernel = (struct image){"vmlinuz", data, size};
    request.memory = 256 * MiB;
    assert_int_equal(image_format(&request.kernel), FORMAT_LINUX);
    assert_int_equal(load_image(&request, NULL, &entry, &why), OK);
    assert_int_equal(entry.regs.rip, 0x1000000);
    // Behind what the header describes there may be a signature, which the kernel does without.
    u32 syssize;
    memcpy(&syssize, data + 0x1f4, sizeof(syssize));
    size = (data[0x1f1] + 1u) * 512u + (u64)syssize * 16;
    assert_true(size <= request.kernel.size);
    static const u64 cuts[] = {1, 15, 16, 512, 1 * MiB, 10 * MiB};
    for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
        request.kernel.size = size - cuts[i];
        assert_int_equal(load_image(&request, NULL, &entry, &why), ERR_TRUNCATED);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_kernel_finds_its_start_state_and_boot_params, setup),
        cmocka_unit_test_setup(the_initrd_lies_as_high_as_allowed, setup),
        cmocka_unit_test_setup(the_memory_that_it_needs_is_told, setup),
        cmocka_unit_test_setup(the_kernel_limits_its_command_line, setup),
        cmocka_unit_test_setup(a_damaged_header_is_named, setup),
        cmocka_unit_test_setup(keys_that_do_not_go_with_linux_are_refused, setup),
        cmocka_unit_test_setup(a_kernel_cut_anywhere_is_refused, setup),
        cmocka_unit_test_setup(an_extreme_value_anywhere_does_no_harm, setup),
        cmocka_unit_test_setup(debians_kernel_is_loaded_and_when_cut_refused, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
