// SPDX-License-Identifier: MIT
#include "boot/power.h"

#include "boot/acpi.h"
#include "boot/log.h"
#include "boot/serial.h"
#include "lib/x86.h"

#define SLP_EN BIT(13)

NORETURN void power_off(const char *reason)
{
    cli();
    if (reason == NULL)
        log_line("appliance", "done: ok");
    else
        log_line("appliance", "done: failed: %s", reason);
    serial_flush(&serial_debug);
    serial_flush(&serial_console);

    if (acpi.has_s5 && acpi.pm1a_control != 0) {
        outw(acpi.pm1a_control, (u16)(acpi.slp_typ_a << 10 | SLP_EN));
        if (acpi.pm1b_control != 0)
            outw(acpi.pm1b_control, (u16)(acpi.slp_typ_b << 10 | SLP_EN));
    }
    // Bochs without ACPI.
    for (const char *p = "Shutdown"; *p != '\0'; p++)
        outb(0x8900, (u8)*p);
    for (;;)
        hlt();
}
