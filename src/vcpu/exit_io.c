// SPDX-License-Identifier: MIT
// I/O instructions.
#include "vcpu/guest_access.h"
#include "vcpu/vcpu_internal.h"
#include "x86/fetch.h"

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
        v->run.gpr[RAX] = (v->run.gpr[RAX] & ~0xfful) | (u8)value;
    else if (size == 4)
        v->run.gpr[RAX] = value;
    else
        v->run.gpr[RAX] = (v->run.gpr[RAX] & ~0xfffful) | (u16)value;
}

bool vcpu_follow(struct vcpu *v, const struct follow *f)
{
    if (v->debug.registers || (vmread(GUEST_DR7) & 0xff) != 0)
        return false;
    if (f->steps != 0) {
        u64 rflags = vmread(GUEST_RFLAGS);
        follow_steps(f, v->run.gpr, &rflags);
        vmwrite(GUEST_RFLAGS, rflags);
    }
    return true;
}

// What follows the OUT at rip, as far as it is known: the first time costs a page walk.
static const struct follow *find_follow(struct vcpu *v, u64 rip, u64 length)
{
    u64 cr3 = vmread(GUEST_CR3);
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
        io_set_rax(v, f->size, v->guest->ops->port_in(v, data, f->size));
    vmwrite(GUEST_RIP, rip + length + (ours ? f->length : f->before));
}

static NOINLINE void out(struct vcpu *v, u64 q)
{
    u16 port = IO_PORT(q);
    unsigned size = IO_SIZE(q);
    u32 value = (u32)v->run.gpr[RAX];
    if (size < 4)
        value &= (1u << 8 * size) - 1;
    v->guest->ops->port_out(v, port, size, value);
    u64 rip = vmread(GUEST_RIP), length = vmread(EXIT_INSTRUCTION_LENGTH);
    if (vcpu_skip_from(v, rip, length, false) && (port == 0x70 || port == 0xcf8))
        follow_in(v, port, rip, length);
}

void exit_io(struct vcpu *v)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    if (__builtin_expect(q & IO_STRING, 0)) {
        string_io(v, q);
        return;
    }
    if (!(q & IO_IN)) {
        out(v, q);
        return;
    }
    unsigned size = IO_SIZE(q);
    io_set_rax(v, size, v->guest->ops->port_in(v, IO_PORT(q), size));
    vcpu_skip_instruction(v);
}
