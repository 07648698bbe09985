// SPDX-License-Identifier: MIT
// The ACPI PM timer: 3.579545 MHz, 24 or 32 bits (ACPI 6.5, 4.8.3.3).
#include "devices.h"
#include "guest.h"

enum { PM_TIMER_HZ = 3579545 };

static u32 mask;

static u32 since(u32 earlier)
{
    return (inl(acpi.pm_timer_port) - earlier) & mask;
}

static void check_monotonic(void)
{
    u32 start = inl(acpi.pm_timer_port);
    u32 last = 0;
    bool backwards = false;
    for (int i = 0; i < 2000; i++) {
        u32 now = since(start);
        backwards |= now < last;
        last = now;
    }
    report(!backwards && last > 0, "F10: PM timer: 2000 reads, never backwards");
}

static void check_rate(void)
{
    bool good = false;
    u64 ticks = 0, wanted = 0;
    for (int i = 0; i < 5 && !good; i++) {
        u64 tsc = rdtsc();
        u32 start = inl(acpi.pm_timer_port);
        delay_us(20000);
        ticks = since(start);
        wanted = (rdtsc() - tsc) * PM_TIMER_HZ / tsc_hz();
        good = near(ticks, wanted, 3);
    }
    report(good, "F10: PM timer: %lu ticks where the TSC says %lu", ticks, wanted);
}

void check_pm_timer(void)
{
    if (!report(acpi.pm_timer_port != 0, "F10: PM timer: the FADT names its port"))
        return;
    mask = acpi.pm_timer_32bit ? UINT32_MAX : 0xffffff;
    u32 value = inl(acpi.pm_timer_port);
    report((value & ~mask) == 0, "F10: PM timer: no bits above its width (0x%x)", value);
    check_monotonic();
    check_rate();
}
