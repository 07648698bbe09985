// SPDX-License-Identifier: MIT
// Whom an interrupt command reaches (SDM 11.6.1, 11.6.2, 11.12.9, 11.12.10).
#include "checks.h"
#include "cpus.h"
#include "guest.h"

enum { CLUSTER_SIZE = 4, LOWEST_PRIORITY = 1 << 8, FLAT = 0xf, X2_CLUSTER_SIZE = 16 };

static u64 everyone(void)
{
    return BIT(online) - 1;
}

// What counted rises by one for exactly the CPUs of the set.
static bool reaches(volatile u64 *count, u32 destination, u32 command, u64 set)
{
    u64 before[MAX_CPUS] = {0};
    bool right = true;
    for (unsigned cpu = 0; cpu < online; cpu++)
        before[cpu] = count[cpu];
    interrupts_on();
    apic_send(destination, command);
    for (unsigned cpu = 0; cpu < online; cpu++)
        right &= WAIT_FOR(count[cpu] == before[cpu] + (set >> cpu & 1), 5000);
    delay_us(20);
    interrupts_off();
    for (unsigned cpu = 0; cpu < online; cpu++)
        right &= count[cpu] == before[cpu] + (set >> cpu & 1);
    return right;
}

static bool ipi(u32 destination, u32 command, u64 set)
{
    return reaches(received, destination, command | ICR_ASSERT | VECTOR_IPI, set);
}

// ---- logical IDs ---------------------------------------------------------------------------

static u32 model; // DFR's bits 31:28

static void set_logical_id(void)
{
    unsigned cpu = cpu_number();
    u32 cluster = cpu / CLUSTER_SIZE << 4 | 1u << cpu % CLUSTER_SIZE;
    apic_write(APIC_DFR, model << 28 | 0x0fffffff);
    apic_write(APIC_LDR, (model == FLAT ? 1u << (cpu & 7) : cluster) << 24);
}

static void set_model(u32 which)
{
    model = which;
    set_logical_id();
    for (unsigned cpu = 1; cpu < online; cpu++)
        on_cpu(cpu, set_logical_id);
}

static void check_flat(void)
{
    bool single = true, sets = true;
    set_model(FLAT);
    for (unsigned cpu = 0; cpu < online; cpu++)
        single &= ipi(1u << cpu, ICR_LOGICAL, BIT(cpu));
    for (u32 set = 3; set < 0xff; set += 37)
        sets &= ipi(set, ICR_LOGICAL, set & everyone());
    report(single, "F11: xAPIC: logical flat, one CPU");
    report(sets && ipi(0xff, ICR_LOGICAL, everyone()), "F11: xAPIC: logical flat, sets of CPUs");
    report(online == 8 || ipi(1u << online, ICR_LOGICAL, 0), "F11: xAPIC: logical flat, nobody");
}

static void check_cluster(u32 size, u32 shift, const char *name)
{
    bool right = true;
    for (unsigned first = 0; first < online; first += size) {
        u64 in_cluster = (everyone() >> first) & (BIT(size) - 1);
        for (u64 set = 1; set < BIT(size); set = set * 3 + 1) {
            u32 destination = first / size << shift | (u32)set;
            right &= ipi(destination, ICR_LOGICAL, (set & in_cluster) << first);
        }
    }
    u32 nobody = (online / size + 1) << shift | 1;
    report(right && ipi(nobody, ICR_LOGICAL, 0), "F11: %s: logical %s, sets of CPUs in %u clusters",
           mode_name(), name, (online + size - 1) / size);
}

// ---- lowest priority -----------------------------------------------------------------------

static volatile u32 tpr[MAX_CPUS];

static void set_tpr(void)
{
    apic_write(APIC_TPR, tpr[cpu_number()]);
}

static void set_tprs(void)
{
    set_tpr();
    for (unsigned cpu = 1; cpu < online; cpu++)
        on_cpu(cpu, set_tpr);
}

static u64 sum(void)
{
    u64 all = 0;
    for (unsigned cpu = 0; cpu < online; cpu++)
        all += received[cpu];
    return all;
}

static void check_lowest_priority(void)
{
    u32 all = apic_is_x2apic() ? 0xffff : 0xff, mode = LOWEST_PRIORITY | ICR_LOGICAL;
    unsigned count = MIN(online, apic_is_x2apic() ? 16u : 8u); // in the set
    bool right = true;
    if (!apic_is_x2apic())
        set_model(FLAT);
    for (unsigned low = 0; low < MIN(count, 4u); low++) {
        for (unsigned cpu = 0; cpu < online; cpu++)
            tpr[cpu] = cpu == low ? 0x10 : 0x20; // the job's vector is above
        set_tprs();
        right &= ipi(all, mode, BIT(low));
    }
    report(right, "F11: %s: lowest priority: the CPU with the lowest TPR", mode_name());
    for (unsigned cpu = 0; cpu < online; cpu++)
        tpr[cpu] = 0;
    set_tprs();
    u64 before = sum();
    interrupts_on();
    for (u64 i = 1; i <= 40; i++) {
        apic_send(all, mode | ICR_ASSERT | VECTOR_IPI);
        right &= WAIT_FOR(sum() == before + i, 200);
    }
    delay_us(100);
    interrupts_off();
    report(right && sum() == before + 40, "F11: %s: lowest priority: one CPU each time",
           mode_name());
}

// ---- receivers in all states ---------------------------------------------------------------

static volatile bool there, go;

static void busy(void)
{
    there = true;
    WAIT_FOR(go, 1000);
}

static void halt_with_interrupts_off(void)
{
    there = true;
    __asm__ volatile("hlt" ::: "memory");
}

// Its core may have others to run first.
static void give_and_wait(unsigned cpu, void (*job)(void))
{
    there = false;
    give_job(cpu, job);
    WAIT_FOR(there, 1000);
    delay_us(200);
}

// One that runs with interrupts off takes it later, and several as one.
static void check_held(void)
{
    unsigned target = online - 1;
    u64 before = received[target];
    go = false;
    give_and_wait(target, busy);
    for (unsigned i = 0; i < 3; i++)
        apic_send(smp_apic_id(target), ICR_ASSERT | VECTOR_IPI);
    delay_us(100);
    bool held = received[target] == before;
    go = true;
    report(held && WAIT_FOR(received[target] == before + 1, 100),
           "F6: %s: a CPU with interrupts off takes it later, and once", mode_name());
    WAIT_FOR(job_done(target), 1000);
    delay_us(100);
    report(received[target] == before + 1, "F6: %s: and no second time", mode_name());
}

static void check_nmis(void)
{
    bool right = true;
    for (unsigned cpu = 1; cpu < online; cpu++)
        right &= reaches(nmis, smp_apic_id(cpu), ICR_NMI | ICR_ASSERT, BIT(cpu));
    report(right, "F8: %s: an NMI to each CPU, by itself", mode_name());
    report(reaches(nmis, 0, ICR_NMI | ICR_OTHERS | ICR_ASSERT, everyone() & ~1ul),
           "F8: %s: an NMI to all others", mode_name());
    // Logical ID 2: CPU 1 of x2APIC's first cluster; in flat mode each eighth CPU has it.
    u64 set = apic_is_x2apic() ? 2 : everyone() & 0x0202020202020202;
    report(reaches(nmis, 2, ICR_NMI | ICR_LOGICAL | ICR_ASSERT, set),
           "F8: %s: an NMI by logical ID", mode_name());
    unsigned target = online - 1;
    u64 before = nmis[target];
    give_and_wait(target, halt_with_interrupts_off);
    apic_send(smp_apic_id(target), ICR_ASSERT | VECTOR_IPI);
    delay_us(200);
    bool sleeps = !job_done(target);
    apic_send(smp_apic_id(target), ICR_NMI | ICR_ASSERT);
    report(sleeps && WAIT_FOR(job_done(target), 100) && nmis[target] == before + 1,
           "F8: %s: an NMI wakes a CPU that halts with interrupts off", mode_name());
}

// ---- all of it -----------------------------------------------------------------------------

static void check_all(const char *how)
{
    bool physical = true;
    for (unsigned cpu = 0; cpu < online; cpu++)
        physical &= ipi(smp_apic_id(cpu), 0, BIT(cpu));
    report(physical, "F11: %s: physical, each CPU, %s", mode_name(), how);
    report(ipi(smp_apic_id(online - 1) + 1, 0, 0), "F11: %s: physical, nobody, %s", mode_name(),
           how);
    report(ipi(apic_is_x2apic() ? UINT32_MAX : 0xff, 0, everyone()), "F11: %s: broadcast ID, %s",
           mode_name(), how);
    report(!apic_is_x2apic() || ipi(0xff, 0, 0), "F11: %s: ID 255 is not broadcast in x2APIC mode",
           mode_name());
    report(ipi(0, ICR_SELF, 1), "F11: %s: self, %s", mode_name(), how);
    report(ipi(0, ICR_ALL, everyone()), "F11: %s: all including self, %s", mode_name(), how);
    report(ipi(0, ICR_OTHERS, everyone() & ~1ul), "F11: %s: all excluding self, %s", mode_name(),
           how);
    bool apart = true;
    unsigned cpu = 0;
    for (unsigned i = 0; i < 200; i++) {
        cpu = cpu + 1 < online ? cpu + 1 : 1;
        apart &= ipi(smp_apic_id(cpu), 0, BIT(cpu));
    }
    report(apart, "F6: %s: 200 IPIs, %s", mode_name(), how);
}

void check_destinations(void)
{
    cpus_start();
    if (online < 2)
        return;
    spin = true;
    apic_send(0, ICR_OTHERS | ICR_ASSERT | VECTOR_JOB);
    delay_us(200);
    check_all("they run");
    spin = false;
    delay_us(200);
    check_all("they sleep");
    if (apic_is_x2apic()) {
        check_cluster(X2_CLUSTER_SIZE, 16, "cluster");
    } else {
        if (online <= 8)
            check_flat();
        set_model(0);
        check_cluster(CLUSTER_SIZE, 4, "cluster");
        if (!option("qemu"))
            report(ipi(0xff, ICR_LOGICAL, everyone()), "F11: xAPIC: logical cluster, broadcast");
        set_model(FLAT);
    }
    if (!option("qemu"))
        check_lowest_priority();
    check_held();
    check_nmis();
}
