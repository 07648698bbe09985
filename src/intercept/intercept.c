// SPDX-License-Identifier: MIT
// The items of a guest, and the narrowest VM-execution controls that catch what they name (SDM
// Vol. 3, 25.6).
#include "intercept/intercept.h"

#include "boot/log.h"
#include "intercept/intercept_internal.h"
#include "lib/cpu.h"
#include "lib/string.h"
#include "x86/bits.h"
#include "x86/vectors.h"

_Static_assert(INTERCEPT_CR3_VALUES == CATCH_CR3_VALUES, "the values of an item are copied");

#define PORTS_OF_DEVICE 8u
#define APIC_END        (APIC_BASE_RESET + PAGE_SIZE)

// What each kind has a vCPU exit for: its reads and its writes.
static const struct {
    u32 read, write;
} catches[INTERCEPT_WHATS] = {
    [INTERCEPT_HLT] = {.write = CATCH_HLT},
    [INTERCEPT_PAUSE] = {.write = CATCH_PAUSE},
    [INTERCEPT_PLE] = {.write = CATCH_PAUSE_LOOP},
    [INTERCEPT_CR3] = {.read = CATCH_CR3_STORE, .write = CATCH_CR3_LOAD},
    [INTERCEPT_CR8] = {.read = CATCH_CR8_STORE, .write = CATCH_CR8_LOAD},
    [INTERCEPT_RDTSC] = {.write = CATCH_RDTSC},
    [INTERCEPT_RDTSCP] = {.write = CATCH_RDTSC},
    [INTERCEPT_RDPMC] = {.write = CATCH_RDPMC},
    [INTERCEPT_RDRAND] = {.write = CATCH_RDRAND},
    [INTERCEPT_RDSEED] = {.write = CATCH_RDSEED},
    [INTERCEPT_INVLPG] = {.write = CATCH_INVLPG},
    [INTERCEPT_MONITOR] = {.write = CATCH_MONITOR},
    [INTERCEPT_MWAIT] = {.write = CATCH_MWAIT},
    [INTERCEPT_WBINVD] = {.write = CATCH_WBINVD},
    [INTERCEPT_DESC] = {.read = CATCH_DESCRIPTOR_TABLES, .write = CATCH_DESCRIPTOR_TABLES},
    [INTERCEPT_DR] = {.read = CATCH_MOV_DR, .write = CATCH_MOV_DR},
};

static bool is_all_ports(const struct intercept *i)
{
    return i->what == INTERCEPT_IO && i->first == 0 && i->last == UINT16_MAX;
}

static u32 catches_of(const struct intercept *i)
{
    if (is_all_ports(i))
        return CATCH_ALL_PORTS;
    return (i->access & INTERCEPT_READ ? catches[i->what].read : 0) |
           (i->access == 0 || (i->access & INTERCEPT_WRITE) ? catches[i->what].write : 0);
}

enum error intercept_possible(const struct intercept *i, struct text *why)
{
    u32 lacking = backend_cannot_catch(catches_of(i));
    if (i->what == INTERCEPT_MEM && i->first < APIC_END && i->last >= APIC_BASE_RESET)
        return explain(why, ERR_UNSUPPORTED,
                       "the local APIC is at %lx; its registers are caught by msr in x2APIC mode",
                       APIC_BASE_RESET);
    if (lacking == 0)
        return OK;
    text_add(why, "'");
    intercept_print(i, false, why);
    text_add(why, "': this CPU has no control to catch it (");
    backend_explain_catch(lacking, why);
    return explain(why, ERR_UNSUPPORTED, ")");
}

// ---- of a vCPU ---------------------------------------------------------------------------------

// The error codes that both the ones so far and i want, and as few others as can be.
static void want_exception(struct backend_catches *c, const struct intercept *i)
{
    bool first = !(c->exceptions & BIT(i->first));
    c->exceptions |= (u32)BIT(i->first);
    if (i->first != VECTOR_PF)
        return;
    c->pf_mask = (u32)(first ? i->mask : c->pf_mask & i->mask & ~(c->pf_match ^ i->match));
    c->pf_match = (u32)i->match & c->pf_mask;
}

// The values that no item wants to be told of. first: of the items that catch loads.
static void want_cr3(struct backend_catches *c, const struct intercept *i, bool first)
{
    unsigned kept = 0;
    if (first)
        memcpy(c->cr3_value, i->value, sizeof(c->cr3_value));
    c->cr3_values = first ? i->values : c->cr3_values;
    for (unsigned a = 0; a < c->cr3_values; a++) {
        for (unsigned b = 0; b < i->values; b++) {
            if (c->cr3_value[a] == i->value[b]) {
                c->cr3_value[kept++] = i->value[b];
                break;
            }
        }
    }
    c->cr3_values = kept;
}

static void want(struct backend_catches *c, const struct intercept *i)
{
    u32 before = c->caught;
    c->caught |= catches_of(i);
    if (i->what == INTERCEPT_EXCEPTION) {
        want_exception(c, i);
    } else if (i->what == INTERCEPT_CR0) {
        c->cr0 |= i->mask;
    } else if (i->what == INTERCEPT_CR4) {
        c->cr4 |= i->mask;
    } else if (i->what == INTERCEPT_CR3 && (i->access & INTERCEPT_WRITE)) {
        want_cr3(c, i, !(before & CATCH_CR3_LOAD));
    } else if (i->what == INTERCEPT_PLE && !(before & CATCH_PAUSE_LOOP)) {
        c->pause_gap = i->first;
        c->pause_window = i->last;
    }
}

static bool wants(const struct vcpu *v, struct backend_catches *c)
{
    const struct intercepts *set = v->guest->intercepts;
    for (unsigned n = 0; n < set->count; n++)
        want(c, &set->list[n].item);
    return set->count != 0;
}

static void catch_msrs(struct vcpu *v)
{
    const struct intercepts *set = v->guest->intercepts;
    for (unsigned n = 0; n < set->count; n++) {
        const struct intercept *i = &set->list[n].item;
        if (i->what == INTERCEPT_MSR)
            msr_bitmap_catch(&v->run, i->first, i->last, i->access & INTERCEPT_READ,
                             i->access & INTERCEPT_WRITE);
    }
}

static const struct intercept_ops ops = {.wants = wants,
                                         .catch_msrs = catch_msrs,
                                         .exit = intercept_exit,
                                         .exception = intercept_exception,
                                         .resume = intercept_resume,
                                         .is_ignored = intercept_memory_is_ignored};

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
    memset(g->io_bitmap, 0xff, IO_BITMAP_SIZE);
    for (unsigned d = 0; d < ARRAY_SIZE(g->own_port); d++) {
        for (unsigned n = 0; n < PORTS_OF_DEVICE && g->own_port[d] != 0; n++)
            set_port(g->io_bitmap, g->own_port[d] + n, false);
    }
    for (unsigned n = 0; n < g->intercepts->count; n++) {
        const struct intercept *i = &g->intercepts->list[n].item;
        for (u64 port = i->first; i->what == INTERCEPT_IO && port <= i->last; port++)
            set_port(g->io_bitmap, (unsigned)port, true);
    }
}

static void note_change(struct guest *g)
{
    struct intercepts *set = g->intercepts;
    set->kinds = 0;
    for (unsigned n = 0; n < set->count; n++)
        set->kinds |= (u32)BIT(set->list[n].item.what);
    build_io_bitmap(g);
}

static void run_apply(void *arg)
{
    struct vcpu *v = arg;
    vcpu_load(v);
    vcpu_apply_catches(v);
    flush_ept(&v->guest->ept);
}

enum error intercept_init(struct guest *g, struct intercepts *set, const struct intercept *list,
                          unsigned count, struct text *why)
{
    g->intercepts = set;
    g->intercept_ops = &ops;
    for (unsigned n = 0; n < count; n++) {
        enum error e = intercept_possible(&list[n], why);
        if (e != OK)
            return e;
        struct caught_item *c = &set->list[set->count++];
        c->item = list[n];
        if (list[n].what == INTERCEPT_MEM)
            e = intercept_memory(g, c, why);
        if (e != OK)
            return e;
    }
    note_change(g);
    return OK;
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

enum error intercept_add(struct guest *g, const struct intercept *i, struct text *why)
{
    struct intercepts *set = g->intercepts;
    enum error e = intercept_possible(i, why);
    if (e != OK)
        return e;
    if (i->what == INTERCEPT_HLT && g->hlt_through)
        return explain(why, ERR_UNSUPPORTED, "its configuration lets HLT through (hlt = through)");
    for (unsigned n = 0; n < set->count; n++) {
        if (intercept_same(i, &set->list[n].item))
            return explain(why, ERR_BUSY, "it is there already, as number %u", n + 1);
    }
    if (set->count == INTERCEPTS_MAX)
        return explain(why, ERR_NO_MEMORY, "there are %u items already, the most there can be",
                       INTERCEPTS_MAX);
    hold_all(g);
    struct caught_item *c = &set->list[set->count++];
    *c = (struct caught_item){.item = *i};
    if (i->what == INTERCEPT_MEM)
        e = intercept_memory(g, c, why);
    if (e != OK)
        set->count--;
    change_over(g);
    return e;
}

enum error intercept_remove(struct guest *g, unsigned n, struct text *why)
{
    struct intercepts *set = g->intercepts;
    if (n >= set->count)
        return explain(why, ERR_NOT_FOUND, "there is no item %u", n + 1);
    struct ept_restriction *withheld = set->list[n].withheld;
    hold_all(g);
    for (unsigned k = n + 1; k < set->count; k++)
        set->list[k - 1] = set->list[k];
    set->count--;
    if (withheld != NULL)
        intercept_memory_end(g, withheld);
    change_over(g);
    return OK;
}

unsigned intercept_count(const struct guest *g)
{
    return g->intercepts->count;
}

void intercept_get(const struct guest *g, unsigned n, struct intercept *i, u64 *hits)
{
    const struct caught_item *c = &g->intercepts->list[n];
    *i = c->item;
    *hits = __atomic_load_n(&c->hits, __ATOMIC_RELAXED);
}

void intercept_log(const struct guest *g)
{
    for (unsigned n = 0; n < g->intercepts->count; n++) {
        const struct caught_item *c = &g->intercepts->list[n];
        char buf[160];
        struct text t = TEXT(buf);
        intercept_print(&c->item, true, &t);
        if (c->not_shown > 0)
            log_line("intercept", "%s: %s: %u more, not shown", g->name, buf, c->not_shown);
        log_line("vm", "%s: intercept %s: %lu hits", g->name, buf,
                 __atomic_load_n(&c->hits, __ATOMIC_RELAXED));
    }
}
