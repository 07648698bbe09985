// SPDX-License-Identifier: MIT
// F6, F11: every CPU sends interrupts to the others as fast as they take them, and now and then
// sleeps. Each pair has a vector and one interrupt on its way at most, so that none may merge with
// another: each must be taken, once.
#include "storm.h"

#include "guest.h"
#include "smp.h"

enum { VECTOR_STORM = 0x80, SENT_PER_SLEEP = 64, SLEEP_US = 20 };

static volatile u64 sent[MAX_CPUS][MAX_CPUS], taken[MAX_CPUS][MAX_CPUS]; // [from][to]
static volatile u64 to_send;                                             // by each CPU
static volatile unsigned cpus, finished;
static volatile bool doubled;

static void on_storm(struct interrupt_frame *f)
{
    unsigned from = (unsigned)f->vector - VECTOR_STORM, to = cpu_number();
    taken[from][to]++;
    doubled |= taken[from][to] > sent[from][to];
    apic_eoi();
}

static void take_part(unsigned cpu)
{
    u32 random = cpu + 1;
    u64 left = to_send;
    interrupts_on();
    while (left > 0) {
        random = random * 1664525 + 1013904223;
        unsigned to = (cpu + 1 + (random >> 16) % (cpus - 1)) % cpus;
        if (taken[cpu][to] != sent[cpu][to]) {
            cpu_pause();
            continue;
        }
        sent[cpu][to]++;
        apic_send(smp_apic_id(to), ICR_ASSERT | (u32)(VECTOR_STORM + cpu));
        if (--left % SENT_PER_SLEEP == 0) {
            interrupts_off();
            sleep_until(rdtsc() + tsc_us(SLEEP_US));
            interrupts_on();
        }
    }
    interrupts_off();
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
}

void storm_join(unsigned cpu)
{
    static bool joined[MAX_CPUS];
    if (to_send == 0 || joined[cpu])
        return;
    joined[cpu] = true;
    timer_init();
    take_part(cpu);
}

static bool all_taken(void)
{
    bool all = finished == cpus;
    for (unsigned from = 0; from < cpus; from++) {
        for (unsigned to = 0; to < cpus; to++)
            all &= taken[from][to] == sent[from][to];
    }
    return all;
}

void storm_check(unsigned online, u64 count, u8 wake)
{
    if (online < 2)
        return;
    for (unsigned cpu = 0; cpu < online; cpu++)
        interrupt_set((u8)(VECTOR_STORM + cpu), on_storm);
    cpus = online;
    to_send = MAX(count / online, 1ul);
    timer_init();
    interrupts_on();
    apic_send(0, ICR_OTHERS | ICR_ASSERT | wake);
    take_part(0);
    interrupts_on();
    bool all = WAIT_FOR(all_taken(), 60000);
    interrupts_off();
    u64 sum = 0;
    for (unsigned from = 0; from < online; from++) {
        for (unsigned to = 0; to < online; to++)
            sum += taken[from][to];
    }
    report(all, "F6: a storm of %lu interrupts between %u CPUs: %lu were taken", to_send * online,
           online, sum);
    report(!doubled, "F11: none of them twice");
}
