// SPDX-License-Identifier: MIT
#include "cpus.h"

#include "guest.h"

volatile u64 received[MAX_CPUS], nmis[MAX_CPUS];
unsigned online;
volatile bool spin;

static void (*volatile jobs[MAX_CPUS])(void);

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

static void on_job(struct interrupt_frame *f)
{
    (void)f;
    apic_eoi();
}

static void wait_for_jobs(unsigned cpu)
{
    for (;;) {
        while (jobs[cpu] == NULL) {
            if (spin) {
                interrupts_on(); // no PAUSE: nobody is to look at this loop
                interrupts_off();
            } else {
                halt_once();
            }
        }
        jobs[cpu]();
        __atomic_store_n(&jobs[cpu], NULL, __ATOMIC_SEQ_CST);
    }
}

void give_job(unsigned cpu, void (*job)(void))
{
    __atomic_store_n(&jobs[cpu], job, __ATOMIC_SEQ_CST);
    apic_send(smp_apic_id(cpu), ICR_ASSERT | VECTOR_JOB);
}

bool job_done(unsigned cpu)
{
    return jobs[cpu] == NULL;
}

void on_cpu(unsigned cpu, void (*job)(void))
{
    give_job(cpu, job);
    if (!WAIT_FOR(job_done(cpu), 1000))
        report(false, "F11: %s: CPU %u does its job", apic_is_x2apic() ? "x2APIC" : "xAPIC", cpu);
}

void cpus_start(void)
{
    interrupt_set(VECTOR_IPI, on_ipi);
    interrupt_set(VECTOR_JOB, on_job);
    interrupt_set(VECTOR_NMI, on_nmi);
    online = smp_start(wait_for_jobs);
    report(online == boot_info.cpus, "F11: %u of %u CPUs are up, %s", online, boot_info.cpus,
           apic_is_x2apic() ? "x2APIC" : "xAPIC");
}
