// SPDX-License-Identifier: MIT
// The local APIC's timer: one-shot, periodic, TSC-deadline.
#include "devices.h"
#include "guest.h"

enum { VECTOR_HERE = 0x70, LONG = 4000000 };

static volatile u64 fired_at;

static void on_timer(struct interrupt_frame *f)
{
    (void)f;
    fired_at = rdtsc();
    apic_eoi();
}

static u64 fired(void)
{
    return interrupts[VECTOR_HERE];
}

// Timer ticks in 5 ms, with this divide configuration.
static u64 rate(u32 divide)
{
    apic_write(APIC_TIMER_DIVIDE, divide);
    apic_write(APIC_LVT_TIMER, LVT_MASKED | LVT_ONE_SHOT | VECTOR_HERE);
    apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
    u64 start = rdtsc();
    u32 first = apic_read(APIC_TIMER_CURRENT);
    delay_us(5000);
    u32 last = apic_read(APIC_TIMER_CURRENT);
    u64 took = rdtsc() - start;
    apic_write(APIC_TIMER_INITIAL, 0);
    return (first - last) * tsc_ms(5) / took;
}

static void check_counting(void)
{
    bool good = false;
    u64 by_1 = 0, by_16 = 0;
    for (int i = 0; i < 5 && !good; i++) {
        by_1 = rate(DIVIDE_BY_1);
        by_16 = rate(DIVIDE_BY_16);
        good = near(by_1, by_16 * 16, 5);
    }
    report(good && by_1 > 0, "F3: timer: dividing by 16 is 16 times slower (%lu, %lu)", by_1,
           by_16);
    u32 ms = (u32)(by_1 / 5);
    u64 before = fired();
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    interrupts_on();
    apic_write(APIC_TIMER_INITIAL, ms);
    delay_us(3000);
    report(fired() == before && apic_read(APIC_TIMER_CURRENT) == 0,
           "F3: timer: masked, it runs out without an interrupt");

    apic_write(APIC_LVT_TIMER, LVT_ONE_SHOT | VECTOR_HERE);
    before = fired();
    u64 start = rdtsc();
    apic_write(APIC_TIMER_INITIAL, 2 * ms);
    bool once = WAIT_FOR(fired() != before, 100);
    u64 us = (fired_at - start) * 1000 / tsc_ms(1);
    delay_us(5000);
    report(once && fired() == before + 1, "F3: timer: one-shot fires once");
    report(us >= 1900, "F3: timer: and not early (%lu us of 2000)", us);

    before = fired();
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR_HERE);
    start = rdtsc();
    apic_write(APIC_TIMER_INITIAL, ms);
    bool all = WAIT_FOR(fired() - before >= 20, 1000);
    us = (rdtsc() - start) * 1000 / tsc_ms(1);
    report(all && near(us, 20000, 20), "F3: timer: 20 periods of 1 ms (%lu us)", us);
    apic_write(APIC_TIMER_INITIAL, 0);
    delay_us(100);
    before = fired();
    delay_us(3000);
    report(fired() == before, "F3: timer: a count of 0 stops it");
    interrupts_off();
}

static void check_deadline(void)
{
    apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_HERE);
    __asm__ volatile("mfence" ::: "memory");
    interrupts_on();
    u64 before = fired();
    u64 deadline = rdtsc() + tsc_ms(2);
    wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
    report(rdmsr(MSR_IA32_TSC_DEADLINE) == deadline, "F3: TSC deadline: it reads back");
    bool once = WAIT_FOR(fired() != before, 100);
    report(once && fired_at >= deadline, "F3: TSC deadline: fires, not early (%lu ticks late)",
           fired_at - deadline);
    if (!option("bochs"))
        report(rdmsr(MSR_IA32_TSC_DEADLINE) == 0, "F3: TSC deadline: then the MSR is 0");
    before = fired();
    wrmsr(MSR_IA32_TSC_DEADLINE, 1);
    report(WAIT_FOR(fired() == before + 1, 10), "F3: TSC deadline: one in the past fires at once");
    before = fired();
    wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + tsc_ms(2));
    wrmsr(MSR_IA32_TSC_DEADLINE, 0);
    delay_us(5000);
    report(fired() == before, "F3: TSC deadline: writing 0 takes it back");
    apic_write(APIC_TIMER_INITIAL, LONG);
    report(apic_read(APIC_TIMER_CURRENT) == 0, "F3: TSC deadline: the initial count does nothing");
    interrupts_off();
}

void check_apic_timer(void)
{
    interrupt_set(VECTOR_HERE, on_timer);
    check_counting();
    if (timer_has_deadline_mode())
        check_deadline();
    else
        report_skip("F3: this CPU has no TSC-deadline timer");
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    interrupt_set(VECTOR_HERE, NULL);
}
