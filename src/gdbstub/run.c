// SPDX-License-Identifier: MIT
#include "gdbstub/run.h"

#include "gdbstub/breakpoints.h"
#include "gdbstub/debug_registers.h"
#include "gdbstub/int3.h"
#include "gdbstub/memory.h"
#include "gdbstub/regs.h"
#include "gdbstub/stop.h"
#include "x86/bits.h"

#define MAX_ACTIONS 64

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

struct action {
    enum want want;
    u64 start, end;
    struct thread_id id;
};

static bool parse_action(const char **s, struct action *a)
{
    char kind = **s;
    u64 signal;

    *a = (struct action){.id = {ID_ALL, ID_ALL}};
    if (kind == '\0')
        return false;
    ++*s;
    switch (kind) {
    case 'C':
    case 'c':
        a->want = WANT_RUN;
        break;
    case 'S':
    case 's':
        a->want = WANT_STEP;
        break;
    case 'r':
        a->want = WANT_RANGE;
        if (!hex_number(s, &a->start) || !skip_char(s, ',') || !hex_number(s, &a->end))
            return false;
        break;
    case 't':
        a->want = WANT_HOLD;
        break;
    default:
        return false;
    }
    // A signal means nothing to a CPU; it is taken and dropped.
    if ((kind == 'C' || kind == 'S') && !hex_number(s, &signal))
        return false;
    if ((a->want == WANT_STEP || a->want == WANT_RANGE) && (session.sstep & SSTEP_ENABLE) == 0)
        a->want = WANT_RUN;
    return !skip_char(s, ':') || parse_thread_id(s, (int)session.general_pid, &a->id);
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
                t->want = action[a].want;
                t->range_start = action[a].start;
                t->range_end = action[a].end;
                break;
            }
        }
    }
    resume();
}

void packet_vCont(const char *args)
{
    static struct action action[MAX_ACTIONS];
    unsigned count = 0;

    while (*args != '\0') {
        if (count == MAX_ACTIONS || !skip_char(&args, ';') ||
            !parse_action(&args, &action[count])) {
            reply_error(E_FORMAT, "malformed action");
            return;
        }
        count++;
    }
    apply_actions(action, count);
}

// The packets from before vCont: the current process alone; a step lets its other threads run.
static void old_resume(const char *args, bool step)
{
    struct action action[2];
    unsigned count = 0;
    unsigned pid = session.resume_pid, index = session.resume_vcpu;
    u64 address;

    if (process_attached(pid) == NULL) {
        reply_error(E_THREAD, "no current thread");
        return;
    }
    if (*args != '\0' && !processes[pid].over) {
        if (!hex_number(&args, &address) || *args != '\0') {
            reply_error(E_FORMAT, "malformed address");
            return;
        }
        if (!write_rip(target_vcpu(pid, index), address))
            return;
    }
    if (step && (session.sstep & SSTEP_ENABLE) != 0)
        action[count++] = (struct action){.want = WANT_STEP, .id = {(int)pid, (int)index + 1}};
    action[count++] = (struct action){.want = WANT_RUN, .id = {(int)pid, ID_ALL}};
    apply_actions(action, count);
}

void packet_c(const char *args)
{
    old_resume(args, false);
}

void packet_s(const char *args)
{
    old_resume(args, true);
}

static bool drop_signal(const char **args)
{
    u64 signal;
    bool ok = hex_number(args, &signal);

    if (!ok)
        reply_error(E_FORMAT, "malformed signal");
    skip_char(args, ';');
    return ok;
}

void packet_C(const char *args)
{
    if (drop_signal(&args))
        old_resume(args, false);
}

void packet_S(const char *args)
{
    if (drop_signal(&args))
        old_resume(args, true);
}
