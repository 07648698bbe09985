// SPDX-License-Identifier: MIT
// I/O instructions.
#include "vmx/guest_access.h"
#include "vmx/vcpu_internal.h"

#define IO_SIZE(q) ((unsigned)((q)&7) + 1)
#define IO_IN      BIT(3)
#define IO_STRING  BIT(4)
#define IO_REP     BIT(5)
#define IO_PORT(q) ((u16)((q) >> 16))
// Instruction information of INS and OUTS (SDM Table 28-9).
#define INFO_ADDRESS_SIZE(i) ((u8)(2u << ((i) >> 7 & 7)))
#define INFO_SEGMENT(i)      ((enum segment_name)((i) >> 15 & 7))

static NOINLINE void string_io(struct vcpu *v, u64 q)
{
    u64 info = vmread(EXIT_INSTRUCTION_INFO);
    struct string_io io = {.port = IO_PORT(q),
                           .size = (u8)IO_SIZE(q),
                           .in = q & IO_IN,
                           .rep = q & IO_REP,
                           .address_size = INFO_ADDRESS_SIZE(info),
                           .instruction_length = (u8)vmread(EXIT_INSTRUCTION_LENGTH),
                           .segment = q & IO_IN ? SEG_ES : INFO_SEGMENT(info)};
    struct guest_access a;
    struct emulation e;
    guest_access_begin(v, &e, &a);
    guest_access_finish(v, &e, emulate_string_io(&e, &io), io.port);
}

void io_set_rax(struct vcpu *v, unsigned size, u32 value)
{
    if (size == 1)
        v->gpr[RAX] = (v->gpr[RAX] & ~0xffull) | (u8)value;
    else if (size == 4)
        v->gpr[RAX] = value;
    else
        v->gpr[RAX] = (v->gpr[RAX] & ~0xffffull) | (u16)value;
}

void exit_io(struct vcpu *v)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    if (__builtin_expect(q & IO_STRING, 0)) {
        string_io(v, q);
        return;
    }
    unsigned size = IO_SIZE(q);
    if (q & IO_IN) {
        io_set_rax(v, size, v->guest->ops->port_in(v, IO_PORT(q), size));
    } else {
        u32 value = (u32)v->gpr[RAX];
        if (size < 4)
            value &= (1u << 8 * size) - 1;
        v->guest->ops->port_out(v, IO_PORT(q), size, value);
    }
    vcpu_skip_instruction(v);
}
