// SPDX-License-Identifier: MIT
// Accesses to guest-physical memory that is not RAM, or is watched: EPT violations, and the page of
// the xAPIC.
#include "vcpu/exits.h"
#include "vcpu/guest_access.h"
#include "vcpu/vapic.h"
#include "x86/bits.h"
#include "x86/emulate_plain.h"
#include "x86/fetch.h"

// ---- not RAM -----------------------------------------------------------------------------------

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

static void no_memory(struct vcpu *v, gpa_t gpa)
{
    if (!vapic_claims(v, gpa))
        v->guest->devices->no_memory(v, gpa);
}

// ---- a driver's plain MOV ----------------------------------------------------------------------

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
// this code may access it, the CPU has just found out. rip: where it begins.
static NOINLINE void follow_access(struct vcpu *v, const struct follow *f, u64 rip, gpa_t gpa)
{
    u64 offset = (gpa.v & ~PAGE_MASK) + (u64)(i64)f->where;
    if (offset > PAGE_SIZE - 4 || !vcpu_follow(v, f))
        return;
    gpa.v = (gpa.v & PAGE_MASK) | offset;
    if (f->access == FOLLOW_LOAD)
        v->run.gpr[f->reg] = (u32)vcpu_mmio_read(v, gpa, 4);
    else
        vcpu_mmio_write(v, gpa, 4, (u32)v->run.gpr[f->reg]);
    state_set(STATE_RIP, rip + f->length);
}

// The instruction that touched gpa, if it is known from the last time and simple: nearly all are.
// False: nothing was done.
static bool plain_access(struct vcpu *v, gpa_t gpa, bool write)
{
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
    const struct follow *f = fetch_follow(i);
    if (vcpu_skip_from(v, rip, i->length, true) && f->access != FOLLOW_NOTHING)
        follow_access(v, f, rip + i->length, gpa);
    return true;
}

// ---- all else ----------------------------------------------------------------------------------

static void emulate_access(struct vcpu *v, gpa_t gpa)
{
    struct guest_access a;
    struct emulation e;
    const struct instruction *i;
    enum error error = guest_access_fetch(v, &e, &a, &i);
    if (error == ERR_BUSY)
        return; // its page is gone: the guest is to try again
    if (error == ERR_INVALID) {
        vcpu_raise_ud(v);
    } else if (error != OK) { // longer than 15 bytes
        vcpu_raise_gp(v, 0);
    } else {
        guest_access_finish(v, &e, emulate(&e, i), gpa.v);
    }
}

// What follows the instruction at rip, if that has been carried out for the first time.
static void follow_first(struct vcpu *v, u64 rip, gpa_t gpa)
{
    const struct instruction *i =
        fetch_cached(&v->fetch, GVA(rip), state_get(STATE_CR3), guest_code_size());
    if (i == NULL || fetch_follow(i)->access == FOLLOW_NOTHING ||
        state_get(STATE_RIP) != rip + i->length ||
        (state_get(STATE_RFLAGS) & v->step.skip_flags) != 0)
        return;
    // gpa is where its operand begins, and not what of it lies in another page.
    if (memory_offset(i, v->run.gpr, rip) == backend_exit_linear_address() &&
        (gpa.v & ~PAGE_MASK) + i->operand_size <= PAGE_SIZE)
        follow_access(v, fetch_follow(i), rip + i->length, gpa);
}

void exit_ept_violation(struct vcpu *v)
{
    struct exit_memory exit = backend_exit_memory();
    gpa_t gpa = exit.gpa;
    bool ram = guest_ptr(&v->guest->memory, gpa, 1) != NULL;
    u32 kind = exit.how & (MEMORY_BY_ADDRESS | MEMORY_TRANSLATED | MEMORY_FETCH);
    events_take_back_from(v, &exit);
    if (kind == (MEMORY_BY_ADDRESS | MEMORY_TRANSLATED) && !(v->events.info & EVENT_VALID) &&
        !ram && plain_access(v, gpa, exit.how & MEMORY_WRITE))
        return;

    if (ram) {
        if (!v->guest->memory_ops->write_protected(v, gpa))
            vcpu_crash(v, "EPT violation in RAM at %lx, qualification %x", gpa.v, exit.how);
    } else if ((exit.how & MEMORY_BY_ADDRESS) && !(exit.how & MEMORY_TRANSLATED)) {
        // A paging structure outside RAM reads as ones: reserved bits are set.
        no_memory(v, gpa);
        vcpu_raise_pf(v, backend_exit_linear_address(),
                      PF_PRESENT | PF_RESERVED | (exit.how & MEMORY_WRITE ? PF_WRITE : 0) |
                          (exit.how & MEMORY_FETCH ? PF_FETCH : 0));
    } else if (exit.how & MEMORY_FETCH) {
        no_memory(v, gpa);
        vcpu_raise_ud(v); // code outside RAM reads as ones, an undefined opcode
    } else if (v->events.info & EVENT_VALID) {
        // A descriptor table or stack outside RAM while an event is delivered.
        vcpu_crash(v, "event %x cannot be delivered: %lx is not RAM", v->events.info, gpa.v);
    } else {
        u64 rip = state_get(STATE_RIP);
        emulate_access(v, gpa);
        follow_first(v, rip, gpa);
    }
}

void exit_apic_access(struct vcpu *v)
{
    struct exit_apic exit = backend_exit_apic();
    events_take_back(v);
    if (exit.access == APIC_ACCESS_READ || exit.access == APIC_ACCESS_WRITE)
        emulate_access(v, GPA(vapic_base_address(v) + exit.offset));
    else if (exit.access == APIC_ACCESS_FETCH)
        vcpu_raise_ud(v);
    else
        vcpu_crash(v, "APIC access of type %u at offset %x", exit.access, exit.offset);
}
