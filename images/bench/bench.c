// SPDX-License-Identifier: MIT
// Round trips into the hypervisor as a one-vCPU guest sees them, in TSC ticks: of many warm runs
// the shortest, less what the measuring itself costs. A line for each: "bench NAME TICKS".
//   iterations=N  runs of each, 200 without it
//   msr=N         the MSR that is read, IA32_MISC_ENABLE (0x1a0) without it
//   only=NAME     that one alone
//   switch=1      with two vCPUs: the switch between them on one core, and interrupts to the one
//                 that waits for its turn; without it, interrupts between two cores
//   crowd first=N with many vCPUs on one core: the switch (crowd.c)
//   wake          with several vCPUs on one core: how long one that is woken waits (share.c)
//   share         with other VMs on its core: its share of a second (share.c)
//   items=WHICH   what items of `intercept` catch, and what is beside it (items.c)
// Under a hypervisor that counts also "count NAME RUNS VMREADS VMWRITES MSRS EXITS", for all runs.
#include "bench.h"

enum { ELCR_PORT = 0x4d0, ABSENT_PORT = 0x2c8, ABSENT_MEMORY = 0xfed40000 };
enum { DEADLINE_AHEAD = 20000, HYPERCALL_COUNT = 0x100, HYPERCALL_UNKNOWN = 0x1000 };

volatile u64 bench_taken;
u64 iterations, overhead;

static bool has_vmcall;
static struct counts counting; // what reading the counters itself costs

bool wanted(const char *name)
{
    char only[32];
    return !option_text("only", only, sizeof(only)) || strcmp(only, name) == 0;
}

// What is measured next is measured when the line has gone out, and nobody looks after it any more.
#define SETTLE_US 25000

void result(const char *name, u64 ticks)
{
    printf("bench %s %lu\n", name, ticks);
    delay_us(SETTLE_US);
}

static u64 hypercall(u64 number)
{
    __asm__ volatile("vmcall" : "+a"(number)::"memory");
    return number;
}

// Hypercalls answer what they do not know with a small negative number: -1 here, KVM's -1000.
bool counts_are_there(void)
{
    return has_vmcall && (i64)hypercall(HYPERCALL_COUNT) >= 0;
}

struct counts counts_read(void)
{
    struct counts c = {.vmreads = hypercall(HYPERCALL_COUNT)};
    c.vmwrites = hypercall(HYPERCALL_COUNT + 1);
    c.msrs = hypercall(HYPERCALL_COUNT + 2);
    c.exits = hypercall(HYPERCALL_COUNT + 3);
    return c;
}

static struct counts less(struct counts a, struct counts b)
{
    return (struct counts){a.vmreads - b.vmreads, a.vmwrites - b.vmwrites, a.msrs - b.msrs,
                           a.exits - b.exits};
}

struct counts counts_since(struct counts before)
{
    return less(less(counts_read(), before), counting);
}

struct counts counts_least(struct counts a, struct counts b)
{
    return (struct counts){MIN(a.vmreads, b.vmreads), MIN(a.vmwrites, b.vmwrites),
                           MIN(a.msrs, b.msrs), MIN(a.exits, b.exits)};
}

void result_counts(const char *name, struct counts sum, u64 runs)
{
    printf("count %s %lu %lu %lu %lu %lu\n", name, runs, sum.vmreads, sum.vmwrites, sum.msrs,
           sum.exits);
}

static void counts_init(void)
{
    if (counts_are_there())
        counting = LEAST();
}

// The same registers before and after, so that the compiler adds no moves of its own.
static inline void vmcall(void)
{
    u64 number = 0; // the hypercall that does nothing
    __asm__ volatile("vmcall" : "+a"(number)::"memory");
}

static inline void vmcall_unknown(void)
{
    u64 number = HYPERCALL_UNKNOWN;
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
        MEASURE("cpuid", cpuid(1, 0));
    if (wanted("vmcall")) {
        if (has_vmcall)
            MEASURE("vmcall", vmcall());
        else
            printf("bench: vmcall is absent\n");
    }
    if (wanted("vmcall-unknown") && has_vmcall)
        MEASURE("vmcall-unknown", vmcall_unknown());
    if (wanted("msr")) {
        u64 value;
        u32 msr = (u32)option_number("msr", MSR_IA32_MISC_ENABLE);
        if (rdmsr_try(msr, &value) == NO_FAULT) {
            printf("bench: msr is 0x%x\n", msr);
            MEASURE("msr", rdmsr(msr));
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

// As they write it.
static inline void write_indirect(u64 base, u32 index, u32 value)
{
    __asm__ volatile("movl %0, (%2); movl %1, 0x10(%2)"
                     :
                     : "r"(index), "r"(value), "r"(base)
                     : "memory");
}

static inline void read_cmos(u8 index)
{
    __asm__ volatile("outb %%al, $0x70; inb $0x71, %%al" : "+a"(index));
}

static void bench_devices(void)
{
    u16 pm_timer = acpi.pm_timer_port;
    u64 ioapic = acpi.ioapic_address;
    if (wanted("port"))
        MEASURE("port", inb(ELCR_PORT));
    if (wanted("port-write"))
        MEASURE("port-write", outb(ELCR_PORT, 0));
    if (wanted("port-wide"))
        MEASURE("port-wide", outl(ELCR_PORT, 0));
    if (wanted("port-absent"))
        MEASURE("port-absent", inb(ABSENT_PORT));
    if (wanted("pmtimer") && pm_timer != 0)
        MEASURE("pmtimer", inl(pm_timer));
    else if (wanted("pmtimer"))
        printf("bench: pmtimer is absent: the FADT names no port\n");
    if (wanted("mmio-pair") && ioapic != 0)
        MEASURE("mmio-pair", read_indirect(ioapic, 1));
    if (wanted("mmio-pair-write") && ioapic != 0)
        MEASURE("mmio-pair-write", write_indirect(ioapic, 2, 0)); // the arbitration ID is read-only
    if (wanted("port-pair"))
        MEASURE("port-pair", read_cmos(0x0f));
    if (wanted("mmio") && ioapic != 0)
        MEASURE("mmio", read32(ioapic));
    else if (wanted("mmio"))
        printf("bench: mmio is absent: the MADT names no IOAPIC\n");
    if (wanted("mmio-absent"))
        MEASURE("mmio-absent", read32(ABSENT_MEMORY));
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
        write32(XAPIC_PAGE + APIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR_BENCH);
}

void check_taken(const char *name, u64 before, u64 runs)
{
    u64 taken = bench_taken - before;
    if (taken != runs)
        printf("bench: %s: %lu interrupts taken in %lu runs\n", name, taken, runs);
}

static void bench_ipis(bool x2apic)
{
    u64 runs = counts_are_there() ? 2 * iterations : iterations;
    u64 before = bench_taken;
    if (wanted("self-ipi")) {
        interrupts_on();
        MEASURE("self-ipi", self_ipi(x2apic));
        interrupts_off();
        check_taken("self-ipi", before, runs);
    }
    if (wanted("tpr") && x2apic)
        MEASURE("tpr", wrmsr(0x800 + APIC_TPR / 16, 0));
    before = bench_taken;
    if (wanted("hlt-wake")) {
        // Sent with interrupts off: it is there when HLT starts, and wakes it.
        MEASURE("hlt-wake", self_ipi(x2apic); halt_once());
        check_taken("hlt-wake", before, runs);
    }
}

// An EOI alone, of an interrupt whose handler has left it out.
static void bench_eoi(bool x2apic)
{
    if (!wanted("eoi"))
        return;
    if (!x2apic) {
        printf("bench: eoi is absent: no x2APIC\n");
        return;
    }
    interrupt_set_raw(VECTOR_NO_EOI, bench_handler_no_eoi);
    bool counted = counts_are_there();
    struct counts least = COUNTS_MAX;
    u64 shortest = UINT64_MAX, before = bench_taken;
    for (u64 i = 0; i < iterations; i++) {
        wrmsr(0x800 + APIC_SELF_IPI / 16, VECTOR_NO_EOI);
        take_pending();
        struct counts counts = counted ? counts_read() : COUNTS_MAX;
        u64 start = tsc();
        wrmsr(0x800 + APIC_EOI / 16, 0);
        u64 end = tsc();
        shortest = MIN(shortest, end - start);
        if (counted)
            least = counts_least(least, counts_since(counts));
    }
    if (counted)
        result_counts("eoi", least, 1);
    check_taken("eoi", before, iterations);
    result("eoi", shortest > overhead ? shortest - overhead : 0);
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
    u64 set = SHORTEST(wrmsr(MSR_IA32_TSC_DEADLINE, start_ + second));
    u64 shortest = UINT64_MAX;
    u64 before = bench_taken;
    bool counted = counts_are_there();
    struct counts least = COUNTS_MAX;
    for (u64 i = 0; i < iterations; i++) {
        struct counts counts = counted ? counts_read() : COUNTS_MAX;
        u64 deadline = tsc() + DEADLINE_AHEAD;
        u64 seen = bench_taken;
        wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
        interrupts_on();
        while (bench_taken == seen && tsc() < deadline + second)
            ;
        u64 end = tsc();
        interrupts_off();
        if (end > deadline)
            shortest = MIN(shortest, end - deadline);
        if (counted)
            least = counts_least(least, counts_since(counts));
    }
    if (counted)
        result_counts("tscdeadline", least, 1);
    check_taken("tscdeadline", before, iterations);
    u64 taken = shortest > overhead ? shortest - overhead : 0;
    result("tscdeadline-set", set);
    result("tscdeadline-taken", taken);
    result("tscdeadline", set + taken);
}

int main(void)
{
    bool x2apic = apic_is_x2apic();
    iterations = MAX(option_number("iterations", 200), 1ul);
    overhead = SHORTEST();
    printf("bench: %lu runs of each, less %lu ticks for reading the TSC, %s\n", iterations,
           overhead, x2apic ? "x2APIC" : "xAPIC");
    interrupt_set_raw(VECTOR_BENCH, x2apic ? bench_handler_x2apic : bench_handler_xapic);
    has_vmcall = vmcall_try() == NO_FAULT;
    counts_init();
    char items[2];
    if (option("share") || option_text("items", items, sizeof(items))) {
        option("share") ? bench_share() : bench_items();
        return EXIT_OK;
    }
    if (boot_info.cpus > 1) {
        bench_smp(x2apic);
        return EXIT_OK;
    }
    bench_instructions();
    bench_devices();
    bench_ipis(x2apic);
    take_pending();
    bench_eoi(x2apic);
    bench_deadline();
    printf("bench: done\n");
    return EXIT_OK;
}
