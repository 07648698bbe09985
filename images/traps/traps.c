// SPDX-License-Identifier: MIT
// D5, F8: debug traps of instructions that the hypervisor carries out, and what else waits then:
// the trap comes first, once for each instruction and each iteration. NMIs that come two at a time.
//   others     another CPU sends the NMIs
#include "guest.h"

enum {
    VECTOR_HERE = 0x66,
    NOTES = 16,
    PAIRS = 50,
    PORT = 0x4d0, // the ELCR: emulated
};

#define TRAP_FLAG 0x100ul

static volatile unsigned noted;
static volatile u64 notes[NOTES]; // vectors, and of a #DB with RCX in bits 8 and up

static void note(u64 what)
{
    if (noted < NOTES)
        notes[noted] = what;
    noted++;
}

static bool noted_are(unsigned count, const u64 *wanted)
{
    bool same = noted == count;
    for (unsigned i = 0; same && i < count; i++)
        same = notes[i] == wanted[i];
    for (unsigned i = 0; !same && i < noted && i < NOTES; i++)
        printf("traps: noted %lx\n", notes[i]);
    noted = 0;
    return same;
}
#define NOTED(...) noted_are(sizeof((u64[]){__VA_ARGS__}) / sizeof(u64), (const u64[]){__VA_ARGS__})
#define TRAP(rcx)  (VECTOR_DB | (u64)(rcx) << 8)

static volatile u64 last_rcx; // at which the trap flag ends

static void on_trap(struct interrupt_frame *f)
{
    note(TRAP(f->rcx));
    if (f->rcx == last_rcx)
        f->rflags &= ~TRAP_FLAG;
}

static void on_interrupt(struct interrupt_frame *f)
{
    note(f->vector);
    apic_write(APIC_EOI, 0);
}

static volatile u64 nmis;

static void on_nmi(struct interrupt_frame *f)
{
    note(f->vector);
    nmis++;
}

// One instruction with the trap flag set; RCX as given, which it may change.
#define TRAPPED(instruction, count, ...)                                    \
    do {                                                                    \
        u64 rcx_ = (count);                                                 \
        __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq\n" instruction \
                         : "+c"(rcx_)                                       \
                         : __VA_ARGS__                                      \
                         : "memory", "cc");                                 \
    } while (0)

static void check_one_instruction(void)
{
    last_rcx = 0;
    TRAPPED("inb %%dx, %%al", 0, "d"(PORT), "a"(0));
    report(NOTED(TRAP(0)), "D5: a trap behind IN");
    TRAPPED("hlt", 0, "d"(0));
    report(NOTED(TRAP(0)), "D5: a trap ends HLT with interrupts off");
    interrupts_on();
    TRAPPED("hlt", 0, "d"(0));
    interrupts_off();
    report(NOTED(TRAP(0)), "D5: and with interrupts on");
}

// The WRMSR sends an interrupt, or an NMI, to its own CPU: it waits when the trap is due.
static void check_order(void)
{
    u32 low = ICR_ASSERT | VECTOR_HERE;
    last_rcx = MSR_IA32_X2APIC_ICR;
    interrupts_on();
    TRAPPED("wrmsr", MSR_IA32_X2APIC_ICR, "a"(low), "d"(apic_id()));
    interrupts_off();
    report(NOTED(TRAP(MSR_IA32_X2APIC_ICR), VECTOR_HERE),
           "D5: the trap behind WRMSR, then its IPI");
    TRAPPED("wrmsr", MSR_IA32_X2APIC_ICR, "a"(ICR_ASSERT | ICR_NMI), "d"(apic_id()));
    // Nothing blocks an NMI in the trap's handler: it comes at its first instruction.
    report(NOTED(VECTOR_NMI, TRAP(MSR_IA32_X2APIC_ICR)), "D5: the trap behind WRMSR, and its NMI");
}

static void check_iterations(void)
{
    static u8 bytes[4];
    last_rcx = 0;
    TRAPPED("rep insb", 3, "d"(PORT), "D"(bytes));
    report(NOTED(TRAP(2), TRAP(1), TRAP(0)), "D5: a trap behind each iteration of REP INSB");
    TRAPPED("rep outsb", 2, "d"(0x80), "S"(bytes));
    report(NOTED(TRAP(1), TRAP(0)), "D5: of REP OUTSB");
    TRAPPED("rep lodsl", 2, "S"(0xfec00000ul), "a"(0));
    report(NOTED(TRAP(1), TRAP(0)), "D5: of REP LODSD from a device");
}

static void send_pairs(unsigned cpu)
{
    u32 target = smp_apic_id(0);
    if (cpu != 1)
        return;
    apic_set_x2apic(true);
    for (unsigned i = 0; i < PAIRS; i++) {
        u64 before = __atomic_load_n(&nmis, __ATOMIC_ACQUIRE);
        apic_send(target, ICR_NMI | ICR_ASSERT);
        apic_send(target, ICR_NMI | ICR_ASSERT);
        for (unsigned n = 0; n < 1000 && __atomic_load_n(&nmis, __ATOMIC_ACQUIRE) < before + 2; n++)
            delay_us(10);
    }
    __atomic_store_n(&last_rcx, 1, __ATOMIC_RELEASE);
}

static void check_pairs(void)
{
    last_rcx = nmis = 0;
    smp_start(send_pairs);
    // Both come while the hypervisor carries out a long instruction.
    while (__atomic_load_n(&last_rcx, __ATOMIC_ACQUIRE) == 0) {
        static u8 bytes[200];
        u64 count = sizeof(bytes);
        u8 *to = bytes;
        __asm__ volatile("rep insb" : "+c"(count), "+D"(to) : "d"(PORT) : "memory");
    }
    report(nmis == 2 * PAIRS, "F8: of %u NMIs that came two at a time, %lu were taken", 2 * PAIRS,
           nmis);
}

int main(void)
{
    interrupt_set(VECTOR_DB, on_trap);
    interrupt_set(VECTOR_NMI, on_nmi);
    interrupt_set(VECTOR_HERE, on_interrupt);
    apic_set_x2apic(true);
    if (option("others")) {
        check_pairs();
        return report_summary();
    }
    check_one_instruction();
    check_order();
    check_iterations();
    return report_summary();
}
