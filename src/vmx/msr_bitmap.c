// SPDX-License-Identifier: MIT
// The MSR bitmap of a vCPU (SDM Vol. 3, 25.6.9): which MSRs the guest reads and writes by itself.
#include "lib/cpu.h"
#include "lib/string.h"
#include "vmx/vmx_internal.h"
#include "x86/msr_numbers.h"

#define RANGE_MSRS 0x2000u // at 0 and at HIGH_RANGE; all others are caught always
#define HIGH_RANGE 0xc0000000u

// The four parts: reads of low and high MSRs, writes of these.
enum { WRITES = 2048, HIGH = 1024 };

static void allow(u8 *bitmap, u32 msr, bool read, bool write)
{
    u32 at = msr & (RANGE_MSRS - 1);
    u32 base = msr >= HIGH_RANGE ? HIGH : 0;
    if (read)
        bitmap[base + at / 8] &= (u8)~BIT(at % 8);
    if (write)
        bitmap[base + WRITES + at / 8] &= (u8)~BIT(at % 8);
}

// Sets the bits of those of first to last that lie in the range which begins at `start`.
static void catch_range(u8 *part, u32 start, u64 first, u64 last)
{
    u64 from = MAX(first, (u64)start), to = MIN(last, (u64)start + RANGE_MSRS - 1);
    for (u64 msr = from; msr <= to; msr++)
        part[(msr - start) / 8] |= (u8)BIT((msr - start) % 8);
}

bool msr_bitmap_catches(const struct backend_vcpu *b, u32 msr, bool write)
{
    if ((msr & ~(RANGE_MSRS - 1)) != 0 && (msr & ~(RANGE_MSRS - 1)) != HIGH_RANGE)
        return true;
    u32 at = msr & (RANGE_MSRS - 1);
    u32 part = (msr >= HIGH_RANGE ? HIGH : 0) + (write ? WRITES : 0);
    return b->msr_bitmap[part + at / 8] & BIT(at % 8);
}

void msr_bitmap_catch(struct backend_vcpu *b, u64 first, u64 last, bool read, bool write)
{
    if (read) {
        catch_range(b->msr_bitmap, 0, first, last);
        catch_range(b->msr_bitmap + HIGH, HIGH_RANGE, first, last);
    }
    if (write) {
        catch_range(b->msr_bitmap + WRITES, 0, first, last);
        catch_range(b->msr_bitmap + WRITES + HIGH, HIGH_RANGE, first, last);
    }
}

void msr_bitmap_build(struct backend_vcpu *b, u64 x2apic_reads, u64 x2apic_writes)
{
    static const u32 direct[] = {
        MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP, MSR_IA32_PAT, MSR_EFER,
        MSR_FS_BASE,          MSR_GS_BASE,           MSR_KERNEL_GS_BASE};
    // Hardly ever written: that a write exits spares reading them when another vCPU gets the core.
    static const u32 direct_read[] = {MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FMASK};
    u8 *bitmap = b->msr_bitmap;
    memset(bitmap, 0xff, PAGE_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(direct_read); i++)
        allow(bitmap, direct_read[i], true, false);
    for (unsigned i = 0; i < ARRAY_SIZE(direct); i++)
        allow(bitmap, direct[i], true, true);
    if (vmx_has_secondary(SECONDARY_RDTSCP))
        allow(bitmap, MSR_TSC_AUX, true, false);
    allow(bitmap, MSR_IA32_TSC, true, false); // with TSC offsetting
    for (u32 i = 0; i < 64; i++)
        allow(bitmap, MSR_IA32_X2APIC + i, x2apic_reads >> i & 1, x2apic_writes >> i & 1);
}
