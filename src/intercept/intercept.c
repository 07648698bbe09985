// SPDX-License-Identifier: MIT
// The items of a guest, and the narrowest VM-execution controls that catch what they name (SDM
// Vol. 3, 25.6).
#include "intercept/intercept.h"

#include "boot/log.h"
#include "lib/cpu.h"
#include "lib/string.h"
#include "vcpu/msr.h"
#include "vcpu/vcpu_internal.h"
#include "vmx/caps.h"
#include "vmx/flush.h"
#include "x86/bits.h"
#include "x86/vectors.h"

// OSXSAVE shows in CPUID. PKE makes PKRU usable, which FXSAVE does not hold.
#define CR4_HOST_OWNED (CR4_VMXE | CR4_OSXSAVE | CR4_PKE)

// What the hypervisor itself wants to know of loops that wait for another vCPU.
#define PLE_GAP_TICKS    128
#define PLE_WINDOW_TICKS 4096

#define PORTS_OF_DEVICE 8u
#define APIC_END        (APIC_BASE_RESET + PAGE_SIZE)

// The control that catches each kind, for its reads and its writes. INTERCEPT_IO: of all ports.
static const struct {
    u32 read, write, secondary;
} controls[INTERCEPT_WHATS] = {
    [INTERCEPT_HLT] = {.write = PRIMARY_HLT_EXITING},
    [INTERCEPT_PAUSE] = {.write = PRIMARY_PAUSE_EXITING},
    [INTERCEPT_PLE] = {.secondary = SECONDARY_PAUSE_LOOP_EXITING},
    [INTERCEPT_CR3] = {.read = PRIMARY_CR3_STORE_EXITING, .write = PRIMARY_CR3_LOAD_EXITING},
    [INTERCEPT_CR8] = {.read = PRIMARY_CR8_STORE_EXITING, .write = PRIMARY_CR8_LOAD_EXITING},
    [INTERCEPT_RDTSC] = {.write = PRIMARY_RDTSC_EXITING},
    [INTERCEPT_RDTSCP] = {.write = PRIMARY_RDTSC_EXITING},
    [INTERCEPT_RDPMC] = {.write = PRIMARY_RDPMC_EXITING},
    [INTERCEPT_RDRAND] = {.secondary = SECONDARY_RDRAND_EXITING},
    [INTERCEPT_RDSEED] = {.secondary = SECONDARY_RDSEED_EXITING},
    [INTERCEPT_INVLPG] = {.write = PRIMARY_INVLPG_EXITING},
    [INTERCEPT_MONITOR] = {.write = PRIMARY_MONITOR_EXITING},
    [INTERCEPT_MWAIT] = {.write = PRIMARY_MWAIT_EXITING},
    [INTERCEPT_WBINVD] = {.secondary = SECONDARY_WBINVD_EXITING},
    [INTERCEPT_DESC] = {.secondary = SECONDARY_DESCRIPTOR_TABLE_EXITING},
    [INTERCEPT_DR] = {.read = PRIMARY_MOV_DR_EXITING, .write = PRIMARY_MOV_DR_EXITING},
};

static bool is_all_ports(const struct intercept *i)
{
    return i->what == INTERCEPT_IO && i->first == 0 && i->last == UINT16_MAX;
}

static u32 primary_of(const struct intercept *i)
{
    if (is_all_ports(i))
        return PRIMARY_UNCONDITIONAL_IO;
    return (i->access & INTERCEPT_READ ? controls[i->what].read : 0) |
           (i->access == 0 || (i->access & INTERCEPT_WRITE) ? controls[i->what].write : 0);
}

bool intercept_possible(const struct intercept *i, struct text *why)
{
    u32 primary = primary_of(i) & ~vmx_caps.allowed1.primary;
    u32 secondary = controls[i->what].secondary & ~vmx_caps.allowed1.secondary;
    if (i->what == INTERCEPT_MEM && i->first < APIC_END && i->last >= APIC_BASE_RESET) {
        text_add(why, "the local APIC is at %lx; its registers are caught by msr in x2APIC mode",
                 APIC_BASE_RESET);
        return false;
    }
    if (primary == 0 && secondary == 0)
        return true;
    text_add(why, "'");
    intercept_print(i, false, why);
    text_add(why, "': this CPU has no control to catch it (%s processor-based, bit %u)",
             primary != 0 ? "primary" : "secondary",
             (unsigned)__builtin_ctz(primary != 0 ? primary : secondary));
    return false;
}

// ---- in the VMCS -------------------------------------------------------------------------------

// What all items together want of a vCPU.
struct wanted {
    u32 primary, secondary, exceptions;
    u32 pf_mask, pf_match; // with #PF among the exceptions
    u64 cr0, cr4;
    const struct intercept *ple;
    bool cr3;
    unsigned cr3_targets;
    u64 cr3_target[INTERCEPT_CR3_VALUES]; // what no item wants to be told of
};

// The error codes that both the ones so far and i want, and as few others as can be.
static void want_exception(struct wanted *w, const struct intercept *i)
{
    bool first = !(w->exceptions & BIT(i->first));
    w->exceptions |= (u32)BIT(i->first);
    if (i->first != VECTOR_PF)
        return;
    w->pf_mask = (u32)(first ? i->mask : w->pf_mask & i->mask & ~(w->pf_match ^ i->match));
    w->pf_match = (u32)i->match & w->pf_mask;
}

static void want_cr3(struct wanted *w, const struct intercept *i)
{
    unsigned kept = 0;
    if (!(i->access & INTERCEPT_WRITE))
        return;
    if (!w->cr3)
        memcpy(w->cr3_target, i->value, sizeof(w->cr3_target));
    w->cr3_targets = w->cr3 ? w->cr3_targets : i->values;
    w->cr3 = true;
    for (unsigned a = 0; a < w->cr3_targets; a++) {
        for (unsigned b = 0; b < i->values; b++) {
            if (w->cr3_target[a] == i->value[b]) {
                w->cr3_target[kept++] = i->value[b];
                break;
            }
        }
    }
    w->cr3_targets = kept;
}

static void want(struct wanted *w, const struct intercept *i)
{
    w->primary |= primary_of(i);
    w->secondary |= controls[i->what].secondary;
    if (i->what == INTERCEPT_EXCEPTION)
        want_exception(w, i);
    else if (i->what == INTERCEPT_CR0)
        w->cr0 |= i->mask;
    else if (i->what == INTERCEPT_CR4)
        w->cr4 |= i->mask;
    else if (i->what == INTERCEPT_CR3)
        want_cr3(w, i);
    else if (i->what == INTERCEPT_PLE && w->ple == NULL)
        w->ple = i;
}

// Composed with other wishes before the next entry.
static void set_controls(struct vcpu *v, const struct wanted *w)
{
    struct control_wishes *wishes = &v->run.wishes;
    wishes->primary = w->primary;
    wishes->secondary = w->secondary;
    wishes->exceptions = w->exceptions;
    wishes->no_primary = v->guest->hlt_through ? PRIMARY_HLT_EXITING : 0;
    if (w->primary & PRIMARY_UNCONDITIONAL_IO) // which the bitmaps would override
        wishes->no_primary |= PRIMARY_IO_BITMAPS;
    if ((vmcs_secondary(v) | w->secondary) & SECONDARY_PAUSE_LOOP_EXITING) {
        vmwrite(PLE_GAP, w->ple != NULL ? w->ple->first : PLE_GAP_TICKS);
        vmwrite(PLE_WINDOW, w->ple != NULL ? w->ple->last : PLE_WINDOW_TICKS);
    }
    vcpu_note(v, REQUEST_DEBUG);
}

// A bit that becomes ours, or the guest's again, keeps the value that the guest sees.
static void set_masks(struct vcpu *v, const struct wanted *w)
{
    u64 cr0 = vcpu_cr0(v), cr4 = vcpu_cr4(v);
    vmwrite(CR0_MASK, CR0_HOST_OWNED | w->cr0);
    vmwrite(CR0_SHADOW, cr0);
    vmwrite(CR4_MASK, ~v->guest->cr4_allowed | CR4_HOST_OWNED | w->cr4);
    vmwrite(CR4_SHADOW, cr4);
}

void intercept_apply(struct vcpu *v)
{
    const struct intercepts *set = &v->guest->intercepts;
    struct wanted w = {0};
    for (unsigned n = 0; n < set->count; n++)
        want(&w, &set->list[n].item);
    set_controls(v, &w);
    set_masks(v, &w);
    vmwrite(PAGE_FAULT_ERROR_CODE_MASK, w.pf_mask);
    vmwrite(PAGE_FAULT_ERROR_CODE_MATCH, w.pf_match);
    unsigned fields = MIN(MISC_CR3_TARGETS(vmx_caps.misc), (unsigned)INTERCEPT_CR3_VALUES);
    unsigned targets = w.cr3_targets <= fields ? w.cr3_targets : 0;
    vmwrite(CR3_TARGET_COUNT, targets);
    for (unsigned n = 0; n < fields; n++)
        vmwrite(CR3_TARGET0 + 2 * n, n < targets ? w.cr3_target[n] : 0);
    msr_bitmap_build(v);
    v->run.plain_reasons = set->count == 0 && !v->guest->hlt_through ? EXIT_REASONS : 0;
}

// ---- the list ----------------------------------------------------------------------------------

static void set_port(u8 *bitmap, unsigned port, bool caught)
{
    u8 bit = (u8)BIT(port % 8);
    bitmap[port / 8] = (u8)(caught ? bitmap[port / 8] | bit : bitmap[port / 8] & ~bit);
}

// All ports are emulated, and so caught, but those of a device of the host that the guest was
// given.
static void build_io_bitmap(const struct guest *g)
{
    memset(g->io_bitmap, 0xff, 2 * PAGE_SIZE);
    for (unsigned d = 0; d < ARRAY_SIZE(g->own_port); d++) {
        for (unsigned n = 0; n < PORTS_OF_DEVICE && g->own_port[d] != 0; n++)
            set_port(g->io_bitmap, g->own_port[d] + n, false);
    }
    for (unsigned n = 0; n < g->intercepts.count; n++) {
        const struct intercept *i = &g->intercepts.list[n].item;
        for (u64 port = i->first; i->what == INTERCEPT_IO && port <= i->last; port++)
            set_port(g->io_bitmap, (unsigned)port, true);
    }
}

static void note_change(struct guest *g)
{
    struct intercepts *set = &g->intercepts;
    set->kinds = 0;
    for (unsigned n = 0; n < set->count; n++)
        set->kinds |= (u32)BIT(set->list[n].item.what);
    build_io_bitmap(g);
}

static void run_apply(void *arg)
{
    struct vcpu *v = arg;
    vcpu_load(v);
    intercept_apply(v);
    ept_flush(&v->guest->ept);
}

bool intercept_init(struct guest *g, const struct intercept *list, unsigned count, struct text *why)
{
    struct intercepts *set = &g->intercepts;
    for (unsigned n = 0; n < count; n++) {
        if (!intercept_possible(&list[n], why))
            return false;
        struct caught_item *c = &set->list[set->count++];
        c->item = list[n];
        if (list[n].what == INTERCEPT_MEM && !intercept_memory(g, c, why))
            return false;
    }
    note_change(g);
    return true;
}

static void hold_all(const struct guest *g)
{
    for (unsigned n = 0; n < g->vcpu_count; n++)
        vcpu_hold_for(g->vcpu[n], HOLD_CHANGE);
}

// All are held: brings them in line with the list and lets them go.
static void change_over(struct guest *g)
{
    note_change(g);
    for (unsigned n = 0; n < g->vcpu_count; n++) {
        vcpu_call(g->vcpu[n], run_apply, g->vcpu[n]);
        vcpu_release_for(g->vcpu[n], HOLD_CHANGE);
    }
}

bool intercept_add(struct guest *g, const struct intercept *i, struct text *why)
{
    struct intercepts *set = &g->intercepts;
    if (!intercept_possible(i, why))
        return false;
    if (i->what == INTERCEPT_HLT && g->hlt_through) {
        text_add(why, "its configuration lets HLT through (hlt = through)");
        return false;
    }
    for (unsigned n = 0; n < set->count; n++) {
        if (intercept_same(i, &set->list[n].item)) {
            text_add(why, "it is there already, as number %u", n + 1);
            return false;
        }
    }
    if (set->count == INTERCEPTS_MAX) {
        text_add(why, "there are %u items already, the most there can be", INTERCEPTS_MAX);
        return false;
    }
    hold_all(g);
    struct caught_item *c = &set->list[set->count++];
    *c = (struct caught_item){.item = *i};
    bool ok = i->what != INTERCEPT_MEM || intercept_memory(g, c, why);
    if (!ok)
        set->count--;
    change_over(g);
    return ok;
}

bool intercept_remove(struct guest *g, unsigned n, struct text *why)
{
    struct intercepts *set = &g->intercepts;
    if (n >= set->count) {
        text_add(why, "there is no item %u", n + 1);
        return false;
    }
    struct ept_restriction *withheld = set->list[n].withheld;
    hold_all(g);
    for (unsigned k = n + 1; k < set->count; k++)
        set->list[k - 1] = set->list[k];
    set->count--;
    if (withheld != NULL)
        intercept_memory_end(g, withheld);
    change_over(g);
    return true;
}

unsigned intercept_count(const struct guest *g)
{
    return g->intercepts.count;
}

void intercept_get(const struct guest *g, unsigned n, struct intercept *i, u64 *hits)
{
    const struct caught_item *c = &g->intercepts.list[n];
    *i = c->item;
    *hits = __atomic_load_n(&c->hits, __ATOMIC_RELAXED);
}

void intercept_log(const struct guest *g)
{
    for (unsigned n = 0; n < g->intercepts.count; n++) {
        const struct caught_item *c = &g->intercepts.list[n];
        char buf[160];
        struct text t = TEXT(buf);
        intercept_print(&c->item, true, &t);
        if (c->not_shown > 0)
            log_line("intercept", "%s: %s: %u more, not shown", g->name, buf, c->not_shown);
        log_line("vm", "%s: intercept %s: %lu hits", g->name, buf,
                 __atomic_load_n(&c->hits, __ATOMIC_RELAXED));
    }
}
