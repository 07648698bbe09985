// SPDX-License-Identifier: MIT
// Accesses to guest-physical memory that is not RAM, or is watched: EPT violations, and the page of
// the xAPIC.
#include "vcpu/exits.h"
#include "vcpu/guest_access.h"
#include "vcpu/vapic.h"
#include "x86/bits.h"

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

void exit_ept_violation(struct vcpu *v)
{
    struct exit_memory exit = backend_exit_memory();
    gpa_t gpa = exit.gpa;
    bool ram = guest_ptr(&v->guest->memory, gpa, 1) != NULL;
    u32 kind = exit.how & (MEMORY_BY_ADDRESS | MEMORY_TRANSLATED | MEMORY_FETCH);
    events_take_back_from(v, &exit);
    if (kind == (MEMORY_BY_ADDRESS | MEMORY_TRANSLATED) && !(v->events.info & EVENT_VALID) &&
        !ram && cluster_memory(v, gpa, exit.how & MEMORY_WRITE))
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
        cluster_memory_first(v, rip, gpa);
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
