// SPDX-License-Identifier: MIT
#include "smp/apic.h"

#include "boot/acpi.h"
#include "boot/paging.h"
#include "lib/cpu.h"
#include "lib/lock.h"
#include "lib/math.h"
#include "smp/descriptors.h"
#include "smp/time.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"

enum {
    APIC_ID = 0x20,
    APIC_TPR = 0x80,
    APIC_EOI = 0xb0,
    APIC_SVR = 0xf0,
    APIC_ICR = 0x300,
    APIC_ICR_HIGH = 0x310,
    APIC_LVT_TIMER = 0x320,
    APIC_LVT_LINT0 = 0x350,
    APIC_LVT_LINT1 = 0x360,
    APIC_TIMER_INITIAL = 0x380,
    APIC_TIMER_CURRENT = 0x390,
    APIC_TIMER_DIVIDE = 0x3e0,
};

#define ICR_INIT          (5u << 8 | APIC_ICR_ASSERT)
#define ICR_STARTUP       (6u << 8 | APIC_ICR_ASSERT)
#define ICR_NMI           (4u << 8 | APIC_ICR_ASSERT)
#define ICR_PENDING       (1u << 12)
#define LVT_MASKED        (1u << 16)
#define TSC_DEADLINE_MODE (2u << 17)

bool apic_x2apic;

static bool tsc_deadline;
static volatile u32 *xapic; // register window in xAPIC mode
static u64 timer_hz;        // one-shot mode: counts per second with divider 1

static u32 apic_read(u32 reg)
{
    return apic_x2apic ? (u32)rdmsr(MSR_IA32_X2APIC + reg / 16) : xapic[reg / 4];
}

static void apic_write(u32 reg, u32 v)
{
    if (apic_x2apic)
        wrmsr(MSR_IA32_X2APIC + reg / 16, v);
    else
        xapic[reg / 4] = v;
}

// Counts of the one-shot timer over 1/100 s.
static void calibrate_timer(void)
{
    apic_write(APIC_TIMER_DIVIDE, 0xb); // by 1
    apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
    u64 end = rdtsc() + host_tsc_hz / 100;
    while (rdtsc() < end)
        cpu_relax();
    timer_hz = (u64)(UINT32_MAX - apic_read(APIC_TIMER_CURRENT)) * 100;
    apic_write(APIC_TIMER_INITIAL, 0);
}

COLD void apic_init(void)
{
    u32 features = cpuid(1, 0).ecx;
    u64 base = rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_EN;
    apic_x2apic = features & BIT(21);
    tsc_deadline = features & BIT(24);
    wrmsr(MSR_IA32_APIC_BASE, base);
    if (apic_x2apic)
        wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_EXTD);
    else if (xapic == NULL)
        xapic = mmio_map(HPA(base & 0xffffff000ul), PAGE_SIZE);

    apic_write(APIC_TPR, 0);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_LVT_LINT1, LVT_MASKED);
    apic_write(APIC_SVR, 0x100 | VECTOR_SPURIOUS);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    if (!tsc_deadline && timer_hz == 0)
        calibrate_timer();
    apic_write(APIC_LVT_TIMER, VECTOR_TIMER | (tsc_deadline ? TSC_DEADLINE_MODE : 0));
}

u32 apic_id(void)
{
    u32 id = apic_read(APIC_ID);
    return apic_x2apic ? id : id >> 24;
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

static void send(u32 dest, u32 low)
{
    if (apic_x2apic) {
        // A WRMSR to an x2APIC register does not wait for earlier stores (SDM 11.12.3).
        __asm__ volatile("mfence; lfence" ::: "memory");
        wrmsr(MSR_IA32_X2APIC_ICR, (u64)dest << 32 | low);
        return;
    }
    while (apic_read(APIC_ICR) & ICR_PENDING)
        cpu_relax();
    apic_write(APIC_ICR_HIGH, dest << 24);
    apic_write(APIC_ICR, low);
}

void apic_send(u32 id, u8 vector)
{
    send(id, APIC_ICR_ASSERT | vector);
}

void apic_send_init(u32 id)
{
    send(id, ICR_INIT);
}

void apic_send_startup(u32 id, u8 page)
{
    send(id, ICR_STARTUP | page);
}

void apic_send_nmi(u32 id)
{
    send(id, ICR_NMI);
}

void apic_set_deadline(u64 deadline)
{
    if (tsc_deadline) {
        wrmsr(MSR_IA32_TSC_DEADLINE, deadline == UINT64_MAX ? 0 : MAX(deadline, 1ul));
        return;
    }
    u32 count = 0;
    if (deadline != UINT64_MAX) {
        u64 now = rdtsc();
        u64 ticks = deadline > now ? deadline - now : 1;
        count = (u32)MIN(MAX(muldiv64(ticks, timer_hz, host_tsc_hz), 1ul), (u64)UINT32_MAX);
    }
    apic_write(APIC_TIMER_INITIAL, count);
}

// ---- IOAPICs ---------------------------------------------------------------------------------

#define IOAPIC_MASKED (1u << 16)

static volatile u32 *ioapic[ACPI_IOAPICS_MAX];
static struct spinlock ioapic_lock; // index and data are two registers

static u32 ioapic_read(unsigned n, u32 reg)
{
    ioapic[n][0] = reg;
    return ioapic[n][4];
}

static void ioapic_write(unsigned n, u32 reg, u32 v)
{
    ioapic[n][0] = reg;
    ioapic[n][4] = v;
}

static unsigned ioapic_pins(unsigned n)
{
    return (ioapic_read(n, 1) >> 16 & 0xff) + 1;
}

COLD void host_irqs_init(void)
{
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    for (unsigned n = 0; n < acpi.ioapics; n++) {
        ioapic[n] = mmio_map(acpi.ioapic[n].address, 32);
        for (unsigned pin = 0; ioapic[n] != NULL && pin < ioapic_pins(n); pin++)
            ioapic_write(n, 0x10 + 2 * pin, IOAPIC_MASKED);
    }
}

// The redirection entry of an ISA interrupt; 0: no IOAPIC has it. With the lock held.
static u32 redirection(u8 irq, unsigned *n)
{
    u32 gsi = acpi.isa[irq].gsi;
    for (*n = 0; *n < acpi.ioapics; ++*n) {
        u32 pin = gsi - acpi.ioapic[*n].gsi_base;
        if (ioapic[*n] != NULL && gsi >= acpi.ioapic[*n].gsi_base && pin < ioapic_pins(*n))
            return 0x10 + 2 * pin;
    }
    return 0;
}

COLD enum error host_irq_route(u8 irq, u8 vector, u32 id)
{
    unsigned n;
    spin_lock(&ioapic_lock);
    u32 reg = redirection(irq, &n);
    if (reg != 0) {
        ioapic_write(n, reg + 1, id << 24);
        ioapic_write(n, reg,
                     vector | (acpi.isa[irq].active_low ? BIT(13) : 0) |
                         (acpi.isa[irq].level ? BIT(15) : 0));
    }
    spin_unlock(&ioapic_lock);
    return reg != 0 ? OK : ERR_NOT_FOUND;
}

COLD enum error host_serial_route(struct serial_line *u, u8 vector)
{
    enum error e = host_irq_route(u->irq, vector, this_core()->apic_id);
    if (e == OK)
        serial_enable_interrupts(u);
    return e;
}

void host_irq_mask(u8 irq, bool masked)
{
    unsigned n;
    spin_lock(&ioapic_lock);
    u32 reg = redirection(irq, &n);
    if (reg != 0)
        ioapic_write(n, reg, (ioapic_read(n, reg) & ~IOAPIC_MASKED) | (masked ? IOAPIC_MASKED : 0));
    spin_unlock(&ioapic_lock);
}
