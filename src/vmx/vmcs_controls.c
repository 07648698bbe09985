// SPDX-License-Identifier: MIT
// The control words of a vCPU's VMCS, composed from what is wished of them. Nothing else writes
// them, and nobody reads them back to change them: what the VMCS holds is remembered.
#include "lib/format.h"
#include "lib/math.h"
#include "lib/string.h"
#include "vmx/vmx_internal.h"
#include "x86/bits.h"
#include "x86/vectors.h"

// Exceptions that must not be left to the guest alone: an endless #DB or #AC while being delivered
// keeps the CPU from taking interrupts; #MC is ours.
#define ALWAYS_CAUGHT (1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC)

// What the hypervisor itself wants to know of loops that wait for another vCPU.
#define PAUSE_GAP_TICKS    128
#define PAUSE_WINDOW_TICKS 4096

// CR0 bits that the guest does not change by itself: NE is fixed in VMX operation, CD and NW would
// slow the core down for others. Of CR4, OSXSAVE shows in CPUID, and PKE makes PKRU usable, which
// FXSAVE does not hold.
#define CR0_HOST_OWNED (CR0_NE | CR0_CD | CR0_NW)
#define CR4_HOST_OWNED (CR4_VMXE | CR4_OSXSAVE | CR4_PKE)

// The control that has each exit, by the bits of enum catch (SDM 25.6.2).
static const struct {
    u32 primary, secondary;
} catch_controls[CATCHES] = {
    {.primary = PRIMARY_HLT_EXITING},
    {.primary = PRIMARY_PAUSE_EXITING},
    {.secondary = SECONDARY_PAUSE_LOOP_EXITING},
    {.primary = PRIMARY_CR3_STORE_EXITING},
    {.primary = PRIMARY_CR3_LOAD_EXITING},
    {.primary = PRIMARY_CR8_STORE_EXITING},
    {.primary = PRIMARY_CR8_LOAD_EXITING},
    {.primary = PRIMARY_RDTSC_EXITING},
    {.primary = PRIMARY_RDPMC_EXITING},
    {.secondary = SECONDARY_RDRAND_EXITING},
    {.secondary = SECONDARY_RDSEED_EXITING},
    {.primary = PRIMARY_INVLPG_EXITING},
    {.primary = PRIMARY_MONITOR_EXITING},
    {.primary = PRIMARY_MWAIT_EXITING},
    {.secondary = SECONDARY_WBINVD_EXITING},
    {.secondary = SECONDARY_DESCRIPTOR_TABLE_EXITING},
    {.primary = PRIMARY_MOV_DR_EXITING},
    {.primary = PRIMARY_UNCONDITIONAL_IO},
};

static u32 primary_of(u32 catches)
{
    u32 controls = 0;
    for (; catches != 0; catches &= catches - 1)
        controls |= catch_controls[__builtin_ctz(catches)].primary;
    return controls;
}

static u32 secondary_of(u32 catches)
{
    u32 controls = 0;
    for (; catches != 0; catches &= catches - 1)
        controls |= catch_controls[__builtin_ctz(catches)].secondary;
    return controls;
}

u32 backend_cannot_catch(u32 catches)
{
    u32 cannot = 0;
    for (; catches != 0; catches &= catches - 1) {
        u32 one = catches & -catches;
        if ((primary_of(one) & ~vmx_caps.allowed1.primary) != 0 ||
            (secondary_of(one) & ~vmx_caps.allowed1.secondary) != 0)
            cannot |= one;
    }
    return cannot;
}

void backend_explain_catch(u32 catches, struct text *t)
{
    u32 primary = primary_of(catches);
    u32 control = primary != 0 ? primary : secondary_of(catches);
    text_add(t, "%s processor-based, bit %u", primary != 0 ? "primary" : "secondary",
             (unsigned)__builtin_ctz(control));
}

// ---- composed ----------------------------------------------------------------------------------

static u32 pin(const struct backend_vcpu *b)
{
    // A notification that arrives during a step would deliver what it is for before the step.
    return vmx_caps.base.pin & ~(b->wishes.alone ? (u32)PIN_POSTED_INTERRUPTS : 0);
}

static u32 primary(const struct backend_vcpu *b)
{
    const struct backend_wishes *w = &b->wishes;
    u32 c = (vmx_caps.base.primary | b->caught.primary) & ~b->caught.free_primary;
    if (w->interrupt_window)
        c |= PRIMARY_INTERRUPT_WINDOW;
    if (w->nmi_window)
        c |= PRIMARY_NMI_WINDOW;
    if (w->step)
        c |= PRIMARY_MONITOR_TRAP_FLAG;
    if (w->mov_dr)
        c |= PRIMARY_MOV_DR_EXITING;
    return c & ~primary_of(w->free);
}

static u32 secondary(const struct backend_vcpu *b)
{
    // How APIC accesses are virtualized changes with the APIC's mode.
    u32 c = vmx_caps.base.secondary & ~(u32)(SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC);
    if (b->has_no_siblings)
        c &= ~(u32)SECONDARY_PAUSE_LOOP_EXITING;
    c |= b->caught.secondary | b->apic_accesses;
    return c & ~b->caught.free_secondary & ~secondary_of(b->wishes.free);
}

static u32 exceptions(const struct backend_vcpu *b)
{
    return ALWAYS_CAUGHT | b->caught.exceptions | (b->wishes.breakpoints ? 1u << VECTOR_BP : 0);
}

static void put(enum vmcs_field field, u32 *in_vmcs, u32 value, bool fresh)
{
    if (*in_vmcs == value && !fresh)
        return;
    *in_vmcs = value;
    vmwrite(field, value);
}

static void compose(struct backend_vcpu *b, bool fresh)
{
    struct vmx_controls *c = &b->controls;
    put(PIN_BASED_CONTROLS, &c->pin, pin(b), fresh);
    put(PRIMARY_CONTROLS, &c->primary, primary(b), fresh);
    put(SECONDARY_CONTROLS, &c->secondary, secondary(b), fresh);
    put(EXIT_CONTROLS, &c->exit, vmx_caps.base.exit, fresh);
    put(EXCEPTION_BITMAP, &b->exception_bitmap, exceptions(b), fresh);
}

void backend_compose(struct backend_vcpu *b)
{
    compose(b, false);
}

// Written whatever was written before, since an exit brings it in line with the guest.
void backend_set_long_mode(struct backend_vcpu *b, bool on)
{
    u32 other = vmx_caps.base.entry & ~(u32)ENTRY_IA32E_GUEST;
    put(ENTRY_CONTROLS, &b->controls.entry, other | (on ? (u32)ENTRY_IA32E_GUEST : 0), true);
}

void vmcs_begin_controls(struct backend_vcpu *b)
{
    b->wishes = (struct backend_wishes){0};
    memset(&b->caught, 0, sizeof(b->caught));
    b->apic_accesses = 0;
    compose(b, true);
    backend_set_long_mode(b, false);
    vmwrite(CR0_MASK, UINT64_MAX); // so that the shadows are what the guest sees
    vmwrite(CR4_MASK, UINT64_MAX);
}

// ---- what it exits for -------------------------------------------------------------------------

// A bit that becomes ours, or the guest's again, keeps the value that the guest sees.
static void set_masks(const struct backend_vcpu *b, const struct backend_catches *c)
{
    u64 cr0 = backend_cr0(), cr4 = backend_cr4();
    vmwrite(CR0_MASK, CR0_HOST_OWNED | c->cr0);
    vmwrite(CR0_SHADOW, cr0);
    vmwrite(CR4_MASK, ~b->cr4_allowed | CR4_HOST_OWNED | c->cr4);
    vmwrite(CR4_SHADOW, cr4);
}

// Values that the CPU has no field for exit, and are let through by the room above.
static void set_cr3_values(const struct backend_catches *c)
{
    unsigned fields = MIN(MISC_CR3_TARGETS(vmx_caps.misc), (unsigned)CATCH_CR3_VALUES);
    unsigned values = c->cr3_values <= fields ? c->cr3_values : 0;
    vmwrite(CR3_TARGET_COUNT, values);
    for (unsigned n = 0; n < fields; n++)
        vmwrite(CR3_TARGET0 + 2 * n, n < values ? c->cr3_value[n] : 0);
}

void backend_catch(struct backend_vcpu *b, const struct backend_catches *c)
{
    b->caught.primary = primary_of(c->caught);
    b->caught.secondary = secondary_of(c->caught);
    b->caught.free_primary = primary_of(c->free);
    if (c->caught & CATCH_ALL_PORTS) // which the bitmaps would override
        b->caught.free_primary |= PRIMARY_IO_BITMAPS;
    b->caught.free_secondary = secondary_of(c->free);
    b->caught.exceptions = c->exceptions;
    if (secondary(b) & SECONDARY_PAUSE_LOOP_EXITING) {
        bool asked = c->caught & CATCH_PAUSE_LOOP;
        vmwrite(PLE_GAP, asked ? c->pause_gap : PAUSE_GAP_TICKS);
        vmwrite(PLE_WINDOW, asked ? c->pause_window : PAUSE_WINDOW_TICKS);
    }
    set_masks(b, c);
    vmwrite(PAGE_FAULT_ERROR_CODE_MASK, c->pf_mask);
    vmwrite(PAGE_FAULT_ERROR_CODE_MATCH, c->pf_match);
    set_cr3_values(c);
}

void backend_set_cr0(u64 value)
{
    vmwrite(CR0_SHADOW, value);
    vmwrite(GUEST_CR0, (value & ~CR0_HOST_OWNED) | CR0_NE);
}

void backend_set_cr4(u64 value)
{
    vmwrite(CR4_SHADOW, value);
    vmwrite(GUEST_CR4, value | CR4_VMXE);
}
