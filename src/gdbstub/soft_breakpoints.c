// SPDX-License-Identifier: MIT
// Breakpoints by INT3: Z0. gdb names a linear address; what lies in memory is an int3 at the
// guest-physical address behind it (int3.h). An address that has no page yet, or none in RAM, waits
// until a stop finds it translated.
#include "gdbstub/breakpoints.h"
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

static enum error insert(struct session *session, unsigned pid, unsigned type, u64 address,
                         u64 length)
{
    (void)type, (void)length;
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

static enum error remove(struct session *session, unsigned pid, unsigned type, u64 address,
                         u64 length)
{
    (void)type, (void)length;
    struct breakpoint *b = find(session, pid, address);

    if (b == NULL)
        return ERR_NOT_FOUND;
    b->wanted = false;
    return OK;
}

static bool is_wanted(struct session *session, unsigned pid, u64 address)
{
    const struct breakpoint *b = find(session, pid, address);
    return b != NULL && b->wanted;
}

static bool wanted(struct session *session, unsigned pid, const struct stop *stop)
{
    return stop->reason == STOP_BREAKPOINT && is_wanted(session, pid, stop->address);
}

static void attach(struct session *session, unsigned pid, bool on)
{
    (void)session;
    for (unsigned i = 0; i < process_vcpus(pid); i++)
        vcpu_catch_breakpoints(target_vcpu(pid, i), on);
}

static void clear(struct session *session, unsigned pid)
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

static void apply(struct session *session, unsigned pid)
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
}

static void take_out_all(struct session *session, unsigned pid)
{
    struct breakpoint *set = session->breakpoint;

    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (set[i].used && set[i].pid == pid)
            remove_int3(session, &set[i]);
    }
}

static void forget(struct session *session, unsigned pid)
{
    take_out_all(session, pid);
    attach(session, pid, true);
}

static void drop(struct session *session, unsigned pid)
{
    struct breakpoint *set = session->breakpoint;

    take_out_all(session, pid);
    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        if (set[i].pid == pid)
            set[i].used = false;
    }
}

static bool waiting(struct session *session, unsigned pid, unsigned n, u64 *address)
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

// A #BP that is not wanted came of the same memory at another address.
static enum breakpoint_hit hit(struct session *session, unsigned pid, const struct pending_event *e,
                               u64 rip, struct stop *out)
{
    (void)e;
    if (!is_wanted(session, pid, rip))
        return HIT_LEAVE;
    *out = (struct stop){.reason = STOP_BREAKPOINT, .address = rip};
    return HIT_STOP;
}

// Those too that a debug register has found while they waited.
static void count(struct session *session, unsigned pid, const struct stop *stop)
{
    struct breakpoint *b = find(session, pid, stop->address);
    if (stop->reason == STOP_BREAKPOINT && b != NULL)
        b->hits++;
}

static void list(struct session *session, unsigned pid, struct text *out)
{
    for (unsigned i = 0; i < MAX_BREAKPOINTS; i++) {
        const struct breakpoint *b = &session->breakpoint[i];
        if (!b->used || b->pid != pid)
            continue;
        text_add(out, "%016lx ", b->address);
        if (b->int3 != NULL)
            text_add(out, "int3 at physical %lx", int3_where(b->int3).v);
        else
            text_add(out, breakpoints_stand_in(session, pid, b->address)
                              ? "waits for its page, by debug register"
                              : "not yet in memory");
        text_add(out, ", %lu hits%s\n", b->hits, b->wanted ? "" : ", to be taken out");
    }
}

const struct breakpoint_kind soft_breakpoints = {
    .types = BIT(0),
    .full = "too many breakpoints",
    .insert = insert,
    .remove = remove,
    .attach = attach,
    .clear = clear,
    .apply = apply,
    .forget = forget,
    .drop = drop,
    .list = list,
    .event = DEBUG_BREAKPOINT,
    .hit = hit,
    .wanted = wanted,
    .count = count,
    .waiting = waiting,
    .lift = int3_lift,
    .lower = int3_lower,
    .hide = int3_hide,
    .is_ours = int3_is_ours,
    .page_written = int3_page_written,
};
