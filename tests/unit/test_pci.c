// SPDX-License-Identifier: MIT
// PCI configuration mechanism #1.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vdev/pci.h"

static struct pci pci;

static int setup(void **state)
{
    (void)state;
    pci_init(&pci);
    return 0;
}

static u32 config(u32 address, unsigned offset, unsigned size)
{
    pci_write(&pci, 0xcf8, 4, address);
    return pci_read(&pci, (u16)(0xcfc + offset), size);
}

static void address_register(void **state)
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

static void host_bridge(void **state)
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

static void absent_devices(void **state)
{
    (void)state;
    assert_int_equal(config(0x80000800, 0, 4), 0xffffffff); // device 1
    assert_int_equal(config(0x80000100, 0, 2), 0xffff);     // function 1
    assert_int_equal(config(0x80010000, 0, 1), 0xff);       // bus 1
    assert_int_equal(config(0x00000000, 0, 4), 0xffffffff); // not enabled
    pci_write(&pci, 0xcfc, 4, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(address_register, setup),
        cmocka_unit_test_setup(host_bridge, setup),
        cmocka_unit_test_setup(absent_devices, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
