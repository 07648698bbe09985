// SPDX-License-Identifier: MIT
// The local APIC's priorities, and its two faces.
#include "apic.h"

#include "devices.h"
#include "guest.h"

enum { LOW = 0x40, MIDDLE = 0x50, HIGH = 0x60 };

static volatile unsigned order[8], taken;

static void note(struct interrupt_frame *f)
{
    if (taken < ARRAY_SIZE(order))
        order[taken] = (unsigned)f->vector;
    taken++;
    apic_eoi();
}

// In the middle of a handler, a lower vector has to wait for the EOI and a higher one has not.
static void nest(struct interrupt_frame *f)
{
    bool in_service = apic_bit(APIC_ISR, MIDDLE);
    apic_self_ipi(LOW);
    apic_self_ipi(HIGH);
    interrupts_on();
    WAIT_FOR(taken != 0, 10);
    delay_us(100);
    interrupts_off();
    if (taken < ARRAY_SIZE(order))
        order[taken] = in_service ? (unsigned)f->vector : 0;
    taken++;
    apic_eoi();
}

static void take(void)
{
    interrupts_on();
    delay_us(100);
    interrupts_off();
}

static void check_priorities(void)
{
    interrupt_set(LOW, note);
    interrupt_set(MIDDLE, note);
    interrupt_set(HIGH, note);
    taken = 0;
    apic_self_ipi(LOW);
    apic_self_ipi(HIGH);
    report(apic_bit(APIC_IRR, LOW) && apic_bit(APIC_IRR, HIGH) && taken == 0,
           "F3: with interrupts off they wait in the IRR");
    take();
    report(taken == 2 && order[0] == HIGH && order[1] == LOW, "F3: the higher vector goes first");

    taken = 0;
    apic_write(APIC_TPR, MIDDLE);
    report(apic_read(APIC_PPR) >> 4 == MIDDLE >> 4, "F4: the PPR follows the TPR");
    apic_self_ipi(MIDDLE);
    apic_self_ipi(HIGH);
    take();
    report(taken == 1 && order[0] == HIGH, "F4: the TPR holds its own class and lower ones");
    apic_write(APIC_TPR, 0);
    take();
    report(taken == 2 && order[1] == MIDDLE, "F4: a TPR of 0 lets it through");
    __asm__ volatile("mov %0, %%cr8" ::"r"(6ul) : "memory");
    report((apic_read(APIC_TPR) & 0xf0) == 0x60, "F4: CR8 is the TPR");
    __asm__ volatile("mov %0, %%cr8" ::"r"(0ul) : "memory");

    taken = 0;
    interrupt_set(MIDDLE, nest);
    apic_self_ipi(MIDDLE);
    take();
    report(taken == 3 && order[0] == HIGH && order[1] == MIDDLE && order[2] == LOW,
           "F5: a handler is interrupted by a higher vector only (%x %x %x)", order[0], order[1],
           order[2]);
    report(!apic_bit(APIC_ISR, LOW) && !apic_bit(APIC_ISR, MIDDLE) && !apic_bit(APIC_ISR, HIGH),
           "F5: after the EOIs nothing is in service");
}

static void check_destinations(void)
{
    bool x2apic = apic_is_x2apic();
    taken = 0;
    interrupt_set(MIDDLE, note);
    interrupts_on();
    apic_send(apic_id(), ICR_ASSERT | MIDDLE);
    report(WAIT_FOR(taken == 1, 10), "F11: an IPI to this CPU's own ID");
    if (!x2apic) {
        apic_write(APIC_DFR, UINT32_MAX);
        apic_write(APIC_LDR, 0x02000000);
    }
    apic_send(x2apic ? apic_read(APIC_LDR) : 2, ICR_ASSERT | ICR_LOGICAL | MIDDLE);
    report(WAIT_FOR(taken == 2, 10), "F11: an IPI to this CPU's logical ID");
    apic_send(0, ICR_ASSERT | ICR_SELF | MIDDLE);
    report(WAIT_FOR(taken == 3, 10), "F11: an IPI by the shorthand \"self\"");
    interrupts_off();
    interrupt_set(LOW, NULL);
    interrupt_set(MIDDLE, NULL);
    interrupt_set(HIGH, NULL);
}

static void check_face(const char *name)
{
    u32 version = apic_read(APIC_VERSION);
    report((version & 0xf0) == 0x10 && (version >> 16 & 0xff) >= 3, "F3: %s version 0x%x", name,
           version);
    check_priorities();
    check_destinations();
}

static void check_x2apic(u32 id)
{
    u64 value;
    apic_set_x2apic(true);
    report(apic_is_x2apic() && apic_id() == id, "F3: x2APIC on, the ID is the same");
    report(apic_read(APIC_LDR) == (id >> 4 << 16 | BIT(id & 15)), "F3: x2APIC logical ID");
    report(wrmsr_try(0x80b, 1) == VECTOR_GP, "F3: x2APIC: an EOI other than 0 gives #GP");
    report(rdmsr_try(0x80b, &value) == VECTOR_GP, "F3: x2APIC: reading EOI gives #GP");
    report(wrmsr_try(0x802, 0) == VECTOR_GP, "F3: x2APIC: writing the ID gives #GP");
    report(rdmsr_try(0x80e, &value) == VECTOR_GP, "F3: x2APIC: there is no DFR");
    report(wrmsr_try(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) & ~(u64)APIC_BASE_EXTD) ==
               VECTOR_GP,
           "F3: x2APIC to xAPIC without \"disabled\" between gives #GP");
    check_face("x2APIC");
}

static void check_xapic(u32 id)
{
    apic_set_x2apic(false);
    report(!apic_is_x2apic() && apic_id() == id, "F3: xAPIC on, the ID is CPUID's");
    check_face("xAPIC");
}

// Both faces, and each change between them, ending as the runtime began. Bochs's APIC, once
// disabled, stays so.
void check_apic(void)
{
    bool x2apic = apic_is_x2apic();
    u32 id = cpuid(1, 0).ebx >> 24;
    if (x2apic)
        check_x2apic(id);
    if (!x2apic || !option("bochs"))
        check_xapic(id);
    if (apic_has_x2apic())
        check_x2apic(id);
    else
        report_skip("F3: this CPU has no x2APIC");
    if (!x2apic && !option("bochs"))
        apic_set_x2apic(false);
}
