// SPDX-License-Identifier: MIT
// A11, D9: everything that a vCPU keeps on its core is its own again when another has had the core:
// vector registers, debug registers, CR2, SYSCALL's MSRs. Run several with different seeds on one
// core.
//   seed=N     what the registers hold, 1 without it
//   rounds=N   times that another has the core, 20 without it
//   avx=N      turns AVX on after that many of them; without it, never
//   pku=1      has protection keys on, and so PKRU, without XCR0's bit for them
#include "guest.h"

enum {
    AWAY = 100000, // TSC ticks between two reads: another vCPU had the core
    VECTORS = 16,
};

#define CPUID_1_ECX_AVX (1u << 28)
#define CPUID_7_ECX_PKU (1u << 3)

struct vectors {
    u64 q[VECTORS][4];
} __attribute__((aligned(64)));

struct state {
    struct vectors vectors; // of each the low half, until AVX is on
    u64 dr[4], cr2, pkru;
    u64 msr[6];
    u64 rest[4]; // of what its alignment makes it; always 0
};
_Static_assert(sizeof(struct state) == 640, "no padding: it is compared as it lies there");

static const u32 msrs[] = {MSR_STAR,  MSR_LSTAR,          MSR_CSTAR,
                           MSR_FMASK, MSR_KERNEL_GS_BASE, MSR_TSC_AUX};

#define EACH_VECTOR(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

static void read_vectors(struct vectors *v, bool avx)
{
    memset(v, 0, sizeof(*v));
#define STORE(n)     __asm__ volatile("movdqu %%xmm" #n ", %0" : "=m"(v->q[n]));
#define STORE_ALL(n) __asm__ volatile("vmovdqu %%ymm" #n ", %0" : "=m"(v->q[n]));
    if (avx) {
        EACH_VECTOR(STORE_ALL)
    } else {
        EACH_VECTOR(STORE)
    }
#undef STORE
#undef STORE_ALL
}

static void write_vectors(const struct vectors *v, bool avx)
{
#define LOAD(n)     __asm__ volatile("movdqu %0, %%xmm" #n ::"m"(v->q[n]));
#define LOAD_ALL(n) __asm__ volatile("vmovdqu %0, %%ymm" #n ::"m"(v->q[n]));
    if (avx) {
        EACH_VECTOR(LOAD_ALL)
    } else {
        EACH_VECTOR(LOAD)
    }
#undef LOAD
#undef LOAD_ALL
}

static bool keys;

static u32 read_pkru(void)
{
    u32 value;
    __asm__ volatile("rdpkru" : "=a"(value) : "c"(0) : "rdx");
    return value;
}

static void write_pkru(u32 value)
{
    __asm__ volatile("wrpkru" ::"a"(value), "c"(0), "d"(0));
}

// TSC_AUX as programs read it, by RDTSCP and RDPID, is what RDMSR gives.
static bool same_for_programs(u64 value)
{
    u32 aux = (u32)value;
    u64 pid = value;
    if (cpuid(0x80000001, 0).edx & BIT(27))
        __asm__ volatile("rdtscp" : "=c"(aux)::"rax", "rdx");
    if (cpuid(7, 0).ecx & BIT(22))
        __asm__ volatile("rdpid %0" : "=r"(pid));
    return aux == value && pid == value;
}

static void read_state(struct state *s, bool avx)
{
    read_vectors(&s->vectors, avx);
    __asm__ volatile("mov %%dr0, %0" : "=r"(s->dr[0]));
    __asm__ volatile("mov %%dr1, %0" : "=r"(s->dr[1]));
    __asm__ volatile("mov %%dr2, %0" : "=r"(s->dr[2]));
    __asm__ volatile("mov %%dr3, %0" : "=r"(s->dr[3]));
    s->cr2 = read_cr2();
    s->pkru = keys ? read_pkru() : 0;
    for (unsigned i = 0; i < 6; i++)
        s->msr[i] = rdmsr(msrs[i]);
}

static void write_state(const struct state *s, bool avx)
{
    write_vectors(&s->vectors, avx);
    __asm__ volatile("mov %0, %%dr0" ::"r"(s->dr[0]));
    __asm__ volatile("mov %0, %%dr1" ::"r"(s->dr[1]));
    __asm__ volatile("mov %0, %%dr2" ::"r"(s->dr[2]));
    __asm__ volatile("mov %0, %%dr3" ::"r"(s->dr[3]));
    __asm__ volatile("mov %0, %%cr2" ::"r"(s->cr2));
    if (keys)
        write_pkru((u32)s->pkru);
    for (unsigned i = 0; i < 6; i++)
        wrmsr(msrs[i], s->msr[i]);
}

static void fill(struct state *s, u64 seed, bool avx)
{
    memset(s, 0, sizeof(*s));
    for (unsigned n = 0; n < VECTORS; n++) {
        for (unsigned i = 0; i < (avx ? 4 : 2); i++)
            s->vectors.q[n][i] = seed << 32 | n << 8 | i;
    }
    for (unsigned i = 0; i < 4; i++)
        s->dr[i] = seed << 16 | i;
    s->cr2 = seed << 20;
    s->pkru = keys ? seed << 4 : 0; // of keys that no page has
    for (unsigned i = 0; i < 6; i++)
        s->msr[i] = seed << 8 | i;
}

static void until_another_had_the_core(void)
{
    for (u64 last = rdtsc();;) {
        u64 now = rdtsc();
        if (now - last > AWAY)
            return;
        last = now;
    }
}

static void set_in_cr4(u64 bits)
{
    __asm__ volatile("mov %0, %%cr4" ::"r"(read_cr4() | bits));
}

static void turn_avx_on(void)
{
    set_in_cr4(CR4_OSXSAVE);
    __asm__ volatile("xsetbv" ::"c"(0), "a"(7), "d"(0));
}

int main(void)
{
    static struct state wanted, seen;
    u64 seed = option_number("seed", 1), rounds = option_number("rounds", 20);
    u64 avx_after = option_number("avx", UINT64_MAX);
    bool avx = false, same = true, same_aux = true, upper_clear = true;
    if (avx_after != UINT64_MAX && !(cpuid(1, 0).ecx & CPUID_1_ECX_AVX)) {
        report_skip("A11: no AVX");
        avx_after = UINT64_MAX;
    }
    set_in_cr4(CR4_OSFXSR);
    bool wants_keys = option_number("pku", 0) != 0, pkru_clear = true;
    if (wants_keys && (cpuid(7, 0).ecx & CPUID_7_ECX_PKU)) {
        until_another_had_the_core();
        set_in_cr4(CR4_PKE);
        pkru_clear = read_pkru() == 0;
        keys = true;
    }
    fill(&wanted, seed, avx);
    write_state(&wanted, avx);
    for (u64 round = 0; round < rounds; round++) {
        if (round == avx_after) {
            turn_avx_on();
            avx = true;
            read_state(&seen, avx); // the upper halves are as after RESET
            upper_clear = memcmp(&seen, &wanted, sizeof(seen)) == 0;
            fill(&wanted, seed, avx);
            write_state(&wanted, avx);
        }
        until_another_had_the_core();
        read_state(&seen, avx);
        same &= memcmp(&seen, &wanted, sizeof(seen)) == 0;
        same_aux &= same_for_programs(wanted.msr[5]);
    }
    report(same_aux, "D9: nothing of others by RDTSCP and RDPID");
    report(same, "A11: all registers kept over %lu turns", rounds);
    if (keys)
        report(pkru_clear, "D9: nothing of others in PKRU");
    else if (wants_keys)
        report_skip("D9: no protection keys");
    if (avx)
        report(upper_clear, "D9: nothing of others in registers that were turned on");
    return report_summary();
}
