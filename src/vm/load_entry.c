// SPDX-License-Identifier: MIT
// The registers that a guest starts with.
#include "lib/string.h"
#include "vm/load_internal.h"
#include "x86/bits.h"

// Access rights as in the VMCS (SDM 25.4.1, Table 25-2), all present, S = 1, DPL = 0.
#define ACCESS_CODE32 0xc09bu // execute/read, accessed, D/B = 1, G = 1
#define ACCESS_DATA32 0xc093u // read/write, accessed, D/B = 1, G = 1
#define ACCESS_CODE16 0x009bu
#define ACCESS_DATA16 0x0093u
#define ACCESS_LDT    0x0082u
#define ACCESS_TSS32  0x008bu // busy

#define GDT_CODE32 0x00cf9b000000fffful
#define GDT_DATA32 0x00cf93000000fffful

const struct flat_gdt gdt_linux = {{0, 0, GDT_CODE32, GDT_DATA32}, .code = 0x10, .data = 0x18};
const struct flat_gdt gdt_pc = {{0, GDT_CODE32, GDT_DATA32, 0}, .code = 0x08, .data = 0x10};

// What is alike in every mode; the state after INIT (SDM Table 10-1) without caching disabled.
static void entry_common(struct entry_state *e, bool interrupts)
{
    e->regs.rflags = RFLAGS_FIXED | (interrupts ? RFLAGS_IF : 0);
    e->regs.cr0 = CR0_ET;
    e->regs.xcr0 = 1;
    e->regs.dr6 = 0xffff0ff0;
    e->regs.dr7 = 0x400;
    e->regs.seg[SEG_LDTR] = (struct segment){.limit = 0xffff, .access = ACCESS_LDT};
    e->regs.seg[SEG_TR] = (struct segment){.limit = 0xffff, .access = ACCESS_TSS32};
}

void load_entry_protected(struct entry_state *e, u64 rip, const struct flat_gdt *selectors, u64 gdt,
                          bool interrupts)
{
    entry_common(e, interrupts);
    e->mode = ENTRY_PROTECTED;
    e->regs.rip = rip;
    e->regs.cr0 |= CR0_PE;
    e->regs.gdtr = (struct descriptor_table){gdt, LOAD_GDT_SIZE - 1};
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        e->regs.seg[s] = (struct segment){selectors->data, 0xffffffff, ACCESS_DATA32, 0};
    e->regs.seg[SEG_CS] = (struct segment){selectors->code, 0xffffffff, ACCESS_CODE32, 0};
}

void load_entry_real(struct entry_state *e, u64 entry, bool interrupts)
{
    u64 cs_base = entry & 0xf0000;
    entry_common(e, interrupts);
    e->mode = ENTRY_REAL;
    e->regs.rip = entry - cs_base;
    e->regs.gpr[RSP] = 0x7c00;
    e->regs.gdtr.limit = 0xffff;
    e->regs.idtr.limit = 0x3ff; // the interrupt vector table of real mode
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        e->regs.seg[s] = (struct segment){0, 0xffff, ACCESS_DATA16, 0};
    e->regs.seg[SEG_CS] = (struct segment){(u16)(cs_base >> 4), 0xffff, ACCESS_CODE16, cs_base};
}
