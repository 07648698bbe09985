// SPDX-License-Identifier: MIT
// Accesses to guest-physical memory that is not RAM, or is watched: EPT violations that are no
// driver's plain MOV (exit_cluster.c), and the page of the xAPIC.
#include "vcpu/exits.h"
#include "vcpu/guest_access.h"
#include "vcpu/vapic.h"
#include "x86/bits.h"

// ---- not RAM -----------------------------------------------------------------------------------

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

void exit_memory_uncommon(struct vcpu *v, const struct exit_memory *exit)
{
    gpa_t gpa = exit->gpa;
    if (guest_ptr(&v->guest->memory, gpa, 1) != NULL) {
        if (!v->guest->memory_ops->write_protected(v, gpa))
            vcpu_crash(v, "EPT violation in RAM at %lx, qualification %x", gpa.v, exit->how);
    } else if ((exit->how & MEMORY_BY_ADDRESS) && !(exit->how & MEMORY_TRANSLATED)) {
        // A paging structure outside RAM reads as ones: reserved bits are set.
        no_memory(v, gpa);
        vcpu_raise_pf(v, backend_exit_linear_address(),
                      PF_PRESENT | PF_RESERVED | (exit->how & MEMORY_WRITE ? PF_WRITE : 0) |
                          (exit->how & MEMORY_FETCH ? PF_FETCH : 0));
    } else if (exit->how & MEMORY_FETCH) {
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
