// SPDX-License-Identifier: MIT
// fw_cfg: the bytes that kernels written for QEMU look for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "vdev/fwcfg.h"

static struct fwcfg fw;

static int setup(void **state)
{
    (void)state;
    static const u8 initrd[] = {1, 2, 3};
    fwcfg_init(&fw, &(struct fwcfg_config){
                        .vcpus = 5,
                        .memory = 0x123456789aull,
                        .cmdline = "console=ttyS0",
                        .cmdline_gpa = GPA(0x20000),
                        .kernel = {.address = GPA(0x100000), .size = 0x1234},
                        .initrd = {.address = GPA(0x7f00000), .data = initrd, .size = 3},
                        .kernel_entry = GPA(0x100040),
                    });
    return 0;
}

static u64 value(u16 key, unsigned size)
{
    u64 v = 0;
    fwcfg_select(&fw, key);
    for (unsigned i = 0; i < size; i++)
        v |= (u64)fwcfg_read(&fw) << 8 * i;
    assert_int_equal(fwcfg_read(&fw), 0); // nothing behind the end
    return v;
}

static void each_item_has_its_value(void **state)
{
    (void)state;
    assert_int_equal(value(0x00, 4), 0x554d4551); // QEMU
    assert_int_equal(value(0x01, 4), 1);
    assert_int_equal(value(0x03, 8), 0x123456789aull);
    assert_int_equal(value(0x05, 2), 5);
    assert_int_equal(value(0x0f, 2), 5);
    assert_int_equal(value(0x07, 4), 0x100000);
    assert_int_equal(value(0x08, 4), 0x1234);
    assert_int_equal(value(0x10, 4), 0x100040);
    assert_int_equal(value(0x11, 4), 0); // not offered
    assert_int_equal(value(0x0a, 4), 0x7f00000);
    assert_int_equal(value(0x0b, 4), 3);
    assert_int_equal(value(0x12, 3), 0x030201);
    assert_int_equal(value(0x13, 4), 0x20000);
    assert_int_equal(value(0x14, 4), 14);
    assert_int_equal(value(0x1234, 4), 0);
    assert_int_equal(value(0xffff, 4), 0);

    char text[14];
    fwcfg_select(&fw, 0x15);
    for (unsigned i = 0; i < sizeof(text); i++)
        text[i] = (char)fwcfg_read(&fw);
    assert_string_equal(text, "console=ttyS0");
    fwcfg_select(&fw, 0x15); // and from its start
    assert_int_equal(fwcfg_read(&fw), 'c');
}

static void an_empty_command_line_has_one_byte(void **state)
{
    (void)state;
    fwcfg_init(&fw, &(struct fwcfg_config){.vcpus = 1});
    assert_int_equal(value(0x14, 4), 1);
    assert_int_equal(value(0x15, 1), 0);
}

static void files_are_listed_by_name(void **state)
{
    (void)state;
    assert_int_equal(value(0x19, 4), 0);
    // The data go on behind what is told of them.
    assert_int_equal(fwcfg_add_file(&fw, "opt/b", "xyz123", 3), OK);
    assert_int_equal(fwcfg_add_file(&fw, "opt/a", "hello world", 5), OK);
    assert_int_equal(fwcfg_add_file(&fw, "opt/a", "", 0), ERR_INVALID);
    assert_int_equal(fwcfg_add_file(&fw, "", "", 0), ERR_INVALID);
    char longest[57] = {0};
    memset(longest, 'n', 56);
    assert_int_equal(fwcfg_add_file(&fw, longest, "", 0), ERR_INVALID);

    u8 dir[4 + 2 * 64];
    fwcfg_select(&fw, 0x19);
    for (unsigned i = 0; i < sizeof(dir); i++)
        dir[i] = fwcfg_read(&fw);
    const u8 head[] = {0, 0, 0, 2, 0, 0, 0, 5, 0, 0x20, 0, 0, 'o', 'p', 't', '/', 'a', 0};
    assert_memory_equal(dir, head, sizeof(head));
    const u8 second[] = {0, 0, 0, 3, 0, 0x21, 0, 0, 'o', 'p', 't', '/', 'b', 0};
    assert_memory_equal(dir + 68, second, sizeof(second));
    assert_int_equal(fwcfg_read(&fw), 0);
    assert_int_equal(value(0x20, 5), 0x6f6c6c6568);
    assert_int_equal(value(0x21, 3), 0x7a7978);
    assert_int_equal(value(0x22, 3), 0);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(fwcfg_add_file(&fw, (char[]){"123456"[i], 0}, "", 0), OK);
    assert_int_equal(fwcfg_add_file(&fw, "7", "", 0), ERR_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_item_has_its_value, setup),
        cmocka_unit_test_setup(an_empty_command_line_has_one_byte, setup),
        cmocka_unit_test_setup(files_are_listed_by_name, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
