// SPDX-License-Identifier: MIT
// Exit clusters: the instruction that caused an exit, known from the last time, and the access that
// comes after it and would exit too (x86/cluster.h), in one exit. docs/performance.md has what they
// save.
#include "vcpu/exits.h"
#include "vcpu/guest_access.h"
#include "vcpu/vapic.h"
#include "x86/emulate_plain.h"
#include "x86/fetch.h"

// Where someone has breakpoints (vcpu_breaks()) there are no clusters: each access has its exit.

// Carries out what is between the first instruction and the access.
static void carry_out_steps(struct vcpu *v, const struct cluster *c)
{
    if (c->steps == 0)
        return;
    u64 rflags = state_get(STATE_RFLAGS);
    cluster_steps(c, v->run.gpr, &rflags);
    state_set(STATE_RFLAGS, rflags);
}

// ---- memory ------------------------------------------------------------------------------------

u64 vcpu_mmio_read(struct vcpu *v, gpa_t gpa, unsigned size)
{
    return vapic_claims(v, gpa) ? vapic_mmio_read(v, gpa, size)
                                : v->guest->devices->mmio_read(v, gpa, size);
}

void vcpu_mmio_write(struct vcpu *v, gpa_t gpa, unsigned size, u64 value)
{
    if (vapic_claims(v, gpa))
        vapic_mmio_write(v, gpa, size, value);
    else
        v->guest->devices->mmio_write(v, gpa, size, value);
}

static u64 plain_read(void *ctx, gpa_t gpa, unsigned size)
{
    struct vcpu *v = ctx;
    return vcpu_mmio_read(v, gpa, size);
}

static void plain_write(void *ctx, gpa_t gpa, unsigned size, u64 value)
{
    struct vcpu *v = ctx;
    vcpu_mmio_write(v, gpa, size, value);
}

static const struct emulate_ops plain_ops = {.read = plain_read, .write = plain_write};

// The access to the same page that comes after one that wrote to it: what the page is, and that
// this code may access it, the CPU has just found out. rip: behind the first instruction.
static NOINLINE void second_access(struct vcpu *v, const struct cluster *c, u64 rip, gpa_t gpa)
{
    u64 offset = (gpa.v & ~PAGE_MASK) + (u64)(i64)c->where;
    if (offset > PAGE_SIZE - 4)
        return;
    carry_out_steps(v, c);
    gpa.v = (gpa.v & PAGE_MASK) | offset;
    if (c->access == CLUSTER_LOAD)
        v->run.gpr[c->reg] = (u32)vcpu_mmio_read(v, gpa, 4);
    else
        vcpu_mmio_write(v, gpa, 4, (u32)v->run.gpr[c->reg]);
    state_set(STATE_RIP, rip + c->length);
}

// The access to gpa that caused the exit, and the one that follows, if the instruction is known
// from the last time and simple: nearly all are. False: nothing was done.
static bool known_access(struct vcpu *v, gpa_t gpa, bool write)
{
    if (vcpu_breaks())
        return false;
    u64 rip = state_get(STATE_RIP), cr3 = state_get(STATE_CR3);
    const struct instruction *i = fetch_cached(&v->fetch, GVA(rip), cr3, guest_code_size());
    if (i == NULL || i->code_size != CODE_64)
        return false;
    v->run.gpr[RSP] = state_get(STATE_RSP);
    struct emulation e;
    e.ops = &plain_ops;
    e.ctx = v;
    e.code_size = CODE_64;
    e.gpr = v->run.gpr;
    e.rip = rip;
    e.rflags = 0; // not looked at; RF is seen to below
    gva_t linear = GVA(backend_exit_linear_address());
    if (!emulate_plain_mov(&e, i, linear, gpa, write))
        return false;
    if (__builtin_expect(i->reg == RSP, 0))
        state_set(STATE_RSP, v->run.gpr[RSP]);
    const struct cluster *c = fetch_cluster(i);
    if (vcpu_skip_from(v, rip, i->length, true) && c->access != CLUSTER_NONE)
        second_access(v, c, rip + i->length, gpa);
    return true;
}

void exit_ept_violation(struct vcpu *v)
{
    struct exit_memory exit = backend_exit_memory();
    u32 kind = exit.how & (MEMORY_BY_ADDRESS | MEMORY_TRANSLATED | MEMORY_FETCH);
    events_take_back_from(v, &exit);
    if (kind == (MEMORY_BY_ADDRESS | MEMORY_TRANSLATED) && !(v->events.info & EVENT_VALID) &&
        guest_ptr(&v->guest->memory, exit.gpa, 1) == NULL &&
        known_access(v, exit.gpa, exit.how & MEMORY_WRITE))
        return;
    exit_memory_uncommon(v, &exit);
}

void cluster_memory_first(struct vcpu *v, u64 rip, gpa_t gpa)
{
    const struct instruction *i =
        fetch_cached(&v->fetch, GVA(rip), state_get(STATE_CR3), guest_code_size());
    if (i == NULL || fetch_cluster(i)->access == CLUSTER_NONE || vcpu_breaks() ||
        state_get(STATE_RIP) != rip + i->length ||
        (state_get(STATE_RFLAGS) & v->step.skip_flags) != 0)
        return;
    // gpa is where its operand begins, and not what of it lies in another page.
    if (memory_offset(i, v->run.gpr, rip) == backend_exit_linear_address() &&
        (gpa.v & ~PAGE_MASK) + i->operand_size <= PAGE_SIZE)
        second_access(v, fetch_cluster(i), rip + i->length, gpa);
}

// ---- ports -------------------------------------------------------------------------------------

// The cluster that the OUT at rip begins, as far as it is known: the first time costs a page walk.
static const struct cluster *find_cluster(struct vcpu *v, u64 rip, u64 length)
{
    u64 cr3 = state_get(STATE_CR3);
    const struct instruction *i = fetch_cached(&v->fetch, GVA(rip), cr3, CODE_64);
    if (i == NULL) {
        struct paging_state paging;
        vcpu_paging_state(v, &paging);
        (void)fetch_instruction(&v->fetch, &paging, &v->guest->memory, GVA(rip), CODE_64, &i);
        i = fetch_cached(&v->fetch, GVA(rip), cr3, CODE_64);
    }
    return i != NULL && i->length == length ? fetch_cluster(i) : NULL;
}

// The data ports behind the index that was written to `port`: CMOS RAM's, PCI's.
static bool is_data_port(u16 port, u16 data, unsigned size)
{
    return port == 0x70 ? data == 0x71 && size == 1
                        : (u16)(data - 0xcfc) < 4 && (data & 3u) + size <= 4;
}

// Only in code that may access every port, and in a VM of which nobody wants to see what we carry
// out.
void cluster_port(struct vcpu *v, u16 port, u64 rip, u64 length)
{
    if (v->run.plain_reasons != EXIT_REASONS || guest_code_size() != CODE_64 || guest_cpl() != 0)
        return;
    const struct cluster *c = find_cluster(v, rip, length);
    if (c == NULL || c->access != CLUSTER_IN || vcpu_breaks())
        return;
    carry_out_steps(v, c);
    u16 data = c->where < 0 ? (u16)v->run.gpr[RDX] : (u16)c->where;
    bool ours = is_data_port(port, data, c->size);
    if (ours)
        io_set_rax(v, c->size, v->guest->devices->port_in(v, data, c->size));
    state_set(STATE_RIP, rip + length + (ours ? c->length : c->before));
}
