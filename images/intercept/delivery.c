// SPDX-License-Identifier: MIT
// Exceptions and interrupts whose delivery touches memory that is caught (COVERAGE A12 and F5; SDM
// volume 3, 28.2.4): what was being delivered comes once, whatever was delivered before it.
#include "intercept.h"

enum { TABLE = 0x808000, GATES = 0x60, SIZE = GATES * 16, VECTOR_HERE = 0x58, TIMES = 5 };

static volatile unsigned taken;

static void on_interrupt(struct interrupt_frame *f)
{
    (void)f;
    taken++;
    apic_eoi();
}

void part_delivery(void)
{
    struct {
        u16 limit;
        u64 base;
    } PACKED own, here = {SIZE - 1, TABLE};
    __asm__ volatile("sidt %0" : "=m"(own));
    memcpy((void *)TABLE, (void *)own.base, SIZE);
    interrupt_set(VECTOR_HERE, on_interrupt);
    taken = 0;
    bool ok = true;
    __asm__ volatile("lidt %0" ::"m"(here));
    for (unsigned i = 0; i < TIMES; i++) {
        int fault;
        TRY("ud2", fault, );
        ok &= fault == VECTOR_UD && taken == i;
        apic_self_ipi(VECTOR_HERE);
        interrupts_on();
        interrupts_off();
        ok &= taken == i + 1;
    }
    interrupt_load();
    interrupt_set(VECTOR_HERE, NULL);
    report(ok, "A12: %u exceptions and interrupts, each through a gate in a range", TIMES);
    hits(2 * TIMES, "mem:0x%x+0x%x:r", TABLE, SIZE);
}
