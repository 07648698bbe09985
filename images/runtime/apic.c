// SPDX-License-Identifier: MIT
#include "apic.h"

#include "boot_info.h"
#include "cpu.h"
#include "interrupt.h"

enum { X2APIC_MSRS = 0x800, ICR_PENDING = BIT(12), SVR_ENABLED = BIT(8) };
enum { CPUID1_ECX_X2APIC = BIT(21), MAX_POLLS = 1000000 };

static u32 msr_of(u32 reg)
{
    return X2APIC_MSRS + reg / 16;
}

bool apic_has_x2apic(void)
{
    return (cpuid(1, 0).ecx & CPUID1_ECX_X2APIC) != 0;
}

bool apic_is_x2apic(void)
{
    return (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_EXTD) != 0;
}

void apic_set_x2apic(bool on)
{
    u64 base = rdmsr(MSR_IA32_APIC_BASE) & ~(u64)(APIC_BASE_EXTD | APIC_BASE_EN);
    if (!on && apic_is_x2apic())
        wrmsr(MSR_IA32_APIC_BASE, base);
    if (!apic_is_x2apic())
        wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_EN);
    if (on)
        wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_EN | APIC_BASE_EXTD);
    apic_write(APIC_SVR, SVR_ENABLED | VECTOR_SPURIOUS);
    apic_write(APIC_TPR, 0);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_LVT_LINT1, LVT_MASKED);
    apic_write(APIC_LVT_ERROR, LVT_MASKED);
    apic_write(APIC_TIMER_INITIAL, 0);
}

static void ignore(struct interrupt_frame *f)
{
    (void)f; // a spurious interrupt wants no EOI
}

void apic_init(void)
{
    interrupt_set(VECTOR_SPURIOUS, ignore);
    apic_set_x2apic(apic_has_x2apic() && !option("xapic"));
}

u32 apic_read(u32 reg)
{
    return apic_is_x2apic() ? (u32)rdmsr(msr_of(reg)) : read32(XAPIC_PAGE + reg);
}

void apic_write(u32 reg, u32 value)
{
    if (apic_is_x2apic())
        wrmsr(msr_of(reg), value);
    else
        write32(XAPIC_PAGE + reg, value);
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

u32 apic_id(void)
{
    return apic_is_x2apic() ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

void apic_send(u32 destination, u32 command)
{
    if (apic_is_x2apic()) {
        wrmsr(msr_of(APIC_ICR), (u64)destination << 32 | command);
        return;
    }
    write32(XAPIC_PAGE + APIC_ICR2, destination << 24);
    write32(XAPIC_PAGE + APIC_ICR, command);
    for (unsigned i = 0; i < MAX_POLLS && (read32(XAPIC_PAGE + APIC_ICR) & ICR_PENDING) != 0; i++)
        cpu_pause();
}

void apic_self_ipi(u8 vector)
{
    if (apic_is_x2apic())
        wrmsr(msr_of(APIC_SELF_IPI), vector);
    else
        apic_send(0, ICR_SELF | ICR_ASSERT | vector);
}

bool apic_bit(u32 reg, u8 vector)
{
    return (apic_read(reg + vector / 32u * 16) & BIT(vector % 32)) != 0;
}
