// SPDX-License-Identifier: MIT
// A12: descriptor tables, debug registers, and instructions in user mode.
#include "intercept.h"

struct table {
    u16 limit;
    u64 base;
} PACKED;

enum { BOOT_LOADS = 2 }; // LGDT and LIDT by the runtime

static bool same(const struct table *a, const struct table *b)
{
    return a->limit == b->limit && a->base == b->base;
}

// Reads of each kind, to memory and registers; what a denied one leaves as it was.
static unsigned store(enum action a)
{
    struct table g = {0x5a5a, 0x5a5a}, i = g;
    u64 ldt = UINT64_MAX, tr = UINT64_MAX;
    u16 ldt_word = 0x5a5a, tr_word = 0x5a5b;
    u32 ldt_half = UINT32_MAX;
    int fault[7];
    TRY("sgdt %1", fault[0], , "+m"(g)::"memory");
    TRY("sidt %1", fault[1], , "+m"(i)::"memory");
    TRY("sldt %1", fault[2], , "+r"(ldt)::"memory");
    TRY("sldt %1", fault[3], , "+m"(ldt_word)::"memory");
    TRY("str %1", fault[4], , "+r"(tr)::"memory");
    TRY("str %1", fault[5], , "+m"(tr_word)::"memory");
    TRY("sldt %k1", fault[6], , "+r"(ldt_half)::"memory");
    bool ok = true;
    for (unsigned n = 0; n < 7; n++)
        ok &= went(a, fault[n], VECTOR_GP);
    if (a == DENIED)
        ok &= g.base == 0x5a5a && i.base == 0x5a5a && ldt == UINT64_MAX && tr == UINT64_MAX &&
              ldt_word == 0x5a5a && tr_word == 0x5a5b && ldt_half == UINT32_MAX;
    else if (a == IGNORED)
        ok &= g.base == 0 && g.limit == 0 && i.base == 0 && i.limit == 0 && ldt == 0 && tr == 0 &&
              ldt_word == 0 && tr_word == 0 && ldt_half == 0;
    else
        ok &= g.base != 0 && g.limit == 13 * 8 - 1 && i.limit == 256 * 16 - 1 && ldt == SEL_LDT &&
              ldt_word == SEL_LDT && ldt_half == SEL_LDT && tr == SEL_TSS && tr_word == SEL_TSS;
    report(ok, "A12: SGDT, SIDT, SLDT, STR%s", action_name(a));
    return 7;
}

static unsigned load(void)
{
    struct table g, i, again;
    __asm__ volatile("sgdt %0; sidt %1" : "=m"(g), "=m"(i));
    int fault[7];
    u16 none = 0, tss = SEL_TSS;
    TRY("lgdt %1", fault[0], : "m"(g) : "memory");
    TRY("lidt %1", fault[1], : "m"(i) : "memory");
    TRY("lldt %w1", fault[2], : "r"(0) : "memory");
    TRY("lldt %1", fault[3], : "m"(none) : "memory");
    TRY("lldt %w1", fault[4], : "r"(SELECTOR_BEYOND) : "memory");
    bool ok = fault[4] == VECTOR_GP && caught_error == SELECTOR_BEYOND;
    TRY("ltr %1", fault[5], : "m"(tss) : "memory"); // busy since protected_init()
    ok &= fault[5] == VECTOR_GP && caught_error == SEL_TSS;
    TRY("lldt %w1", fault[6], : "r"(SEL_LDT) : "memory");
    for (unsigned n = 0; n < 4; n++)
        ok &= fault[n] == NO_FAULT;
    __asm__ volatile("sgdt %0" : "=m"(again));
    report(ok && fault[6] == NO_FAULT && same(&g, &again), "A12: LGDT, LIDT, LLDT, LTR");
    return 7;
}

void part_desc(void)
{
    enum action a = action_on(READ);
    protected_init();
    unsigned loads = BOOT_LOADS + 2, stores = 0;
    if (a == AS_EVER) {
        loads += load();
        stores += 3;
    } else { // the others' loads want the stores
        __asm__ volatile("lldt %w0" ::"r"(SEL_LDT));
        loads++;
    }
    stores += store(a);
    __asm__ volatile("lldt %w0" ::"r"(0));
    loads++;
    hits(stores, "desc:r");
    hits(loads, "desc:w");
    hits(stores + loads, "desc");
}

// ---- debug registers -----------------------------------------------------------------------

#define WRITE_DR(n, v) TRY("mov %1, %%dr" #n, fault, : "r"((u64)(v)) : "memory")
#define READ_DR(n)     TRY("mov %%dr" #n ", %1", fault, , "+r"(value)::"memory")

#define EACH_DR(n, v)                                                   \
    do {                                                                \
        WRITE_DR(n, v);                                                 \
        ok &= went(writes, fault, VECTOR_GP);                           \
        value = 99;                                                     \
        READ_DR(n);                                                     \
        ok &= went(reads, fault, VECTOR_GP);                            \
        ok &= reads == DENIED     ? value == 99                         \
              : reads == IGNORED  ? value == 0                          \
              : writes == AS_EVER ? value == (v)                        \
                                  : value == ((n) < 6    ? 0ul          \
                                              : (n) == 6 ? 0xffff0ff0ul \
                                                         : 0x400ul);    \
    } while (0)

void part_dr(void)
{
    enum action reads = action_on(READ), writes = action_on(WRITE);
    bool ok = true;
    int fault;
    u64 value;
    EACH_DR(0, 0x1111111111ul);
    EACH_DR(1, 0x2222222222ul);
    EACH_DR(2, 0x3333333333ul);
    EACH_DR(3, 0x4444444444ul);
    EACH_DR(6, 0xffff0ff1ul);
    EACH_DR(7, 0x700ul);
    TRY("mov %%rsp, %%dr0", fault, ::"memory");
    ok &= went(writes, fault, VECTOR_GP);
    EACH_DR(0, 0ul);
    EACH_DR(1, 0ul);
    EACH_DR(2, 0ul);
    EACH_DR(3, 0ul);
    EACH_DR(6, 0xffff0ff0ul);
    EACH_DR(7, 0x400ul);
    TRY("mov %1, %%dr7", fault, : "r"(BIT(32)) : "memory"); // bits 63 to 32 must be 0
    ok &= fault == (writes == IGNORED ? NO_FAULT : VECTOR_GP);
    report(ok, "A12: MOV DR, 14 writes%s, 12 reads%s", action_name(writes), action_name(reads));
    hits(12, "dr:r");
    hits(14, "dr:w");
    hits(26, "dr");
}

// ---- user mode -----------------------------------------------------------------------------

// The code between two labels of one asm statement.
#define USER(text, rdi)                                                                  \
    do {                                                                                 \
        const u8 *code_, *end_;                                                          \
        __asm__ volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %1; jmp 2f\n1: " text "\n2:" \
                         : "=r"(code_), "=r"(end_));                                     \
        user_run(code_, end_, rdi, 0);                                                   \
    } while (0)

#define REFUSED(text)                                                          \
    do {                                                                       \
        USER(text, ALIAS + 64);                                                \
        ok &= user_vector == VECTOR_GP && user_error == 0 && user_offset == 0; \
    } while (0)

void part_user(void)
{
    bool ok = true;
    USER("pause; pause; rdtsc; rdtsc; sgdt (%%rdi); xor %%eax, %%eax; cpuid; ud2", ALIAS + 64);
    report(user_vector == VECTOR_UD && user_rax >= 7,
           "A12: in user mode PAUSE, RDTSC, SGDT, CPUID work");
    REFUSED("hlt");
    REFUSED("invlpg (%%rdi)");
    REFUSED("wbinvd");
    REFUSED("mov %%cr8, %%rax");
    REFUSED("mov %%rax, %%cr8");
    REFUSED("mov %%cr3, %%rax");
    REFUSED("mov %%dr0, %%rax");
    REFUSED("lldt %%ax");
    USER("mov $0xc0000081, %%ecx; rdmsr", 0);
    ok &= user_vector == VECTOR_GP && user_offset == 5;
    USER("mov $0x2c8, %%edx; in %%dx, %%al", 0);
    ok &= user_vector == VECTOR_GP && user_offset == 5;
    report(ok, "A12: and others give #GP");
    hits(0, "hlt");
    hits(2, "pause");
    hits(2, "rdtsc");
    hits(0, "invlpg");
    hits(0, "wbinvd");
    hits(0, "cr8");
    hits(1, "dr"); // MOV DR exits before its #GP (SDM volume 3, 26.1.2)
    hits(0, "msr:star");
    hits(0, "io:0x2c8");
    hits(1, "desc:r");
    hits(BOOT_LOADS + 2, "desc:w");
    hits(2, "cpuid");
}
