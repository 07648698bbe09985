// SPDX-License-Identifier: MIT
// INIT and start-up IPIs (SDM 9.4, 11.4.7.3, 11.6.1): a CPU that waits for one, taken offline,
// started elsewhere.
//   bsp   INIT to the boot processor, which ends the VM
#include "checks.h"
#include "cpus.h"
#include "guest.h"

enum { PAGE_A = 0x5000, PAGE_B = 0x6000, STARTED = 0xf00, CR0_AFTER_INIT = CR0_CD | 0x10 };
enum { ROUNDS = 50, ICR_LEVEL = BIT(15) };

struct started { // as start.S writes it
    u32 count, edx, cr0, apic_base, cs;
};

extern const u8 start_page[], start_page_end[];

static u32 target; // APIC ID

static volatile struct started *at(u64 page)
{
    return (volatile struct started *)(page + STARTED);
}

static void init(void)
{
    apic_send(target, ICR_INIT | ICR_ASSERT);
}

static void sipi(u64 page)
{
    apic_send(target, ICR_STARTUP | ICR_ASSERT | (u32)(page >> PAGE_SHIFT));
}

// Whether the counts are these, now and a little later.
static bool starts(u32 a, u32 b)
{
    bool came = WAIT_FOR(at(PAGE_A)->count == a && at(PAGE_B)->count == b, 1000);
    delay_us(3000);
    return came && at(PAGE_A)->count == a && at(PAGE_B)->count == b;
}

static void prepare(u64 page)
{
    memset((void *)page, 0, PAGE_SIZE);
    memcpy((void *)page, start_page, (size_t)(start_page_end - start_page));
}

static volatile bool answered;

static void answer(void)
{
    answered = true;
}

static bool answers_within(unsigned cpu, u64 limit_ms)
{
    answered = false;
    give_job(cpu, answer);
    return WAIT_FOR(answered, limit_ms);
}

static bool answers(unsigned cpu)
{
    return answers_within(cpu, 1000);
}

// Of CR0 INIT leaves this and NW as they are; NW is 0 already.
static void set_cd(void)
{
    __asm__ volatile("mov %0, %%cr0" ::"r"(read_cr0() | CR0_CD));
}

static void check_state(void)
{
    volatile struct started *s = at(PAGE_A);
    report(s->cs == PAGE_A >> 4 && s->cr0 == CR0_AFTER_INIT && s->edx == cpuid(1, 0).eax,
           "F11: %s: it begins in real mode (CS 0x%x, CR0 0x%x, EDX 0x%x)", mode_name(), s->cs,
           s->cr0, s->edx);
    report(s->apic_base == (u32)(rdmsr(MSR_IA32_APIC_BASE) & ~(u64)APIC_BASE_BSP),
           "F11: %s: INIT leaves the APIC's mode (0x%x)", mode_name(), s->apic_base);
}

static void check_start(void)
{
    unsigned last = online - 1;
    u64 before = received[last];
    sipi(PAGE_A);
    report(starts(0, 0) && answers(last), "F11: %s: a start-up IPI to a running CPU does nothing",
           mode_name());
    apic_send(target, ICR_INIT | ICR_LEVEL);
    report(answers(last), "F11: %s: INIT level de-assert does nothing", mode_name());

    on_cpu(last, set_cd);
    sipi(PAGE_A); // lost, even if the CPU has not seen it yet
    init();
    report(starts(0, 0), "F11: %s: after INIT it waits", mode_name());
    apic_send(target, ICR_ASSERT | VECTOR_IPI);
    report(!answers_within(last, 50) && received[last] == before, "F11: %s: and takes no interrupt",
           mode_name());
    init();
    report(starts(0, 0), "F11: %s: a second INIT changes nothing", mode_name());
    sipi(PAGE_A);
    report(starts(1, 0), "F11: %s: the start-up IPI starts it", mode_name());
    check_state();
    sipi(PAGE_B);
    sipi(PAGE_A);
    report(starts(1, 0), "F11: %s: once only", mode_name());
    init();
    sipi(PAGE_B);
    report(starts(1, 1) && at(PAGE_B)->cs == PAGE_B >> 4,
           "F11: %s: offline by INIT, and started at another page", mode_name());
    init();
    sipi(PAGE_A);
    sipi(PAGE_B);
    report(starts(2, 1), "F11: %s: of two start-up IPIs the first counts", mode_name());
    bool right = true;
    for (u32 i = 1; i <= ROUNDS && right; i++) {
        init();
        sipi(PAGE_A);
        right &= WAIT_FOR(at(PAGE_A)->count == 2 + i, 1000);
    }
    report(right && starts(2 + ROUNDS, 1), "F11: %s: %u times offline and online", mode_name(),
           ROUNDS);
}

static void check_nobody_else(void)
{
    bool right = true;
    for (unsigned cpu = 1; cpu + 1 < online; cpu++)
        right &= answers(cpu);
    report(right, "F11: %s: the others went on", mode_name());
}

static u32 other_sees; // at the xAPIC's page

static void go_to_other_mode(void)
{
    apic_set_x2apic(!apic_is_x2apic());
    if (apic_is_x2apic())
        write32(XAPIC_PAGE + APIC_VERSION, 0x12345678);
    other_sees = read32(XAPIC_PAGE + APIC_VERSION);
}

// The page is there for a CPU in xAPIC mode and for no other, whatever mode the rest is in.
static void check_page(unsigned cpu)
{
    bool x2apic = apic_is_x2apic();
    u32 version = apic_read(APIC_VERSION);
    u32 mine = x2apic ? UINT32_MAX : version, others = x2apic ? version : UINT32_MAX;
    on_cpu(cpu, go_to_other_mode);
    report(read32(XAPIC_PAGE + APIC_VERSION) == mine && other_sees == others,
           "F3: %s: the page is there in xAPIC mode alone", mode_name());
    on_cpu(cpu, go_to_other_mode);
    report(read32(XAPIC_PAGE + APIC_VERSION) == mine && other_sees == mine,
           "F3: %s: the same with all in one mode", mode_name());
}

// As the runtime starts CPUs; it gets this number, which is the next.
static bool goes_online(unsigned cpu)
{
    init();
    delay_us(1000);
    apic_send(target, ICR_STARTUP | ICR_ASSERT | AP_START_PAGE >> PAGE_SHIFT);
    return WAIT_FOR(smp_apic_id(cpu) == target, 1000);
}

static void check_online_again(void)
{
    unsigned cpu = online;
    report(goes_online(cpu) && answers(cpu), "F11: %s: an operating system's CPU again",
           mode_name());
    on_cpu(cpu, kept_write);
    if (goes_online(++cpu))
        on_cpu(cpu, kept_read);
    kept_report();
    check_page(cpu);
}

static void check_others(void)
{
    // INIT and start-up for all at once.
    apic_send(0, ICR_INIT | ICR_OTHERS | ICR_ASSERT);
    delay_us(1000);
    apic_send(0, ICR_STARTUP | ICR_OTHERS | ICR_ASSERT | PAGE_B >> PAGE_SHIFT);
    report(starts(2 + ROUNDS, 1 + online - 1), "F11: %s: INIT and start-up to all others",
           mode_name());
}

static void init_to_boot_processor(void)
{
    apic_send(smp_apic_id(0), ICR_INIT | ICR_ASSERT);
}

void check_startup(void)
{
    spin = true; // what is sent to a CPU that waits for its turn is seen later
    cpus_start();
    if (online < 2)
        return;
    target = smp_apic_id(online - 1);
    prepare(PAGE_A);
    prepare(PAGE_B);
    if (option("bsp")) {
        printf("apic: INIT to the boot processor\n");
        on_cpu(1, init_to_boot_processor);
        return;
    }
    check_start();
    check_nobody_else();
    check_online_again();
    check_others();
}
