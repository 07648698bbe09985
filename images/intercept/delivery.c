// SPDX-License-Identifier: MIT
// A12, D4: exceptions and interrupts whose delivery reads memory that is caught, a gate of the IDT
// (SDM volume 3, 28.2.4): each comes once, whatever was delivered before it, and what the
// interrupted instruction would read has no part in it.
#include "intercept.h"

enum { TABLE = 0x808000, GATES = 0x60, SIZE = GATES * 16, VECTOR_HERE = 0x58, TIMES = 5 };
enum { GATE = TABLE + VECTOR_HERE * 16, SOURCE = TABLE + 0x800, BYTES = 8 };
enum { P = 1 };

static volatile unsigned taken, refused;
static bool right;

static void on_interrupt(struct interrupt_frame *f)
{
    (void)f;
    taken++;
    apic_eoi();
}

// The interrupt comes again, through the gate of the runtime's own table.
static void on_page_fault(struct interrupt_frame *f)
{
    refused++;
    right &= f->error == P && read_cr2() >= GATE && read_cr2() < GATE + 16;
    interrupt_load();
}

static void exception_and_interrupt(void)
{
    unsigned before = taken;
    int fault;
    TRY("ud2", fault, );
    right &= fault == VECTOR_UD && taken == before;
    apic_self_ipi(VECTOR_HERE);
    interrupts_on();
    interrupts_off();
    right &= taken == before + 1;
}

// The interrupt comes between two elements, or before the first.
static void within_rep(void)
{
    u8 to[BYTES] = {0};
    const void *rsi = (const void *)SOURCE;
    void *rdi = to;
    u64 n = BYTES;
    apic_self_ipi(VECTOR_HERE);
    __asm__ volatile("sti; rep movsb; cli" : "+S"(rsi), "+D"(rdi), "+c"(n)::"memory");
    for (unsigned i = 0; i < BYTES; i++)
        right &= n == 0 && to[i] == i;
}

void part_delivery(void)
{
    struct {
        u16 limit;
        u64 base;
    } PACKED own, here = {SIZE - 1, TABLE};
    enum action a = action_on(READ);
    __asm__ volatile("sidt %0" : "=m"(own));
    memcpy((void *)TABLE, (void *)own.base, SIZE);
    for (unsigned i = 0; i < BYTES; i++)
        ((u8 *)SOURCE)[i] = (u8)i;
    interrupt_set(VECTOR_HERE, on_interrupt);
    interrupt_set(VECTOR_PF, on_page_fault);
    taken = refused = 0;
    right = true;
    for (unsigned i = 0; i <= TIMES; i++) {
        __asm__ volatile("lidt %0" ::"m"(here));
        if (i < TIMES)
            exception_and_interrupt();
        else
            within_rep();
    }
    interrupt_load();
    interrupt_set(VECTOR_PF, NULL);
    interrupt_set(VECTOR_HERE, NULL);
    right &= taken == TIMES + 1 && refused == (a == DENIED ? TIMES + 1 : 0);
    report(right, "A12: %u exceptions and %u interrupts through gates in a range%s", TIMES,
           TIMES + 1, action_name(a));
    hits(2 * TIMES + 1, "mem:0x%x+0x%x:r", TABLE, SIZE);
    hits(TIMES + 1, "mem:0x%x+0x10:r", GATE);
    hits(TIMES + 1, "mem:0x%x+0x1:r", GATE + 7); // 8 bytes are read at once
    hits(BYTES, "mem:0x%x+0x%x:r", SOURCE, BYTES);
}
