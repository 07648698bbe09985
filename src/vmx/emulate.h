// SPDX-License-Identifier: MIT
// Carries out one instruction in software, where an access to guest memory ends in a device or is
// caught: MOV in all its forms, MOVZX, MOVSX, MOVSXD, MOVNTI, ADD to CMP, TEST, NOT, NEG, INC, DEC,
// XCHG, XADD, CMPXCHG, BT to BTC, SETcc, CMOVcc; MOVS, CMPS, STOS, LODS, SCAS with REP; and the
// memory side of INS and OUTS. In real, protected and 64-bit mode.
//
// Segment limits and types, #AC, and debug traps (RFLAGS.TF, data breakpoints) are the caller's.
// LOCK is accepted where the CPU accepts it, but a read and the write after it are two calls to
// ops.
//
// Pure: all it touches it is given. Called on the vCPU's core.
#pragma once

#include "lib/error.h"
#include "lib/types.h"
#include "vmx/decode.h"

struct emulate_ops {
    // Translates gva (up to its page's end) for access, WALK_READ or WALK_WRITE of ept/walk.h. OK;
    // ERR_FAULT: a #PF with *error_code; ERR_INVALID: not canonical; ERR_BUSY: the guest is to try
    // again; anything else ends the emulation with EMULATE_FAILED.
    enum error (*translate)(void *ctx, gva_t gva, u32 access, gpa_t *gpa, u32 *error_code);
    // One access of 1, 2, 4 or 8 bytes, within a page, RAM or not. Both must always do something.
    u64 (*read)(void *ctx, gpa_t gpa, unsigned size);
    void (*write)(void *ctx, gpa_t gpa, unsigned size, u64 value);
    // Base address of ES..GS. Not asked for ES, CS, SS, DS in 64-bit mode.
    u64 (*segment_base)(void *ctx, enum segment_name segment);
    // For emulate_string_io() only: one access of 1, 2 or 4 bytes to a port.
    u32 (*port_read)(void *ctx, u16 port, unsigned size);
    void (*port_write)(void *ctx, u16 port, unsigned size, u32 value);
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
    unsigned repeats;                   // most iterations of a REP in one call, at least 1
    struct emulate_exception exception; // set with EMULATE_FAULT
    enum error error;                   // set with EMULATE_FAILED
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
