// SPDX-License-Identifier: MIT
// NMIs: taken whatever RFLAGS.IF is, one at a time, one more latched (SDM 6.7.1).
#include "checks.h"
#include "guest.h"

enum { VECTOR_HERE = 0x66, WOKEN = 3, LEAVES = 0x100 };

static void send_nmi(void)
{
    apic_send(apic_id(), ICR_NMI | ICR_ASSERT);
}

static unsigned more;

// Notes the vector when it begins and when it ends; sends itself `more` NMIs.
static void on_nmi(struct interrupt_frame *f)
{
    note((unsigned)f->vector);
    for (; more > 0; more--)
        send_nmi();
    delay_us(20);
    note(LEAVES + (unsigned)f->vector);
}

// An NMI and an interrupt wait for the end of the handler.
static void on_nmi_with_both(struct interrupt_frame *f)
{
    note((unsigned)f->vector);
    if (more > 0) {
        more = 0;
        apic_self_ipi(VECTOR_HERE);
        send_nmi();
    }
    note(LEAVES + (unsigned)f->vector);
}

// An exception's IRET ends blocking too.
static void on_nmi_with_fault(struct interrupt_frame *f)
{
    int fault;
    note((unsigned)f->vector);
    if (more > 0) {
        more = 0;
        send_nmi();
        note(1);
        TRY("ud2", fault, );
        note((unsigned)fault);
        delay_us(20);
    }
    note(LEAVES + (unsigned)f->vector);
}

// HLT in the handler: a blocked NMI does not end it, an interrupt does. Whose IRET unblocks NMIs.
static void on_nmi_with_halt(struct interrupt_frame *f)
{
    note((unsigned)f->vector);
    if (more > 0) {
        more = 0;
        send_nmi();
        apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
        apic_write(APIC_LVT_TIMER, LVT_ONE_SHOT | VECTOR_HERE);
        apic_write(APIC_TIMER_INITIAL, 20000);
        halt_once();
        note(WOKEN);
        apic_write(APIC_LVT_TIMER, LVT_MASKED);
    }
    note(LEAVES + (unsigned)f->vector);
}

void check_nmi(void)
{
    interrupt_set(VECTOR_NMI, on_nmi);
    noted = 0;
    send_nmi();
    report(NOTED(VECTOR_NMI, LEAVES + VECTOR_NMI), "F8: %s: an NMI comes with interrupts off",
           mode_name());
    apic_write(APIC_TPR, 0xff);
    send_nmi();
    apic_write(APIC_TPR, 0);
    report(NOTED(VECTOR_NMI, LEAVES + VECTOR_NMI), "F8: %s: whatever the TPR is", mode_name());
    for (unsigned i = 1; i <= 3; i++) {
        more = i;
        send_nmi();
        report(NOTED(VECTOR_NMI, LEAVES + VECTOR_NMI, VECTOR_NMI, LEAVES + VECTOR_NMI),
               "F8: %s: %u more in the handler: blocked till IRET, then one", mode_name(), i);
    }
    interrupt_set(VECTOR_NMI, on_nmi_with_fault);
    more = 1;
    send_nmi();
    report(NOTED(VECTOR_NMI, 1, VECTOR_NMI, LEAVES + VECTOR_NMI, VECTOR_UD, LEAVES + VECTOR_NMI),
           "F8: %s: the IRET of an exception's handler ends blocking", mode_name());
    interrupt_set(VECTOR_NMI, on_nmi_with_both);
    note_vectors(VECTOR_HERE, 1);
    more = 1;
    interrupts_on();
    send_nmi();
    delay_us(20);
    interrupts_off();
    report(NOTED(VECTOR_NMI, LEAVES + VECTOR_NMI, VECTOR_NMI, LEAVES + VECTOR_NMI, VECTOR_HERE),
           "F8: %s: an NMI comes before an interrupt", mode_name());
    interrupt_set(VECTOR_NMI, on_nmi_with_halt);
    more = 1;
    send_nmi();
    report(
        NOTED(VECTOR_NMI, VECTOR_HERE, VECTOR_NMI, LEAVES + VECTOR_NMI, WOKEN, LEAVES + VECTOR_NMI),
        "F8: %s: a blocked NMI does not wake from HLT", mode_name());
    forget_vectors(VECTOR_HERE, 1);
    interrupt_set(VECTOR_NMI, NULL);
}
