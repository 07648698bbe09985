// SPDX-License-Identifier: MIT
// I/O instructions.
#include "vcpu/exits.h"
#include "vcpu/guest_access.h"

static NOINLINE void string_io(struct vcpu *v, struct exit_port exit)
{
    struct exit_port_string string = backend_exit_port_string();
    struct string_io io = {.port = exit.port,
                           .size = exit.size,
                           .in = exit.in,
                           .rep = exit.rep,
                           .address_size = string.address_size,
                           .instruction_length = (u8)backend_exit_length(),
                           .segment = exit.in ? SEG_ES : string.segment};
    struct guest_access a;
    struct emulation e;
    guest_access_begin(v, &e, &a);
    guest_access_finish(v, &e, emulate_string_io(&e, &io), io.port);
}

void io_set_rax(struct vcpu *v, unsigned size, u32 value)
{
    if (size == 1)
        v->run.gpr[RAX] = (v->run.gpr[RAX] & ~0xfful) | (u8)value;
    else if (size == 4)
        v->run.gpr[RAX] = value;
    else
        v->run.gpr[RAX] = (v->run.gpr[RAX] & ~0xfffful) | (u16)value;
}

static NOINLINE void out(struct vcpu *v, struct exit_port exit)
{
    u16 port = exit.port;
    unsigned size = exit.size;
    u32 value = (u32)v->run.gpr[RAX];
    if (size < 4)
        value &= (1u << 8 * size) - 1;
    v->guest->devices->port_out(v, port, size, value);
    u64 rip = state_get(STATE_RIP), length = backend_exit_length();
    if (vcpu_skip_from(v, rip, length, false) && (port == 0x70 || port == 0xcf8))
        cluster_port(v, port, rip, length);
}

// INS and OUTS find their own, an element at a time.
static NOINLINE void break_at_port(struct vcpu *v)
{
    struct exit_port exit = backend_exit_port();
    if (!exit.string)
        vcpu_break_at(v, BREAKPOINT_PORT, exit.port, exit.size);
}

void exit_io(struct vcpu *v)
{
    if (vcpu_breaks())
        break_at_port(v);
    struct exit_port exit = backend_exit_port();
    if (__builtin_expect(exit.string, 0)) {
        string_io(v, exit);
        return;
    }
    if (!exit.in) {
        out(v, exit);
        return;
    }
    io_set_rax(v, exit.size, v->guest->devices->port_in(v, exit.port, exit.size));
    vcpu_skip_instruction(v);
}
