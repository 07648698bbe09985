// SPDX-License-Identifier: MIT
// F10: the board's bus: who answers at a port or an address, and who may not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "vdev/bus.h"

// A device that notes what comes, and reads as the address times 0x01010101.
struct probe {
    unsigned reads, writes;
    u64 at, value, now;
    unsigned size;
};

static struct bus bus;
static struct probe one, two;
static char text[160];
static struct text why;

static u64 probe_read(void *ctx, u64 at, unsigned size, u64 now)
{
    struct probe *p = ctx;
    p->reads++;
    p->at = at;
    p->size = size;
    p->now = now;
    return (at & 0xff) * 0x0101010101010101;
}

static void probe_write(void *ctx, u64 at, unsigned size, u64 value, u64 now)
{
    struct probe *p = ctx;
    p->writes++;
    p->at = at;
    p->size = size;
    p->value = value;
    p->now = now;
}

static const struct bus_device bytes = {"bytes", probe_read, probe_write};
static const struct bus_device words = {"words", probe_read, probe_write, 4, 2};

static int setup(void **state)
{
    (void)state;
    bus_init(&bus);
    memset(&one, 0, sizeof(one));
    memset(&two, 0, sizeof(two));
    why = TEXT(text);
    text[0] = 0;
    return 0;
}

static enum error ports(u16 first, u32 count, const struct bus_device *device, struct probe *p)
{
    why = TEXT(text);
    text[0] = 0;
    return bus_add_ports(&bus, first, count, device, p, &why);
}

static enum error memory(u64 first, u64 length, struct probe *p)
{
    return bus_add_memory(&bus, GPA(first), length, &bytes, p, &why);
}

static u32 in(u16 port, unsigned size, bool claimed)
{
    u32 v = 0x5a5a5a5a;
    assert_int_equal(bus_io(&bus, port, size, false, &v, 7), claimed);
    return v;
}

static void an_empty_bus_reads_as_ones(void **state)
{
    (void)state;
    static const u16 some[] = {0, 0x20, 0xfff, 0x1000, 0xffff};
    for (unsigned i = 0; i < ARRAY_SIZE(some); i++) {
        assert_true(bus_port_absent(&bus, some[i]));
        assert_int_equal(in(some[i], 1, false), 0xff);
        assert_int_equal(in(some[i], 2, false), 0xffff);
        assert_int_equal(in(some[i], 4, false), 0xffffffff);
    }
    for (unsigned size = 1; size <= 8; size *= 2) {
        u64 v = 0;
        assert_false(bus_mmio(&bus, GPA(0xfec00000), size, false, &v, 7));
        assert_true(v == UINT64_MAX >> (64 - 8 * size));
        assert_false(bus_mmio(&bus, GPA(0), size, true, &v, 7));
    }
}

static void a_device_gets_the_accesses_to_its_ports(void **state)
{
    (void)state;
    assert_int_equal(ports(0x20, 2, &bytes, &one), OK);
    assert_int_equal(ports(0xfffe, 2, &bytes, &two), OK);
    assert_false(bus_port_absent(&bus, 0x20));
    assert_false(bus_port_absent(&bus, 0xfffe));
    assert_true(bus_port_absent(&bus, 0x22));
    assert_int_equal(in(0x1f, 1, false), 0xff);
    assert_int_equal(in(0x21, 1, true), 0x21);
    assert_int_equal(one.at, 0x21);
    assert_int_equal(one.now, 7);
    assert_int_equal(in(0x22, 1, false), 0xff);
    assert_int_equal(in(0xfffd, 1, false), 0xff);
    assert_int_equal(in(0xffff, 1, true), 0xff);
    assert_int_equal(two.reads, 1);
    u32 v = 0x1234;
    assert_true(bus_io(&bus, 0x20, 1, true, &v, 8));
    assert_int_equal(one.value, 0x34);
    assert_int_equal(one.now, 8);
}

static void a_wide_access_is_one_to_each_port_in_turn(void **state)
{
    (void)state;
    assert_int_equal(ports(0x40, 2, &bytes, &one), OK);
    assert_int_equal(ports(0x42, 1, &bytes, &two), OK);
    assert_int_equal(in(0x40, 4, true), 0xff424140);
    assert_int_equal(one.reads, 2);
    assert_int_equal(two.reads, 1);
    assert_int_equal(in(0x3f, 2, true), 0x40ff); // claimed by the second
    u32 v = 0xddccbbaa;
    assert_true(bus_io(&bus, 0x40, 4, true, &v, 0));
    assert_int_equal(one.value, 0xbb);
    assert_int_equal(two.value, 0xcc);
    in(0xffff, 4, false); // goes on at port 0
}

static void a_device_says_which_sizes_it_takes_at_once(void **state)
{
    (void)state;
    u32 v = 0xddccbbaa;
    assert_int_equal(ports(0xc000, 4, &words, &one), OK);
    assert_int_equal(in(0xc002, 4, true), 0x02020202); // begins in its range
    assert_int_equal(one.reads, 1);
    assert_int_equal(one.size, 4);
    assert_int_equal(in(0xc002, 2, true), 0x0302);
    assert_int_equal(one.reads, 3);
    assert_true(bus_io(&bus, 0xc000, 2, true, &v, 0));
    assert_int_equal(one.writes, 1);
    assert_int_equal(one.value, 0xbbaa);
    assert_true(bus_io(&bus, 0xc000, 4, true, &v, 0));
    assert_int_equal(one.writes, 5);
}

static void overlapping_ports_are_refused_by_both_names(void **state)
{
    (void)state;
    assert_int_equal(ports(0x100, 8, &bytes, &one), OK);
    static const u16 first[] = {0xf9, 0x100, 0x107, 0x103};
    for (unsigned i = 0; i < ARRAY_SIZE(first); i++)
        assert_int_equal(ports(first[i], 8, &words, &two), ERR_BUSY);
    assert_string_equal(text, "words at 103 to 10a overlaps bytes at 100 to 107");
    assert_int_equal(bus_add_ports(&bus, 0x80, 0x100, &words, &two, NULL), ERR_BUSY);
    assert_int_equal(in(0xff, 1, false), 0xff); // and nothing has changed
    assert_int_equal(in(0x108, 1, false), 0xff);
    assert_int_equal(in(0x107, 1, true), 0x07);
    assert_int_equal(ports(0xf8, 8, &words, &two), OK);
    assert_int_equal(ports(0x108, 8, &words, &two), OK);
}

static void ranges_must_be_within_the_space(void **state)
{
    (void)state;
    assert_int_equal(ports(0x100, 0, &bytes, &one), ERR_INVALID);
    assert_string_equal(text, "bytes cannot have 0 bytes from 100 on");
    assert_int_equal(ports(0xffff, 2, &bytes, &one), ERR_INVALID);
    assert_int_equal(memory(0x1000, 0, &one), ERR_INVALID);
    assert_int_equal(memory(UINT64_MAX, 2, &one), ERR_INVALID);
    assert_int_equal(bus_add_memory(&bus, GPA(0), 0, &bytes, &one, NULL), ERR_INVALID);
    assert_int_equal(ports(0, 0x10000, &bytes, &one), OK);
    assert_int_equal(in(0xffff, 1, true), 0xff);
    assert_int_equal(one.reads, 1);
    assert_int_equal(memory(UINT64_MAX, 1, &two), OK);
    u64 v;
    assert_true(bus_mmio(&bus, GPA(UINT64_MAX), 1, false, &v, 0));
}

static void memory_comes_at_once_in_all_sizes(void **state)
{
    (void)state;
    u64 v = 0x1122334455667788;
    assert_int_equal(memory(0xe0000000, 0x1000, &one), OK);
    assert_int_equal(memory(0xe0001000, 0x1000, &two), OK);
    assert_int_equal(memory(0xe0001fff, 2, &two), ERR_BUSY);
    assert_string_equal(text,
                        "bytes at e0001fff to e0002000 overlaps bytes at e0001000 to e0001fff");
    assert_true(bus_mmio(&bus, GPA(0xe0000ff8), 8, true, &v, 9));
    assert_true(one.value == v && one.at == 0xe0000ff8 && one.size == 8 && one.now == 9);
    assert_true(bus_mmio(&bus, GPA(0xe0001010), 2, true, &v, 9));
    assert_true(two.value == 0x7788 && two.size == 2);
    assert_true(bus_mmio(&bus, GPA(0xe0001010), 4, false, &v, 9));
    assert_true(v == 0x10101010);
    assert_false(bus_mmio(&bus, GPA(0xe0002000), 4, false, &v, 9));
    assert_false(bus_mmio(&bus, GPA(0xdfffffff), 4, false, &v, 9));
}

static void a_range_taken_back_is_nobodys(void **state)
{
    (void)state;
    u64 v;
    assert_int_equal(ports(0xff8, 16, &bytes, &one), OK); // across the end of the index
    assert_int_equal(memory(0xe0000000, 0x1000, &one), OK);
    bus_remove_ports(&bus, 0xff9); // where none begins
    bus_remove_memory(&bus, GPA(0xe0000001));
    assert_int_equal(in(0xff8, 1, true), 0xf8);
    assert_int_equal(in(0x1007, 1, true), 0x07);
    assert_true(bus_mmio(&bus, GPA(0xe0000fff), 1, false, &v, 0));
    bus_remove_ports(&bus, 0xff8);
    bus_remove_memory(&bus, GPA(0xe0000000));
    assert_int_equal(in(0xff8, 4, false), 0xffffffff);
    assert_int_equal(in(0x1007, 1, false), 0xff);
    assert_true(bus_port_absent(&bus, 0x1000) && bus_port_absent(&bus, 0xff8));
    assert_false(bus_mmio(&bus, GPA(0xe0000000), 1, false, &v, 0));
    assert_false(bus_mmio(&bus, GPA(0), 1, false, &v, 0));
    assert_false(bus_mmio(&bus, GPA(1), 1, false, &v, 0));
    assert_int_equal(ports(0x1000, 1, &words, &two), OK);
    assert_int_equal(in(0x1000, 1, true), 0);
    assert_int_equal(two.reads, 1);
}

static void a_full_bus_says_so_and_has_room_again(void **state)
{
    (void)state;
    for (unsigned i = 1; i < BUS_PORT_RANGES; i++)
        assert_int_equal(ports((u16)(i * 0x100), 4, &bytes, &one), OK);
    assert_int_equal(ports(0x10, 1, &words, &two), ERR_NO_MEMORY);
    assert_string_equal(text, "words at 10 to 10 finds the bus full");
    assert_int_equal(bus_add_ports(&bus, 0x10, 1, &words, &two, NULL), ERR_NO_MEMORY);
    bus_remove_ports(&bus, 0x500);
    assert_int_equal(ports(0x10, 1, &words, &two), OK);
    assert_int_equal(in(0x10, 1, true), 0x10);
    assert_int_equal(in(0x500, 1, false), 0xff);
    for (unsigned i = 0; i < BUS_MEMORY_RANGES; i++)
        assert_int_equal(memory(i * PAGE_SIZE, PAGE_SIZE, &one), OK);
    assert_int_equal(memory(0x100000, 1, &one), ERR_NO_MEMORY);
    bus_remove_memory(&bus, GPA(0));
    assert_int_equal(memory(0x100000, 1, &two), OK);
    u64 v;
    assert_true(bus_mmio(&bus, GPA(0x100000), 1, false, &v, 0));
    assert_int_equal(two.reads, 2);
    assert_false(bus_mmio(&bus, GPA(0), 1, false, &v, 0));
    assert_true(bus_mmio(&bus, GPA(PAGE_SIZE), 1, false, &v, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_bus_reads_as_ones, setup),
        cmocka_unit_test_setup(a_device_gets_the_accesses_to_its_ports, setup),
        cmocka_unit_test_setup(a_wide_access_is_one_to_each_port_in_turn, setup),
        cmocka_unit_test_setup(a_device_says_which_sizes_it_takes_at_once, setup),
        cmocka_unit_test_setup(overlapping_ports_are_refused_by_both_names, setup),
        cmocka_unit_test_setup(ranges_must_be_within_the_space, setup),
        cmocka_unit_test_setup(memory_comes_at_once_in_all_sizes, setup),
        cmocka_unit_test_setup(a_range_taken_back_is_nobodys, setup),
        cmocka_unit_test_setup(a_full_bus_says_so_and_has_room_again, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
