// SPDX-License-Identifier: MIT
// I/O instructions.
#include "vcpu/exits.h"
#include "vcpu/guest_access.h"
#include "x86/fetch.h"

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

bool vcpu_follow(struct vcpu *v, const struct follow *f)
{
    if (v->debug.registers || (state_get(STATE_DR7) & 0xff) != 0)
        return false;
    if (f->steps != 0) {
        u64 rflags = state_get(STATE_RFLAGS);
        follow_steps(f, v->run.gpr, &rflags);
        state_set(STATE_RFLAGS, rflags);
    }
    return true;
}

// What follows the OUT at rip, as far as it is known: the first time costs a page walk.
static const struct follow *find_follow(struct vcpu *v, u64 rip, u64 length)
{
    u64 cr3 = state_get(STATE_CR3);
    const struct instruction *i = fetch_cached(&v->fetch, GVA(rip), cr3, CODE_64);
    if (i == NULL) {
        struct paging_state paging;
        vcpu_paging_state(v, &paging);
        (void)fetch_instruction(&v->fetch, &paging, &v->guest->memory, GVA(rip), CODE_64, &i);
        i = fetch_cached(&v->fetch, GVA(rip), cr3, CODE_64);
    }
    return i != NULL && i->length == length ? fetch_follow(i) : NULL;
}

// The data ports behind the index that was written to `port`: CMOS RAM's, PCI's.
static bool is_data_port(u16 port, u16 data, unsigned size)
{
    return port == 0x70 ? data == 0x71 && size == 1
                        : (u16)(data - 0xcfc) < 4 && (data & 3u) + size <= 4;
}

// The IN that follows an OUT at rip to an index, in code that may access every port. Nobody wants
// to see of this VM what we carry out.
static NOINLINE void follow_in(struct vcpu *v, u16 port, u64 rip, u64 length)
{
    if (v->run.plain_reasons != EXIT_REASONS || guest_code_size() != CODE_64 || guest_cpl() != 0)
        return;
    const struct follow *f = find_follow(v, rip, length);
    if (f == NULL || f->access != FOLLOW_IN)
        return;
    if (!vcpu_follow(v, f))
        return;
    u16 data = f->where < 0 ? (u16)v->run.gpr[RDX] : (u16)f->where;
    bool ours = is_data_port(port, data, f->size);
    if (ours)
        io_set_rax(v, f->size, v->guest->devices->port_in(v, data, f->size));
    state_set(STATE_RIP, rip + length + (ours ? f->length : f->before));
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
        follow_in(v, port, rip, length);
}

void exit_io(struct vcpu *v)
{
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
