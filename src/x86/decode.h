// SPDX-License-Identifier: MIT
// x86 instruction decoder: lengths, prefixes and operands of every legacy-encoded instruction
// (SDM Vol. 2, chapter 2 and appendix A), and of those with VEX that work on general registers, for
// emulation of guest accesses. Other VEX and EVEX instructions are measured. Pure; may be called
// anywhere.
#pragma once

#include "lib/error.h"
#include "lib/types.h"
#include "x86/registers.h"

#define INSTRUCTION_MAX 15 // bytes

// What CS says about code: bytes of the default operand and address, but for 64-bit mode's
// operand.
enum code_size {
    CODE_16 = 2, // real mode, virtual-8086 mode, CS.D = 0
    CODE_32 = 4, // CS.D = 1
    CODE_64 = 8, // IA-32e mode and CS.L = 1
};

enum opcode_map { MAP_ONE_BYTE, MAP_0F, MAP_0F38, MAP_0F3A };

enum encoding { ENCODING_LEGACY, ENCODING_VEX, ENCODING_EVEX };

#define NO_REGISTER 0xff

// offset = base + index * scale + displacement, cut to the address size.
struct memory_operand {
    u8 segment;     // enum segment_name, overrides applied (in 64-bit mode FS and GS only)
    u8 base;        // enum gpr or NO_REGISTER
    u8 index;       // enum gpr or NO_REGISTER
    u8 scale;       // 1, 2, 4, 8
    bool rip_based; // the next instruction's address is added
    i64 displacement;
};

struct instruction {
    u8 length;           // bytes
    u8 code_size;        // enum code_size
    u8 encoding;         // enum encoding
    u8 map;              // enum opcode_map; for VEX and EVEX the number of the map
    u8 opcode;           // the last opcode byte
    u8 rex;              // 0x40..0x4f, or 0; only where it takes effect
    u8 repeat;           // 0xf2, 0xf3 (the last one given; VEX.pp), or 0
    bool lock;           // F0
    bool operand_66;     // 66 given (or VEX.pp); whether it has effect is in operand_size
    u8 segment_override; // enum segment_name, or NO_REGISTER; in 64-bit mode FS and GS only
    u8 operand_size;     // bytes: 1, 2, 4, 8 of general-purpose instructions; the destination's of
                         // MOVZX; with VEX 8 for W = 1 in 64-bit mode, or 4
    u8 address_size;     // bytes: 2, 4, 8
    bool has_modrm;
    u8 modrm;
    u8 reg;   // ModRM.reg with REX.R; the register number of opcodes that hold one, with REX.B
    u8 rm;    // ModRM.rm with REX.B, when it is a register
    u8 vvvv;  // VEX.vvvv, as a register's number (in 64-bit mode 0 to 15)
    u8 vex_l; // VEX.L
    bool has_memory;
    struct memory_operand memory; // explicit ones, moffs too; not those implied by string and stack
    u8 immediate_size;            // bytes, 0 when there is none
    i64 immediate;                // sign-extended; of a far pointer the offset
    u16 immediate2;               // a far pointer's selector, ENTER's level
};

// Decodes the instruction at code, of which `available` bytes (15 are always enough) can be read.
// OK; ERR_TRUNCATED: it goes on after them; ERR_FORMAT: it has more than 15 bytes, a #GP(0);
// ERR_INVALID: undefined opcode, a #UD. That an opcode passes does not promise that a CPU knows
// it, or allows these operands or LOCK.
enum error decode(const u8 *code, unsigned available, enum code_size code_size,
                  struct instruction *i);

// The memory operand's offset in its segment, from the registers as they are before the
// instruction; rip is the instruction's own address.
static inline u64 memory_offset(const struct instruction *i, const u64 gpr[GPR_COUNT], u64 rip)
{
    const struct memory_operand *m = &i->memory;
    u64 offset = (u64)m->displacement;
    if (m->base != NO_REGISTER)
        offset += gpr[m->base];
    if (m->index != NO_REGISTER)
        offset += gpr[m->index] * m->scale;
    if (m->rip_based)
        offset += rip + i->length;
    return i->address_size == 8 ? offset : i->address_size == 4 ? (u32)offset : (u16)offset;
}
