// SPDX-License-Identifier: MIT
// A vCPU's registers, wherever they are at the moment: in its struct, in the VMCS, on the core.
#include "lib/cpu.h"
#include "lib/string.h"
#include "vcpu/cpuid.h"
#include "vcpu/exits.h"
#include "vcpu/guest_access.h"
#include "vcpu/vapic.h"
#include "vcpu/vmm.h"
#include "x86/bits.h"

u64 vcpu_get_gpr(struct vcpu *v, unsigned n)
{
    return n == RSP ? state_get(STATE_RSP) : v->run.gpr[n];
}

void vcpu_set_gpr(struct vcpu *v, unsigned n, u64 value)
{
    if (n == RSP)
        state_set(STATE_RSP, value);
    else
        v->run.gpr[n] = value;
}

// EFER.LMA follows LME and CR0.PG, and the "IA-32e mode guest" entry control follows LMA.
static void update_long_mode(struct vcpu *v, u64 efer, u64 cr0)
{
    bool active = (efer & EFER_LME) && (cr0 & CR0_PG);
    efer = active ? efer | EFER_LMA : efer & ~EFER_LMA;
    state_set(STATE_EFER, efer);
    backend_set_long_mode(&v->run, active);
}

static u64 beyond_maxphyaddr(const struct vcpu *v)
{
    return ~(BIT(v->guest->maxphyaddr) - 1);
}

// With PAE paging the four PDPTEs are registers, loaded from CR3 by whoever sets up the mode (SDM
// 4.4.1). False: one has reserved bits set, which raises #GP, and nothing is loaded.
static bool load_pdptes(struct vcpu *v, u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
    if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || (efer & EFER_LME))
        return true;
    u64 pdpte[4];
    if (guest_read(&v->guest->memory, GPA(cr3 & 0xffffffe0), pdpte, sizeof(pdpte)) != OK)
        return false; // reads as ones
    for (unsigned i = 0; i < 4; i++) {
        if ((pdpte[i] & 1) && (pdpte[i] & (PDPTE_RESERVED | beyond_maxphyaddr(v))) != 0)
            return false;
    }
    state_set_pdptes(pdpte);
    return true;
}

// A change of these loads the PDPTEs.
#define CR0_LOADS_PDPTES (CR0_CD | CR0_NW | CR0_PG)
#define CR4_LOADS_PDPTES (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)
#define CR3_NO_FLUSH     BIT(63)

// The faults of MOV CR0 are those of SDM Vol. 2, MOV to control registers, and Vol. 3, 2.5 and
// 10.8.5.
bool vcpu_set_cr0(struct vcpu *v, u64 value)
{
    ASSERT_LOADED(v);
    u64 efer = state_get(STATE_EFER), cr4 = state_get(STATE_CR4), old = backend_cr0();
    bool pg = value & CR0_PG;
    if (value >> 32 != 0 || (pg && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
        return false;
    bool code_64 = state_get(STATE_CS_ACCESS) & SEGMENT_LONG;
    if (pg && !(old & CR0_PG) && (efer & EFER_LME) &&
        (!(cr4 & CR4_PAE) || code_64 || (state_get(STATE_TR_ACCESS) & 15) <= 3)) // a 16-bit TSS
        return false;
    if (!pg && ((cr4 & CR4_PCIDE) || ((efer & EFER_LMA) && code_64)))
        return false;
    value = (value & CR0_DEFINED) | CR0_ET;
    if (((value ^ old) & CR0_LOADS_PDPTES) &&
        !load_pdptes(v, value, state_get(STATE_CR3), cr4, efer))
        return false;
    backend_set_cr0(value);
    update_long_mode(v, efer, value);
    if ((value ^ old) & (CR0_PG | CR0_WP))
        flush_vpid(v->run.vpid);
    return true;
}

// All that is cached goes, global pages too, which may always happen.
bool vcpu_set_cr3(struct vcpu *v, u64 value)
{
    ASSERT_LOADED(v);
    u64 cr4 = state_get(STATE_CR4), efer = state_get(STATE_EFER);
    bool keep = (cr4 & CR4_PCIDE) && (value & CR3_NO_FLUSH);
    if (keep)
        value &= ~CR3_NO_FLUSH;
    if ((efer & EFER_LMA) && (value & beyond_maxphyaddr(v)) != 0)
        return false;
    if (!load_pdptes(v, state_get(STATE_CR0), value, cr4, efer))
        return false;
    state_set(STATE_CR3, value);
    if (!keep)
        flush_vpid(v->run.vpid);
    return true;
}

// What follows from a CR4 that has been written.
static void follow_cr4(struct vcpu *v, u64 value)
{
    if (value & CR4_PKE)
        switch_extend(v);
    cpuid_follow_cr4(v, value);
}

bool vcpu_set_cr4(struct vcpu *v, u64 value)
{
    ASSERT_LOADED(v);
    u64 cr0 = state_get(STATE_CR0), efer = state_get(STATE_EFER), old = state_get(STATE_CR4);
    if ((value & ~v->guest->cr4_allowed) != 0)
        return false;
    if ((efer & EFER_LMA) && (!(value & CR4_PAE) || ((value ^ old) & CR4_LA57)))
        return false;
    if ((value & CR4_PCIDE) && !(old & CR4_PCIDE) &&
        (!(efer & EFER_LMA) || (state_get(STATE_CR3) & 0xfff) != 0))
        return false;
    if (((value ^ old) & CR4_LOADS_PDPTES) &&
        !load_pdptes(v, cr0, state_get(STATE_CR3), value, efer))
        return false;
    backend_set_cr4(value);
    follow_cr4(v, value);
    flush_vpid(v->run.vpid);
    return true;
}

void vcpu_paging_state(struct vcpu *v, struct paging_state *ps)
{
    *ps = (struct paging_state){
        .cr0 = state_get(STATE_CR0),
        .cr3 = state_get(STATE_CR3),
        .cr4 = state_get(STATE_CR4),
        .efer = state_get(STATE_EFER),
        .rflags = state_get(STATE_RFLAGS),
        .cpl = guest_cpl(),
        .maxphyaddr = v->guest->maxphyaddr,
        .no_1gb_pages = !cpuid_info.pages_1g,
        .use_pdpte = true,
    };
    state_get_pdptes(ps->pdpte);
}

void vcpu_get_regs(struct vcpu *v, struct vcpu_regs *r)
{
    ASSERT_LOADED(v);
    memset(r, 0, sizeof(*r));
    for (unsigned n = 0; n < GPR_COUNT; n++)
        r->gpr[n] = vcpu_get_gpr(v, n);
    r->rip = state_get(STATE_RIP);
    r->rflags = state_get(STATE_RFLAGS);
    for (unsigned n = 0; n < SEG_COUNT; n++)
        state_get_segment((enum segment_name)n, &r->seg[n]);
    r->gdtr = state_get_table(STATE_GDTR);
    r->idtr = state_get_table(STATE_IDTR);
    r->cr0 = backend_cr0();
    r->cr3 = state_get(STATE_CR3);
    r->cr4 = backend_cr4();
    r->cr8 = vapic_cr8_read(v);
    r->efer = state_get(STATE_EFER);
    switch_save(v);
    r->cr2 = v->switched.cr2;
    r->kernel_gs_base = v->switched.kernel_gs_base;
    r->xcr0 = v->switched.xcr0;
    memcpy(r->dr, v->switched.dr, sizeof(r->dr));
    r->dr6 = v->switched.dr6;
    r->dr7 = v->debug.registers ? v->debug.guest_dr7 : state_get(STATE_DR7);
}

void vcpu_limits(const struct vcpu *v, struct regs_limits *l)
{
    *l = (struct regs_limits){.cr4 = v->guest->cr4_allowed,
                              .xcr0 = v->guest->xcr0_allowed,
                              .maxphyaddr = v->guest->maxphyaddr,
                              .mxcsr_mask = cpuid_info.mxcsr_mask};
}

// What of *r is in the VMCS.
static void write_fields(struct vcpu *v, const struct vcpu_regs *r)
{
    state_set(STATE_RSP, r->gpr[RSP]);
    state_set(STATE_RIP, r->rip);
    state_set(STATE_RFLAGS, r->rflags);
    for (unsigned n = 0; n < SEG_COUNT; n++)
        state_set_segment((enum segment_name)n, &r->seg[n]);
    state_set_table(STATE_GDTR, r->gdtr);
    state_set_table(STATE_IDTR, r->idtr);
    backend_set_cr0(r->cr0);
    state_set(STATE_CR3, r->cr3);
    backend_set_cr4(r->cr4);
    update_long_mode(v, r->efer, r->cr0);
    if (!v->debug.registers)
        state_set(STATE_DR7, r->dr7);
}

static void read_interruptibility(struct interruptibility *i)
{
    i->blocking = state_get(STATE_BLOCKING);
    i->pending_debug = state_get(STATE_PENDING_DEBUG);
    i->halted = state_get(STATE_ACTIVITY) == ACTIVITY_HLT;
}

static void write_interruptibility(const struct interruptibility *i)
{
    state_set(STATE_BLOCKING, i->blocking);
    state_set(STATE_PENDING_DEBUG, i->pending_debug);
}

// Writes what is in the VMCS and looks at the result as the next entry will (SDM 27.3.1).
// ERR_INVALID, and all is as before: it would be refused.
static enum error enter_fields(struct vcpu *v, const struct vcpu_regs *old,
                               const struct vcpu_regs *r, struct text *why)
{
    struct interruptibility before, after;
    u64 pdpte[4];
    bool tables =
        r->cr3 != old->cr3 || r->cr0 != old->cr0 || r->cr4 != old->cr4 || r->efer != old->efer;
    state_get_pdptes(pdpte);
    if (tables && !load_pdptes(v, r->cr0, r->cr3, r->cr4, r->efer))
        return explain(why, ERR_INVALID, "cr3 = %lx: reserved bits are set in the PDPTEs there",
                       r->cr3);
    read_interruptibility(&before);
    after = before;
    regs_settle(old, r, &after);
    write_fields(v, r);
    write_interruptibility(&after);
    enum error e = backend_check_guest(&v->run, why);
    if (e == OK) {
        if (tables)
            flush_vpid(v->run.vpid);
        return OK;
    }
    write_fields(v, old);
    write_interruptibility(&before);
    state_set_pdptes(pdpte);
    return e;
}

enum error vcpu_set_regs(struct vcpu *v, const struct vcpu_regs *r, struct text *why)
{
    ASSERT_LOADED(v);
    struct vcpu_regs old = {0};
    struct regs_limits limits;
    vcpu_get_regs(v, &old); // which takes what is on the core
    vcpu_limits(v, &limits);
    enum error e = regs_check(&old, r, &limits, why);
    if (e == OK)
        e = enter_fields(v, &old, r, why);
    if (e != OK)
        return e;
    for (unsigned n = 0; n < GPR_COUNT; n++)
        vcpu_set_gpr(v, n, r->gpr[n]);
    if (r->cr4 != old.cr4)
        follow_cr4(v, r->cr4);
    vapic_cr8_write(v, r->cr8);
    if (r->rflags != old.rflags)
        v->events.sleeps_interruptible = r->rflags & RFLAGS_IF;

    v->switched.cr2 = r->cr2;
    v->switched.kernel_gs_base = r->kernel_gs_base;
    v->switched.xcr0 = r->xcr0;
    if ((r->xcr0 & ~XSTATE_FXSR) != 0)
        switch_extend(v);
    memcpy(v->switched.dr, r->dr, sizeof(v->switched.dr));
    v->switched.dr6 = r->dr6;
    v->debug.guest_dr7 = r->dr7;
    if (v->core->vmm->on_core == v)
        switch_load(v);
    vcpu_note(v, REQUEST_CHECK);
    return OK;
}
