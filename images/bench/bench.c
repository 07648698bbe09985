// SPDX-License-Identifier: MIT
// Round trips into the hypervisor as a one-vCPU guest sees them, in TSC ticks: of many warm runs
// the shortest, less what the measuring itself costs. A line for each: "bench NAME TICKS".
//   iterations=N  runs of each, 200 without it
//   msr=N         the MSR that is read, IA32_MISC_ENABLE (0x1a0) without it
//   only=NAME     that one alone
#include "guest.h"

enum { ELCR_PORT = 0x4d0, DEADLINE_AHEAD = 20000, VECTOR_BENCH = 0x60 };

extern void bench_handler_x2apic(void);
extern void bench_handler_xapic(void);
extern volatile u64 bench_taken;

volatile u64 bench_taken; // how many interrupts the handlers took

static u64 iterations;
static u64 overhead;

// One piece of assembly, so that the same instructions lie between two reads wherever it stands.
// The jump is for emulators that count instructions a straight run at a time.
static inline u64 tsc(void)
{
    u64 value;
    __asm__ volatile("jmp 1f; 1: lfence; rdtsc; shl $32, %%rdx; or %%rdx, %%rax"
                     : "=a"(value)::"rdx", "cc", "memory");
    return value;
}

// The shortest time of the statements `operation`, in TSC ticks.
#define SHORTEST(operation)                              \
    ({                                                   \
        u64 shortest_ = UINT64_MAX;                      \
        for (u64 i_ = 0; i_ < iterations; i_++) {        \
            u64 start_ = tsc();                          \
            operation;                                   \
            u64 end_ = tsc();                            \
            shortest_ = MIN(shortest_, end_ - start_);   \
        }                                                \
        shortest_ > overhead ? shortest_ - overhead : 0; \
    })

static bool wanted(const char *name)
{
    char only[32];
    return !option_text("only", only, sizeof(only)) || strcmp(only, name) == 0;
}

static void result(const char *name, u64 ticks)
{
    printf("bench %s %lu\n", name, ticks);
}

// The same registers before and after, so that the compiler adds no moves of its own.
static inline void vmcall(void)
{
    u64 number = 0; // the hypercall that does nothing
    __asm__ volatile("vmcall" : "+a"(number)::"memory");
}

static int vmcall_try(void)
{
    u64 number = 0;
    int fault;
    TRY("vmcall", fault, , "+a"(number)::"memory");
    return fault;
}

static void bench_instructions(void)
{
    if (wanted("cpuid"))
        result("cpuid", SHORTEST(cpuid(1, 0)));
    if (wanted("vmcall")) {
        int fault = vmcall_try();
        if (fault == NO_FAULT)
            result("vmcall", SHORTEST(vmcall()));
        else
            printf("bench: vmcall is absent: vector %d\n", fault);
    }
    if (wanted("msr")) {
        u64 value;
        u32 msr = (u32)option_number("msr", MSR_MISC_ENABLE);
        if (rdmsr_try(msr, &value) == NO_FAULT) {
            printf("bench: msr is 0x%x\n", msr);
            result("msr", SHORTEST(rdmsr(msr)));
        } else {
            printf("bench: msr 0x%x is absent\n", msr);
        }
    }
}

// As drivers read a register behind an index: two instructions, one after the other.
static inline void read_indirect(u64 base, u32 index)
{
    u32 value;
    __asm__ volatile("movl %1, (%2); movl 0x10(%2), %0"
                     : "=r"(value)
                     : "r"(index), "r"(base)
                     : "memory");
}

static void bench_devices(void)
{
    u16 pm_timer = acpi.pm_timer_port;
    u64 ioapic = acpi.ioapic_address;
    if (wanted("port"))
        result("port", SHORTEST(inb(ELCR_PORT)));
    if (wanted("pmtimer") && pm_timer != 0)
        result("pmtimer", SHORTEST(inl(pm_timer)));
    else if (wanted("pmtimer"))
        printf("bench: pmtimer is absent: the FADT names no port\n");
    if (wanted("mmio-pair") && ioapic != 0)
        result("mmio-pair", SHORTEST(read_indirect(ioapic, 1)));
    if (wanted("mmio") && ioapic != 0)
        result("mmio", SHORTEST(read32(ioapic)));
    else if (wanted("mmio"))
        printf("bench: mmio is absent: the MADT names no IOAPIC\n");
}

// Interrupts on for one instruction, which is enough to take what is pending.
static inline void take_pending(void)
{
    __asm__ volatile("sti; nop; cli" ::: "memory");
}

static inline void self_ipi(bool x2apic)
{
    if (x2apic)
        wrmsr(0x800 + APIC_SELF_IPI / 16, VECTOR_BENCH);
    else
        write32(0xfee00000u + APIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR_BENCH);
}

static void check_taken(const char *name, u64 before)
{
    u64 taken = bench_taken - before;
    if (taken != iterations)
        printf("bench: %s: %lu interrupts taken in %lu runs\n", name, taken, iterations);
}

static void bench_ipis(bool x2apic)
{
    u64 before = bench_taken;
    if (wanted("self-ipi")) {
        interrupts_on();
        u64 ticks = SHORTEST(self_ipi(x2apic));
        interrupts_off();
        check_taken("self-ipi", before);
        result("self-ipi", ticks);
    }
    before = bench_taken;
    if (wanted("hlt-wake")) {
        // Sent with interrupts off: it is there when HLT starts, and wakes it.
        result("hlt-wake", SHORTEST(self_ipi(x2apic); halt_once()));
        check_taken("hlt-wake", before);
    }
}

// Setting the timer is one round trip. Taking it is what lies between the deadline and the first
// instruction after the handler, in a guest that is running. The two together are a timer's cost.
static void bench_deadline(void)
{
    if (!wanted("tscdeadline"))
        return;
    if (!timer_has_deadline_mode()) {
        printf("bench: tscdeadline is absent: CPUID offers no TSC-deadline timer\n");
        return;
    }
    apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_BENCH);
    __asm__ volatile("mfence" ::: "memory");
    u64 second = tsc_hz();
    u64 set = SHORTEST(wrmsr(MSR_TSC_DEADLINE, start_ + second));
    u64 shortest = UINT64_MAX;
    u64 before = bench_taken;
    for (u64 i = 0; i < iterations; i++) {
        u64 deadline = tsc() + DEADLINE_AHEAD;
        u64 seen = bench_taken;
        wrmsr(MSR_TSC_DEADLINE, deadline);
        interrupts_on();
        while (bench_taken == seen && tsc() < deadline + tsc_hz())
            cpu_pause();
        u64 end = tsc();
        interrupts_off();
        if (end > deadline)
            shortest = MIN(shortest, end - deadline);
    }
    check_taken("tscdeadline", before);
    u64 taken = shortest > overhead ? shortest - overhead : 0;
    result("tscdeadline-set", set);
    result("tscdeadline-taken", taken);
    result("tscdeadline", set + taken);
}

int main(void)
{
    bool x2apic = apic_is_x2apic();
    iterations = MAX(option_number("iterations", 200), 1ull);
    overhead = SHORTEST();
    printf("bench: %lu runs of each, less %lu ticks for reading the TSC, %s\n", iterations,
           overhead, x2apic ? "x2APIC" : "xAPIC");
    interrupt_set_raw(VECTOR_BENCH, x2apic ? bench_handler_x2apic : bench_handler_xapic);
    bench_instructions();
    bench_devices();
    bench_ipis(x2apic);
    take_pending();
    bench_deadline();
    printf("bench: done\n");
    return EXIT_OK;
}
