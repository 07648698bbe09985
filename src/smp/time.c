// SPDX-License-Identifier: MIT
#include "smp/time.h"

#include "boot/acpi.h"
#include "boot/log.h"
#include "lib/cpu.h"
#include "lib/lock.h"
#include "lib/math.h"
#include "smp/core.h"

#define PM_TIMER_HZ   3579545u
#define PIT_HZ        1193182u
#define MEASURE_SHARE 200 // of a second

u64 host_tsc_hz;
static u64 tsc_start;

static u64 measure_pm_timer(void)
{
    u32 counts = PM_TIMER_HZ / MEASURE_SHARE;
    u32 begin = inl(acpi.pm_timer), now;
    u64 t0, limit = rdtsc() + 40000000000ul;
    // Start on an edge of the counter.
    while (((now = inl(acpi.pm_timer)) & 0xffffff) == (begin & 0xffffff)) {
        if (rdtsc() > limit)
            return 0;
    }
    t0 = rdtsc();
    begin = now;
    while (((now - begin) & 0xffffff) < counts) {
        now = inl(acpi.pm_timer);
        if (rdtsc() > limit)
            return 0;
    }
    return muldiv64(rdtsc() - t0, PM_TIMER_HZ, (now - begin) & 0xffffff);
}

static u64 measure_pit(void)
{
    u16 counts = PIT_HZ / MEASURE_SHARE;
    outb(0x61, (u8)((inb(0x61) & ~2) | 1)); // gate on, speaker off
    outb(0x43, 0xb0);                       // channel 2, mode 0
    outb(0x42, (u8)counts);
    outb(0x42, (u8)(counts >> 8));
    u64 t0 = rdtsc();
    while (!(inb(0x61) & 0x20) && rdtsc() - t0 < 40000000000ul)
        cpu_relax();
    return muldiv64(rdtsc() - t0, PIT_HZ, counts);
}

static u64 cpuid_rate(void)
{
    if (cpuid(0, 0).eax < 0x15)
        return 0;
    struct cpuid c = cpuid(0x15, 0);
    return c.eax != 0 && c.ebx != 0 && c.ecx != 0 ? muldiv64(c.ecx, c.ebx, c.eax) : 0;
}

static unsigned core_number(void)
{
    return this_core()->number;
}

void time_init(void)
{
    tsc_start = rdtsc();
    u64 measured = acpi.pm_timer != 0 ? measure_pm_timer() : 0;
    if (measured == 0)
        measured = measure_pit();
    u64 stated = cpuid_rate();
    u64 off = stated > measured ? stated - measured : measured - stated;
    host_tsc_hz = stated != 0 && off < measured / 100 ? stated : measured;
    log_clock = time_us;
    log_core = core_number;
    log_line("time", "TSC runs at %lu kHz (%s)", host_tsc_hz / 1000,
             host_tsc_hz == stated ? "CPUID leaf 15H" : "measured");
}

u64 time_us(void)
{
    return muldiv64(rdtsc() - tsc_start, 1000000, host_tsc_hz);
}

void time_delay_us(u64 us)
{
    u64 end = rdtsc() + muldiv64_up(us, host_tsc_hz, 1000000);
    while (rdtsc() < end)
        cpu_relax();
}

static u8 cmos(u8 index)
{
    outb(0x70, index);
    return inb(0x71);
}

static unsigned from_bcd(u8 v, bool binary)
{
    return binary ? v : (v >> 4) * 10u + (v & 15u);
}

u64 time_wall_clock(void)
{
    for (unsigned i = 0; i < 100000 && (cmos(0x0a) & 0x80); i++)
        cpu_relax();
    bool binary = cmos(0x0b) & 4;
    unsigned s = from_bcd(cmos(0), binary), m = from_bcd(cmos(2), binary);
    u8 raw_hour = cmos(4);
    unsigned h = from_bcd(raw_hour & 0x7f, binary);
    if (!(cmos(0x0b) & 2))
        h = h % 12 + (raw_hour & 0x80 ? 12 : 0);
    unsigned d = from_bcd(cmos(7), binary), mon = from_bcd(cmos(8), binary);
    unsigned y = 2000 + from_bcd(cmos(9), binary);

    // Days since 1970 in the proleptic Gregorian calendar, the year beginning in March.
    unsigned yy = mon <= 2 ? y - 1 : y;
    unsigned shifted = (mon + 9) % 12;
    u64 days = 365ul * yy + yy / 4 - yy / 100 + yy / 400 + (153 * shifted + 2) / 5 + d - 1 - 719468;
    return days * 86400 + h * 3600 + m * 60 + s;
}
