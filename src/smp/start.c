// SPDX-License-Identifier: MIT
#include "smp/start.h"

#include "boot/acpi.h"
#include "boot/log.h"
#include "boot/memory.h"
#include "boot/paging.h"
#include "lib/cpu.h"
#include "lib/lock.h"
#include "lib/string.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/lost.h"
#include "smp/message.h"
#include "smp/time.h"
#include "smp/timer.h"
#include "smp/watchdog.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"

#define STACK_SIZE     (16 * KiB)
#define IST_STACK_SIZE (4 * KiB)
#define SECOND_SIPI_US 200
#define ONLINE_US      3000000 // without another core coming
#define NMI_REACH_US   100

extern u8 trampoline_start[], trampoline_end[];
extern u8 trampoline_long_mode[]; // offset of the 64-bit code, as a symbol's value

struct core *cores[CORES_MAX];
unsigned core_count;
u32 cores_online;

// What the trampoline looks up: APIC ID and block, parallel to cores[].
u32 start_apic_id[CORES_MAX];
struct core *start_core[CORES_MAX];
u32 start_count;
static void (*start_entry)(void);

void start_core_main(struct core *c);

// Parameters at the end of the trampoline, filled in before it is used.
struct trampoline_parameters {
    u32 cr3;
    u32 nx;
    u32 entry; // far pointer to the 64-bit code
    u16 entry_selector;
    u16 gdt_limit;
    u32 gdt_base;
    u8 padding[4];
    u64 gdt[3];
} PACKED;

_Static_assert(sizeof(struct trampoline_parameters) == 48, "trampoline.S leaves that much room");

static struct core *core_new(unsigned number, u32 id)
{
    hpa_t pages = memory_alloc(ALIGN_UP(sizeof(struct core), PAGE_SIZE), PAGE_SIZE);
    if (pages.v == 0)
        return NULL;
    struct core *c = phys_to_virt(pages);
    memset(c, 0, sizeof(*c));
    c->self = c;
    c->number = number;
    c->apic_id = id;
    c->timer_deadline = UINT64_MAX;
    c->watch_due = UINT64_MAX;
    c->slice_end = UINT64_MAX;
    timers_update(c);
    c->stack_top = stack_alloc(STACK_SIZE);
    bool ok = c->stack_top != NULL;
    for (unsigned i = IST_NMI; i <= IST_MACHINE_CHECK && ok; i++) {
        c->tss.ist[i - 1] = (u64)stack_alloc(IST_STACK_SIZE);
        ok = c->tss.ist[i - 1] != 0;
    }
    return ok ? c : NULL;
}

static void wake_irq(void)
{
    core_attention(this_core());
}

static void stop_others(void)
{
    for (unsigned i = 0; i < core_count; i++) {
        if (cores[i] != this_core() &&
            __atomic_load_n(&cores[i]->online, __ATOMIC_ACQUIRE) == CORE_ONLINE)
            apic_send_nmi(cores[i]->apic_id);
    }
    time_delay_us(NMI_REACH_US);
}

// An NMI that neither a panic nor the watchdog sent has no meaning for us (hardware errors are the
// firmware's): counted. It may have come while this core held any lock, so nothing more is done
// here.
static void nmi(const struct trap_frame *f)
{
    while (panic_is_on())
        core_stop();
    struct core *c = this_core();
    c->nmis++;
    watchdog_nmi(c, f);
}

void smp_init(void)
{
    u32 boot_id = cpuid(1, 0).ebx >> 24;
    if (cpuid(0, 0).eax >= 0xb && cpuid(0xb, 0).ebx != 0)
        boot_id = cpuid(0xb, 0).edx;

    idt_init();
    cores[0] = core_new(0, boot_id);
    core_count = 1;
    for (unsigned i = 0; i < acpi.cpus; i++) {
        if (acpi.apic_id[i] == boot_id)
            continue;
        struct core *c = core_count < CORES_MAX ? core_new(core_count, acpi.apic_id[i]) : NULL;
        if (c == NULL) {
            log_line("smp", "CPU with APIC ID %u left out: %s", acpi.apic_id[i],
                     core_count < CORES_MAX ? "no memory for its block" : "more than we manage");
            continue;
        }
        cores[core_count++] = c;
    }
    irq_set_handler(VECTOR_WAKE, wake_irq);
    irq_set_handler(VECTOR_TIMER, wake_irq);
    irq_set_handler(VECTOR_POSTED, wake_irq);
    nmi_handler = nmi;
    panic_stop_others = stop_others;
    descriptors_load(cores[0]);
    cores[0]->online = CORE_ONLINE;
    cores_housekeeping = cores[0];
    cores_online = 1;
}

void start_core_main(struct core *c)
{
    descriptors_load(c);
    paging_enable();
    apic_init();
    u32 expected = CORE_STARTING;
    if (!__atomic_compare_exchange_n(&c->online, &expected, CORE_ONLINE, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED)) {
        for (;;) // too late: the others have gone on without us
            core_stop();
    }
    __atomic_fetch_add(&cores_online, 1, __ATOMIC_ACQ_REL);
    start_entry();
}

// Waits until all cores are online, or none has come for so long. Returns whether all are.
static bool wait_online(u64 us)
{
    u64 end = time_us() + us;
    u32 seen = 0;
    for (;;) {
        u32 online = __atomic_load_n(&cores_online, __ATOMIC_ACQUIRE);
        if (online == core_count)
            return true;
        u64 now = time_us();
        if (online != seen)
            end = now + us;
        else if (now > end)
            return false;
        seen = online;
        cpu_relax();
    }
}

static void startup_missing(u8 page)
{
    for (unsigned i = 1; i < core_count; i++) {
        if (!__atomic_load_n(&cores[i]->online, __ATOMIC_ACQUIRE))
            apic_send_startup(cores[i]->apic_id, page);
    }
}

unsigned smp_start(void (*entry)(void))
{
    hpa_t page = memory_low_page();
    start_entry = entry;
    if (core_count > 1 && page.v == 0) {
        log_line("smp", "no page below 1 MiB to start the other cores from");
    } else if (core_count > 1) {
        for (unsigned i = 0; i < core_count; i++) {
            start_apic_id[i] = cores[i]->apic_id;
            start_core[i] = cores[i];
        }
        start_count = core_count;

        u8 *code = phys_to_virt(page);
        size_t size = (size_t)(trampoline_end - trampoline_start);
        memcpy(code, trampoline_start, size);
        void *p = code + size - sizeof(struct trampoline_parameters);
        struct trampoline_parameters *parameters = p;
        parameters->cr3 = paging_trampoline(page);
        parameters->nx = rdmsr(MSR_EFER) & EFER_NXE ? EFER_NXE : 0;
        parameters->entry = (u32)(page.v + (u64)trampoline_long_mode);
        parameters->entry_selector = SELECTOR_CODE;
        parameters->gdt_limit = sizeof(parameters->gdt) - 1;
        parameters->gdt_base = (u32)(page.v + (u64)((u8 *)parameters->gdt - code));
        memcpy(parameters->gdt, cores[0]->gdt, sizeof(parameters->gdt));

        for (unsigned i = 1; i < core_count; i++)
            apic_send_init(cores[i]->apic_id);
        time_delay_us(10);
        startup_missing((u8)(page.v >> PAGE_SHIFT));
        if (!wait_online(SECOND_SIPI_US)) {
            startup_missing((u8)(page.v >> PAGE_SHIFT));
            wait_online(ONLINE_US);
        }
    }
    u32 came = 1;
    for (unsigned i = 1; i < core_count; i++) {
        u32 expected = CORE_STARTING;
        if (__atomic_compare_exchange_n(&cores[i]->online, &expected, CORE_GIVEN_UP, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            log_line("smp", "core %u (APIC ID %u) did not come up", i, cores[i]->apic_id);
        else
            came++;
    }
    while (__atomic_load_n(&cores_online, __ATOMIC_ACQUIRE) < came)
        cpu_relax(); // the last one is online and about to count itself
    log_line("smp", "%u of %u cores online, %s", cores_online, core_count,
             apic_is_x2apic() ? "x2APIC" : "xAPIC");
    return cores_online;
}

void smp_barrier(void)
{
    static u32 arrived, generation;
    u32 mine = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) ==
        __atomic_load_n(&cores_online, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&arrived, 0, __ATOMIC_RELAXED);
        __atomic_fetch_add(&generation, 1, __ATOMIC_ACQ_REL);
        return;
    }
    while (__atomic_load_n(&generation, __ATOMIC_ACQUIRE) == mine)
        cpu_relax();
}
