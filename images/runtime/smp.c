// SPDX-License-Identifier: MIT
#include "smp.h"

#include "acpi.h"
#include "apic.h"
#include "clock.h"
#include "cpu.h"
#include "interrupt.h"
#include "lib/string.h"
#include "segments.h"

extern const u8 ap_trampoline[], ap_trampoline_end[];
extern u32 ap_next;

// What GS points at.
struct cpu {
    u64 number;
    u32 apic_id;
    bool online;
};

static struct cpu cpus[MAX_CPUS];
static void (*ap_entry)(unsigned cpu);

static void set_up(unsigned number)
{
    cpus[number].number = number;
    cpus[number].apic_id = apic_id();
    wrmsr(MSR_GS_BASE, (u64)&cpus[number]);
    __atomic_store_n(&cpus[number].online, true, __ATOMIC_RELEASE);
}

// Called by ap_start.S on a new CPU's own stack.
NORETURN void ap_main(unsigned number);
void ap_main(unsigned number)
{
    interrupt_load();
    apic_init();
    set_up(number);
    ap_entry(number);
    for (;;)
        __asm__ volatile("cli; hlt" ::: "memory");
}

static bool start_one(u32 id, unsigned number)
{
    ap_next = number;
    __atomic_store_n(&cpus[number].online, false, __ATOMIC_RELEASE);
    apic_send(id, ICR_INIT | ICR_ASSERT);
    delay_us(10000);
    for (int i = 0; i < 2 && !__atomic_load_n(&cpus[number].online, __ATOMIC_ACQUIRE); i++) {
        apic_send(id, ICR_STARTUP | AP_START_PAGE >> PAGE_SHIFT);
        delay_us(200);
    }
    return WAIT_FOR(__atomic_load_n(&cpus[number].online, __ATOMIC_ACQUIRE), 1000);
}

unsigned smp_start(void (*entry)(unsigned cpu))
{
    unsigned online = 1;
    set_up(0);
    ap_entry = entry;
    memcpy((void *)AP_START_PAGE, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
    for (unsigned i = 0; i < acpi.cpus && online < MAX_CPUS; i++) {
        if (acpi.apic_id[i] != apic_id() && start_one(acpi.apic_id[i], online))
            online++;
    }
    return online;
}

unsigned cpu_number(void)
{
    u64 number;
    __asm__("movq %%gs:0, %0" : "=r"(number));
    return (unsigned)number;
}

u32 smp_apic_id(unsigned cpu)
{
    return cpus[cpu].apic_id;
}
