// SPDX-License-Identifier: MIT
#include "gdbstub/run.h"

#include "gdbstub/breakpoints.h"
#include "gdbstub/memory.h"
#include "gdbstub/regs.h"
#include "gdbstub/stop.h"
#include "x86/bits.h"

void hold_process(struct session *session, unsigned pid)
{
    struct process *p = &session->process[pid];

    for (unsigned i = 0; i < process_vcpus(pid); i++) {
        if (p->thread[i].running)
            vcpu_hold(target_vcpu(pid, i));
        p->thread[i].running = false;
    }
    breakpoints_lower(session, pid);
    p->stepping_over = NO_VCPU;
    target_freeze_time(pid, true);
}

static bool mask_interrupts(struct session *session)
{
    return (session->client.sstep & SSTEP_NOIRQ) != 0;
}

void thread_go(struct session *session, unsigned pid, unsigned index)
{
    struct process *p = &session->process[pid];
    struct thread *t = &p->thread[index];
    bool over = p->stepping_over == index;
    bool step = over || t->want == WANT_STEP || t->want == WANT_RANGE;

    t->running = true;
    vcpu_let_go(target_vcpu(pid, index), step, over || (step && mask_interrupts(session)));
}

// An execution breakpoint that is a fault, as one in a debug register is, would hit again at once
// without RF (SDM Vol. 3, 18.3.1.1).
static void pass_fault(struct session *session, unsigned pid, unsigned index)
{
    struct thread *t = &session->process[pid].thread[index];
    struct vcpu *v = target_vcpu(pid, index);
    struct vcpu_regs regs;

    if (!t->reported)
        return;
    t->reported = false;
    vcpu_read_regs(v, &regs);
    if (regs.rip != t->reported_rip || !breakpoints_fault(session, pid, linear_rip(&regs)))
        return;
    regs.rflags |= RFLAGS_RF;
    char reason[200] = "";
    struct text why = TEXT(reason);
    if (vcpu_write_regs(v, &regs, &why) != OK)
        return; // the VM ends at its next entry, for what was wrong with it before
}

// Lets a thread leave the breakpoint it stands on, alone. False: none is there that keeps it.
static bool begin_step_over(struct session *session, unsigned pid, unsigned index)
{
    struct process *p = &session->process[pid];

    if (!breakpoints_lift(session, pid, target_vcpu(pid, index))) {
        p->thread[index].step_over = false;
        return false;
    }
    p->stepping_over = index;
    thread_go(session, pid, index);
    return true;
}

void process_go(struct session *session, unsigned pid)
{
    struct process *p = &session->process[pid];
    unsigned count = process_vcpus(pid);

    breakpoints_apply(session, pid);
    target_freeze_time(pid, false);
    for (unsigned i = 0; i < count; i++) {
        if (p->thread[i].want != WANT_HOLD && p->thread[i].step_over &&
            begin_step_over(session, pid, i))
            return;
    }
    for (unsigned i = 0; i < count; i++) {
        if (p->thread[i].want == WANT_HOLD)
            continue;
        pass_fault(session, pid, i);
        thread_go(session, pid, i);
    }
}

// ---- what gdb asks for ---------------------------------------------------------------------

// What an action wants of a thread. Without SSTEP_ENABLE a step is none.
static enum want wanted_by(struct session *session, const struct action *a)
{
    bool may_step = (session->client.sstep & SSTEP_ENABLE) != 0;

    switch (a->kind) {
    case 's':
        return may_step ? WANT_STEP : WANT_RUN;
    case 'r':
        return may_step ? WANT_RANGE : WANT_RUN;
    case 't':
        return WANT_HOLD;
    default:
        return WANT_RUN;
    }
}

static bool matches(struct thread_id id, unsigned pid, unsigned index)
{
    return (id.pid <= 0 || id.pid == (int)pid) && (id.tid <= 0 || id.tid == (int)index + 1);
}

static bool wants_anything(struct session *session, unsigned pid)
{
    for (unsigned i = 0; i < process_vcpus(pid); i++) {
        if (session->process[pid].thread[i].want != WANT_HOLD)
            return true;
    }
    return false;
}

// A thread that gdb has seen at this address leaves it without another hit; one that merely stands
// there has the hit before it.
static void prepare(struct session *session, unsigned pid)
{
    struct vcpu_regs regs;

    for (unsigned i = 0; i < process_vcpus(pid); i++) {
        struct thread *t = &session->process[pid].thread[i];
        t->step_over = false;
        if (!t->reported || t->want == WANT_HOLD)
            continue;
        vcpu_read_regs(target_vcpu(pid, i), &regs);
        t->step_over = regs.rip == t->reported_rip;
    }
}

// Resumes as the threads' `want` says; the reply is the next stop.
static void resume(struct session *session)
{
    bool any = false;

    if (stop_is_due(session)) {
        stop_report(session, true);
        return;
    }
    for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid))
        any |= wants_anything(session, pid);
    if (!any) {
        reply_error(session, E_THREAD, "no such thread to resume");
        return;
    }
    if (session->client.break_in) {
        stop_interrupt(session);
        return;
    }
    session->reply_later = true;
    session->client.running = session->line.running = true;
    for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid)) {
        if (wants_anything(session, pid)) {
            prepare(session, pid);
            process_go(session, pid);
        }
    }
}

static void apply_actions(struct session *session, const struct action *action, unsigned count)
{
    for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid)) {
        for (unsigned i = 0; i < process_vcpus(pid); i++) {
            struct thread *t = &session->process[pid].thread[i];
            t->want = WANT_HOLD;
            for (unsigned a = 0; a < count; a++) {
                if (!matches(action[a].id, pid, i))
                    continue;
                t->want = wanted_by(session, &action[a]);
                t->range_start = action[a].start;
                t->range_end = action[a].end;
                break;
            }
        }
    }
    resume(session);
}

void packet_vCont(struct session *session, const struct packet_args *a)
{
    apply_actions(session, a->action, a->actions);
}

void packet_vCont_query(struct session *session, const struct packet_args *a)
{
    (void)a;
    reply_start(session);
    text_add(&session->reply, "vCont;c;C;s;S;t;r");
}

// The packets from before vCont: the current process alone; a step lets its other threads run.
static void old_resume(struct session *session, const struct packet_args *a, const u64 *address)
{
    struct action action[2];
    unsigned count = 0;
    int pid = (int)a->pid;

    if (address != NULL && !session->process[a->pid].over &&
        write_rip(session, a->vcpu, *address) != OK)
        return;
    if (a->option && (session->client.sstep & SSTEP_ENABLE) != 0)
        action[count++] = (struct action){.kind = 's', .id = {pid, (int)a->index + 1}};
    action[count++] = (struct action){.kind = 'c', .id = {pid, ID_ALL}};
    apply_actions(session, action, count);
}

void packet_resume(struct session *session, const struct packet_args *a)
{
    old_resume(session, a, a->numbers > 0 ? &a->number[0] : NULL);
}

// The first number is the signal.
void packet_resume_signal(struct session *session, const struct packet_args *a)
{
    old_resume(session, a, a->numbers > 1 ? &a->number[1] : NULL);
}

void packet_stop_all(struct session *session, const struct packet_args *a)
{
    (void)a;
    session->reply_later = true;
    stop_break_in(session);
}

// Its own reply goes ahead of the stop's.
void packet_vCtrlC(struct session *session, const struct packet_args *a)
{
    (void)a;
    reply_ok(session);
    reply_send(session);
    session->reply_later = true;
    stop_break_in(session);
}
