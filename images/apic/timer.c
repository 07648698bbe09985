// SPDX-License-Identifier: MIT
// The timer (SDM 11.5.4), beyond what the guest `devices` asks of it.
#include "checks.h"
#include "guest.h"

enum { VECTOR_HERE = 0x75, VECTOR_WATCH = 0x35, SVR_ENABLED = BIT(8) };
enum { CPUID7_EBX_TSC_ADJUST = BIT(1) };

static volatile u64 fired_at;

// The PIT ends each sleep, sooner or later.
static void on_watch(struct interrupt_frame *f)
{
    (void)f;
    apic_eoi();
}

static void on_timer(struct interrupt_frame *f)
{
    fired_at = rdtsc();
    on_noted(f);
}

// Whether value lies within 5 per cent of wanted.
static bool near(u64 value, u64 wanted)
{
    return value * 100 >= wanted * 95 && value * 100 <= wanted * 105;
}

static u32 current(void)
{
    return apic_read(APIC_TIMER_CURRENT);
}

static void stop(void)
{
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_TIMER_INITIAL, 0);
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
}

// How much the timer counts in a million TSC ticks.
static u64 rate(u64 us)
{
    u64 start = rdtsc();
    u32 first = current();
    delay_us(us);
    u64 took = rdtsc() - start; // as long before the reading as at the start
    u32 last = current();
    return (u64)(first - last) * 1000000 / took;
}

static void check_dividers(void)
{
    static const u8 codes[8] = {0xb, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa}; // 1, 2, 4, … 128
    u64 by_1 = 0;
    apic_write(APIC_LVT_TIMER, LVT_MASKED | LVT_ONE_SHOT | VECTOR_HERE);
    apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
    for (unsigned i = 0; i < 8; i++) {
        bool good = false;
        u64 now = 0;
        for (int try = 0; try < 5 && !good; try++) {
            apic_write(APIC_TIMER_DIVIDE, codes[i]);
            now = rate(2000);
            by_1 = i == 0 ? now : by_1;
            good = near(now << i, by_1) && apic_read(APIC_TIMER_DIVIDE) == codes[i];
        }
        report(good, "F3: %s: timer: divided by %u", mode_name(), 1u << i);
    }
    stop();
}

// Timer ticks in a millisecond.
static u32 per_ms(void)
{
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, LVT_MASKED | LVT_ONE_SHOT | VECTOR_HERE);
    apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
    u64 best = rate(1000);
    stop();
    return (u32)(best * tsc_ms(1) / 1000000);
}

static void check_one_shot(u32 ms)
{
    noted = 0;
    apic_write(APIC_LVT_TIMER, LVT_MASKED | LVT_ONE_SHOT | VECTOR_HERE);
    u64 start = rdtsc();
    apic_write(APIC_TIMER_INITIAL, 2 * ms);
    u32 first = current();
    delay_us(200);
    u32 second = current();
    apic_write(APIC_LVT_TIMER, LVT_ONE_SHOT | VECTOR_HERE);
    while (noted == 0 && rdtsc() - start < tsc_ms(1000))
        halt_once();
    report(first <= 2 * ms && second < first && second != 0, "F3: %s: timer: the count goes down",
           mode_name());
    u64 us = (fired_at - start) * 1000 / tsc_ms(1);
    report(NOTED(VECTOR_HERE) && us >= 1980 && us < 3000,
           "F3: %s: timer: unmasked on its way, it wakes from HLT (%lu us of 2000)", mode_name(),
           us);

    apic_write(APIC_TIMER_INITIAL, 2 * ms);
    delay_us(1000);
    apic_write(APIC_TIMER_INITIAL, 2 * ms);
    start = rdtsc();
    WAIT_FOR((interrupts_on(), noted != 0), 1000);
    interrupts_off();
    us = (fired_at - start) * 1000 / tsc_ms(1);
    report(NOTED(VECTOR_HERE) && us >= 1980 && us < 3000,
           "F3: %s: timer: a new initial count starts anew (%lu us of 2000)", mode_name(), us);

    apic_write(APIC_TIMER_INITIAL, ms);
    delay_us(2000);
    report(apic_bit(APIC_IRR, VECTOR_HERE),
           "F3: %s: timer: with interrupts off it waits in the IRR", mode_name());
    take();
    report(NOTED(VECTOR_HERE), "F3: %s: timer: and comes once", mode_name());

    apic_write(APIC_TIMER_INITIAL, ms);
    apic_write(APIC_TIMER_INITIAL, 0);
    interrupts_on();
    delay_us(2000);
    interrupts_off();
    report(NOTED() && current() == 0, "F3: %s: timer: stopped, it does not fire", mode_name());
}

static void check_periodic(u32 ms)
{
    noted = 0;
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR_HERE);
    u64 start = rdtsc();
    apic_write(APIC_TIMER_INITIAL, ms);
    for (unsigned i = 0; noted < 10 && i < 1000; i++)
        halt_once();
    u64 us = (rdtsc() - start) * 1000 / tsc_ms(1);
    u32 now = current();
    unsigned periods = noted;
    apic_write(APIC_LVT_TIMER, LVT_ONE_SHOT | VECTOR_HERE);
    noted = 0;
    interrupts_on();
    delay_us(3500);
    interrupts_off();
    report(periods == 10 && us >= 9950 && us < 11000,
           "F3: %s: timer: ten periods, each wakes from HLT (%lu us of 10000)", mode_name(), us);
    report(now != 0 && now <= ms, "F3: %s: timer: the count begins again", mode_name());
    report(NOTED(VECTOR_HERE) && current() == 0,
           "F3: %s: timer: made one-shot on its way, it fires once more", mode_name());
    stop();
}

static void deadline_mode(u32 flags)
{
    apic_write(APIC_LVT_TIMER, flags | LVT_TSC_DEADLINE | VECTOR_HERE);
    __asm__ volatile("mfence" ::: "memory");
    noted = 0;
}

static bool fires(u64 ms)
{
    interrupts_on();
    bool fired = WAIT_FOR(noted != 0, ms);
    interrupts_off();
    return fired;
}

// Interrupts on for a moment. Whether one came.
static bool taken(void)
{
    interrupts_on();
    __asm__ volatile("nop; nop" ::: "memory");
    interrupts_off();
    return noted != 0;
}

// A deadline that passes just when another takes its place is either gone, or has brought its
// interrupt at once; never does it lie about until something else has the APIC looked at.
static bool leaves_nothing_behind(void)
{
    bool ok = true;
    for (u64 ticks = 0; ticks < 1000 && ok; ticks++) {
        noted = 0;
        wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + ticks);
        wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + tsc_ms(1000));
        bool at_once = taken();
        apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
        ok = taken() == at_once;
    }
    wrmsr(MSR_IA32_TSC_DEADLINE, 0);
    noted = 0;
    return ok;
}

// Who reads that the deadline has passed, or that the count has ended, has the interrupt too.
static bool is_there_when_read(bool count)
{
    bool ok = true;
    for (u64 ticks = 1; ticks < 1000 && ok; ticks++) {
        noted = 0;
        if (count)
            apic_write(APIC_TIMER_INITIAL, (u32)ticks);
        else
            wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + ticks);
        bool passed = (count ? current() : rdmsr(MSR_IA32_TSC_DEADLINE)) == 0;
        ok = taken() || !passed;
    }
    if (count)
        apic_write(APIC_TIMER_INITIAL, 0);
    else
        wrmsr(MSR_IA32_TSC_DEADLINE, 0);
    (void)taken();
    noted = 0;
    return ok;
}

static void check_deadline(u32 ms)
{
    apic_write(APIC_LVT_TIMER, LVT_ONE_SHOT | VECTOR_HERE);
    report(is_there_when_read(true), "F3: %s: timer: a count read as 0 has fired", mode_name());
    apic_write(APIC_TIMER_INITIAL, 2 * ms);
    deadline_mode(0);
    report(!fires(4) && current() == 0 && rdmsr(MSR_IA32_TSC_DEADLINE) == 0,
           "F3: %s: timer: a count ends with the change to TSC-deadline mode", mode_name());
    u64 deadline = rdtsc() + tsc_ms(1);
    wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
    while (noted == 0 && rdtsc() < deadline + tsc_ms(100))
        halt_once();
    report(NOTED(VECTOR_HERE) && fired_at >= deadline,
           "F3: %s: timer: a TSC deadline wakes from HLT", mode_name());
    wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + tsc_ms(2));
    wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + tsc_ms(4));
    report(!fires(3), "F3: %s: timer: a TSC deadline moves away", mode_name());
    report(fires(100) && NOTED(VECTOR_HERE), "F3: %s: timer: and comes", mode_name());
    report(leaves_nothing_behind(),
           "F3: %s: timer: one that passes as it moves fires then or not at all", mode_name());
    if (!option("bochs"))
        report(is_there_when_read(false), "F3: %s: timer: a deadline read as 0 has fired",
               mode_name());
    deadline_mode(LVT_MASKED);
    wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + tsc_ms(1));
    report(!fires(2), "F3: %s: timer: a masked TSC deadline passes", mode_name());
    if (!option("bochs"))
        report(rdmsr(MSR_IA32_TSC_DEADLINE) == 0, "F3: %s: timer: and is disarmed", mode_name());
    deadline_mode(0);
    report(!fires(2), "F3: %s: timer: unmasked then, it is gone", mode_name());

    wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + tsc_ms(2));
    apic_write(APIC_LVT_TIMER, LVT_ONE_SHOT | VECTOR_HERE);
    report(!fires(4), "F3: %s: timer: a TSC deadline ends with the change to one-shot",
           mode_name());
    wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + tsc_ms(1));
    report(rdmsr(MSR_IA32_TSC_DEADLINE) == 0 && !fires(2),
           "F3: %s: timer: there the MSR does nothing", mode_name());

    if (cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ebx & CPUID7_EBX_TSC_ADJUST) != 0 &&
        !option("bochs")) {
        deadline_mode(0);
        u64 adjust = rdmsr(MSR_IA32_TSC_ADJUST);
        wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + tsc_ms(1000));
        wrmsr(MSR_IA32_TSC_ADJUST, adjust + tsc_ms(2000));
        report(fires(100) && NOTED(VECTOR_HERE),
               "F3: %s: timer: a TSC that jumps over the deadline fires it", mode_name());
        wrmsr(MSR_IA32_TSC_ADJUST, adjust);
    }
    stop();
}

static void check_disabling(u32 ms)
{
    noted = 0;
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR_HERE);
    apic_write(APIC_TIMER_INITIAL, ms);
    apic_write(APIC_SVR, VECTOR_SPURIOUS);
    apic_write(APIC_SVR, SVR_ENABLED | VECTOR_SPURIOUS);
    report(!fires(3) && (apic_read(APIC_LVT_TIMER) & LVT_MASKED) != 0,
           "F3: %s: timer: software-disabling masks it", mode_name());
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR_HERE);
    report(fires(100), "F3: %s: timer: unmasked, it goes on", mode_name());
    stop();
    take();
}

void check_timer(void)
{
    interrupt_set(VECTOR_HERE, on_timer);
    interrupt_set(VECTOR_WATCH, on_watch);
    ioapic_route(acpi.isa_gsi[0], VECTOR_WATCH, 0);
    pit_periodic(65536);
    check_dividers();
    u32 ms = per_ms();
    check_one_shot(ms);
    check_periodic(ms);
    if (timer_has_deadline_mode())
        check_deadline(ms);
    else
        report_skip("F3: this CPU has no TSC-deadline timer");
    check_disabling(ms);
    pit_stop();
    ioapic_mask(acpi.isa_gsi[0]);
    take();
    interrupt_set(VECTOR_HERE, NULL);
    interrupt_set(VECTOR_WATCH, NULL);
}
