// SPDX-License-Identifier: MIT
// A12: single instructions.
#include "intercept.h"

enum { FLAGS_ARITHMETIC = 0x8d5, FLAG_CF = 1 };
#define CPUID1_ECX_RDRAND BIT(30)
#define CPUID1_ECX_XSAVE  BIT(26)
#define CPUID1_ECX_AVX    BIT(28)
#define CPUID7_EBX_RDSEED BIT(18)
#define CPUIDX_EDX_RDTSCP BIT(27)
#define FILLED            0x5a5a5a5a5a5a5a5aul

// An instruction that has no result, n times.
#define INSTRUCTION(name, n, vector, instruction, ...)                          \
    do {                                                                        \
        enum action a_ = action_on(READ | WRITE);                               \
        unsigned right_ = 0;                                                    \
        for (unsigned i_ = 0; i_ < (n); i_++) {                                 \
            int fault_;                                                         \
            TRY(instruction, fault_, ##__VA_ARGS__);                            \
            right_ += went(a_, fault_, vector);                                 \
        }                                                                       \
        report(right_ == (n), "A12: %s, %u times%s", name, n, action_name(a_)); \
    } while (0)

void part_rdtsc(void)
{
    enum { TIMES = 9 };
    enum action a = action_on(READ);
    u64 last = 0;
    bool ok = true;
    for (unsigned i = 0; i < TIMES; i++) {
        u64 rax = FILLED, rdx = FILLED;
        int fault;
        TRY("rdtsc", fault, , "+a"(rax), "+d"(rdx)::"memory");
        ok &= went(a, fault, VECTOR_GP);
        if (a == DENIED) {
            ok &= rax == FILLED && rdx == FILLED;
            continue;
        }
        u64 tsc = rdx << 32 | rax;
        ok &= rax >> 32 == 0 && rdx >> 32 == 0 && (a == IGNORED ? tsc == 0 : tsc > last);
        last = tsc;
    }
    report(ok, "A12: RDTSC, %u times%s", TIMES, action_name(a));
    hits(TIMES, "rdtsc");
}

void part_rdtscp(void)
{
    enum { TIMES = 6 };
    enum action a = action_on(READ);
    if (!(cpuid(0x80000001, 0).edx & CPUIDX_EDX_RDTSCP)) {
        report_skip("A12: no RDTSCP");
        return;
    }
    u64 last = 0;
    bool ok = true;
    for (unsigned i = 0; i < TIMES; i++) {
        u64 rax = FILLED, rdx = FILLED, rcx = FILLED;
        int fault;
        wrmsr(MSR_TSC_AUX, 0x1234 + i);
        TRY("rdtscp", fault, , "+a"(rax), "+d"(rdx), "+c"(rcx)::"memory");
        ok &= went(a, fault, VECTOR_GP);
        if (a == DENIED) {
            ok &= rax == FILLED && rdx == FILLED && rcx == FILLED;
            continue;
        }
        u64 tsc = rdx << 32 | rax;
        ok &= rax >> 32 == 0 && rdx >> 32 == 0;
        ok &= a == IGNORED ? tsc == 0 : tsc > last && rcx == 0x1234 + i;
        last = tsc;
    }
    report(ok, "A12: RDTSCP, %u times%s", TIMES, action_name(a));
    hits(TIMES, "rdtscp");
}

// A guest has no counters.
void part_rdpmc(void)
{
    enum { TIMES = 4 };
    enum action a = action_on(READ);
    bool ok = true;
    for (unsigned i = 0; i < TIMES; i++) {
        u64 rax = FILLED, rdx = FILLED;
        int fault;
        TRY("rdpmc", fault, , "+a"(rax), "+d"(rdx) : "c"(i) : "memory");
        ok &= fault == (a == IGNORED ? NO_FAULT : VECTOR_GP);
        ok &= rax == (a == IGNORED ? 0 : FILLED) && rdx == (a == IGNORED ? 0 : FILLED);
    }
    report(ok, "A12: RDPMC, %u times%s", TIMES, action_name(a));
    hits(TIMES, "rdpmc");
}

// RDRAND or RDSEED into RCX, of one size; which bits of it the instruction writes.
#define RANDOM(instruction, written)                                                             \
    do {                                                                                         \
        u64 rcx_ = FILLED, flags_ = 0;                                                           \
        int fault_;                                                                              \
        __asm__ volatile("push %0; popfq" ::"r"(0x8d7ul) : "cc");                                \
        TRY(instruction, fault_, , "+c"(rcx_)::"cc");                                            \
        __asm__ volatile("pushfq; pop %0" : "=r"(flags_));                                       \
        ok &= went(a, fault_, VECTOR_UD);                                                        \
        u64 kept_ = (written) == 16 ? FILLED & ~0xfffful : 0;                                    \
        if (a == DENIED)                                                                         \
            ok &= rcx_ == FILLED;                                                                \
        else if (a == IGNORED)                                                                   \
            ok &= rcx_ == kept_ && (flags_ & FLAGS_ARITHMETIC) == 0;                             \
        else                                                                                     \
            ok &= (flags_ & FLAGS_ARITHMETIC) == FLAG_CF && ((written) != 64 || rcx_ != last) && \
                  ((written) != 32 || rcx_ >> 32 == 0) &&                                        \
                  ((written) != 16 || (rcx_ & ~0xfffful) == kept_);                              \
        last = rcx_;                                                                             \
        times++;                                                                                 \
    } while (0)

void part_rdrand(void)
{
    enum action a = action_on(READ);
    u64 last = 0;
    unsigned times = 0;
    bool ok = true;
    if (!(cpuid(1, 0).ecx & CPUID1_ECX_RDRAND)) {
        report_skip("A12: no RDRAND");
        return;
    }
    RANDOM("rdrand %%rcx", 64);
    RANDOM("rdrand %%rcx", 64);
    RANDOM("rdrand %%ecx", 32);
    RANDOM("rdrand %%ecx", 32);
    RANDOM("rdrand %%cx", 16);
    report(ok, "A12: RDRAND of all sizes, %u times%s", times, action_name(a));
    hits(times, "rdrand");
}

void part_rdseed(void)
{
    enum action a = action_on(READ);
    u64 last = 0;
    unsigned times = 0;
    bool ok = true;
    if (!(cpuid(7, 0).ebx & CPUID7_EBX_RDSEED)) {
        report_skip("A12: no RDSEED");
        return;
    }
    RANDOM("rdseed %%rcx", 64);
    RANDOM("rdseed %%ecx", 32);
    RANDOM("rdseed %%cx", 16);
    report(ok, "A12: RDSEED of all sizes, %u times%s", times, action_name(a));
    hits(times, "rdseed");
}

void part_invlpg(void)
{
    map_alias(PTE_PRESENT | PTE_WRITE);
    *(volatile u64 *)ALIAS = 1;
    INSTRUCTION("INVLPG", 5u, VECTOR_GP, "invlpg (%1)", : "r"(ALIAS) : "memory");
    report(*(volatile u64 *)ALIAS == 1, "A12: the page is still there");
    hits(5, "invlpg");
}

// A guest has no MONITOR: #UD as ever, unless it is ignored.
static void monitor_or_mwait(const char *name, const char *item, bool mwait)
{
    enum action a = action_on(READ);
    unsigned right = 0;
    for (unsigned i = 0; i < 3; i++) {
        int fault;
        if (mwait)
            TRY("mwait", fault, : "a"(0), "c"(0) : "memory");
        else
            TRY("monitor", fault, : "a"(alias_page), "c"(0), "d"(0) : "memory");
        right += fault == (a == IGNORED ? NO_FAULT : VECTOR_UD);
    }
    report(right == 3, "A12: %s, 3 times%s", name, action_name(a));
    hits(3, "%s", item);
}

void part_monitor(void)
{
    monitor_or_mwait("MONITOR", "monitor", false);
}

void part_mwait(void)
{
    monitor_or_mwait("MWAIT", "mwait", true);
}

void part_wbinvd(void)
{
    INSTRUCTION("WBINVD", 4u, VECTOR_GP, "wbinvd", ::"memory");
    hits(4, "wbinvd");
}

static u64 xgetbv(void)
{
    u32 low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (u64)high << 32 | low;
}

void part_xsetbv(void)
{
    static const struct {
        u32 xcr;
        u64 value;
        bool good;
    } values[] = {{0, 3, true},  {0, 7, true},  {0, 0, false},
                  {0, 5, false}, {1, 3, false}, {0, 1, true}};
    enum action a = action_on(WRITE);
    if (!(cpuid(1, 0).ecx & CPUID1_ECX_AVX)) {
        report_skip("A12: no AVX");
        return;
    }
    __asm__ volatile("mov %0, %%cr4" ::"r"(read_cr4() | CR4_OSXSAVE));
    u64 now = xgetbv();
    bool ok = true;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        int fault;
        TRY("xsetbv", fault,
            : "c"(values[i].xcr), "a"((u32)values[i].value), "d"((u32)(values[i].value >> 32)));
        bool good = a != DENIED && (values[i].good || a == IGNORED);
        now = a == AS_EVER && good ? values[i].value : now;
        ok &= fault == (good ? NO_FAULT : VECTOR_GP) && xgetbv() == now;
    }
    report(ok, "A12: XSETBV, %lu times%s", ARRAY_SIZE(values), action_name(a));
    hits(ARRAY_SIZE(values), "xsetbv");
}

void part_cpuid(void)
{
    static const u32 leaves[] = {0, 1, 4, 7, 0x15, 0x80000000, 0x80000008, 0xffffffff};
    enum action a = action_on(READ);
    bool ok = true;
    unsigned times = 0;
    for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
        struct cpuid one = cpuid(leaves[i], 0), two = cpuid(leaves[i], 0);
        times += 2;
        ok &= memcmp(&one, &two, sizeof(one)) == 0;
        if (a == IGNORED)
            ok &= (one.eax | one.ebx | one.ecx | one.edx) == 0;
        else if (leaves[i] == 0)
            ok &= one.ebx != 0 && one.eax >= 7;
    }
    report(ok, "A12: CPUID, %u times%s", times, action_name(a));
    hits(times + 1, "cpuid"); // once by the runtime
}
