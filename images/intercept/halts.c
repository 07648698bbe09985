// SPDX-License-Identifier: MIT
// A1, A2, A3: HLT, PAUSE, loops of PAUSE, and external interrupts.
#include "intercept.h"

enum { HALTS = 7, PAUSES = 11, TICKS = 5, LOOP = 20000, APART = 50 };

static int hlt_try(void)
{
    int fault;
    TRY("hlt", fault, ::"memory");
    return fault;
}

void part_hlt(void)
{
    enum action a = action_on(READ);
    unsigned right = 0;
    if (a == AS_EVER) {
        timer_init();
        u64 before = interrupts[VECTOR_TIMER];
        for (unsigned i = 0; i < HALTS; i++) {
            timer_at(rdtsc() + tsc_us(200));
            halt_once(); // nothing but its timer is there to wake it
            right += interrupts[VECTOR_TIMER] == before + i + 1;
        }
        report(right == HALTS, "A1: %u HLTs, each woken by the timer", HALTS);
    } else {
        for (unsigned i = 0; i < HALTS; i++)
            right += went(a, hlt_try(), VECTOR_GP) && caught_error == 0;
        report(right == HALTS, "A1: %u HLTs%s, with interrupts off", HALTS, action_name(a));
    }
    hits(HALTS, "hlt");
}

void part_pause(void)
{
    enum action a = action_on(READ);
    unsigned right = 0;
    for (unsigned i = 0; i < PAUSES; i++) {
        int fault;
        TRY("pause", fault, ::"memory");
        right += went(a, fault, VECTOR_UD);
        __asm__ volatile("nop; xchg %%ebx, %%ebx" ::: "rbx"); // not PAUSE
    }
    report(right == PAUSES, "A2: %u PAUSEs%s", PAUSES, action_name(a));
    hits(PAUSES, "pause");
}

void part_ple(void)
{
    u64 n = LOOP;
    __asm__ volatile("1: pause; dec %0; jnz 1b" : "+r"(n)::"memory", "cc");
    report(n == 0, "A2: a loop of %u PAUSEs ended", LOOP);
}

void part_apart(void)
{
    unsigned n = 0;
    while (n < APART) {
        u64 end = rdtsc() + 20000;
        cpu_pause();
        while (rdtsc() < end)
            __asm__ volatile("" ::: "memory");
        n++;
    }
    report(n == APART, "A2: %u PAUSEs, each long after the one before", APART);
}

void part_extint(void)
{
    timer_init();
    u64 before = interrupts[VECTOR_TIMER];
    for (unsigned i = 0; i < TICKS; i++) {
        timer_at(rdtsc() + tsc_us(100));
        WAIT_FOR((interrupts_on(), interrupts_off(), interrupts[VECTOR_TIMER] == before + i + 1),
                 500);
    }
    u64 others = 0;
    for (unsigned v = 0; v < 256; v++)
        others += v != VECTOR_TIMER && v >= 32 ? interrupts[v] : 0;
    report(interrupts[VECTOR_TIMER] == before + TICKS && others == 0,
           "A3: %u interrupts of its own timer, and no others", TICKS);
}
