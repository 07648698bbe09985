// SPDX-License-Identifier: MIT
// Work of which the appliance says at the end what it cost: CPU 1 does it, and CPU 0 interrupts
// CPU 1. And its opposite: counting interrupts where none should come.
#include "checks.h"
#include "cpus.h"
#include "guest.h"

enum { COM1_LSR = 0x3fd, LSR_DATA = 1, TIMES = 1000, VECTOR_SELF = 0x55 };

#define PAGE ((u32)APIC_BASE_RESET)

static volatile u64 taken;
static bool x2apic; // asking the runtime each time would cost an exit

static void write(u32 reg, u32 value)
{
    if (x2apic)
        wrmsr(0x800 + reg / 16, value);
    else
        write32(PAGE + reg, value);
}

static void self_ipi(void)
{
    if (x2apic)
        write(APIC_SELF_IPI, VECTOR_SELF);
    else
        write(APIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR_SELF);
}

static void on_self(struct interrupt_frame *f)
{
    (void)f;
    taken++;
    write(APIC_EOI, 0);
}

static void on_counted_ipi(struct interrupt_frame *f)
{
    (void)f;
    received[cpu_number()]++;
    write(APIC_EOI, 0);
}

static void write_cr8(u64 value)
{
    __asm__ volatile("mov %0, %%cr8" ::"r"(value) : "memory");
}

// TPR by register and by CR8, self-IPIs and their EOIs, and interrupts that the TPR holds back.
static void work(void)
{
    interrupts_on();
    for (unsigned i = 0; i < TIMES; i++)
        write(APIC_TPR, i & 0x70);
    write(APIC_TPR, 0);
    for (unsigned i = 0; i < TIMES; i++)
        write_cr8(i & 7);
    write_cr8(0);
    for (unsigned i = 0; i < TIMES; i++)
        self_ipi();
    for (unsigned i = 0; i < TIMES; i++) {
        write(APIC_TPR, 0x60);
        self_ipi();
        write(APIC_TPR, 0);
    }
    interrupts_off();
}

void do_counted_work(void)
{
    spin = true;
    interrupt_set(VECTOR_SELF, on_self);
    x2apic = apic_is_x2apic();
    cpus_start();
    interrupt_set(VECTOR_IPI, on_counted_ipi);
    if (online != 2)
        return;
    u64 before = received[1];
    on_cpu(1, work);
    report(taken == 2 * TIMES, "F5: %s: %lu self-IPIs were taken", mode_name(), taken);
    unsigned sent = 0;
    while (sent < TIMES) {
        apic_send(smp_apic_id(1), ICR_ASSERT | VECTOR_IPI);
        sent++;
        if (!WAIT_FOR(received[1] == before + sent, 100))
            break;
    }
    report(sent == TIMES && received[1] == before + sent, "F6: %s: %u IPIs were taken", mode_name(),
           sent);
}

// ---- nothing -------------------------------------------------------------------------------

static void on_any(struct interrupt_frame *f)
{
    if (f->vector != VECTOR_NMI)
        apic_eoi();
}

void listen(void)
{
    cpus_start();
    for (unsigned vector = 32; vector < VECTOR_SPURIOUS; vector++)
        interrupt_set((u8)vector, on_any);
    interrupt_set(VECTOR_NMI, on_any);
    timer_init();
    printf("apic: listening\n");
    u64 end = rdtsc() + tsc_ms(option_number("ms", 60000));
    while (rdtsc() < end && (inb(COM1_LSR) & LSR_DATA) == 0)
        sleep_until(rdtsc() + tsc_ms(2));
    u64 sum = 0;
    for (unsigned vector = 0; vector < 256; vector++)
        sum += vector != VECTOR_TIMER ? interrupts[vector] : 0;
    report(sum == 0, "F11: %lu interrupts came to %u CPUs that nobody interrupts", sum, online);
}
