// SPDX-License-Identifier: MIT
// The first C function: gets the machine into a known state and calls main().
#include "guest.h"

NORETURN void runtime_start(u32 magic, u32 information);

void runtime_start(u32 magic, u32 information)
{
    serial_init();
    interrupt_init();
    boot_info_init(magic, information);
    acpi_init();
    pic_init();
    apic_init();
    guest_exit(main());
}
