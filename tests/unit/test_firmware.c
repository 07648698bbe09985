// SPDX-License-Identifier: MIT
// The BIOS data areas and the MP table as kernels look for them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "vdev/firmware.h"

static u8 ram[MiB];
static struct guest_memory memory = {.region = {{GPA(0), MiB, ram}}, .count = 1};

static u16 get16(u64 at)
{
    return (u16)(ram[at] | ram[at + 1] << 8);
}

static u32 get32(u64 at)
{
    return get16(at) | (u32)get16(at + 2) << 16;
}

static void build(unsigned vcpus, u8 uarts)
{
    const struct firmware_config config = {.vcpus = vcpus,
                                           .uarts = uarts,
                                           .cpu_signature = 0x50654,
                                           .cpu_features = 0x1f83fbff,
                                           .midnight_ticks = 0x12345};
    memset(ram, 0, sizeof(ram));
    assert_int_equal(firmware_build(&config, &memory), OK);
}

static u8 sum(u64 at, u64 size)
{
    u8 total = 0;
    for (u64 i = 0; i < size; i++)
        total = (u8)(total + ram[at + i]);
    return total;
}

static void the_bios_data_area_has_what_kernels_look_for(void **state)
{
    (void)state;
    build(1, 3);
    assert_int_equal(get16(0x413), 639); // KiB: Xen's and xv6's first look
    assert_int_equal(get16(0x40e) << 4, 0x9fc00);
    assert_int_equal(ram[0x9fc00], 1); // KiB
    assert_int_equal(get16(0x400), 0x3f8);
    assert_int_equal(get16(0x402), 0x2f8);
    assert_int_equal(get16(0x404), 0);
    assert_int_equal(get16(0x410), 2 | 2 << 9); // coprocessor, two serial ports
    assert_int_equal(ram[0x417], 0);
    assert_int_equal(get16(0x41a), 0x1e);
    assert_int_equal(get16(0x41a), get16(0x41c)); // no key waits
    assert_int_equal(ram[0x449], 3);
    assert_int_equal(get16(0x44a), 80);
    assert_int_equal(get16(0x463), 0x3d4);
    assert_int_equal(get32(0x46c), 0x12345);
    assert_int_equal(get16(0x480), 0x1e);
    assert_int_equal(get16(0x482), 0x3e);
    assert_int_equal(ram[0x484], 24);
    assert_int_equal(get16(0x485), 16);
    build(1, 0xb);
    assert_int_equal(get16(0x404), 0x2e8); // COM4 is the third there is
    assert_int_equal(get16(0x410), 2 | 3 << 9);
}

static void each_vector_of_real_mode_leads_to_a_handler(void **state)
{
    (void)state;
    build(1, 3);
    for (u64 v = 0; v < 256; v++) {
        u64 code = (u64)get16(v * 4 + 2) * 16 + get16(v * 4);
        bool irq = (v >= 0x08 && v < 0x10) || (v >= 0x70 && v < 0x78);
        bool service = v >= 0x10 && v < 0x70;
        assert_in_range(code, 0xfff53, 0xfffef);
        assert_int_equal(ram[code], irq ? 0x50 : service ? 0x55 : 0xcf);
    }
}

// Entries of each type, and that nothing is behind the last.
static void count_entries(unsigned counts[5])
{
    static const u8 size[] = {20, 8, 8, 8, 8};
    u64 table = get32(0x9fc10 + 4), at = table + 44, end = table + get16(table + 4);
    memset(counts, 0, 5 * sizeof(counts[0]));
    for (unsigned i = 0; i < get16(table + 34); i++) {
        assert_in_range(ram[at], 0, 4);
        counts[ram[at]]++;
        at += size[ram[at]];
    }
    assert_int_equal(at, end);
}

static void the_mp_table_has_processors_buses_and_interrupts(void **state)
{
    (void)state;
    unsigned counts[5];
    build(3, 3);
    assert_memory_equal(ram + 0x9fc10, "_MP_", 4); // in the first KiB of the extended area
    assert_int_equal(sum(0x9fc10, 16), 0);
    assert_int_equal(ram[0x9fc10 + 8], 1);
    u64 table = get32(0x9fc10 + 4);
    assert_in_range(table, 0xf0000, 0xfffff);
    assert_memory_equal(ram + table, "PCMP", 4);
    assert_int_equal(sum(table, get16(table + 4)), 0);
    assert_int_equal(get32(table + 36), 0xfee00000);
    count_entries(counts);
    assert_int_equal(counts[0], 3);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 1);
    assert_int_equal(counts[3], 15);
    assert_int_equal(counts[4], 2);
    u64 cpu = table + 44;
    assert_int_equal(ram[cpu + 3], 3); // enabled, boots
    assert_int_equal(get32(cpu + 4), 0x50654);
    assert_int_equal(get32(cpu + 8), 0x1f83fbff);
    assert_int_equal(ram[cpu + 20 + 1], 1);
    assert_int_equal(ram[cpu + 20 + 3], 1);
    u64 timer = cpu + 60 + 16;
    assert_int_equal(ram[timer + 5], 0); // IRQ 0 of ISA
    assert_int_equal(ram[timer + 7], 2); // at input 2
}

static void the_number_of_processors_is_checked(void **state)
{
    (void)state;
    unsigned counts[5];
    struct firmware_config config = {.vcpus = 0};
    assert_int_equal(firmware_build(&config, &memory), ERR_INVALID);
    config.vcpus = 256;
    assert_int_equal(firmware_build(&config, &memory), ERR_INVALID);
    build(255, 3);
    count_entries(counts);
    assert_int_equal(counts[0], 255);
}

static void without_ram_nothing_is_built(void **state)
{
    (void)state;
    struct guest_memory little = {.region = {{GPA(0), 0x9f000, ram}}, .count = 1};
    assert_int_equal(firmware_build(&(struct firmware_config){.vcpus = 1}, &little), ERR_FAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bios_data_area_has_what_kernels_look_for),
        cmocka_unit_test(each_vector_of_real_mode_leads_to_a_handler),
        cmocka_unit_test(the_mp_table_has_processors_buses_and_interrupts),
        cmocka_unit_test(the_number_of_processors_is_checked),
        cmocka_unit_test(without_ram_nothing_is_built),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
