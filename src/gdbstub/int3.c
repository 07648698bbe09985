// SPDX-License-Identifier: MIT
#include "gdbstub/int3.h"

#include "gdbstub/hooks.h"
#include "gdbstub/memory.h"
#include "lib/string.h"

#define INT3 0xcc

static struct int3 *find(struct session *session, unsigned pid, gpa_t gpa)
{
    struct int3 *all = session->int3;

    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (all[i].refs > 0 && all[i].pid == pid && all[i].gpa.v == gpa.v)
            return &all[i];
    }
    return NULL;
}

static bool page_has_int3(struct session *session, unsigned pid, gpa_t gpa)
{
    struct int3 *all = session->int3;

    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (all[i].refs > 0 && all[i].pid == pid && ((all[i].gpa.v ^ gpa.v) & PAGE_MASK) == 0)
            return true;
    }
    return false;
}

// Puts the int3 in; what lies there now is what belongs there. In one go, as in take_out(): a vCPU
// that has not noticed yet that the page is closed may write there. Guests' caches are coherent
// with ours, and an entry serializes instruction fetch. The lock is held.
static bool put_in(struct int3 *p)
{
    u8 *byte = guest_ptr_untracked(target_memory(p->pid), p->gpa, 1);

    p->lifted = false;
    p->in = byte != NULL;
    if (p->in)
        p->saved = __atomic_exchange_n(byte, (u8)INT3, __ATOMIC_SEQ_CST);
    return p->in;
}

// What the guest has written over the int3 stays.
static void take_out(struct int3 *p)
{
    u8 *byte = guest_ptr_untracked(target_memory(p->pid), p->gpa, 1), int3 = INT3;

    if (p->in && byte != NULL)
        __atomic_compare_exchange_n(byte, &int3, p->saved, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
    p->in = false;
}

static struct int3 *new_int3(struct session *session, unsigned pid, gpa_t gpa, u64 address)
{
    struct int3 *all = session->int3;

    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (all[i].refs == 0) {
            all[i] = (struct int3){.pid = pid, .gpa = gpa, .address = address};
            return &all[i];
        }
    }
    return NULL; // not reached: there are as many as breakpoints
}

struct int3 *int3_insert(struct session *session, unsigned pid, gpa_t gpa, u64 address)
{
    bool watched = page_has_int3(session, pid, gpa);

    spin_lock(&session->hooks_lock);
    struct int3 *p = find(session, pid, gpa);
    if (p == NULL) {
        p = new_int3(session, pid, gpa, address);
        if (p != NULL && !put_in(p))
            p = NULL;
    }
    if (p != NULL)
        p->refs++;
    spin_unlock(&session->hooks_lock);

    if (p != NULL && !watched)
        target_watch_page(pid, GPA(gpa.v & PAGE_MASK), true);
    return p;
}

void int3_remove(struct session *session, struct int3 *p)
{
    spin_lock(&session->hooks_lock);
    if (p->refs == 1)
        take_out(p);
    p->refs--;
    spin_unlock(&session->hooks_lock);
    if (!page_has_int3(session, p->pid, p->gpa))
        target_watch_page(p->pid, GPA(p->gpa.v & PAGE_MASK), false);
}

gpa_t int3_where(const struct int3 *p)
{
    return p->gpa;
}

void int3_verify(struct session *session, struct int3 *p)
{
    u8 byte;

    spin_lock(&session->hooks_lock);
    if (guest_read(target_memory(p->pid), p->gpa, &byte, 1) == OK && (!p->in || byte != INT3))
        put_in(p);
    spin_unlock(&session->hooks_lock);
}

// The int3 that the vCPU runs into: by where it lies, or by its address when the page has gone
// from the tables meanwhile.
static struct int3 *find_under(struct session *session, unsigned pid,
                               const struct breakpoint_place *at)
{
    struct int3 *all = session->int3;

    if (at->translated)
        return find(session, pid, at->gpa);
    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (all[i].refs > 0 && all[i].pid == pid && all[i].address == at->rip)
            return &all[i];
    }
    return NULL;
}

bool int3_lift(struct session *session, unsigned pid, const struct breakpoint_place *at)
{
    spin_lock(&session->hooks_lock);
    struct int3 *p = find_under(session, pid, at);
    bool in = p != NULL && p->in;
    if (in) {
        take_out(p);
        p->lifted = true;
    }
    spin_unlock(&session->hooks_lock);
    return in;
}

void int3_lower(struct session *session, unsigned pid)
{
    struct int3 *all = session->int3;

    spin_lock(&session->hooks_lock);
    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (all[i].refs > 0 && all[i].pid == pid && all[i].lifted)
            put_in(&all[i]);
    }
    spin_unlock(&session->hooks_lock);
}

bool int3_is_ours(struct session *session, unsigned pid, const struct breakpoint_place *at)
{
    ASSERT_HELD(&session->hooks_lock);
    const struct int3 *p = find_under(session, pid, at);
    u8 byte;

    if (p == NULL)
        return false;
    if (p->in)
        return true;
    // Out at the moment: because another vCPU writes to the page, and this one had fetched our int3
    // before that; or the guest has an int3 of its own here.
    return guest_read(target_memory(pid), p->gpa, &byte, 1) != OK || byte != INT3;
}

void int3_page_written(struct session *session, unsigned pid, gpa_t page, bool before)
{
    u8 byte;

    spin_lock(&session->hooks_lock);
    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        struct int3 *p = &session->int3[i];
        if (p->refs == 0 || p->pid != pid || ((p->gpa.v ^ page.v) & PAGE_MASK) != 0 || p->lifted)
            continue;
        // With two writers at a time the second finds the first one's int3 in again.
        if (before)
            take_out(p);
        else if (!p->in || guest_read(target_memory(pid), p->gpa, &byte, 1) != OK || byte != INT3)
            put_in(p);
    }
    spin_unlock(&session->hooks_lock);
}

void int3_hide(struct session *session, unsigned pid, gpa_t gpa, void *buf, u64 len)
{
    spin_lock(&session->hooks_lock);
    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        const struct int3 *p = &session->int3[i];
        if (p->refs > 0 && p->pid == pid && p->in && p->gpa.v - gpa.v < len)
            ((u8 *)buf)[p->gpa.v - gpa.v] = p->saved;
    }
    spin_unlock(&session->hooks_lock);
}
