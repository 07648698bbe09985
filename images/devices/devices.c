// SPDX-License-Identifier: MIT
// Checks the devices from a guest's side.
//   only=NAME  one of firmware kbc debug-ports pic pit ioapic rtc pm-timer uart apic apic-timer
//              instructions
//   xapic      begin in xAPIC mode
//   qemu       leave out what QEMU's own devices answer wrongly
//   bochs      the same for Bochs's
#include "devices.h"

#include "guest.h"

static const struct {
    const char *name;
    void (*check)(void);
} devices[] = {
    {"firmware", check_firmware},
    {"kbc", check_kbc},
    {"debug-ports", check_debug_ports},
    {"pic", check_pic},
    {"pit", check_pit},
    {"ioapic", check_ioapic},
    {"rtc", check_rtc},
    {"uart", check_uart},
    {"apic", check_apic},
    {"pm-timer", check_pm_timer},
    {"apic-timer", check_apic_timer},
    {"instructions", check_instructions},
};

int main(void)
{
    char only[16] = "";
    bool all = !option_text("only", only, sizeof(only));
    printf("devices: TSC %lu MHz, %s\n", tsc_hz() / 1000000, apic_is_x2apic() ? "x2APIC" : "xAPIC");
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        if (all || strcmp(only, devices[i].name) == 0)
            devices[i].check();
    }
    return report_summary();
}
