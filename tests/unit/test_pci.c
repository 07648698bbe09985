// SPDX-License-Identifier: MIT
// F10: PCI configuration mechanism #1, and what functions have: base addresses, interrupts, MSI.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "vdev/pci.h"

static struct pci pci;
static struct bus bus;
static struct pci_function function, other;

// What a test function and the bus have seen.
static unsigned reads, writes, resets, intx_changes, messages, last_bar, last_size, last_line;
static u64 last_offset, last_value, last_address;
static bool line_level;
static u16 last_data;

static u64 read_bar(void *ctx, unsigned bar, u64 offset, unsigned size, u64 now)
{
    (void)now;
    assert_ptr_equal(ctx, &reads);
    reads++;
    last_bar = bar;
    last_offset = offset;
    last_size = size;
    return 0xa0 + offset;
}

static void write_bar(void *ctx, unsigned bar, u64 offset, unsigned size, u64 value, u64 now)
{
    (void)now;
    assert_ptr_equal(ctx, &reads);
    writes++;
    last_bar = bar;
    last_offset = offset;
    last_size = size;
    last_value = value;
}

static void on_reset(void *ctx)
{
    assert_ptr_equal(ctx, &reads);
    resets++;
}

static void on_intx(void *ctx, unsigned line, bool level)
{
    assert_ptr_equal(ctx, &bus);
    last_line = line;
    line_level = level;
    intx_changes++;
}

static void on_msi(void *ctx, u64 address, u16 data)
{
    assert_ptr_equal(ctx, &bus);
    last_address = address;
    last_data = data;
    messages++;
}

static const u32 own_caps[] = {0x00080009, 0x12345678};
static const struct pci_kind kind = {
    .name = "a test function",
    .vendor = 0x1af4,
    .device = 0x1050,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_revision = 0xff000001,
    .pin = 1,
    .msi = true,
    .bar = {[0] = {32, true}, [2] = {0x2000, false}},
    .caps = own_caps,
    .cap_words = ARRAY_SIZE(own_caps),
    .read = read_bar,
    .write = write_bar,
    .reset = on_reset,
};

static int setup(void **state)
{
    (void)state;
    struct pci_callbacks callbacks = {&bus, on_intx, on_msi, &bus, {10, 11, 5, 12}};
    bus_init(&bus);
    pci_init(&pci, &callbacks);
    reads = writes = resets = intx_changes = messages = 0;
    line_level = false;
    return 0;
}

static u32 config(u32 address, unsigned offset, unsigned size)
{
    pci_write(&pci, 0xcf8, 4, address);
    return pci_read(&pci, (u16)(0xcfc + offset), size);
}

static void only_a_dword_reaches_the_address_register(void **state)
{
    (void)state;
    pci_write(&pci, 0xcf8, 4, 0xffffffff);
    assert_int_equal(pci_read(&pci, 0xcf8, 4), 0x80fffffc);
    pci_write(&pci, 0xcf8, 4, 0x80000000); // Linux's check for mechanism #1
    assert_int_equal(pci_read(&pci, 0xcf8, 4), 0x80000000);
    pci_write(&pci, 0xcf8, 1, 0x55); // only a dword reaches it
    pci_write(&pci, 0xcf8, 2, 0x5555);
    assert_int_equal(pci_read(&pci, 0xcf8, 4), 0x80000000);
    assert_int_equal(pci_read(&pci, 0xcf8, 2), 0xffff);
}

static void slot_0_is_a_host_bridge(void **state)
{
    (void)state;
    assert_int_equal(config(0x80000000, 0, 2), 0x8086);
    assert_int_equal(config(0x80000008, 2, 2), 0x0600); // class: host bridge
    assert_int_equal(config(0x80000008, 3, 1), 0x06);
    assert_int_equal(config(0x8000000c, 2, 1), 0x00); // header type
    for (u32 reg = 0x10; reg < 0x3c; reg += 4) {
        pci_write(&pci, 0xcf8, 4, 0x80000000 | reg);
        pci_write(&pci, 0xcfc, 4, 0xffffffff); // sizing a base address: there is none
        assert_int_equal(pci_read(&pci, 0xcfc, 4), 0);
    }
    pci_write(&pci, 0xcf8, 4, 0x80000004);
    pci_write(&pci, 0xcfc, 2, 0xffff);
    assert_int_equal(pci_read(&pci, 0xcfc, 4), 0x0107);
    pci_write(&pci, 0xcfd, 1, 0);
    assert_int_equal(pci_read(&pci, 0xcfc, 4), 0x0007);
    pci_write(&pci, 0xcf8, 4, 0x8000003c);
    pci_write(&pci, 0xcfc, 4, 0x12345678);
    assert_int_equal(pci_read(&pci, 0xcfc, 4), 0x78);
}

static void absent_devices_read_as_ones(void **state)
{
    (void)state;
    assert_int_equal(config(0x80000800, 0, 4), 0xffffffff); // device 1
    assert_int_equal(config(0x80000100, 0, 2), 0xffff);     // function 1
    assert_int_equal(config(0x80010000, 0, 1), 0xff);       // bus 1
    assert_int_equal(config(0x00000000, 0, 4), 0xffffffff); // not enabled
    pci_write(&pci, 0xcfc, 4, 0);
}

static void set(u32 address, u32 value)
{
    pci_write(&pci, 0xcf8, 4, address);
    pci_write(&pci, 0xcfc, 4, value);
}

static u32 get(u32 address)
{
    return config(address, 0, 4);
}

// Device 3's registers.
#define REG(offset) (0x80001800u | (offset))

static int setup_function(void **state)
{
    setup(state);
    assert_int_equal(pci_add(&pci, 3, &function, &kind, &reads), OK);
    return 0;
}

static u32 in(u16 port, unsigned size)
{
    u32 v = 0;
    bus_io(&bus, port, size, false, &v, 0);
    return v;
}

static u64 load(u64 gpa, unsigned size)
{
    u64 v = 0;
    bus_mmio(&bus, GPA(gpa), size, false, &v, 0);
    return v;
}

static void a_function_has_its_place_in_configuration_space(void **state)
{
    (void)state;
    assert_int_equal(get(REG(0x00)), 0x10501af4);
    assert_int_equal(get(REG(0x04)), 0x00100000); // it has capabilities
    assert_int_equal(get(REG(0x08)), 0xff000001);
    assert_int_equal(get(REG(0x0c)), 0);
    assert_int_equal(get(REG(0x2c)), 0x11001af4);
    assert_int_equal(get(REG(0x34)), 0x40);
    assert_int_equal(get(REG(0x3c)), 0x0000010c); // INTA#, IRQ 12
    set(REG(0x3c), 0xffffff07);
    assert_int_equal(get(REG(0x3c)), 0x00000107);
    assert_int_equal(get(REG(0x40)), 0x00805005); // MSI, 64-bit; the next is at 50H
    assert_int_equal(get(REG(0x50)), 0x00080009);
    assert_int_equal(get(REG(0x54)), 0x12345678);
    assert_int_equal(get(REG(0x58)), 0);
    set(REG(0x54), 0); // read-only
    assert_int_equal(get(REG(0x54)), 0x12345678);
    assert_int_equal(get(0x80001900), 0xffffffff); // function 1 of the device
    set(REG(0x04), 0xffffffff);
    assert_int_equal(get(REG(0x04)), 0x00100507);
}

static void slots_and_sizes_are_checked(void **state)
{
    (void)state;
    static const struct pci_bar_kind bad[] = {{48, false}, {8, false}, {2, true}, {512, true}};
    assert_int_equal(pci_add(&pci, 3, &other, &kind, &reads), ERR_BUSY);
    assert_int_equal(pci_add(&pci, 0, &other, &kind, &reads), ERR_BUSY); // the host bridge
    assert_int_equal(pci_add(&pci, 32, &other, &kind, &reads), ERR_INVALID);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        struct pci_kind wrong = kind;
        wrong.bar[5] = bad[i];
        assert_int_equal(pci_add(&pci, 4, &other, &wrong, &reads), ERR_INVALID);
    }
    assert_int_equal(get(0x80002000), 0xffffffff);
    assert_int_equal(pci_add(&pci, 31, &other, &kind, &reads), OK);
    assert_int_equal(get(0x8000f800), 0x10501af4);
}

static void base_addresses_tell_their_sizes(void **state)
{
    (void)state;
    set(REG(0x10), 0xffffffff);
    assert_int_equal(get(REG(0x10)), 0xffffffe1);
    set(REG(0x14), 0xffffffff);
    assert_int_equal(get(REG(0x14)), 0);
    set(REG(0x18), 0xffffffff);
    assert_int_equal(get(REG(0x18)), 0xffffe000);
    set(REG(0x18), 0xe0001000);
    assert_int_equal(get(REG(0x18)), 0xe0000000); // naturally aligned
}

static void the_bus_follows_base_addresses_and_the_command_register(void **state)
{
    (void)state;
    set(REG(0x10), 0xc000);
    set(REG(0x18), 0xe0000000);
    assert_int_equal(in(0xc004, 4), 0xffffffff); // nothing is decoded yet
    assert_int_equal(load(0xe0000010, 4), 0xffffffff);
    set(REG(0x04), 1);
    assert_int_equal(in(0xc004, 4), 0xa4);
    assert_true(last_bar == 0 && last_offset == 4 && last_size == 4);
    assert_int_equal(load(0xe0000010, 4), 0xffffffff);
    set(REG(0x04), 3);
    assert_true(load(0xe0001000, 8) == 0x10a0);
    assert_true(last_bar == 2 && last_offset == 0x1000 && last_size == 8);
    u64 v = 0x1234567;
    assert_true(bus_mmio(&bus, GPA(0xe0001ffe), 2, true, &v, 0));
    assert_true(last_offset == 0x1ffe && last_value == 0x4567);

    set(REG(0x10), 0xd000); // moves
    set(REG(0x18), 0xe0002000);
    assert_int_equal(in(0xc004, 1), 0xff);
    assert_int_equal(in(0xd004, 1), 0xa4);
    assert_int_equal(load(0xe0000000, 1), 0xff);
    assert_int_equal(load(0xe0002000, 1), 0xa0);
    set(REG(0x10), 0x1c000); // no such port
    assert_true(bus_port_absent(&bus, 0xc004));
    assert_int_equal(in(0xc004, 1), 0xff);
    set(REG(0x04), 0);
    assert_int_equal(load(0xe0002000, 1), 0xff);
}

static void an_access_beyond_the_end_does_not_reach_the_function(void **state)
{
    (void)state;
    u64 v = 0;
    u32 w = 0;
    set(REG(0x10), 0xc000);
    set(REG(0x18), 0xe0000000);
    set(REG(0x04), 3);
    assert_true(load(0xe0001ffc, 8) == UINT64_MAX);
    assert_true(bus_mmio(&bus, GPA(0xe0001ffd), 4, true, &v, 0));
    assert_int_equal(in(0xc01e, 4), 0xffffffff);
    assert_true(bus_io(&bus, 0xc01f, 2, true, &w, 0));
    assert_int_equal(reads + writes, 0);
    assert_true(load(0xe0001ff8, 8) == 0x2098);
}

// The one that is mapped stays, and the other follows as soon as there is room.
static void two_at_one_address_do_not_both_answer(void **state)
{
    (void)state;

    struct pci_kind second = kind;
    second.bar[0].size = second.bar[2].size = 0;
    second.bar[1] = (struct pci_bar_kind){0x1000, false};
    assert_int_equal(pci_add(&pci, 4, &other, &second, &reads), OK);
    set(REG(0x18), 0xe0000000);
    set(REG(0x04), 2);
    set(0x80002014, 0xe0001000);
    set(0x80002004, 2);
    assert_int_equal(other.bar[1].mapped, 0);
    assert_int_equal(load(0xe0001000, 1), 0xa0);
    assert_int_equal(last_bar, 2);
    set(REG(0x18), 0xe0004000);
    assert_int_equal(other.bar[1].mapped, 0xe0001000);
    assert_int_equal(load(0xe0000000, 1), 0xff);
    pci_reset(&pci); // while `second` is here
    assert_int_equal(load(0xe0004000, 1), 0xff);
}

static void intx_drives_a_line_of_the_bus(void **state)
{
    (void)state;
    assert_int_equal(pci_lines(&pci), 1 << 3);
    pci_set_irq(&function, true);
    pci_set_irq(&function, true);
    assert_true(intx_changes == 1 && last_line == 3 && line_level);
    assert_int_equal(get(REG(0x04)), 0x00180000); // the status tells
    set(REG(0x04), 0x400);                        // interrupt disable
    assert_true(intx_changes == 2 && !line_level);
    set(REG(0x04), 0);
    assert_true(intx_changes == 3 && line_level);
    pci_set_irq(&function, false);
    assert_true(intx_changes == 4 && !line_level);
}

static void functions_share_a_line(void **state)
{
    (void)state;
    assert_int_equal(pci_add(&pci, 7, &other, &kind, &reads), OK);
    assert_int_equal(pci_lines(&pci), 1 << 3);
    pci_set_irq(&function, true);
    pci_set_irq(&other, true);
    pci_set_irq(&function, false);
    assert_true(intx_changes == 1 && line_level);
    pci_set_irq(&other, false);
    assert_true(intx_changes == 2 && !line_level);
}

static void msi_is_a_message_instead(void **state)
{
    (void)state;
    pci_set_irq(&function, true);
    set(REG(0x44), 0xfee01003);
    set(REG(0x48), 0x1);
    set(REG(0x4c), 0xffff4041);
    assert_int_equal(get(REG(0x44)), 0xfee01000);
    assert_int_equal(get(REG(0x48)), 0x1);
    assert_int_equal(get(REG(0x4c)), 0x4041);
    set(REG(0x40), 0x00710000); // eight vectors: it has one
    assert_int_equal(get(REG(0x40)), 0x00815005);
    assert_true(intx_changes == 2 && !line_level); // the line falls
    pci_set_irq(&function, false);
    pci_set_irq(&function, true);
    assert_int_equal(messages, 0); // it is not a master yet
    set(REG(0x04), 4);
    pci_set_irq(&function, true); // no rise
    assert_int_equal(messages, 0);
    pci_set_irq(&function, false);
    pci_set_irq(&function, true);
    assert_int_equal(messages, 1);
    assert_true(last_address == 0x1fee01000 && last_data == 0x4041);
    assert_int_equal(intx_changes, 2);
    set(REG(0x40), 0);
    assert_true(intx_changes == 3 && line_level);
}

static void a_reset_unmaps_and_silences(void **state)
{
    (void)state;
    set(REG(0x10), 0xc000);
    set(REG(0x18), 0xe0000000);
    set(REG(0x04), 3);
    pci_set_irq(&function, true);
    pci_reset(&pci);
    assert_true(resets == 1 && !line_level);
    assert_int_equal(in(0xc000, 1), 0xff);
    assert_int_equal(load(0xe0000000, 1), 0xff);
    assert_true(bus_port_absent(&bus, 0xc000));
    assert_int_equal(get(REG(0x04)), 0x00100000);
    assert_int_equal(get(REG(0x10)), 1);
    assert_int_equal(get(REG(0x18)), 0);
    assert_int_equal(get(0x80000004), 3); // the host bridge
}

static void its_ports_are_on_the_bus(void **state)
{
    (void)state;
    static char text[160];
    struct text why = TEXT(text);
    assert_int_equal(pci_register(&pci, &why), OK);
    u32 v = 0x80000000;
    bus_io(&bus, 0xcf8, 4, true, &v, 0);
    assert_int_equal(in(0xcfc, 4), 0x0d578086);
    assert_int_equal(in(0xcfe, 2), 0x0d57);
    assert_int_equal(in(0xcf8, 1), 0xff);
    assert_int_equal(pci_register(&pci, &why), ERR_BUSY);
    assert_string_equal(text, "PCI's address register at cf8 to cf8 overlaps PCI's address "
                              "register at cf8 to cf8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(only_a_dword_reaches_the_address_register, setup),
        cmocka_unit_test_setup(slot_0_is_a_host_bridge, setup),
        cmocka_unit_test_setup(absent_devices_read_as_ones, setup),
        cmocka_unit_test_setup(its_ports_are_on_the_bus, setup),
        cmocka_unit_test_setup(a_function_has_its_place_in_configuration_space, setup_function),
        cmocka_unit_test_setup(slots_and_sizes_are_checked, setup_function),
        cmocka_unit_test_setup(base_addresses_tell_their_sizes, setup_function),
        cmocka_unit_test_setup(the_bus_follows_base_addresses_and_the_command_register,
                               setup_function),
        cmocka_unit_test_setup(an_access_beyond_the_end_does_not_reach_the_function,
                               setup_function),
        cmocka_unit_test_setup(two_at_one_address_do_not_both_answer, setup_function),
        cmocka_unit_test_setup(intx_drives_a_line_of_the_bus, setup_function),
        cmocka_unit_test_setup(functions_share_a_line, setup_function),
        cmocka_unit_test_setup(msi_is_a_message_instead, setup_function),
        cmocka_unit_test_setup(a_reset_unmaps_and_silences, setup_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
