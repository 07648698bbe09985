// SPDX-License-Identifier: MIT
// Something to point a debugger at: each round goes through the instructions and the pages that are
// hard to step over and to break on, and says what it found. A debugger moves it by the variables
// below.
//   period=MS  milliseconds between rounds, 50 without it
#include "steps.h"

#include "guest.h"

enum { LATE_SLOT = 1, PAGE_PRESENT_WRITABLE = 3, VARIANTS = 2 };
enum { VECTOR_GATE = 0x30 };

struct orders orders;
u64 watched;
u8 ports_read[4];
volatile u64 own_breakpoints;
u8 landing[4096] ALIGNED(4096);
u8 across[2][4096] ALIGNED(4096);

extern u64 pml4[512]; // the runtime's
static u64 late_pdpt[512] ALIGNED(4096), late_directory[512] ALIGNED(4096);
static u64 late_table[512] ALIGNED(4096);
static u8 late_page[4096] ALIGNED(4096);

static void on_breakpoint(struct interrupt_frame *f)
{
    (void)f;
    own_breakpoints++;
}

// Puts a routine into `landing`, over the one that was there, and calls it.
static u64 overwrite(u64 round)
{
    const struct routine *r = &routines[round % VARIANTS];
    memcpy(landing, r->start, (size_t)(r->end - r->start));
    return ((u64(*)(void))landing)();
}

// The same with one store into two pages: XOR or SUB of EAX with itself, two NOPs; MOV to AL, RET,
// NOP.
static u64 overwrite_across(u64 round)
{
    u64 code = (round % VARIANTS ? 0x90c301b09090c031 : 0x90c302b09090c029);
    u8 *at = across[1] - 4;
    *(volatile u64 *)at = code;
    return ((u64(*)(void))at)();
}

// A page of code that is in the page tables only for as long as it is called.
static u64 call_late_page(void)
{
    const struct routine *r = &routines[0];
    memcpy(late_page, r->start, (size_t)(r->end - r->start));
    late_table[0] = (u64)late_page | PAGE_PRESENT_WRITABLE;
    late_directory[0] = (u64)late_table | PAGE_PRESENT_WRITABLE;
    late_pdpt[0] = (u64)late_directory | PAGE_PRESENT_WRITABLE;
    pml4[LATE_SLOT] = (u64)late_pdpt | PAGE_PRESENT_WRITABLE;
    u64 value = ((u64(*)(void))((u64)LATE_SLOT << 39))();
    pml4[LATE_SLOT] = 0;
    write_cr3(read_cr3());
    return value;
}

// Whether the debug registers hold what the guest puts there.
static bool has_debug_registers(u64 round)
{
    u64 address, control;
    __asm__ volatile("mov %0, %%dr1" ::"r"(round << 4));
    __asm__ volatile("mov %0, %%dr7" ::"r"(0x400ul));
    __asm__ volatile("mov %%dr1, %0" : "=r"(address));
    __asm__ volatile("mov %%dr7, %0" : "=r"(control));
    return address == round << 4 && control == 0x400;
}

NOINLINE void write_watched(u64 value)
{
    *(volatile u64 *)&watched = value;
}

NOINLINE u64 read_watched(void)
{
    return *(volatile u64 *)&watched;
}

// For those who are interrupted while they spin, and while they sleep, with interrupts off.
NOINLINE void spin_deaf(void)
{
    interrupts_off();
    while (*(volatile u64 *)&orders.spin != 0) {
    }
}

NOINLINE void halt_deaf(void)
{
    while (*(volatile u64 *)&orders.halt != 0)
        __asm__ volatile("cli; hlt");
}

NOINLINE void say(u64 round, u64 first, u64 second)
{
    struct values v;
    read_values(&v);
    printf("steps: round %lu: %lx %lx, xmm3 %lx cr2 %lx fs %lx\n", round, first, second, v.xmm3,
           v.cr2, v.fs_base);
}

int main(void)
{
    u64 period = tsc_ms(option_number("period", 50));
    __asm__ volatile("mov %0, %%cr4" ::"r"(read_cr4() | CR4_OSFXSR));
    interrupt_set(VECTOR_BP, on_breakpoint);
    interrupt_set_raw(VECTOR_GATE, gate);
    timer_init();
    u64 next = rdtsc();
    for (u64 round = 1; orders.exit == 0; round++) {
        next += period;
        sleep_until(next);
        u64 breakpoints = own_breakpoints;
        go_through_emulated();
        read_ports();
        timer_at(rdtsc()); // waits for the STI in there
        go_through_caught();
        go_through_plain();
        __asm__ volatile("int3");
        if (own_breakpoints != breakpoints + 1)
            report(false, "D3: round %lu: my own #BP did not come", round);
        if (overwrite(round) != round % VARIANTS + 1 ||
            overwrite_across(round) != 2 - round % VARIANTS || call_late_page() != 1)
            report(false, "E2: round %lu: code that was just written does not run", round);
        if (!has_debug_registers(round))
            report(false, "D9: round %lu: the debug registers are not mine", round);
        write_watched(round);
        read_watched();
        spin_deaf();
        halt_deaf();
        say(round, 0x11, 0x22);
    }
    return (int)orders.exit;
}
