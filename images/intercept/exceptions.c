// SPDX-License-Identifier: MIT
// A5: exceptions but page faults: faults, and traps beside what looks like them: INT n.
#include "intercept.h"

extern const u8 into32[], into32_after[], bound32[], bound32_at[], bound32_after[];

enum { NM = 7, NP = 11, SS = 12, MF = 16, AC = 17, XM = 19, DB = 1, OF = 4, BR = 5 };
enum { FLAG_OF = 0x800, FLAG_AC = 0x40000 };
enum { CR4_OSFXSR_XMM = 0x600 };

static u64 raised[32];

static const char *const names[32] = {
    "de", "db", NULL, "bp", "of", "br", "ud", "nm", "df", NULL, "ts",
    "np", "ss", "gp", "pf", NULL, "mf", "ac", NULL, "xm", NULL, "cp",
};

static void say_hits(void)
{
    for (unsigned v = 0; v < 32; v++) {
        if (raised[v] != 0)
            hits(raised[v], "exception:%s", names[v]);
        raised[v] = 0;
    }
}

// Raises an exception n times and wants that vector and error code each time.
#define RAISES(name, n, vector, error, instruction, ...)                                \
    do {                                                                                \
        unsigned right_ = 0;                                                            \
        for (unsigned i_ = 0; i_ < (n); i_++) {                                         \
            int fault_;                                                                 \
            TRY(instruction, fault_, ##__VA_ARGS__);                                    \
            right_ += fault_ == (vector) && caught_error == (error);                    \
        }                                                                               \
        raised[vector] += (n);                                                          \
        report(right_ == (n), "A5: %s, %u times, error code 0x%x", name, (n), (error)); \
    } while (0)

static void set_cr0(u64 bits)
{
    __asm__ volatile("mov %0, %%cr0" ::"r"(bits) : "memory");
}

// One exception in the middle of a routine of other instructions.
#define RAISES_AT(name, vector, error, before, instruction, after, ...)                           \
    do {                                                                                          \
        register long r11_ __asm__("r11") = NO_FAULT;                                             \
        __asm__ volatile(before "\n771: " instruction "\n772: " after "\n"                        \
                                ".pushsection .fault_table, \"a\"\n.quad 771b, 772b\n.popsection" \
                         : "+r"(r11_)                                                             \
                         : __VA_ARGS__                                                            \
                         : "memory", "cc");                                                       \
        raised[vector]++;                                                                         \
        report(r11_ == (vector) && caught_error == (error), "A5: %s, error code 0x%x", name,      \
               (unsigned)(error));                                                                \
    } while (0)

static void floating_point(void)
{
    static const u16 zero_divide_on = 0x37b;
    static const u32 mxcsr_zero_divide_on = 0x1d80;
    u64 cr0 = read_cr0(), cr4 = read_cr4();
    set_cr0((cr0 & ~0xcul) | CR0_NE);
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4 | CR4_OSFXSR_XMM) : "memory");
    RAISES_AT("#MF", MF, 0, "fninit; fldcw %1; fld1; fldz; fdivrp", "fwait", "fninit",
              "m"(zero_divide_on));
    RAISES_AT("#XM", XM, 0,
              "ldmxcsr %1; xorps %%xmm1, %%xmm1; mov $0x3f800000, %%eax; movd %%eax, %%xmm0",
              "divss %%xmm1, %%xmm0", "pxor %%xmm0, %%xmm0", "m"(mxcsr_zero_divide_on));
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4) : "memory");
    set_cr0(cr0 | CR0_TS);
    RAISES("#NM", 2u, NM, 0u, "fnop");
    set_cr0(cr0);
}

static void user_alignment(void)
{
    u64 cr0 = read_cr0();
    set_cr0(cr0 | CR0_AM);
    const u8 *code, *end;
    __asm__ volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %1; jmp 2f\n1: mov 1(%%rdi), %%eax\n2:"
                     : "=r"(code), "=r"(end));
    user_run(code, end, ALIAS + 64, FLAG_AC);
    set_cr0(cr0);
    raised[AC]++;
    report(user_vector == AC && user_error == 0 && user_offset == 0, "A5: #AC in user mode");
}

static void bounds(void)
{
    catch_vector(BR);
    caught_of[BR].resume = (u64)bound32_after;
    compatibility_call(bound32, 10); // within
    compatibility_call(bound32, 20);
    bool none = caught_of[BR].times == 0;
    compatibility_call(bound32, 21);
    raised[BR]++;
    report(none && caught_of[BR].times == 1 && caught_of[BR].rip == (u64)bound32_at,
           "A5: #BR by BOUND in compatibility mode");
    release_vector(BR);
}

void part_faults(void)
{
    protected_init();
    RAISES("#UD", 3u, VECTOR_UD, 0u, "ud2");
    RAISES("#GP", 2u, VECTOR_GP, 0u, "mov (%1), %%rax", : "r"(BIT(63)) : "rax", "memory");
    RAISES("#GP by WRMSR", 1u, VECTOR_GP, 0u, "wrmsr", : "c"(MSR_EFER), "a"(0xffffffff), "d"(0));
    RAISES("#GP by a selector", 2u, VECTOR_GP, (unsigned)SELECTOR_BEYOND, "mov %1, %%fs",
           : "r"(SELECTOR_BEYOND));
    RAISES("#NP", 2u, NP, (unsigned)SEL_NOT_PRESENT, "mov %1, %%fs", : "r"(SEL_NOT_PRESENT));
    RAISES_AT("#SS", SS, 0, "push %%rbp; mov %1, %%rbp", "mov 0(%%rbp), %%r11", "pop %%rbp",
              "r"(BIT(63)));
    RAISES("#DE", 2u, VECTOR_DE, 0u, "divl %1", : "r"(0), "a"(1), "d"(0) : "cc");
    bounds();
    user_alignment();
    floating_point();
    u64 selector = (u64)SELECTOR_BEYOND;
    hits(raised[VECTOR_GP] - 2, "exception:gp:0xffff:0x0");
    hits(2, "exception:gp:0xffff:0x%lx", selector);
    say_hits();
}

// ---- traps ---------------------------------------------------------------------------------

// Whether the vector came so often more, and its handler was to return to here.
static bool came(u8 vector, u64 before, u64 more, const void *rip)
{
    const struct caught *c = &caught_of[vector];
    return c->times == before + more && (more == 0 || rip == NULL || c->rip == (u64)rip);
}

static void breakpoints(enum action a)
{
    bool ok = true;
    const void *after;
    for (unsigned i = 0; i < 3; i++) {
        u64 before = caught_of[VECTOR_BP].times;
        __asm__ volatile("lea 1f(%%rip), %0; int3\n1:" : "=r"(after)::"memory");
        ok &= came(VECTOR_BP, before, a == IGNORED ? 0 : 1, after);
    }
    raised[VECTOR_BP] += 3;
    report(ok, "A5: 3 INT3s%s", action_name(a));
    ok = true;
    for (unsigned i = 0; i < 2; i++) { // not INT3, and never caught
        u64 before = caught_of[VECTOR_BP].times;
        __asm__ volatile("lea 1f(%%rip), %0; .byte 0xcd, 3\n1:" : "=r"(after)::"memory");
        ok &= came(VECTOR_BP, before, 1, after);
    }
    report(ok, "A5: 2 times INT 3");
}

static void overflows(enum action a)
{
    bool ok = true;
    for (unsigned i = 0; i < 2; i++) {
        u64 before = caught_of[OF].times;
        compatibility_call(into32, FLAG_OF | 2);
        ok &= came(OF, before, a == IGNORED ? 0 : 1, into32_after);
    }
    raised[OF] += 2;
    report(ok, "A5: 2 INTOs in compatibility mode%s", action_name(a));
    u64 before = caught_of[OF].times;
    compatibility_call(into32, 2);
    report(came(OF, before, 0, NULL), "A5: INTO without an overflow");
    __asm__ volatile("int $4" ::: "memory");
    report(came(OF, before, 1, NULL), "A5: INT 4");
}

static void debug_registers(enum action a)
{
    static volatile u32 watched[2];
    const void *at, *after;
    u64 wanted = a == IGNORED ? 0 : 1, before = caught_of[DB].times;
    __asm__ volatile("mov %0, %%dr1; mov %1, %%dr7" ::"r"(&watched[0]), "r"(0xd00404ul));
    watched[1] = 1;
    __asm__ volatile("lea 1f(%%rip), %0; movl $5, %1\n1: nop" : "=r"(after), "=m"(watched[0]));
    __asm__ volatile("mov %0, %%dr7" ::"r"(0x400ul));
    raised[DB]++;
    report(watched[0] == 5 && came(DB, before, wanted, after) &&
               (a == IGNORED || (caught_of[DB].dr6 & 0xf) == 2),
           "A5: #DB by a data breakpoint%s", action_name(a));
    before = caught_of[DB].times;
    u32 went_on = 0;
    __asm__ volatile("lea 1f(%%rip), %0; mov %0, %%dr0; mov %2, %%dr7\n1: incl %1; mov %3, %%dr7"
                     : "=&r"(at), "+r"(went_on)
                     : "r"(0x401ul), "r"(0x400ul)
                     : "memory", "cc");
    raised[DB]++;
    report(went_on == 1 && came(DB, before, wanted, at) &&
               (a == IGNORED || (caught_of[DB].dr6 & 0xf) == 1),
           "A5: #DB by an instruction breakpoint%s", action_name(a));
}

void part_traps(void)
{
    enum action a = action_on(READ);
    catch_vector(DB);
    catch_vector(VECTOR_BP);
    catch_vector(OF);
    breakpoints(a);
    overflows(a);
    debug_registers(a);
    u64 before = caught_of[DB].times;
    const void *after;
    __asm__ volatile("lea 1f(%%rip), %0; .byte 0xf1\n1:" : "=r"(after)::"memory");
    raised[DB]++;
    report(came(DB, before, a == IGNORED ? 0 : 1, after), "A5: #DB by INT1%s", action_name(a));
    before = caught_of[DB].times;
    __asm__ volatile("int $1" ::: "memory");
    report(came(DB, before, 1, NULL), "A5: INT 1");
    if (a == AS_EVER) {
        before = caught_of[DB].times;
        __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; nop\n1: lea 1b(%%rip), %0"
                         : "=r"(after)::"memory", "cc");
        raised[DB]++;
        report(came(DB, before, 1, after) && (caught_of[DB].dr6 & BIT(14)) != 0,
               "A5: #DB by RFLAGS.TF");
    }
    release_vector(DB);
    release_vector(VECTOR_BP);
    release_vector(OF);
    say_hits();
}
