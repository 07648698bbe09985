// SPDX-License-Identifier: MIT
#include "gdbstub/events.h"

#include "gdbstub/int3.h"
#include "lib/string.h"

struct spinlock events_lock;

// The hook, on the vCPU's core.
static bool event(struct vcpu *v, enum debug_event what, u64 dr6)
{
    unsigned pid, index;
    struct vcpu_regs regs;
    gpa_t gpa = GPA(0);
    bool translated = false;

    if (!target_identify(v, &pid, &index) || pid == 0 || pid > GDB_MAX_VMS ||
        index >= GDB_MAX_VCPUS)
        return false;
    if (!__atomic_load_n(&processes[pid].attached, __ATOMIC_ACQUIRE))
        return false;
    if (what == DEBUG_BREAKPOINT) {
        vcpu_read_regs(v, &regs);
        translated = int3_gpa(pid, &regs, &gpa);
    }

    struct process *p = &processes[pid];
    bool hold = true;
    spin_lock(&events_lock);
    if (!p->attached)
        hold = false;
    else if (what == DEBUG_BREAKPOINT && !int3_is_ours(pid, &regs, translated, gpa))
        hold = false;
    else if (what == DEBUG_ENDED)
        p->ended = true;
    else
        p->thread[index].mail = (struct mail){.full = true, .event = what, .dr6 = dr6};
    spin_unlock(&events_lock);
    if (hold)
        target_kick_line_core();
    return hold;
}

static const struct debug_hooks hooks = {.event = event};

void events_init(void)
{
    debug_hooks = &hooks;
}

void events_attach(unsigned pid, bool on)
{
    struct process *p = &processes[pid];

    spin_lock(&events_lock);
    __atomic_store_n(&p->attached, on, __ATOMIC_RELEASE);
    p->ended = false;
    for (unsigned i = 0; i < GDB_MAX_VCPUS; i++)
        p->thread[i].mail.full = false;
    spin_unlock(&events_lock);
}

bool events_take(unsigned pid, unsigned index, struct mail *out)
{
    struct mail *m = &processes[pid].thread[index].mail;

    spin_lock(&events_lock);
    *out = *m;
    m->full = false;
    spin_unlock(&events_lock);
    return out->full;
}

bool events_take_end(unsigned pid)
{
    struct process *p = &processes[pid];

    spin_lock(&events_lock);
    bool ended = p->ended;
    p->ended = false;
    spin_unlock(&events_lock);
    return ended;
}
