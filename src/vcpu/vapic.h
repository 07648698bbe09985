// SPDX-License-Identifier: MIT
// A vCPU's local APIC, whether the CPU virtualizes it or not. Where nothing else is said: on the
// core that owns the vCPU, outside the guest.
#pragma once

#include "vcpu/lapic.h"
#include "vcpu/vcpu.h"

// Where a vCPU's xAPIC page is. One that has not run since it was reset does not care yet.
enum apic_place { APIC_ANYWHERE, APIC_HERE, APIC_ELSEWHERE };

// A vCPU's local APIC and what the hardware shares of it.
struct vapic {
    struct posted_interrupt_descriptor pid;
    struct lapic lapic;
    u8 place;           // enum apic_place; others look at it with the page's lock
    bool mode_changed;  // the VMCS's controls do not fit the APIC's mode yet
    bool status_masked; // RVI was written as 0 for a step
    u32 stale;          // LAPIC_CHANGED_… not yet in the VMCS
    u64 extint;         // ExtINT messages that wait; public
    u32 lint0_rises;    // of the PIC's INT; public
    u32 lint0_seen;     // those that the APIC has been told of
};

static inline struct vapic *vapic_of(const struct vcpu *v)
{
    return v->apic;
}

enum error vapic_create(struct vcpu *v, struct text *why);
void vapic_reset(struct vcpu *v) REQUIRES_LOADED(v);
void vapic_moved(struct vcpu *v) REQUIRES_OWNER(v);
void vapic_send_message(struct guest *g, const struct lapic_message *m);
void vapic_pic_line(struct guest *g, bool level); // the PIC's INT; one call at a time
bool vapic_sync(struct vcpu *v);
u8 vapic_accept(struct vcpu *v);
bool vapic_wakes(struct vcpu *v);
u64 vapic_base_address(struct vcpu *v);
void vapic_write_done(struct vcpu *v, u32 offset);
void vapic_eoi_done(struct vcpu *v, u8 vector);
u64 vapic_cr8_read(struct vcpu *v);
void vapic_cr8_write(struct vcpu *v, u64 value);
u64 vapic_mmio_read(struct vcpu *v, gpa_t gpa, unsigned size);
void vapic_mmio_write(struct vcpu *v, gpa_t gpa, unsigned size, u64 value);

// Whether gpa lies in v's xAPIC page.
static inline bool vapic_claims(const struct vcpu *v, gpa_t gpa)
{
    const struct lapic *l = &vapic_of(v)->lapic;
    return (gpa.v & PAGE_MASK) == lapic_base(l).v && lapic_mode(l) == LAPIC_XAPIC;
}

bool vapic_msr_read(struct vcpu *v, u32 msr, u64 *value);
bool vapic_msr_write(struct vcpu *v, u32 msr, u64 value);
void vapic_set_deadline(struct vcpu *v, u64 value);
bool vapic_send_ipi(struct vcpu *v, u32 low, u32 destination);
bool vapic_deadline_due(struct vcpu *v);
// Its timer is due; now: the guest's TSC.
void vapic_expire(struct vcpu *v, u64 now) REQUIRES_OWNER(v);
void vapic_startup(struct vcpu *v, bool init, bool sipi) REQUIRES_OWNER(v);
void vapic_tsc_written(struct vcpu *v, u64 before, u64 after) REQUIRES_OWNER(v);

// ---- the xAPIC's page (vapic_page.c) ---------------------------------------------------------

// Makes the page, if the CPU virtualizes it, and maps it. ERR_NO_MEMORY. Before g's vCPUs run.
enum error vapic_page_create(struct guest *g);

// The local APIC of v, which is about to run, is at the default address in xAPIC mode, or not.
void vapic_page_follow(struct vcpu *v, bool here) REQUIRES_OWNER(v);
