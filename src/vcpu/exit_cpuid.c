// SPDX-License-Identifier: MIT
// CPUID: what the host has and we can give, filtered once at start; the little that differs from
// vCPU to vCPU is put in at the exit.
#include "lib/cpu.h"
#include "lib/math.h"
#include "lib/string.h"
#include "smp/time.h"
#include "vcpu/cpuid.h"
#include "vcpu/exits.h"
#include "x86/bits.h"
#include "x86/emulate.h"

#define BASIC_MAX    (CPUID_BASIC_LEAVES - 1)
#define EXTENDED     0x80000000u
#define EXTENDED_MAX 8u
#define HYPERVISOR   0x40000000u
#define CACHES_MAX   8

// Leaf 1 ECX: SSE3, PCLMULQDQ, SSSE3, FMA, CX16, PCID, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, XSAVE,
// AVX, F16C, RDRAND.
#define LEAF1_ECX                                                                           \
    (BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) | BIT(22) | \
     BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
#define LEAF1_ECX_X2APIC       BIT(21)
#define LEAF1_ECX_TSC_DEADLINE BIT(24)
#define LEAF1_ECX_OSXSAVE      BIT(27)
#define LEAF1_ECX_HYPERVISOR   BIT(31)
// Leaf 1 EDX: all up to SS but not DS, ACPI.
#define LEAF1_EDX      0x0f8bfbfful
#define LEAF1_EDX_APIC BIT(9)
#define LEAF1_EDX_HTT  BIT(28)
#define LEAF1_EDX_MTRR BIT(12)
// Leaf 7 EBX: FSGSBASE, BMI1, AVX2, SMEP, BMI2, ERMS, AVX512F, AVX512DQ, RDSEED, ADX, SMAP,
// AVX512IFMA, CLFLUSHOPT, CLWB, AVX512CD, SHA, AVX512BW, AVX512VL.
#define LEAF7_EBX                                                                                  \
    (BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(16) | BIT(17) | BIT(18) | BIT(19) | \
     BIT(20) | BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30) | BIT(31))
#define LEAF7_EBX_TSC_ADJUST BIT(1)
#define LEAF7_EBX_INVPCID    BIT(10)
// Leaf 7 ECX: AVX512_VBMI, UMIP, PKU, AVX512_VBMI2, GFNI, VAES, VPCLMULQDQ, AVX512_VNNI,
// AVX512_BITALG, AVX512_VPOPCNTDQ, RDPID (only with RDTSCP).
#define LEAF7_ECX \
    (BIT(1) | BIT(2) | BIT(3) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14))
#define LEAF7_ECX_OSPKE BIT(4)
#define LEAF7_ECX_RDPID BIT(22)
#define LEAF7_EDX       BIT(4) // FSRM
// XSAVEOPT, XSAVEC, XGETBV with ECX = 1; not XSAVES.
#define LEAFD_1_EAX (BIT(0) | BIT(1) | BIT(2))
// Leaf 80000001H ECX: LAHF, LZCNT, PREFETCHW. EDX: SYSCALL, NX, 1-GiB pages, LM.
#define EXT1_ECX               (BIT(0) | BIT(5) | BIT(8))
#define EXT1_EDX               (BIT(11) | BIT(20) | BIT(26) | BIT(29))
#define EXT1_EDX_PAGES_1G      BIT(26)
#define EXT1_EDX_RDTSCP        BIT(27)
#define EXT7_EDX_INVARIANT_TSC BIT(8)

// XCR0 bits that are given: x87, SSE, AVX, the three of AVX-512, PKRU.
#define XCR0_GIVEN (BIT(0) | BIT(1) | BIT(2) | BIT(5) | BIT(6) | BIT(7) | BIT(9))

struct cpuid_info cpuid_info;

static struct cpuid basic[BASIC_MAX + 1], extended[EXTENDED_MAX + 1];
static struct cpuid cache[CACHES_MAX], xsave_part[64];
static u32 basic_max;

static COLD void init_xsave(void)
{
    u64 xcr0 = 0;
    if (basic[1].ecx & BIT(26)) {
        struct cpuid d = cpuid(0xd, 0);
        xcr0 = ((u64)d.edx << 32 | d.eax) & XCR0_GIVEN;
    }
    if (xcr0 != 0) {
        u64 before = xgetbv(0);
        xsetbv(0, xcr0);
        struct cpuid d = cpuid(0xd, 0);
        xsetbv(0, before);
        if (d.ebx > FPU_STATE_SIZE) { // room for it in a vCPU's state: leave AVX-512 out
            xcr0 &= 7;
            xsetbv(0, xcr0);
            d = cpuid(0xd, 0);
            xsetbv(0, before);
        }
        xsave_part[0] = (struct cpuid){(u32)xcr0, d.ebx, d.ebx, (u32)(xcr0 >> 32)};
        xsave_part[1].eax = cpuid(0xd, 1).eax & LEAFD_1_EAX;
        for (u32 i = 2; i < 64; i++) {
            if (xcr0 & BIT(i)) {
                xsave_part[i] = cpuid(0xd, i);
                xsave_part[i].ecx &= 2; // not supervisor state
            }
        }
    }
    cpuid_info.xcr0 = xcr0;
}

static COLD void init_basic(void)
{
    u32 host_max = cpuid(0, 0).eax;
    for (u32 leaf = 0; leaf <= MIN(host_max, BASIC_MAX); leaf++)
        basic[leaf] = cpuid(leaf, 0);
    basic_max = BASIC_MAX;
    basic[0].eax = basic_max;

    basic[1].ecx &= LEAF1_ECX;
    basic[1].ecx |= (u32)(LEAF1_ECX_X2APIC | LEAF1_ECX_TSC_DEADLINE | LEAF1_ECX_HYPERVISOR);
    basic[1].edx = (basic[1].edx & LEAF1_EDX) | (u32)(LEAF1_EDX_APIC | LEAF1_EDX_MTRR);
    basic[5] = (struct cpuid){0};             // MONITOR
    basic[6] = (struct cpuid){.eax = 1 << 2}; // the local APIC's timer always runs
    bool rdtscp = backend_has_rdtscp();
    basic[7].eax = 0;
    basic[7].ebx =
        (basic[7].ebx & (u32)(LEAF7_EBX | (backend_has_invpcid() ? LEAF7_EBX_INVPCID : 0))) |
        LEAF7_EBX_TSC_ADJUST;
    basic[7].ecx &= (u32)(LEAF7_ECX | (rdtscp ? LEAF7_ECX_RDPID : 0));
    basic[7].edx &= LEAF7_EDX;
    for (u32 leaf = 8; leaf <= BASIC_MAX; leaf++) {
        if (leaf != 0xb && leaf != 0xd)
            basic[leaf] = (struct cpuid){0};
    }

    // The TSC's rate as a ratio to a crystal, which is also the local APIC timer's clock.
    u32 ratio = (u32)(host_tsc_hz / UINT32_MAX + 1);
    cpuid_info.crystal_hz = host_tsc_hz / ratio;
    basic[0x15] = (struct cpuid){.eax = 1, .ebx = ratio, .ecx = (u32)cpuid_info.crystal_hz};
    u32 mhz = (u32)MIN((host_tsc_hz + 500000) / 1000000, 0xfffful);
    basic[0x16] = (struct cpuid){.eax = mhz, .ebx = mhz, .ecx = 100};

    if (host_max >= 4) {
        for (u32 i = 0; i < CACHES_MAX; i++) {
            cache[i] = cpuid(4, i);
            if ((cache[i].eax & 31) == 0)
                break;
        }
    }
}

static COLD void init_extended(void)
{
    u32 host_max = cpuid(EXTENDED, 0).eax;
    for (u32 i = 0; i <= EXTENDED_MAX && EXTENDED + i <= host_max; i++)
        extended[i] = cpuid(EXTENDED + i, 0);
    extended[0].eax = EXTENDED + EXTENDED_MAX;
    extended[1].ecx &= (u32)EXT1_ECX;
    extended[1].edx &= (u32)(EXT1_EDX | (backend_has_rdtscp() ? EXT1_EDX_RDTSCP : 0));
    // Time is the TSC: it is the same on all cores and never stops, or we would not run at all.
    extended[7] = (struct cpuid){.edx = EXT7_EDX_INVARIANT_TSC};
    u32 phys = extended[8].eax & 0xff, linear = extended[8].eax >> 8 & 0xff;
    cpuid_info.maxphyaddr = MIN(phys != 0 ? phys : 36, 46u);
    extended[8] = (struct cpuid){.eax = cpuid_info.maxphyaddr | MIN(linear, 48u) << 8};
    cpuid_info.rdtscp = extended[1].edx & EXT1_EDX_RDTSCP;
    cpuid_info.pages_1g = extended[1].edx & EXT1_EDX_PAGES_1G;
}

static COLD void init_cr4(void)
{
    u64 allowed = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE |
                  CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    if (basic[1].ecx & BIT(17))
        allowed |= CR4_PCIDE;
    if (cpuid_info.xcr0 != 0)
        allowed |= CR4_OSXSAVE;
    if (basic[7].ebx & BIT(0))
        allowed |= CR4_FSGSBASE;
    if (basic[7].ebx & BIT(7))
        allowed |= CR4_SMEP;
    if (basic[7].ebx & BIT(20))
        allowed |= CR4_SMAP;
    if (basic[7].ecx & BIT(2))
        allowed |= CR4_UMIP;
    if (basic[7].ecx & BIT(3))
        allowed |= CR4_PKE;
    cpuid_info.cr4 = allowed & backend_cr4_possible();
}

// SDM Vol. 1, 11.6.6.
static COLD void init_mxcsr(void)
{
    static u8 area[512] ALIGNED(16);
    u32 mask;
    __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
    memcpy(&mask, area + 28, sizeof(mask));
    cpuid_info.mxcsr_mask = mask != 0 ? mask : 0xffbf;
}

static COLD void init_emulated(void)
{
    static const struct {
        const u32 *word;
        u8 bit;
        u16 feature;
    } features[] = {
        {&basic[1].ecx, 22, EMULATE_MOVBE},   {&basic[1].ecx, 20, EMULATE_CRC32},
        {&basic[1].ecx, 23, EMULATE_POPCNT},  {&basic[1].ecx, 13, EMULATE_CX16},
        {&basic[7].ebx, 3, EMULATE_BMI1},     {&basic[7].ebx, 8, EMULATE_BMI2},
        {&basic[7].ebx, 19, EMULATE_ADX},     {&basic[7].ebx, 10, EMULATE_INVPCID},
        {&extended[1].ecx, 5, EMULATE_LZCNT},
    };
    for (unsigned n = 0; n < ARRAY_SIZE(features); n++)
        if (*features[n].word >> features[n].bit & 1)
            cpuid_info.emulated |= features[n].feature;
}

COLD void cpuid_init(void)
{
    ASSERT_BOOT_CORE();
    init_basic();
    cpuid_info.signature = basic[1].eax;
    cpuid_info.features = basic[1].edx;
    init_extended();
    init_emulated();
    init_xsave();
    init_cr4();
    init_mxcsr();
}

static struct cpuid cache_leaf(const struct vcpu *v, u32 n)
{
    if (n >= CACHES_MAX || (cache[n].eax & 31) == 0)
        return (struct cpuid){0};
    struct cpuid r = cache[n];
    u32 level = r.eax >> 5 & 7, others = (1u << v->guest->apic_log) - 1;
    r.eax = (r.eax & 0x3fff) | (level >= 3 ? others << 14 : 0) | others << 26;
    return r;
}

static struct cpuid topology_leaf(const struct vcpu *v, u32 level)
{
    struct cpuid r = {.ecx = level & 0xff, .edx = v->index};
    if (level == 0) {
        r.ebx = 1;
        r.ecx |= 1 << 8; // SMT
    } else if (level == 1) {
        r.eax = v->guest->apic_log;
        r.ebx = v->guest->vcpu_count;
        r.ecx |= 2 << 8; // core
    }
    return r;
}

static struct cpuid hypervisor_leaf(u32 leaf)
{
    struct cpuid r = {0};
    if (leaf == HYPERVISOR) {
        r.eax = HYPERVISOR;
        memcpy(&r.ebx, "VitrineVMM  ", 12);
    }
    return r;
}

// The leaves that depend on more than the vCPU's CR4.
#define SPECIAL_LEAVES (BIT(4) | BIT(7) | BIT(0xb) | BIT(0xd))

static struct cpuid special_leaf(const struct vcpu *v, u32 leaf, u32 subleaf)
{
    struct cpuid r = basic[leaf];
    switch (leaf) {
    case 4:
        return cache_leaf(v, subleaf);
    case 7:
        if (subleaf != 0)
            return (struct cpuid){0};
        if (state_get(STATE_CR4) & CR4_PKE)
            r.ecx |= LEAF7_ECX_OSPKE;
        return r;
    case 0xb:
        return topology_leaf(v, subleaf);
    default: // 0DH
        if (subleaf >= 64)
            return (struct cpuid){0};
        r = xsave_part[subleaf];
        if (subleaf <= 1 && cpuid_info.xcr0 != 0)
            r.ebx = cpuid(0xd, subleaf).ebx; // XCR0 is the guest's at this moment
        return r;
    }
}

void cpuid_follow_cr4(struct vcpu *v, u64 cr4)
{
    ASSERT_OWNER(v);
    struct cpuid *r = &v->cpuid.leaf1;
    *r = basic[1];
    if (v->cpuid.no_apic)
        r->edx &= ~(u32)LEAF1_EDX_APIC;
    r->ebx = (r->ebx & 0x0000ff00) | v->index << 24 | (1u << v->guest->apic_log) << 16;
    if (v->guest->vcpu_count > 1)
        r->edx |= LEAF1_EDX_HTT;
    if (cr4 & CR4_OSXSAVE)
        r->ecx |= LEAF1_ECX_OSXSAVE;
    for (u32 leaf = 0; leaf < CPUID_BASIC_LEAVES; leaf++)
        v->cpuid.plain[leaf] = SPECIAL_LEAVES >> leaf & 1 ? NULL : &basic[leaf];
    v->cpuid.plain[1] = r;
}

void cpuid_show_apic(struct vcpu *v, bool on)
{
    ASSERT_OWNER(v);
    u32 *edx = &v->cpuid.leaf1.edx;
    v->cpuid.no_apic = !on;
    *edx = on ? *edx | LEAF1_EDX_APIC : *edx & ~(u32)LEAF1_EDX_APIC;
}

static void answer(struct vcpu *v, const struct cpuid *r)
{
    v->run.gpr[RAX] = r->eax;
    v->run.gpr[RBX] = r->ebx;
    v->run.gpr[RCX] = r->ecx;
    v->run.gpr[RDX] = r->edx;
    vcpu_skip_instruction(v);
}

static NOINLINE void work_out(struct vcpu *v)
{
    u32 leaf = (u32)v->run.gpr[RAX], subleaf = (u32)v->run.gpr[RCX];
    struct cpuid r;
    if (leaf <= BASIC_MAX) {
        r = special_leaf(v, leaf, subleaf);
    } else if (leaf - EXTENDED <= EXTENDED_MAX) {
        r = extended[leaf - EXTENDED];
        if (leaf == EXTENDED + 1 && !(state_get(STATE_CS_ACCESS) & SEGMENT_LONG))
            r.edx &= ~(u32)BIT(11); // SYSCALL shows in 64-bit mode only
    } else if (leaf >> 8 == HYPERVISOR >> 8) {
        r = hypervisor_leaf(leaf);
    } else {
        r = basic[BASIC_MAX]; // out of range: data of the highest basic leaf
    }
    answer(v, &r);
}

void exit_cpuid(struct vcpu *v)
{
    u32 leaf = (u32)v->run.gpr[RAX];
    if (leaf <= BASIC_MAX && v->cpuid.plain[leaf] != NULL)
        answer(v, v->cpuid.plain[leaf]);
    else
        work_out(v);
}
