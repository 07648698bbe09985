// SPDX-License-Identifier: MIT
// The devices as a guest sees them; each prints its verdicts and leaves its
// device masked and stopped.
#pragma once

#include "lib/types.h"

void check_firmware(void);
void check_kbc(void);
void check_debug_ports(void);
void check_pic(void);
void check_pit(void);
void check_ioapic(void);
void check_rtc(void);
void check_pm_timer(void);
void check_uart(void);
void check_apic(void);
void check_apic_timer(void);
void check_instructions(void);

// Whether value lies within `percent` per cent of wanted.
static inline bool near(u64 value, u64 wanted, u64 percent)
{
    u64 slack = wanted * percent / 100;
    return value + slack >= wanted && value <= wanted + slack;
}
