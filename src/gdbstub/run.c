// SPDX-License-Identifier: MIT
#include "gdbstub/run.h"

#include "gdbstub/breakpoints.h"
#include "gdbstub/debug_registers.h"
#include "gdbstub/int3.h"
#include "gdbstub/memory.h"
#include "gdbstub/regs.h"
#include "gdbstub/stop.h"
#include "x86/bits.h"

void hold_process(unsigned pid)
{
    struct process *p = &processes[pid];

    for (unsigned i = 0; i < process_vcpus(pid); i++) {
        if (p->thread[i].running)
            vcpu_hold(target_vcpu(pid, i));
        p->thread[i].running = false;
    }
    int3_lower(pid);
    p->stepping_over = NO_VCPU;
    target_freeze_time(pid, true);
}

static bool mask_interrupts(void)
{
    return (session.sstep & SSTEP_NOIRQ) != 0;
}

void thread_go(unsigned pid, unsigned index)
{
    struct process *p = &processes[pid];
    struct thread *t = &p->thread[index];
    bool over = p->stepping_over == index;
    bool step = over || t->want == WANT_STEP || t->want == WANT_RANGE;

    t->running = true;
    vcpu_let_go(target_vcpu(pid, index), step, over || (step && mask_interrupts()));
}

// An execution breakpoint in a debug register is a fault: without RF it would hit again at once
// (SDM Vol. 3, 18.3.1.1).
static void pass_debug_register(unsigned pid, unsigned index)
{
    struct thread *t = &processes[pid].thread[index];
    struct vcpu *v = target_vcpu(pid, index);
    struct vcpu_regs regs;

    if (!t->reported)
        return;
    t->reported = false;
    vcpu_read_regs(v, &regs);
    if (regs.rip != t->reported_rip || !debug_register_executes(pid, linear_rip(&regs)))
        return;
    regs.rflags |= RFLAGS_RF;
    char reason[200] = "";
    struct text why = TEXT(reason);
    if (vcpu_write_regs(v, &regs, &why) != OK)
        return; // the VM ends at its next entry, for what was wrong with it before
}

// Lets a thread leave the int3 it stands on, alone. False: none is there.
static bool begin_step_over(unsigned pid, unsigned index)
{
    struct process *p = &processes[pid];
    struct vcpu_regs regs;

    vcpu_read_regs(target_vcpu(pid, index), &regs);
    if (!int3_under(pid, &regs)) {
        p->thread[index].step_over = false;
        return false;
    }
    p->stepping_over = index;
    int3_lift(pid, &regs);
    thread_go(pid, index);
    return true;
}

void process_go(unsigned pid)
{
    struct process *p = &processes[pid];
    unsigned count = process_vcpus(pid);

    breakpoints_apply(pid);
    target_freeze_time(pid, false);
    for (unsigned i = 0; i < count; i++) {
        if (p->thread[i].want != WANT_HOLD && p->thread[i].step_over && begin_step_over(pid, i))
            return;
    }
    for (unsigned i = 0; i < count; i++) {
        if (p->thread[i].want == WANT_HOLD)
            continue;
        pass_debug_register(pid, i);
        thread_go(pid, i);
    }
}

// ---- what gdb asks for ---------------------------------------------------------------------

// What an action wants of a thread. Without SSTEP_ENABLE a step is none.
static enum want wanted_by(const struct action *a)
{
    bool may_step = (session.sstep & SSTEP_ENABLE) != 0;

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

static bool wants_anything(unsigned pid)
{
    for (unsigned i = 0; i < process_vcpus(pid); i++) {
        if (processes[pid].thread[i].want != WANT_HOLD)
            return true;
    }
    return false;
}

// A thread that gdb has seen at this address leaves it without another hit; one that merely stands
// there has the hit before it.
static void prepare(unsigned pid)
{
    struct vcpu_regs regs;

    for (unsigned i = 0; i < process_vcpus(pid); i++) {
        struct thread *t = &processes[pid].thread[i];
        t->step_over = false;
        if (!t->reported || t->want == WANT_HOLD)
            continue;
        vcpu_read_regs(target_vcpu(pid, i), &regs);
        t->step_over = regs.rip == t->reported_rip;
    }
}

// Resumes as the threads' `want` says; the reply is the next stop.
static void resume(void)
{
    bool any = false;

    if (stop_is_due()) {
        stop_report(true);
        return;
    }
    for (unsigned pid = next_attached(0); pid != 0; pid = next_attached(pid))
        any |= wants_anything(pid);
    if (!any) {
        reply_error(E_THREAD, "no such thread to resume");
        return;
    }
    if (session.break_in) {
        stop_interrupt();
        return;
    }
    reply_later = true;
    session.running = line.running = true;
    for (unsigned pid = next_attached(0); pid != 0; pid = next_attached(pid)) {
        if (wants_anything(pid)) {
            prepare(pid);
            process_go(pid);
        }
    }
}

static void apply_actions(const struct action *action, unsigned count)
{
    for (unsigned pid = next_attached(0); pid != 0; pid = next_attached(pid)) {
        for (unsigned i = 0; i < process_vcpus(pid); i++) {
            struct thread *t = &processes[pid].thread[i];
            t->want = WANT_HOLD;
            for (unsigned a = 0; a < count; a++) {
                if (!matches(action[a].id, pid, i))
                    continue;
                t->want = wanted_by(&action[a]);
                t->range_start = action[a].start;
                t->range_end = action[a].end;
                break;
            }
        }
    }
    resume();
}

void packet_vCont(const struct packet_args *a)
{
    apply_actions(a->action, a->actions);
}

void packet_vCont_query(const struct packet_args *a)
{
    (void)a;
    reply_start();
    text_add(&reply, "vCont;c;C;s;S;t;r");
}

// The packets from before vCont: the current process alone; a step lets its other threads run.
static void old_resume(const struct packet_args *a, const u64 *address)
{
    struct action action[2];
    unsigned count = 0;
    int pid = (int)a->pid;

    if (address != NULL && !processes[a->pid].over && !write_rip(a->vcpu, *address))
        return;
    if (a->option && (session.sstep & SSTEP_ENABLE) != 0)
        action[count++] = (struct action){.kind = 's', .id = {pid, (int)a->index + 1}};
    action[count++] = (struct action){.kind = 'c', .id = {pid, ID_ALL}};
    apply_actions(action, count);
}

void packet_resume(const struct packet_args *a)
{
    old_resume(a, a->numbers > 0 ? &a->number[0] : NULL);
}

// The first number is the signal.
void packet_resume_signal(const struct packet_args *a)
{
    old_resume(a, a->numbers > 1 ? &a->number[1] : NULL);
}

void packet_stop_all(const struct packet_args *a)
{
    (void)a;
    reply_later = true;
    stop_break_in();
}

// Its own reply goes ahead of the stop's.
void packet_vCtrlC(const struct packet_args *a)
{
    (void)a;
    reply_ok();
    reply_send();
    reply_later = true;
    stop_break_in();
}
