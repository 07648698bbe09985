// SPDX-License-Identifier: MIT
// The register file: what a debugger, a loader or an emulator knows of a CPU's registers.
#pragma once

#include "lib/types.h"

// General registers in the order of their encoding (SDM Vol. 2, Table 3-1).
// clang-format off
enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, GPR_COUNT };
// clang-format on

// Segment registers in the order of their encoding, then the two system segments.
enum segment_name { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

struct segment {
    u16 selector;
    u32 limit;  // bytes, already scaled by G
    u32 access; // rights: SEGMENT_… of x86/bits.h
    u64 base;
};

struct descriptor_table {
    u64 base;
    u32 limit;
};

struct vcpu_regs {
    u64 gpr[GPR_COUNT];
    u64 rip, rflags;
    struct segment seg[SEG_COUNT];
    struct descriptor_table gdtr, idtr;
    u64 cr0, cr2, cr3, cr4, cr8, efer, kernel_gs_base, xcr0;
    u64 dr[4], dr6, dr7; // as the guest sees them
};

#define FPU_STATE_SIZE 4096 // bytes; an XSAVE area in standard format (SDM Vol. 1, 13.4)

// Places in an XSAVE area, in bytes, and XSTATE_BV's bits for what FXSAVE saves: x87 and SSE (SDM
// Vol. 1, 13.4).
#define XSAVE_MXCSR 24
#define XSTATE_BV   512
#define XSTATE_FXSR 3ul

// After a reset (SDM Table 10-1).
#define FCW_RESET   0x037f
#define MXCSR_RESET 0x1f80

// With 48 bits of linear address.
static inline bool canonical(u64 address)
{
    return (u64)((i64)(address << 16) >> 16) == address;
}
