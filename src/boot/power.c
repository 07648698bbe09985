// SPDX-License-Identifier: MIT
#include "boot/power.h"

#include "boot/acpi.h"
#include "boot/cmdline.h"
#include "boot/log.h"
#include "boot/record.h"
#include "boot/screen.h"
#include "boot/serial.h"
#include "lib/cpu.h"
#include "lib/format.h"
#include "lib/lock.h"
#include "lib/string.h"

#define SLP_EN           BIT(13)
#define RESET_CONTROL    0xcf9
#define RESET_HARD       0x02
#define RESET_NOW        0x04
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET   0xfe

#define HOLD_SECONDS     60 // to read, or to take a picture
#define HOLD_MOST        1000000
#define TICKS_PER_SECOND 4000000000 // of a fast TSC, as long as the rate is not known

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

// How many seconds the screen is to stay: nobody at the other end of a serial line has read it.
static u64 seconds_to_read(void)
{
    char value[12];
    u64 seconds;
    if (!screen_is_there())
        return 0;
    if (cmdline_value("hold", value, sizeof(value)) && str_number(value, strlen(value), &seconds))
        return MIN(seconds, (u64)HOLD_MOST);
    return serial_is_attended(&serial_console) ? 0 : HOLD_SECONDS;
}

static void hold(u64 seconds)
{
    u64 start = log_clock != NULL ? log_clock() : rdtsc();
    u64 length = seconds * (log_clock != NULL ? 1000000 : TICKS_PER_SECOND);
    while ((log_clock != NULL ? log_clock() : rdtsc()) - start < length) {
        if (core_waits != NULL)
            core_waits();
        cpu_relax();
    }
}

NORETURN void power_off(const char *reason)
{
    char after_fault[12] = "";
    cli();
    if (record_length() > 0)
        cmdline_value("panic", after_fault, sizeof(after_fault));
    bool again = strcmp(after_fault, "reboot") == 0, stay = strcmp(after_fault, "stay") == 0;
    u64 seconds = reason == NULL || again || stay ? 0 : seconds_to_read();
    if (reason == NULL)
        log_line("appliance", "done: ok");
    else
        log_line("appliance", "%s: %s", again ? "starts again: failed" : "done: failed", reason);
    if (seconds > 0)
        log_line("appliance", "the machine goes off in %lu seconds", seconds);
    screen_finish();
    serial_flush(&serial_debug);
    serial_flush(&serial_console);
    if (again)
        reset();

    if (stay) {
        for (;;)
            hlt();
    }
    hold(seconds);
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
