// SPDX-License-Identifier: MIT
// F11: starts every CPU and sends interrupts between them in all the ways there are.
//   storm=N  then N from all to all, as fast as they go
//   hammer=N instead: hammer.h
#include "smp.h"

#include "guest.h"
#include "hammer.h"
#include "storm.h"

enum { VECTOR_HERE = 0x61 };

static volatile u64 received[MAX_CPUS], nmis[MAX_CPUS];
static volatile bool awake[MAX_CPUS];
static unsigned online;

static void on_ipi(struct interrupt_frame *f)
{
    (void)f;
    received[cpu_number()]++;
    apic_eoi();
}

static void on_nmi(struct interrupt_frame *f)
{
    (void)f;
    nmis[cpu_number()]++;
}

static void other_cpu(unsigned cpu)
{
    if (!apic_is_x2apic()) {
        apic_write(APIC_DFR, UINT32_MAX);
        apic_write(APIC_LDR, 1u << (24 + (cpu & 7)));
    }
    awake[cpu] = true;
    for (;;) {
        halt_once();
        storm_join(cpu);
    }
}

// Sends a command and waits: whether every CPU then got as many as `wanted` says, and no more.
static bool sends(u32 destination, u32 command, bool (*wanted)(unsigned cpu, unsigned target),
                  unsigned target)
{
    u64 before[MAX_CPUS] = {0};
    bool right = true;
    for (unsigned cpu = 0; cpu < online; cpu++)
        before[cpu] = received[cpu];
    interrupts_on();
    apic_send(destination, command | ICR_ASSERT | VECTOR_HERE);
    for (unsigned cpu = 0; cpu < online; cpu++)
        right &= WAIT_FOR(received[cpu] == before[cpu] + wanted(cpu, target), 500);
    delay_us(100);
    interrupts_off();
    for (unsigned cpu = 0; cpu < online; cpu++)
        right &= received[cpu] == before[cpu] + wanted(cpu, target);
    return right;
}

static bool only(unsigned cpu, unsigned target)
{
    return cpu == target;
}

static bool others(unsigned cpu, unsigned target)
{
    return cpu != target;
}

static bool everyone(unsigned cpu, unsigned target)
{
    (void)cpu, (void)target;
    return true;
}

static u32 logical_id(unsigned cpu)
{
    u32 id = smp_apic_id(cpu);
    return apic_is_x2apic() ? id >> 4 << 16 | 1u << (id & 15) : 1u << (cpu & 7);
}

static void check_nmis(void)
{
    for (unsigned cpu = 1; cpu < online; cpu++) {
        apic_send(smp_apic_id(cpu), ICR_NMI | ICR_ASSERT);
        report(WAIT_FOR(nmis[cpu] == 1, 500), "F8: an NMI to CPU %u", cpu);
    }
    report(nmis[0] == 0, "F8: and none to CPU 0");
}

// Round trips that end only if no interrupt to a CPU that goes to sleep gets lost.
static void check_lost_wakes(void)
{
    unsigned target = online - 1, done = 0;
    while (done < 1000 && sends(smp_apic_id(target), 0, only, target))
        done++;
    report(done == 1000, "F6: 1000 IPIs to a sleeping CPU (%u)", done);
}

int main(void)
{
    u64 hammer = option_number("hammer", 0);
    if (hammer != 0)
        return hammer_main(hammer);
    interrupt_set(VECTOR_HERE, on_ipi);
    interrupt_set(VECTOR_NMI, on_nmi);
    online = smp_start(other_cpu);
    report(online == boot_info.cpus, "F11: %u of %u CPUs are up, %s", online, boot_info.cpus,
           apic_is_x2apic() ? "x2APIC" : "xAPIC");
    bool distinct = true;
    for (unsigned cpu = 1; cpu < online; cpu++) {
        report(WAIT_FOR(awake[cpu], 500), "F11: CPU %u runs, its APIC ID is %u", cpu,
               smp_apic_id(cpu));
        for (unsigned other = 0; other < cpu; other++)
            distinct &= smp_apic_id(cpu) != smp_apic_id(other);
    }
    report(distinct, "F11: APIC IDs are distinct");
    if (!apic_is_x2apic()) {
        apic_write(APIC_DFR, UINT32_MAX);
        apic_write(APIC_LDR, 1u << 24);
    }
    for (unsigned cpu = 0; cpu < online; cpu++) {
        report(sends(smp_apic_id(cpu), 0, only, cpu), "F11: physical destination, CPU %u", cpu);
        // xAPIC's flat model has 8 bits.
        if (online <= 8 || apic_is_x2apic())
            report(sends(logical_id(cpu), ICR_LOGICAL, only, cpu),
                   "F11: logical destination, CPU %u", cpu);
    }
    report(sends(0, ICR_SELF, only, 0), "F11: self");
    report(sends(0, ICR_ALL, everyone, 0), "F11: all including self");
    report(sends(0, ICR_OTHERS, others, 0), "F11: all excluding self");
    report(sends(apic_is_x2apic() ? UINT32_MAX : 0xff, 0, everyone, 0), "F11: broadcast ID");
    if (online > 1) {
        check_nmis();
        check_lost_wakes();
        u64 storm = option_number("storm", 0);
        if (storm != 0)
            storm_check(online, storm, VECTOR_HERE);
    }
    return report_summary();
}
