// SPDX-License-Identifier: MIT
#include "boot/power.h"

#include "boot/acpi.h"
#include "boot/cmdline.h"
#include "boot/log.h"
#include "boot/record.h"
#include "boot/serial.h"
#include "lib/string.h"
#include "lib/x86.h"

#define SLP_EN           BIT(13)
#define RESET_CONTROL    0xcf9
#define RESET_HARD       0x02
#define RESET_NOW        0x04
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET   0xfe

// The port of Intel's and others' reset control: a hard reset that leaves memory its power.
static NORETURN void reset(void)
{
    if (acpi.reset_port != 0 && acpi.reset_port != RESET_CONTROL)
        outb(acpi.reset_port, acpi.reset_value);
    outb(RESET_CONTROL, RESET_HARD);
    outb(RESET_CONTROL, RESET_HARD | RESET_NOW);
    outb(KEYBOARD_COMMAND, KEYBOARD_RESET);
    for (;;)
        hlt();
}

NORETURN void power_off(const char *reason)
{
    char after_fault[12] = "";
    cli();
    if (record_length() > 0)
        cmdline_value("panic", after_fault, sizeof(after_fault));
    bool again = strcmp(after_fault, "reboot") == 0;
    if (reason == NULL)
        log_line("appliance", "done: ok");
    else
        log_line("appliance", "%s: %s", again ? "starts again: failed" : "done: failed", reason);
    serial_flush(&serial_debug);
    serial_flush(&serial_console);
    if (again)
        reset();

    while (strcmp(after_fault, "stay") == 0)
        hlt();
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
