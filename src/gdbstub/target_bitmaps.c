// SPDX-License-Identifier: MIT
#include "gdbstub/target_bitmaps.h"

#include "vcpu/vcpu.h"

#define LOW_MSRS  0x2000u
#define HIGH_MSRS 0xc0000000u

static bool bit(const u8 *bitmap, u32 n)
{
    return bitmap[n / 8] >> (n % 8) & 1;
}

// Adds the ranges of clear bits among `count`, bit 0 standing for `base`.
static void add_clear(const u8 *bitmap, u32 base, u32 count, struct text *out)
{
    for (u32 n = 0; n < count; n++) {
        u32 first = n;
        while (n < count && !bit(bitmap, n))
            n++;
        if (n > first)
            text_add(out, n - first > 1 ? " %x-%x" : " %x", base + first, base + n - 1);
    }
}

void monitor_bitmaps(const struct vcpu *v, struct text *out)
{
    text_add(out, "ports let through:");
    add_clear(v->guest->io_bitmap, 0, 0x10000, out);
    text_add(out, "\nMSRs read without an exit:");
    add_clear(v->run.msr_bitmap, 0, LOW_MSRS, out);
    add_clear(v->run.msr_bitmap + 1024, HIGH_MSRS, LOW_MSRS, out);
    text_add(out, "\nMSRs written without an exit:");
    add_clear(v->run.msr_bitmap + 2048, 0, LOW_MSRS, out);
    add_clear(v->run.msr_bitmap + 3072, HIGH_MSRS, LOW_MSRS, out);
    text_add(out, "\n");
}
