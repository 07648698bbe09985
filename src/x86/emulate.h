// SPDX-License-Identifier: MIT
// Carries out one instruction in software, where an access to guest memory ends in a device or is
// caught: every instruction with an operand in memory, explicit or implied, that works on general
// registers, flags and segments, in real, protected and 64-bit mode. Left out, as
// EMULATE_UNSUPPORTED:
// - x87, MMX, SSE, AVX, and what saves and loads their registers;
// - far CALL and JMP through gates and to tasks, RET to another privilege level, IRET;
// - PUSHF and POPF in virtual-8086 mode with an IOPL below 3;
// - INS and OUTS where only the TSS's bitmap allows the port;
// - what CPUID does not offer: CET, SGX, VMX, MOVDIRI, MOVDIR64B, ENQCMD, PTWRITE.
//
// Memory is accessed as the CPU does it: as often, in these sizes and in this order, and, but for
// REP, after all that can fault before an access has been tried. Breakpoints on data and I/O that
// an access meets are noted, and end a REP after that iteration; #AC and all debug traps are the
// caller's. LOCK is accepted where the CPU accepts it, but a read and the write after it are two
// calls to ops.
//
// Pure: all it touches it is given. Called on the vCPU's core.
#pragma once

#include "lib/error.h"
#include "lib/types.h"
#include "x86/breakpoint_match.h"
#include "x86/decode.h"

enum emulate_table { EMULATE_GDTR, EMULATE_IDTR };

// Extensions that the guest's CPUID offers; without one its instructions are undefined, or others.
enum emulate_feature {
    EMULATE_MOVBE = 1 << 0,
    EMULATE_CRC32 = 1 << 1, // SSE4.2
    EMULATE_POPCNT = 1 << 2,
    EMULATE_LZCNT = 1 << 3,
    EMULATE_BMI1 = 1 << 4,
    EMULATE_BMI2 = 1 << 5,
    EMULATE_ADX = 1 << 6,
    EMULATE_CX16 = 1 << 7,
    EMULATE_INVPCID = 1 << 8,
};

struct emulate_ops {
    // Translates gva (up to its page's end) for access, WALK_READ or WALK_WRITE of x86/walk.h, with
    // WALK_SYSTEM for descriptor tables. OK; ERR_FAULT: a #PF with *error_code; ERR_INVALID: not
    // canonical; ERR_BUSY: the guest is to try again; anything else ends the emulation with
    // EMULATE_FAILED.
    enum error (*translate)(void *ctx, gva_t gva, u32 access, gpa_t *gpa, u32 *error_code);
    // One access of 1, 2, 4 or 8 bytes, within a page, RAM or not. Both must always do something.
    u64 (*read)(void *ctx, gpa_t gpa, unsigned size);
    void (*write)(void *ctx, gpa_t gpa, unsigned size, u64 value);
    // A segment register, and its hidden part. For an operand's address in 64-bit mode only FS and
    // GS are asked for.
    void (*segment)(void *ctx, enum segment_name segment, struct segment *s);
    // For INS and OUTS only: one access of 1, 2 or 4 bytes to a port.
    u32 (*port_read)(void *ctx, u16 port, unsigned size);
    void (*port_write)(void *ctx, u16 port, unsigned size, u32 value);
    // For instructions that name these registers only. The machine status word is CR0, as the guest
    // sees it; false: it cannot be so, a #GP(0).
    void (*set_segment)(void *ctx, enum segment_name segment, const struct segment *s);
    void (*table)(void *ctx, enum emulate_table table, struct descriptor_table *t);
    void (*set_table)(void *ctx, enum emulate_table table, const struct descriptor_table *t);
    u64 (*status_word)(void *ctx);
    bool (*set_status_word)(void *ctx, u64 cr0);
    // Drops all that the vCPU has cached of its page tables.
    void (*invalidate)(void *ctx);
};

struct emulate_exception {
    u8 vector;
    bool has_error;
    u32 error_code;
    u64 cr2; // for #PF
};

struct emulation {
    const struct emulate_ops *ops;
    void *ctx;
    enum code_size code_size;
    u64 *gpr; // GPR_COUNT of them, RSP among them
    u64 rip;  // of the instruction
    u64 rflags;
    u64 cr0, cr4;
    bool long_mode; // EFER.LMA
    u8 cpl;
    u32 features;     // enum emulate_feature
    unsigned repeats; // most iterations of a REP in one call, at least 1
    const struct breakpoint_registers *breakpoints; // NULL: none is enabled
    u64 hits; // breakpoint_match() of all accesses is added; void unless the status is EMULATE_DONE
              // or an iteration was carried out before EMULATE_AGAIN
    struct emulate_exception exception; // set with EMULATE_FAULT
    enum error error;                   // set with EMULATE_FAILED
    u64 next;                           // the emulator's: where the instruction leaves RIP
    bool blocks; // set with EMULATE_DONE: it was MOV SS or POP SS, which hold back interrupts
};

enum emulate_status {
    EMULATE_DONE,  // gpr, rip, rflags are as after the instruction
    EMULATE_AGAIN, // not finished: run the guest, or call again, with gpr, rip, rflags as they are
    EMULATE_FAULT, // raise e->exception; gpr, rip and rflags are as the handler is to see them
    EMULATE_UNSUPPORTED, // an instruction that is not emulated; nothing changed
    EMULATE_FAILED,      // translate said e->error; gpr, rip, rflags are those of the iteration
};

// Carries out i, as decode() gave it for the bytes at e->rip with e->code_size.
enum emulate_status emulate(struct emulation *e, const struct instruction *i);

// An INS or OUTS, described as an I/O exit does (SDM Vol. 3, tables 28-5 and 28-14).
struct string_io {
    u16 port;
    u8 size; // bytes of an element: 1, 2, 4
    bool in; // INS
    bool rep;
    u8 address_size;           // bytes: 2, 4, 8
    u8 instruction_length;     // bytes
    enum segment_name segment; // of OUTS; INS always writes to ES
};

// Carries out INS or OUTS: at most e->repeats elements. Results as emulate(), but for
// EMULATE_UNSUPPORTED. Uses e->code_size only for what it says about addresses.
enum emulate_status emulate_string_io(struct emulation *e, const struct string_io *io);
