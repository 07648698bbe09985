// SPDX-License-Identifier: MIT
#include "clock.h"

#include "apic.h"
#include "interrupt.h"
#include "lib/math.h"
#include "pit.h"

enum {
    CPUID1_ECX_TSC_DEADLINE = BIT(24),
    CPUID_TSC = 0x15, // the TSC's rate as a ratio to a crystal
    CALIBRATION_PIT_TICKS = PIT_HZ / 100
};

static u64 hz;
static bool deadline_mode;
static u64 apic_ticks_per_second;

u64 tsc_hz_told(void)
{
    if (cpuid(0, 0).eax < CPUID_TSC)
        return 0;
    struct cpuid c = cpuid(CPUID_TSC, 0);
    return c.eax != 0 ? muldiv64(c.ecx, c.ebx, c.eax) : 0;
}

u64 tsc_hz_measured(void)
{
    // Being away (another guest's turn) only ever makes the measured time longer.
    for (int i = 0; i < 3; i++) {
        u64 best = UINT64_MAX;
        for (int j = 0; j < 3; j++) {
            u64 ticks = pit_measure(CALIBRATION_PIT_TICKS);
            if (ticks != 0)
                best = MIN(best, ticks);
        }
        if (best != UINT64_MAX)
            return muldiv64(best, PIT_HZ, CALIBRATION_PIT_TICKS);
    }
    return 0;
}

u64 tsc_hz(void)
{
    if (hz == 0)
        hz = tsc_hz_told();
    if (hz == 0)
        hz = tsc_hz_measured();
    if (hz == 0)
        hz = 1000000000;
    return hz;
}

u64 tsc_ms(u64 ms)
{
    return muldiv64(tsc_hz(), ms, 1000);
}

u64 tsc_us(u64 us)
{
    return muldiv64(tsc_hz(), us, 1000000);
}

void delay_us(u64 us)
{
    u64 end = rdtsc() + tsc_us(us);
    while (rdtsc() < end)
        cpu_pause();
}

bool timer_has_deadline_mode(void)
{
    return (cpuid(1, 0).ecx & CPUID1_ECX_TSC_DEADLINE) != 0;
}

static void on_timer(struct interrupt_frame *f)
{
    (void)f;
    apic_eoi();
}

static void calibrate_apic(void)
{
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, LVT_MASKED | LVT_ONE_SHOT);
    apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
    u64 start = rdtsc();
    delay_us(10000);
    u32 counted = UINT32_MAX - apic_read(APIC_TIMER_CURRENT);
    u64 end = rdtsc();
    apic_write(APIC_TIMER_INITIAL, 0);
    apic_ticks_per_second = muldiv64(counted, tsc_hz(), end - start);
}

void timer_init(void)
{
    deadline_mode = timer_has_deadline_mode();
    interrupt_set(VECTOR_TIMER, on_timer);
    if (deadline_mode) {
        apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_TIMER);
        // SDM volume 3, 11.5.4.1: order the LVT write (memory) before the MSR's.
        __asm__ volatile("mfence" ::: "memory");
        return;
    }
    if (apic_ticks_per_second == 0)
        calibrate_apic();
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, LVT_ONE_SHOT | VECTOR_TIMER);
}

void timer_at(u64 deadline)
{
    if (deadline_mode) {
        wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
        return;
    }
    u64 now = rdtsc();
    u64 away = deadline > now ? muldiv64(deadline - now, apic_ticks_per_second, tsc_hz()) : 0;
    apic_write(APIC_TIMER_INITIAL, (u32)MIN(MAX(away, 1ul), UINT32_MAX));
}

bool sleep_until(u64 deadline)
{
    bool slept = false;
    while (rdtsc() < deadline) {
        timer_at(deadline);
        halt_once();
        slept = true;
    }
    return slept;
}
