// SPDX-License-Identifier: MIT
// What INIT leaves alone and what it does not (SDM 10.1, Table 10-1), as a CPU sees it that is
// started again: vector state, XCR0, MTRRs and other MSRs, the TSC; registers of its last program.
#include "checks.h"
#include "guest.h"

#define AHEAD (1ul << 44) // of TSC_ADJUST: more than a TSC comes to otherwise

static const struct {
    u32 msr;
    u64 value;
} kept_msrs[] = {
    {MSR_IA32_TSC_ADJUST, AHEAD},
    {MSR_IA32_MISC_ENABLE, 0x1800}, // without fast strings
    {MSR_IA32_PAT, 0x0001040600070406},
    {0x200, 0xd0000006}, // a variable MTRR
    {0x201, 0xff0000800},
    {0x250, 0x0505050505050505}, // a fixed one
    {0x2ff, 0xc00},
    {MSR_IA32_SYSENTER_CS, 0x18},
    {MSR_IA32_SYSENTER_ESP, 0x123456789000},
    {MSR_IA32_SYSENTER_EIP, 0x123456789abc},
    {MSR_IA32_DEBUGCTL, 1}, // LBR
    {MSR_STAR, 0x0018001000000000},
    {MSR_LSTAR, 0x1000},
    {MSR_CSTAR, 0x2000},
    {MSR_FMASK, 0x700},
    {MSR_KERNEL_GS_BASE, 0x3000},
    {MSR_TSC_AUX, 0x4000},
};

static struct {
    bool same_msrs, ahead;
    u32 xcr0, mxcsr;
    u16 fcw;
    u8 st0[10];
    u64 vector[4];
    u64 dr[4], dr7, cr2, efer, fs_base, deadline;
} seen;

static const u64 vector[4] = {0x0123456789abcdef, 0xfedcba9876543210, 0x5555aaaa5555aaaa, 1};
static const u8 number[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0x40}; // 3
static const u16 control_word = 0x27f;                             // double precision
static const u32 control = 0x5f80;                                 // MXCSR: round up
static bool avx, xsave;

static void enable_vectors(void)
{
    xsave = (cpuid(1, 0).ecx & BIT(26)) != 0;
    avx = xsave && (cpuid(1, 0).ecx & BIT(28)) != 0;
    u64 cr4 = read_cr4() | CR4_OSFXSR | (xsave ? CR4_OSXSAVE : 0);
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4));
}

void kept_write(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(kept_msrs); i++)
        wrmsr(kept_msrs[i].msr, kept_msrs[i].value);
    enable_vectors();
    if (xsave)
        __asm__ volatile("xsetbv" ::"c"(0), "a"(avx ? 7 : 3), "d"(0));
    if (avx)
        __asm__ volatile("vmovdqu %0, %%ymm5" ::"m"(vector));
    else
        __asm__ volatile("movdqu %0, %%xmm5" ::"m"(vector));
    __asm__ volatile("fninit; fldt %0; fldcw %1; ldmxcsr %2" ::"m"(number), "m"(control_word),
                     "m"(control));
    // And what must go.
    u64 address = 0x5000;
    __asm__ volatile("mov %0, %%dr0; mov %0, %%dr3; mov %0, %%cr2" ::"r"(address));
    __asm__ volatile("mov %0, %%dr7" ::"r"(0x702ul)); // of DR0, whose address nobody executes
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_FS_BASE, 0x5000);
    apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | LVT_MASKED | 0x60);
    wrmsr(MSR_IA32_TSC_DEADLINE, UINT64_MAX);
}

void kept_read(void)
{
    seen.same_msrs = true;
    for (size_t i = 0; i < ARRAY_SIZE(kept_msrs); i++) {
        u64 value = rdmsr(kept_msrs[i].msr);
        if (value != kept_msrs[i].value) {
            printf("MSR 0x%x is 0x%lx\n", kept_msrs[i].msr, value);
            seen.same_msrs = false;
        }
    }
    seen.ahead = rdtsc() > AHEAD;
    wrmsr(MSR_IA32_TSC_ADJUST, 0);
    enable_vectors();
    if (xsave)
        __asm__ volatile("xgetbv" : "=a"(seen.xcr0) : "c"(0) : "rdx");
    if (avx)
        __asm__ volatile("vmovdqu %%ymm5, %0" : "=m"(seen.vector));
    else
        __asm__ volatile("movdqu %%xmm5, %0" : "=m"(seen.vector));
    __asm__ volatile("fnstcw %1; stmxcsr %2; fstpt %0"
                     : "=m"(seen.st0), "=m"(seen.fcw), "=m"(seen.mxcsr));
    __asm__ volatile("mov %%dr0, %0" : "=r"(seen.dr[0]));
    __asm__ volatile("mov %%dr3, %0" : "=r"(seen.dr[3]));
    __asm__ volatile("mov %%dr7, %0" : "=r"(seen.dr7));
    seen.cr2 = read_cr2();
    seen.efer = rdmsr(MSR_EFER);
    seen.fs_base = rdmsr(MSR_FS_BASE);
    apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | LVT_MASKED | 0x60);
    seen.deadline = rdmsr(MSR_IA32_TSC_DEADLINE);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

void kept_report(void)
{
    const char *mode = mode_name();
    report(seen.same_msrs, "F11: %s: INIT leaves MSRs alone, MTRRs and PAT too", mode);
    report(seen.ahead, "F11: %s: and the TSC", mode);
    report(!xsave || seen.xcr0 == (avx ? 7 : 3), "F11: %s: and XCR0 (0x%x)", mode, seen.xcr0);
    report(memcmp(seen.vector, vector, avx ? 32 : 16) == 0 && seen.mxcsr == control,
           "F11: %s: and the vector registers and MXCSR (0x%x)", mode, seen.mxcsr);
    report(memcmp(seen.st0, number, sizeof(number)) == 0 && seen.fcw == control_word,
           "F11: %s: and the x87 (control word 0x%x)", mode, seen.fcw);
    report(seen.dr[0] == 0 && seen.dr[3] == 0 && seen.dr7 == 0x400 && seen.cr2 == 0,
           "F11: %s: it clears the debug registers and CR2", mode);
    report((seen.efer & EFER_SCE) == 0 && seen.fs_base == 0 && seen.deadline == 0,
           "F11: %s: and EFER, the segments' bases, the APIC's deadline", mode);
}
