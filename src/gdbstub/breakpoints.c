// SPDX-License-Identifier: MIT
#include "gdbstub/breakpoints.h"

#include "gdbstub/debug_registers.h"
#include "gdbstub/int3.h"
#include "gdbstub/memory.h"
#include "lib/string.h"

static struct breakpoint *find(struct session *session, unsigned pid, u64 address)
{
    struct breakpoint *set = session->breakpoint;

    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (set[i].used && set[i].pid == pid && set[i].address == address)
            return &set[i];
    }
    return NULL;
}

enum error breakpoint_insert(struct session *session, unsigned pid, u64 address)
{
    struct breakpoint *set = session->breakpoint;
    struct breakpoint *b = find(session, pid, address);

    for (unsigned i = 0; b == NULL && i < MAX_BREAKPOINTS; i++) {
        if (!set[i].used) {
            b = &set[i];
            *b = (struct breakpoint){.used = true, .pid = pid, .address = address};
        }
    }
    if (b == NULL)
        return ERR_NO_MEMORY;
    b->wanted = true;
    return OK;
}

enum error breakpoint_remove(struct session *session, unsigned pid, u64 address)
{
    struct breakpoint *b = find(session, pid, address);

    if (b == NULL)
        return ERR_NOT_FOUND;
    b->wanted = false;
    return OK;
}

bool breakpoint_wanted(struct session *session, unsigned pid, u64 address)
{
    const struct breakpoint *b = find(session, pid, address);
    return b != NULL && b->wanted;
}

void breakpoints_clear(struct session *session, unsigned pid)
{
    struct breakpoint *set = session->breakpoint;

    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (set[i].pid == pid)
            set[i].wanted = false;
    }
}

static void remove_int3(struct session *session, struct breakpoint *b)
{
    if (b->int3 != NULL)
        int3_remove(session, b->int3);
    b->int3 = NULL;
}

// Translates by the vCPU that stopped last, else by whichever can.
static bool locate(struct session *session, unsigned pid, u64 address, struct walk_result *walk,
                   bool *unpaged)
{
    struct vcpu_regs regs;
    unsigned count = process_vcpus(pid);

    for (unsigned i = 0; i < count; i++) {
        unsigned index = (session->process[pid].last + i) % count;
        vcpu_read_regs(target_vcpu(pid, index), &regs);
        *unpaged = !in_paged_mode(&regs);
        if (translate(pid, &regs, address, walk) == OK &&
            guest_ptr(target_memory(pid), walk->gpa, 1) != NULL)
            return true;
    }
    return false;
}

// Where the address leads to now. An int3 stays where it was when only the process in the guest
// has changed: user pages differ between address spaces. It moves with kernel pages, and when the
// guest began to page.
static void refresh(struct session *session, struct breakpoint *b)
{
    struct walk_result walk;
    bool unpaged;

    if (!locate(session, b->pid, b->address, &walk, &unpaged))
        return;
    if (b->int3 != NULL && int3_where(b->int3).v != walk.gpa.v && (!walk.user || b->unpaged))
        remove_int3(session, b);
    if (b->int3 == NULL) {
        b->unpaged = unpaged;
        b->int3 = int3_insert(session, b->pid, walk.gpa, b->address);
    }
}

void breakpoints_apply(struct session *session, unsigned pid)
{
    struct breakpoint *set = session->breakpoint;

    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        struct breakpoint *b = &set[i];
        if (b->used && b->pid == pid && !b->wanted) {
            remove_int3(session, b);
            b->used = false;
        }
    }
    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        struct breakpoint *b = &set[i];
        if (!b->used || b->pid != pid)
            continue;
        refresh(session, b);
        if (b->int3 != NULL)
            int3_verify(session, b->int3);
    }
    debug_registers_apply(session, pid);
}

void breakpoints_forget(struct session *session, unsigned pid)
{
    struct breakpoint *set = session->breakpoint;

    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (set[i].used && set[i].pid == pid)
            remove_int3(session, &set[i]);
    }
}

void breakpoints_drop(struct session *session, unsigned pid)
{
    struct breakpoint *set = session->breakpoint;

    breakpoints_forget(session, pid);
    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (set[i].pid == pid)
            set[i].used = false;
    }
}

bool breakpoint_pending(struct session *session, unsigned pid, unsigned n, u64 *address)
{
    struct breakpoint *set = session->breakpoint;

    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (set[i].used && set[i].wanted && set[i].pid == pid && set[i].int3 == NULL && n-- == 0) {
            *address = set[i].address;
            return true;
        }
    }
    return false;
}

void breakpoint_count_hit(struct session *session, unsigned pid, u64 address)
{
    struct breakpoint *b = find(session, pid, address);
    if (b != NULL)
        b->hits++;
}

void breakpoints_list(struct session *session, unsigned pid, struct text *out)
{
    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        const struct breakpoint *b = &session->breakpoint[i];
        if (!b->used || b->pid != pid)
            continue;
        text_add(out, "%016lx ", b->address);
        if (b->int3 != NULL)
            text_add(out, "int3 at physical %lx", int3_where(b->int3).v);
        else
            text_add(out, debug_register_waits(session, pid, b->address)
                              ? "waits for its page, by debug register"
                              : "not yet in memory");
        text_add(out, ", %lu hits%s\n", b->hits, b->wanted ? "" : ", to be taken out");
    }
}

// Z1 to Z4, and z1 to z4, count in bytes what Z0 and z0 call the kind.
void packet_Z(struct session *session, const struct packet_args *a)
{
    u64 address = a->number[0];
    enum error e = a->option == 0 ? breakpoint_insert(session, a->pid, address)
                                  : hw_insert(session, a->pid, a->option, address, a->number[1]);

    if (e == OK)
        reply_ok(session);
    else
        reply_error(session, E_FULL,
                    a->option == 0 ? "too many breakpoints"
                                   : "more than the four debug registers can do");
}

// Taking out what is not there is what was asked for.
void packet_z(struct session *session, const struct packet_args *a)
{
    u64 address = a->number[0];

    if (a->option == 0)
        (void)breakpoint_remove(session, a->pid, address);
    else
        (void)hw_remove(session, a->pid, a->option, address, a->number[1]);
    reply_ok(session);
}
