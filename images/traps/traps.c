// SPDX-License-Identifier: MIT
// D5, D9, F8: debug traps of instructions that the hypervisor carries out, by RFLAGS.TF and by
// breakpoints on data and I/O, and what else waits then: the trap comes first, once for each
// instruction and each iteration. NMIs that come two at a time.
//   others     another CPU sends the NMIs
#include "guest.h"

enum {
    VECTOR_HERE = 0x66,
    NOTES = 16,
    PAIRS = 50,
    PORT = 0x4d0, // the ELCR: emulated
};

#define TRAP_FLAG 0x100ul
#define IOAPIC    0xfec00000ul // its index, 4 bytes; the data 16 bytes on
#define XAPIC     0xfee00000ul

static volatile unsigned noted;
// Vectors, and of a #DB with RCX in bits 8 and up, and what DR6 says in bits 48 and up.
static volatile u64 notes[NOTES];

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
#define NOTHING()  noted_are(0, NULL)

// A #DB by DR6's bits; by the trap flag; by breakpoints n and m.
#define TRAP_BY(dr6, rcx) (VECTOR_DB | (u64)(rcx) << 8 | (u64)(dr6) << 48)
#define TRAP(rcx)         TRAP_BY(DR6_BS, rcx)
#define MET(n, rcx)       TRAP_BY(BIT(n), rcx)
#define MET_2(n, m, rcx)  TRAP_BY(BIT(n) | BIT(m), rcx)

static volatile u64 last_rcx; // at which the trap flag ends

static void on_trap(struct interrupt_frame *f)
{
    u64 dr6;
    __asm__ volatile("mov %%dr6, %0; mov %1, %%dr6" : "=&r"(dr6) : "r"(DR6_RESET));
    note(TRAP_BY(dr6 & (DR6_HITS | DR6_BD | DR6_BS | DR6_BT), f->rcx));
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
    TRAPPED("rep lodsl", 2, "S"(IOAPIC), "a"(0));
    report(NOTED(TRAP(1), TRAP(0)), "D5: of REP LODSD from a device");
}

// ---- breakpoints -------------------------------------------------------------------------------

enum { ON_WRITE = 1, ON_PORT = 2, ON_ACCESS = 3 };
enum { OF_1, OF_2, OF_8, OF_4 };

static u64 dr7;

static void set_dr7(u64 value)
{
    dr7 = value;
    __asm__ volatile("mov %0, %%dr7" ::"r"(value));
}

static void set_breakpoint(unsigned n, u64 address, u64 on, u64 of)
{
    if (n == 0)
        __asm__ volatile("mov %0, %%dr0" ::"r"(address));
    else if (n == 1)
        __asm__ volatile("mov %0, %%dr1" ::"r"(address));
    else if (n == 2)
        __asm__ volatile("mov %0, %%dr2" ::"r"(address));
    else
        __asm__ volatile("mov %0, %%dr3" ::"r"(address));
    set_dr7(dr7 | BIT(2 * n) | on << (16 + 4 * n) | of << (18 + 4 * n));
}

static void set_debugging_extensions(bool on)
{
    u64 cr4 = on ? read_cr4() | CR4_DE : read_cr4() & ~CR4_DE;
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4));
}

// Instructions with RCX as given, which is another behind them: a trap that is late shows.
#define RUN(instructions, count, ...)                 \
    do {                                              \
        u64 rcx_ = (count);                           \
        __asm__ volatile(instructions "\n incq %%rcx" \
                         : "+c"(rcx_)                 \
                         : __VA_ARGS__                \
                         : "memory", "cc");           \
    } while (0)

static void check_device_memory(void)
{
    set_breakpoint(0, IOAPIC + 16, ON_ACCESS, OF_4);
    set_breakpoint(1, IOAPIC + 19, ON_WRITE, OF_4); // LEN aligns it
    for (unsigned i = 0; i < 3; i++)                // by what is remembered of the first time, too
        RUN("movl (%%rsi), %%eax", 7, "S"(IOAPIC + 16), "a"(0));
    report(NOTED(MET(0, 7), MET(0, 7), MET(0, 7)), "D9: a breakpoint on a load from a device");
    RUN("movl %%eax, (%%rsi)", 7, "S"(IOAPIC + 16), "a"(0));
    RUN("orl $0, (%%rsi)", 8, "S"(IOAPIC + 16));
    report(NOTED(MET_2(0, 1, 7), MET_2(0, 1, 8)), "D9: two on a store, and on both at once");
    RUN("movl %%eax, (%%rsi); movl 16(%%rsi), %%eax", 9, "S"(IOAPIC), "a"(1));
    report(NOTED(MET(0, 9)), "D9: behind a store to the device's index");
    RUN("movl (%%rsi), %%eax; movl %%eax, (%%rsi)", 7, "S"(IOAPIC), "a"(0));
    report(NOTHING(), "D9: and none beside it");
    set_breakpoint(2, XAPIC + 0x30, ON_ACCESS, OF_4);
    RUN("movl (%%rsi), %%eax", 7, "S"(XAPIC + 0x30), "a"(0));
    report(NOTED(MET(2, 7)), "D9: on a load from the local APIC");
    set_dr7(DR7_FIXED);
}

static void check_strings(void)
{
    static u8 bytes[4];
    set_breakpoint(0, IOAPIC + 4, ON_ACCESS, OF_4);
    RUN("rep lodsl", 3, "S"(IOAPIC), "a"(0));
    report(NOTED(MET(0, 1)), "D9: behind the iteration of REP LODSD that meets it");
    set_breakpoint(1, (u64)&bytes[1], ON_WRITE, OF_1);
    set_breakpoint(2, (u64)&bytes[3], ON_ACCESS, OF_1);
    RUN("rep insb", 3, "d"(PORT), "D"(bytes));
    report(NOTED(MET(1, 1)), "D9: of REP INSB");
    RUN("rep insb", 2, "d"(PORT), "D"(bytes));
    report(NOTED(MET(1, 0)), "D9: the last of REP INSB");
    RUN("rep outsb", 4, "d"(0x80), "S"(bytes));
    report(NOTED(MET(2, 0)), "D9: of REP OUTSB, by its reads");
    set_dr7(DR7_FIXED);
}

static void check_ports(void)
{
    static u8 bytes[4];
    set_breakpoint(0, PORT, ON_PORT, OF_1);
    set_breakpoint(3, PORT + 1, ON_PORT, OF_2);
    RUN("inb %%dx, %%al", 7, "d"(PORT), "a"(0));
    report(NOTHING(), "D9: none on ports without CR4.DE");
    set_debugging_extensions(true);
    RUN("inb %%dx, %%al", 7, "d"(PORT), "a"(0));
    RUN("outb %%al, %%dx", 8, "d"(PORT + 1), "a"(0));
    RUN("inb %%dx, %%al", 9, "d"(PORT + 2), "a"(0));
    report(NOTED(MET_2(0, 3, 7), MET(3, 8)), "D9: on ports, of IN and OUT");
    RUN("rep insb", 2, "d"(PORT + 1), "D"(bytes));
    report(NOTED(MET(3, 1), MET(3, 0)), "D9: of each iteration of REP INSB");
    last_rcx = 7;
    TRAPPED("inb %%dx, %%al", 7, "d"(PORT), "a"(0));
    report(NOTED(TRAP_BY(DR6_BS | BIT(0) | BIT(3), 7)), "D9: and a single step, in one trap");
    set_breakpoint(1, 0x71, ON_PORT, OF_1);
    for (unsigned i = 0; i < 2; i++)
        RUN("outb %%al, $0x70; inb $0x71, %%al", 7, "a"(0x0f));
    report(NOTED(MET(1, 7), MET(1, 7)), "D9: of an IN behind an OUT to its index");
    set_debugging_extensions(false);
    set_dr7(DR7_FIXED);
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
    dr7 = DR7_FIXED;
    if (!option("others"))
        check_device_memory();
    apic_set_x2apic(true);
    if (option("others")) {
        check_pairs();
        return report_summary();
    }
    check_strings();
    check_ports();
    check_one_instruction();
    check_order();
    check_iterations();
    return report_summary();
}
