// SPDX-License-Identifier: MIT
#include "gdbstub/breakpoints.h"

#include "gdbstub/memory.h"

// In the order in which they are asked: what one cannot hold yet, a later one stands in for.
static const struct breakpoint_kind *const kinds[] = {&soft_breakpoints, &debug_registers};

void breakpoints_attach(struct session *session, unsigned pid, bool on)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        kinds[i]->attach(session, pid, on);
}

void breakpoints_clear(struct session *session, unsigned pid)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        kinds[i]->clear(session, pid);
}

void breakpoints_apply(struct session *session, unsigned pid)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        kinds[i]->apply(session, pid);
}

void breakpoints_forget(struct session *session, unsigned pid)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if (k->forget != NULL)
            k->forget(session, pid);
    }
}

void breakpoints_drop(struct session *session, unsigned pid)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        kinds[i]->drop(session, pid);
}

void breakpoints_list(struct session *session, unsigned pid, struct text *out)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        kinds[i]->list(session, pid, out);
}

// ---- hits ----------------------------------------------------------------------------------

static void count(struct session *session, unsigned pid, const struct stop *stop)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if (k->count != NULL)
            k->count(session, pid, stop);
    }
}

enum breakpoint_hit breakpoints_hit(struct session *session, unsigned pid,
                                    const struct pending_event *e, u64 rip, struct stop *out)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if (k->event != e->event)
            continue;
        enum breakpoint_hit hit = k->hit(session, pid, e, rip, out);
        if (hit == HIT_STOP)
            count(session, pid, out);
        if (hit != HIT_NONE)
            return hit;
    }
    return HIT_NONE;
}

bool breakpoints_wanted(struct session *session, unsigned pid, const struct stop *stop)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if (k->wanted(session, pid, stop))
            return true;
    }
    return false;
}

bool breakpoints_waiting(struct session *session, unsigned pid, unsigned n, u64 *address)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        for (unsigned of = 0; k->waiting != NULL && k->waiting(session, pid, of, address); of++) {
            if (n-- == 0)
                return true;
        }
    }
    return false;
}

bool breakpoints_stand_in(struct session *session, unsigned pid, u64 address)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if (k->stands_in != NULL && k->stands_in(session, pid, address))
            return true;
    }
    return false;
}

// ---- going on ------------------------------------------------------------------------------

void breakpoint_find_place(unsigned pid, struct vcpu *v, struct breakpoint_place *at)
{
    struct vcpu_regs regs;
    struct walk_result walk;

    vcpu_read_regs(v, &regs);
    at->rip = linear_rip(&regs);
    at->gpa = GPA(0);
    at->translated = translate(pid, &regs, at->rip, &walk) == OK;
    if (at->translated)
        at->gpa = walk.gpa;
}

bool breakpoints_lift(struct session *session, unsigned pid, struct vcpu *v)
{
    struct breakpoint_place at;
    bool lifted = false;

    breakpoint_find_place(pid, v, &at);
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if (k->lift != NULL && k->lift(session, pid, &at))
            lifted = true;
    }
    return lifted;
}

void breakpoints_lower(struct session *session, unsigned pid)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if (k->lower != NULL)
            k->lower(session, pid);
    }
}

bool breakpoints_fault(struct session *session, unsigned pid, u64 address)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if (k->faults != NULL && k->faults(session, pid, address))
            return true;
    }
    return false;
}

void breakpoints_hide(struct session *session, unsigned pid, gpa_t gpa, void *buf, u64 len)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if (k->hide != NULL)
            k->hide(session, pid, gpa, buf, len);
    }
}

// ---- hooks ---------------------------------------------------------------------------------

const struct breakpoint_kind *breakpoints_asked(enum debug_event event)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if (k->event == event && k->is_ours != NULL)
            return k;
    }
    return NULL;
}

void breakpoints_page_written(struct session *session, unsigned pid, gpa_t page, bool before)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if (k->page_written != NULL)
            k->page_written(session, pid, page, before);
    }
}

// ---- packets -------------------------------------------------------------------------------

// The kind that takes this type. packets.c has no type without one.
static const struct breakpoint_kind *kind_of(unsigned type)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct breakpoint_kind *k = kinds[i];
        if ((k->types & BIT(type)) != 0)
            return k;
    }
    return kinds[0];
}

// The length in bytes is what Z0 and z0 call the kind.
void packet_Z(struct session *session, const struct packet_args *a)
{
    const struct breakpoint_kind *k = kind_of(a->option);

    if (k->insert(session, a->pid, a->option, a->number[0], a->number[1]) == OK)
        reply_ok(session);
    else
        reply_error(session, E_FULL, k->full);
}

// Taking out what is not there is what was asked for.
void packet_z(struct session *session, const struct packet_args *a)
{
    (void)kind_of(a->option)->remove(session, a->pid, a->option, a->number[0], a->number[1]);
    reply_ok(session);
}
