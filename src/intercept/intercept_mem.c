// SPDX-License-Identifier: MIT
// Memory that is to be caught: a second view of the VM's memory, which withholds from whole pages
// what items want to see of them. An instruction that was let through runs in view 0 (EPTP
// switching by the VMCS; SDM Vol. 3, 29.3), so that other vCPUs are caught meanwhile.
#include "intercept/intercept_hit.h"
#include "intercept/intercept_internal.h"
#include "lib/string.h"
#include "vcpu/guest_access.h"
#include "x86/bits.h"

// ---- the view ----------------------------------------------------------------------------------

static u32 withheld_by(const struct intercept *i)
{
    return (i->access & INTERCEPT_READ ? EPT_READ : 0) |
           (i->access & INTERCEPT_WRITE ? EPT_WRITE : 0) |
           (i->access & INTERCEPT_EXECUTE ? EPT_EXECUTE : 0);
}

// Gives back the view when no item needs it.
static void drop_view(struct guest *g)
{
    for (unsigned n = 0; n < g->intercepts->count; n++) {
        if (g->intercepts->list[n].withheld != NULL)
            return;
    }
    if (g->caught_view != 0)
        ept_view_remove(&g->ept, g->caught_view);
    g->caught_view = 0;
}

enum error intercept_memory(struct guest *g, struct caught_item *c, struct text *why)
{
    const struct intercept *i = &c->item;
    enum error e = OK;
    if (g->caught_view == 0)
        e = ept_view_create(&g->ept, &g->caught_view);
    if (e == OK)
        e = ept_restrict(&g->ept, GPA(i->first), GPA(i->last), (u32)BIT(g->caught_view),
                         withheld_by(i), &c->withheld);
    if (e == OK)
        return OK;
    drop_view(g);
    return explain(why, e, "no memory for its page tables");
}

void intercept_memory_end(struct guest *g, struct ept_restriction *withheld)
{
    ept_unrestrict(&g->ept, withheld);
    drop_view(g);
}

// ---- accesses ----------------------------------------------------------------------------------

// No instruction made the access: it is to a descriptor table or the stack, for an event.
static bool delivers(const struct vcpu *v)
{
    return v->events.info & EVENT_VALID;
}

// The instruction that made the access; NULL: it cannot be had, or there is none.
static const struct instruction *present(struct vcpu *v, struct guest_access *a,
                                         struct emulation *e)
{
    const struct instruction *i;
    return !delivers(v) && guest_access_fetch(v, e, a, &i) == OK ? i : NULL;
}

// Bytes of a data access by i; of instructions that move vectors, the most that it can be.
static unsigned access_size(const struct instruction *i)
{
    if (i == NULL || i->encoding != ENCODING_LEGACY)
        return 32;
    if (i->map == MAP_ONE_BYTE && i->opcode == 0x63) // MOVSXD
        return 4;
    if (i->map == MAP_0F) {
        if ((i->opcode & 0xf6) == 0xb6) // MOVZX, MOVSX
            return 1u << (i->opcode & 1);
        if ((i->opcode >= 0x10 && i->opcode < 0x18) || (i->opcode & 0xf8) == 0x28 ||
            (i->opcode >= 0x50 && i->opcode < 0x80) || i->opcode >= 0xd0) // SSE
            return i->repeat == 0xf3 ? 4 : i->repeat == 0xf2 ? 8 : 16;
    }
    return MAX(i->operand_size, (u8)1);
}

bool hit_describe_memory(struct vcpu *v, struct hit *h)
{
    struct exit_memory exit = backend_exit_memory();
    bool read = exit.how & MEMORY_READ, write = exit.how & MEMORY_WRITE;
    bool fetch = exit.how & MEMORY_FETCH;
    struct guest_access a;
    struct emulation e;
    if (!(exit.how & MEMORY_BY_ADDRESS) || !(exit.how & MEMORY_TRANSLATED))
        return false; // by a walk of the guest's page tables
    h->what = INTERCEPT_MEM;
    h->access = (u8)((read ? INTERCEPT_READ : 0) | (write ? INTERCEPT_WRITE : 0) |
                     (fetch ? INTERCEPT_EXECUTE : 0));
    h->name = fetch ? "fetch at" : write ? (read ? "read and write of" : "write of") : "read of";
    h->size = fetch ? 1 : delivers(v) ? 8 : (u8)access_size(present(v, &a, &e));
    h->numbered = true;
    h->first = exit.gpa.v;
    h->last = exit.gpa.v + h->size - 1;
    h->value_name = "linear";
    h->value = backend_exit_linear_address();
    return true;
}

bool hit_describe_other(struct vcpu *v, const struct hit *h, struct hit *other)
{
    struct guest_access a;
    struct emulation e;
    const struct instruction *i = h->access & INTERCEPT_EXECUTE ? NULL : present(v, &a, &e);
    if (i == NULL || i->encoding != ENCODING_LEGACY || i->map != MAP_ONE_BYTE ||
        (i->opcode & 0xfc) != 0xa4) // MOVS, CMPS
        return false;
    u64 mask = i->address_size == 8 ? UINT64_MAX : BIT(8 * i->address_size) - 1;
    enum segment_name segment =
        i->segment_override != NO_REGISTER ? (enum segment_name)i->segment_override : SEG_DS;
    u64 source = e.gpr[RSI] & mask, destination = e.gpr[RDI] & mask;
    if (e.code_size != CODE_64 || segment == SEG_FS || segment == SEG_GS)
        source += state_segment_base(segment);
    if (e.code_size != CODE_64)
        destination += state_segment_base(SEG_ES);
    bool writes = (i->opcode & 2) == 0, first = source == h->value;
    gpa_t gpa;
    u32 error_code;
    *other = *h;
    other->access = !first || !writes ? INTERCEPT_READ : INTERCEPT_WRITE;
    other->name = other->access == INTERCEPT_READ ? "read of" : "write of";
    other->value = first ? destination : source;
    if (e.ops->translate(e.ctx, GVA(other->value),
                         other->access == INTERCEPT_READ ? WALK_READ : WALK_WRITE, &gpa,
                         &error_code) != OK)
        return false; // it will fault
    other->first = gpa.v;
    other->last = gpa.v + h->size - 1;
    return true;
}

bool hit_memory_withheld(struct vcpu *v)
{
    struct exit_memory exit = backend_exit_memory();
    hpa_t hpa;
    u32 permissions;
    u64 size;
    // The second view withholds it, and view 0 does not.
    return !(v->step.over & STEP_OVER_VIEW) &&
           ept_lookup(&v->guest->ept, 0, exit.gpa, &hpa, &permissions, &size) &&
           (exit.how & EPT_RWX & ~permissions) == 0;
}

void hit_memory_deny(struct vcpu *v, const struct hit *h)
{
    bool user = guest_cpl() == 3 && !delivers(v);
    vcpu_raise_pf(v, h->value,
                  PF_PRESENT | (h->access & INTERCEPT_WRITE ? PF_WRITE : 0) | (user ? PF_USER : 0) |
                      (h->access & INTERCEPT_EXECUTE ? PF_FETCH : 0));
}

void hit_memory_ignore(struct vcpu *v)
{
    u64 gpa = backend_exit_memory().gpa.v;
    if (delivers(v)) {
        vcpu_crash(v, "event %x cannot be delivered: its access to %lx is to be ignored",
                   v->events.info, gpa);
        return;
    }
    struct guest_access a;
    struct emulation e;
    const struct instruction *i = present(v, &a, &e);
    enum emulate_status status = EMULATE_UNSUPPORTED;
    v->intercept.memory_ignored = true;
    e.repeats = 1; // each element is a hit of its own
    if (i != NULL)
        status = emulate(&e, i);
    v->intercept.memory_ignored = false;
    guest_access_finish(v, &e, status, gpa);
}

bool intercept_memory_is_ignored(const struct vcpu *v, gpa_t gpa, u32 access)
{
    const struct intercepts *set = v->guest->intercepts;
    for (unsigned n = 0; v->intercept.memory_ignored && n < set->count; n++) {
        const struct intercept *i = &set->list[n].item;
        if (i->what == INTERCEPT_MEM && i->action == INTERCEPT_IGNORE && (i->access & access) &&
            gpa.v >= i->first && gpa.v <= i->last)
            return true;
    }
    return false;
}
