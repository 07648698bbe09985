// SPDX-License-Identifier: MIT
#include "gdbstub/hooks.h"

#include "gdbstub/breakpoints.h"
#include "gdbstub/gdbstub.h"
#include "lib/string.h"

// All that the stub keeps outside of a session: the hooks that the lower rooms call, and the
// session that their calls are about. Set before a guest runs. With a second line each session
// would be asked in turn.
static struct session *registered;

// The hook, on the vCPU's core.
static bool event(struct vcpu *v, enum debug_event what, u64 dr6)
{
    struct session *session = registered;
    unsigned pid, index;
    const struct breakpoint_kind *asked = breakpoints_asked(what);
    struct breakpoint_place at;

    if (!target_identify(v, &pid, &index) || pid == 0 || pid > GDB_MAX_VMS ||
        index >= GDB_MAX_VCPUS)
        return false;
    if (!__atomic_load_n(&session->process[pid].attached, __ATOMIC_ACQUIRE))
        return false;
    if (asked != NULL)
        breakpoint_find_place(pid, v, &at);

    struct process *p = &session->process[pid];
    bool hold = true;
    spin_lock(&session->hooks_lock);
    if (!p->attached)
        hold = false;
    else if (asked != NULL && !asked->is_ours(session, pid, &at))
        hold = false;
    else if (what == DEBUG_ENDED)
        p->ended = true;
    else
        p->thread[index].pending = (struct pending_event){.valid = true, .event = what, .dr6 = dr6};
    spin_unlock(&session->hooks_lock);
    if (hold)
        target_kick_line_core();
    return hold;
}

static const struct debug_hooks hooks = {.event = event};

void hooks_init(struct session *session)
{
    registered = session;
    debug_hooks = &hooks;
}

void gdbstub_page_written(unsigned pid, gpa_t page, bool before)
{
    breakpoints_page_written(registered, pid, page, before);
}

void hooks_attach(struct session *session, unsigned pid, bool on)
{
    struct process *p = &session->process[pid];

    spin_lock(&session->hooks_lock);
    __atomic_store_n(&p->attached, on, __ATOMIC_RELEASE);
    p->ended = false;
    for (unsigned i = 0; i < GDB_MAX_VCPUS; i++)
        p->thread[i].pending.valid = false;
    spin_unlock(&session->hooks_lock);
}

bool hooks_take_event(struct session *session, unsigned pid, unsigned index,
                      struct pending_event *out)
{
    struct pending_event *e = &session->process[pid].thread[index].pending;

    spin_lock(&session->hooks_lock);
    *out = *e;
    e->valid = false;
    spin_unlock(&session->hooks_lock);
    return out->valid;
}

bool hooks_take_end(struct session *session, unsigned pid)
{
    struct process *p = &session->process[pid];

    spin_lock(&session->hooks_lock);
    bool ended = p->ended;
    p->ended = false;
    spin_unlock(&session->hooks_lock);
    return ended;
}
