// SPDX-License-Identifier: MIT
// A5: page faults of every error code, and exceptions while another is delivered (SDM volume 3, 4.7
// and table 6-5).
#include "intercept.h"

enum { P = 1, W = 2, U = 4, RSVD = 8, I = 16 };
enum { MAX_FAULTS = 32, RET = 0xc3, NP = 11 };

u64 touch_read(u64 address);
void touch_write(u64 address, u64 value);

static u32 errors[MAX_FAULTS];
static unsigned faults;

static struct {
    u64 error, cr2;
    unsigned times;
} last;

// Goes on behind the instruction: of 3 bytes, or the CALL of what could not be fetched.
static void on_page_fault(struct interrupt_frame *f)
{
    last.error = f->error;
    last.cr2 = read_cr2();
    last.times++;
    if (f->rip == last.cr2) {
        f->rip = *(u64 *)f->rsp;
        f->rsp += 8;
    } else {
        f->rip += 3;
    }
}

static void faulted(const char *name, unsigned n, unsigned right, u32 error)
{
    report(right == n, "A5: #PF with error code 0x%x, %u times: %s", error, n, name);
    for (unsigned i = 0; i < n && faults < MAX_FAULTS; i++)
        errors[faults++] = error;
}

static void supervisor(const char *name, unsigned n, u64 pte, u32 error)
{
    unsigned right = 0;
    interrupt_set(VECTOR_PF, on_page_fault);
    map_alias(pte);
    alias_page[0] = RET;
    for (unsigned i = 0; i < n; i++) {
        last.times = 0;
        if (error & I)
            ((void (*)(void))ALIAS)();
        else if (error & W)
            touch_write(ALIAS, RET);
        else
            touch_read(ALIAS);
        right += last.times == 1 && last.error == error && last.cr2 == ALIAS;
    }
    interrupt_set(VECTOR_PF, NULL);
    faulted(name, n, right, error);
}

// From user mode, at the image's own page, which is the supervisor's, or where nothing is.
static void user(const char *name, u64 address, u32 error)
{
    const u8 *reads, *writes, *end;
    __asm__ volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %1; lea 3f(%%rip), %2; jmp 3f\n"
                     "1: mov (%%rdi), %%eax\n2: mov %%eax, (%%rdi)\n3:"
                     : "=r"(reads), "=r"(writes), "=r"(end));
    user_run(error & W ? writes : reads, error & W ? end : writes, address, 0);
    bool right = user_vector == VECTOR_PF && user_error == error && user_cr2 == address;
    faulted(name, 1, right, error);
}

static void no_faults(void)
{
    map_alias(PTE_PRESENT | PTE_WRITE);
    alias_page[0] = RET;
    interrupt_set(VECTOR_PF, on_page_fault);
    last.times = 0;
    touch_read(ALIAS);
    touch_write(ALIAS, RET);
    ((void (*)(void))ALIAS)();
    interrupt_set(VECTOR_PF, NULL);
    report(last.times == 0, "A5: no #PF where there is a page");
}

static void say(u32 mask, u32 match)
{
    u64 n = 0;
    for (unsigned i = 0; i < faults; i++)
        n += (errors[i] & mask) == match;
    hits(n, "exception:pf:0x%x:0x%x", mask, match);
}

void part_pagefaults(void)
{
    faults = 0;
    u64 efer = rdmsr(MSR_EFER);
    wrmsr(MSR_EFER, efer | EFER_NXE);
    supervisor("a read of nothing", 2, 0, 0);
    supervisor("a write of nothing", 3, 0, W);
    supervisor("a write to a read-only page", 2, PTE_PRESENT, P | W);
    supervisor("a fetch of nothing", 1, 0, I);
    supervisor("a fetch from an NX page", 2, PTE_PRESENT | PTE_NX, P | I);
    supervisor("a read by a PTE with a reserved bit", 1, PTE_PRESENT | PTE_RESERVED, P | RSVD);
    supervisor("a write by a PTE with a reserved bit", 1, PTE_PRESENT | PTE_RESERVED, P | W | RSVD);
    no_faults();
    user("user mode, a read of nothing", ALIAS + GiB, U);
    user("user mode, a write of nothing", ALIAS + GiB, U | W);
    user("user mode, a read of the supervisor's page", (u64)alias_page, P | U);
    user("user mode, a write of the supervisor's page", (u64)alias_page, P | U | W);
    wrmsr(MSR_EFER, efer);
    hits(faults, "exception:pf");
    say(P, 0);
    say(P, P);
    say(W, W);
    say(U, U);
    say(I, I);
    say(RSVD, RSVD);
    say(P | W | U | RSVD | I, W);
    say(P | W | U | RSVD | I, 0);
    say(P | W | U, P | W | U);
}

// ---- while another is delivered ------------------------------------------------------------

static volatile unsigned double_faults;
static volatile u64 double_error;

static void on_double_fault(struct interrupt_frame *f)
{
    double_faults++;
    double_error = f->error;
    protected_leave(f);
}

static void general_protection(u64 unused)
{
    (void)unused;
    __asm__ volatile("mov (%0), %%rax" ::"r"(BIT(63)) : "rax", "memory");
}

static void page_fault(u64 unused)
{
    (void)unused;
    __asm__ volatile("mov (%0), %%rax" ::"r"(ALIAS + 2 * GiB) : "rax", "memory");
}

// The stack for #GP is not there, which the handler of the #PF mends: the #GP comes again.
static void on_stack_missing(struct interrupt_frame *f)
{
    last.error = f->error;
    last.cr2 = read_cr2();
    last.times++;
    set_ist(VECTOR_GP, 0);
}

static void on_general_protection(struct interrupt_frame *f)
{
    caught_error = f->error;
    protected_leave(f);
}

static void serial(void)
{
    last.times = 0;
    interrupt_set(VECTOR_PF, on_stack_missing);
    interrupt_set(VECTOR_GP, on_general_protection);
    u64 before = interrupts[VECTOR_GP];
    set_ist(VECTOR_GP, IST_NOWHERE);
    protected_call(general_protection, 0);
    report(last.times == 1 && last.error == W && interrupts[VECTOR_GP] == before + 1,
           "A5: #PF while #GP is delivered, mended; and #GP");
    interrupt_set(VECTOR_PF, NULL);
    interrupt_set(VECTOR_GP, NULL);
}

void part_doublefault(void)
{
    protected_init();
    map_alias(0);
    interrupt_set(VECTOR_DF, on_double_fault);
    set_ist(VECTOR_DF, IST_GOOD);
    double_faults = 0;
    serial(); // #GP, #PF, #GP
    set_present(VECTOR_GP, false);
    protected_call(general_protection, 0); // #GP, #NP, #DF
    set_present(VECTOR_GP, true);
    report(double_faults == 1 && double_error == 0, "A5: #NP while #GP is delivered: #DF");
    set_ist(VECTOR_PF, IST_NOWHERE);
    protected_call(page_fault, 0); // #PF, #PF, #DF
    set_ist(VECTOR_PF, 0);
    report(double_faults == 2 && double_error == 0, "A5: #PF while #PF is delivered: #DF");
    set_ist(VECTOR_GP, IST_NOWHERE);
    set_present(VECTOR_PF, false);
    protected_call(general_protection, 0); // #GP, #PF, #NP: serially, then #DF
    set_present(VECTOR_PF, true);
    set_ist(VECTOR_GP, 0);
    report(double_faults == 3, "A5: #NP while that #PF is delivered: #DF");
    set_ist(VECTOR_DF, 0);
    interrupt_set(VECTOR_DF, NULL);
    hits(4, "exception:gp");
    hits(2, "exception:np");
    hits(4, "exception:pf");
    hits(3, "exception:df");
}
