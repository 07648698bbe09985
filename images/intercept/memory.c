// SPDX-License-Identifier: MIT
// A12: ranges of memory read, written and executed, by byte at their edges and beside them, also by
// two CPUs at a time; they are caught by EPT.
#include "intercept.h"

enum { PAGES = 0x800000, CODE = 0x804000, BOTH = 0x806000, SIZE = 0x2000, NOP = 0x90, RET = 0xc3 };
enum { P = 1, W = 2, I = 16 };

// The items of which this says the hits. The first is the one that denies or ignores.
static struct {
    u64 at;
    u32 length;
    unsigned access;
    u64 hits;
} items[] = {
    {PAGES + 0x100, 0x10, READ | WRITE, 0},
    {PAGES + 0x100, 0x10, READ, 0},
    {PAGES + 0x100, 0x10, WRITE, 0},
    {PAGES + 0x1ff, 1, READ, 0},
    {PAGES + 0x180, 8, WRITE, 0},
    {PAGES + 0xffe, 4, READ | WRITE, 0},
    {PAGES + 0x700, 0x100, READ | WRITE, 0},
};

static u8 shadow[SIZE];
static bool right;

// Whether an access is one that the item wants.
static bool touches(size_t item, u64 at, unsigned size, unsigned access)
{
    return at < items[item].at + items[item].length && at + size > items[item].at &&
           (items[item].access & access) != 0;
}

static enum action count(u64 at, unsigned size, unsigned access)
{
    for (size_t i = 0; i < ARRAY_SIZE(items); i++)
        items[i].hits += touches(i, at, size, access);
    return touches(0, at, size, access) ? action_on(access) : AS_EVER;
}

// A denied access is a #PF of the page that is there, at the access or at what is denied of it.
static bool was_denied(int fault, u64 at, unsigned size, unsigned access)
{
    return fault == VECTOR_PF && caught_error == (access == WRITE ? P | W : P) &&
           caught_cr2 >= at && caught_cr2 < at + size;
}

// Whether the byte at `at` is ignored in an access that has this action.
static bool vanishes(enum action a, u64 at, unsigned access)
{
    return a == IGNORED && touches(0, at, 1, access);
}

static void load(u64 at, unsigned size)
{
    u64 value = 0x5a5a5a5a5a5a5a5a, want = 0;
    enum action a = count(at, size, READ);
    int fault;
    if (size == 1)
        TRY("movzbl (%2), %k1", fault, , "+r"(value) : "r"(at) : "memory");
    else if (size == 2)
        TRY("movzwl (%2), %k1", fault, , "+r"(value) : "r"(at) : "memory");
    else if (size == 4)
        TRY("movl (%2), %k1", fault, , "+r"(value) : "r"(at) : "memory");
    else
        TRY("movq (%2), %1", fault, , "+r"(value) : "r"(at) : "memory");
    for (unsigned i = 0; i < size; i++)
        want |= vanishes(a, at + i, READ) ? 0 : (u64)shadow[at + i - PAGES] << 8 * i;
    if (a == DENIED)
        right &= was_denied(fault, at, size, READ) && value == 0x5a5a5a5a5a5a5a5a;
    else
        right &= fault == NO_FAULT && value == want;
}

static void store(u64 at, unsigned size, u64 value)
{
    enum action a = count(at, size, WRITE);
    int fault;
    if (size == 1)
        TRY("movb %b2, (%1)", fault, : "r"(at), "r"(value) : "memory");
    else if (size == 2)
        TRY("movw %w2, (%1)", fault, : "r"(at), "r"(value) : "memory");
    else if (size == 4)
        TRY("movl %k2, (%1)", fault, : "r"(at), "r"(value) : "memory");
    else
        TRY("movq %2, (%1)", fault, : "r"(at), "r"(value) : "memory");
    right &= a == DENIED ? was_denied(fault, at, size, WRITE) : fault == NO_FAULT;
    for (unsigned i = 0; i < size && a != DENIED; i++) {
        if (!vanishes(a, at + i, WRITE))
            shadow[at + i - PAGES] = (u8)(value >> 8 * i);
    }
}

// Every access that begins from..to, in all sizes.
static void around(u64 from, u64 to)
{
    right = true;
    for (u64 at = from; at <= to; at++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            store(at, size, at * 0x9e3779b97f4a7c15);
            load(at, size);
        }
    }
    report(right, "A12: memory read and written from 0x%lx to 0x%lx%s", from, to,
           from <= items[0].at && to >= items[0].at ? action_name(action_on(READ | WRITE)) : "");
}

// REP MOVSB of n bytes; both ends within the pages. Says how many it did.
static unsigned move(u64 from, u64 to, unsigned n, bool backwards)
{
    u64 rsi = from + (backwards ? n - 1 : 0), rdi = to + (backwards ? n - 1 : 0), rcx = n;
    u64 rsi0 = rsi, rdi0 = rdi;
    unsigned done = 0;
    enum action a = AS_EVER;
    u64 step = backwards ? UINT64_MAX : 1;
    for (; done < n && a != DENIED; done++) {
        u64 source = rsi0 + done * step, target = rdi0 + done * step;
        a = count(source, 1, READ);
        u8 byte = a == IGNORED ? 0 : shadow[source - PAGES];
        if (a != DENIED)
            a = count(target, 1, WRITE);
        if (a == DENIED)
            break;
        if (a == AS_EVER)
            shadow[target - PAGES] = byte;
    }
    int fault;
    if (backwards)
        __asm__ volatile("std" ::: "cc");
    TRY("rep movsb", fault, , "+S"(rsi), "+D"(rdi), "+c"(rcx)::"memory");
    __asm__ volatile("cld" ::: "cc");
    right &= fault == (done < n ? VECTOR_PF : NO_FAULT) && rcx == n - done &&
             rsi == rsi0 + done * step && rdi == rdi0 + done * step;
    return done;
}

static void moves(void)
{
    right = true;
    move(PAGES + 0xf0, PAGES + 0x400, 0x40, false);
    move(PAGES + 0x500, PAGES + 0xf0, 0x30, false);
    move(PAGES + 0xf8, PAGES + 0x600, 0x10, true);
    move(PAGES + 0x1f0, PAGES + 0x1e0, 0x20, false);
    move(PAGES + 0xff0, PAGES + 0x900, 0x20, false);
    static const u16 copies[][2] = {{0x400, 0x40}, {0x600, 0x10}, {0x900, 0x20}};
    for (size_t i = 0; i < ARRAY_SIZE(copies); i++) // where no item is
        right &=
            memcmp((void *)(u64)(PAGES + copies[i][0]), shadow + copies[i][0], copies[i][1]) == 0;
    report(right, "A12: REP MOVSB across a range's edges%s", action_name(action_on(READ | WRITE)));
}

// Instructions that read and write, push, pop, and move 16 bytes: each access is a hit.
static void others(void)
{
    u64 at = PAGES + 0x700, value = 5;
    volatile u64 *p = (volatile u64 *)at;
    u64 cr4 = read_cr4();
    right = true;
    *p = 7;                                                                   // W
    __asm__ volatile("push (%1); pop %0" : "=r"(value) : "r"(at) : "memory"); // R
    right &= value == 7;
    __asm__ volatile(
        "mov %%rsp, %%rax; lea 16(%1), %%rsp; push %0; pop %0; mov %%rax, %%rsp" // W, R
        : "+r"(value)
        : "r"(at)
        : "rax", "memory");
    right &= value == 7 && p[1] == 7; // R
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4 | 0x200));
    __asm__ volatile("movdqu (%0), %%xmm0; movdqu %%xmm0, 32(%0); pxor %%xmm0, %%xmm0" // R, W
                     ::"r"(at)
                     : "memory");
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4));
    right &= p[4] == 7 && p[5] == 7; // R, R
    items[6].hits += 9;
    report(right, "A12: PUSH, POP and 16 bytes at once in a range");
}

static void say(size_t i)
{
    const char *access = items[i].access == READ ? ":r" : items[i].access == WRITE ? ":w" : "";
    hits(items[i].hits, "mem:0x%lx+0x%x%s", items[i].at, items[i].length, access);
}

void part_mem(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(items); i++)
        items[i].hits = 0;
    around(PAGES + 0xf6, PAGES + 0x112);
    around(PAGES + 0x178, PAGES + 0x188);
    around(PAGES + 0x1fe, PAGES + 0x200);
    around(PAGES + 0xffc, PAGES + 0x1003);
    moves();
    others();
    for (size_t i = 0; i < ARRAY_SIZE(items); i++)
        say(i);
}

// ---- code ----------------------------------------------------------------------------------

static volatile u64 fetch_faults, fetch_error, fetch_cr2;

static void on_fetch_fault(struct interrupt_frame *f)
{
    fetch_faults++;
    fetch_error = f->error;
    fetch_cr2 = read_cr2();
    f->rip = *(u64 *)f->rsp; // as if it had returned
    f->rsp += 8;
}

void part_exec(void)
{
    enum { CALLS = 3, LENGTH = 4 };
    u8 *page = (u8 *)CODE;
    bool denied = action_on(EXECUTE) == DENIED, ok = true;
    memset(page, NOP, 0x120);
    page[0x120] = RET;
    fetch_faults = 0;
    interrupt_set(VECTOR_PF, on_fetch_fault);
    for (unsigned i = 0; i < CALLS; i++) {
        ((void (*)(void))(CODE + 0xf0))();
        ok &= !denied ||
              (fetch_faults == i + 1 && fetch_cr2 == CODE + 0x100 && (fetch_error & ~(u64)I) == P);
    }
    ((void (*)(void))(CODE + 0x104))(); // behind it
    interrupt_set(VECTOR_PF, NULL);
    ok &= fetch_faults == (denied ? CALLS : 0);
    ok &= page[0x100] == NOP && page[0x103] == NOP; // read, not fetched
    report(ok, "A12: %u calls through a range of %u instructions%s", CALLS, LENGTH,
           action_name(denied ? DENIED : AS_EVER));
    hits(denied ? CALLS : CALLS * LENGTH, "mem:0x%x+0x%x:x", CODE + 0x100, LENGTH);
    hits(denied ? CALLS : CALLS * LENGTH + 2, "mem:0x%x+0x%x:rx", CODE + 0x100, LENGTH);
}

// ---- two CPUs ------------------------------------------------------------------------------

enum { ADDS = 300, STARS = 200 };

static volatile bool go, done[2], msr_right[2];

// Stores of its own beside and in the range, and a register of its own.
static void work(unsigned cpu)
{
    volatile u32 *own = (volatile u32 *)(BOTH + 0x40 + cpu * 4ul);
    volatile u32 *beside = (volatile u32 *)(BOTH + 0x80 + cpu * 4ul);
    bool ok = true;
    for (u32 i = 0; i < ADDS; i++) {
        *own = i;
        *beside = i;
    }
    for (u64 i = 0; i < STARS; i++) {
        wrmsr(MSR_STAR, i << 8 | cpu);
        ok &= rdmsr(MSR_STAR) == (i << 8 | cpu);
    }
    msr_right[cpu] = ok;
    __atomic_store_n(&done[cpu], true, __ATOMIC_RELEASE);
}

static void second(unsigned cpu)
{
    while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
        ;
    if (cpu == 1)
        work(1);
}

void part_both(void)
{
    if (smp_start(second) < 2) {
        report(false, "A11: a second CPU");
        return;
    }
    __atomic_store_n(&go, true, __ATOMIC_RELEASE);
    work(0);
    bool both = WAIT_FOR(__atomic_load_n(&done[1], __ATOMIC_ACQUIRE), 2000);
    const volatile u32 *page = (const volatile u32 *)BOTH;
    report(both && page[0x20] == ADDS - 1 && page[0x21] == ADDS - 1,
           "A11: two CPUs wrote beside a range");
    report(both && msr_right[0] && msr_right[1], "A11: and each has its own STAR");
    report(both && page[0x10] == ADDS - 1 && page[0x11] == ADDS - 1,
           "A11: and in it, %u times each", ADDS);
    hits(2 * ADDS, "mem:0x%x+0x8:w", BOTH + 0x40);
    hits(2 * STARS, "msr:star:w");
    hits(2 * STARS, "msr:star:r");
    hits(2, "cr0:pg"); // each on its way to long mode
}
