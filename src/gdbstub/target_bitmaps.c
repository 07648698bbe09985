// SPDX-License-Identifier: MIT
#include "gdbstub/target_bitmaps.h"

#include "vcpu/vcpu.h"

// Where MSRs are that may be accessed without an exit: all others exit on every CPU.
#define MSRS_OF_A_RANGE 0x2000u
#define HIGH_MSRS       0xc0000000u

typedef bool exits_at(const struct vcpu *v, u32 n);

static bool exits_at_port(const struct vcpu *v, u32 port)
{
    return v->guest->io_bitmap[port / 8] >> (port % 8) & 1;
}

static bool exits_at_read(const struct vcpu *v, u32 msr)
{
    return msr_bitmap_catches(&v->run, msr, false);
}

static bool exits_at_write(const struct vcpu *v, u32 msr)
{
    return msr_bitmap_catches(&v->run, msr, true);
}

// Adds the ranges of the `count` numbers from first on at which the vCPU does not exit.
static void add_free(const struct vcpu *v, exits_at *exits, u32 first, u32 count, struct text *out)
{
    for (u32 n = 0; n < count; n++) {
        u32 from = n;
        while (n < count && !exits(v, first + n))
            n++;
        if (n > from)
            text_add(out, n - from > 1 ? " %x-%x" : " %x", first + from, first + n - 1);
    }
}

void monitor_bitmaps(const struct vcpu *v, struct text *out)
{
    text_add(out, "ports let through:");
    add_free(v, exits_at_port, 0, 0x10000, out);
    text_add(out, "\nMSRs read without an exit:");
    add_free(v, exits_at_read, 0, MSRS_OF_A_RANGE, out);
    add_free(v, exits_at_read, HIGH_MSRS, MSRS_OF_A_RANGE, out);
    text_add(out, "\nMSRs written without an exit:");
    add_free(v, exits_at_write, 0, MSRS_OF_A_RANGE, out);
    add_free(v, exits_at_write, HIGH_MSRS, MSRS_OF_A_RANGE, out);
    text_add(out, "\n");
}
