// SPDX-License-Identifier: MIT
#include "gdbstub/stop.h"

#include "gdbstub/attach.h"
#include "gdbstub/breakpoints.h"
#include "gdbstub/hooks.h"
#include "gdbstub/memory.h"
#include "gdbstub/regs.h"
#include "gdbstub/run.h"
#include "lib/string.h"

static void record(struct session *session, unsigned pid, unsigned index, enum stop_reason reason,
                   u64 rip, u64 address)
{
    session->process[pid].thread[index].stop =
        (struct stop){.reason = reason, .rip = rip, .address = address};
}

// One instruction done: what was asked for, or a part of it.
static void stepped(struct session *session, unsigned pid, unsigned index, u64 rip, bool quiet)
{
    struct process *p = &session->process[pid];
    struct thread *t = &p->thread[index];
    bool over = t->step_over;

    if (p->stepping_over == index) {
        breakpoints_lower(session, pid);
        p->stepping_over = NO_VCPU;
    }
    t->step_over = false;
    if (t->want == WANT_STEP ||
        (t->want == WANT_RANGE && (rip < t->range_start || rip >= t->range_end)))
        record(session, pid, index, STOP_SIGNAL, rip, 0);
    else if (!quiet && over)
        session->process[pid].restart = true; // the others, too, wait for this step
    else if (!quiet)
        thread_go(session, pid, index);
}

// A breakpoint's event. quiet, here and below: the VM is being held; nothing is to be let go.
static void take_hit(struct session *session, unsigned pid, unsigned index,
                     const struct pending_event *e, const struct vcpu_regs *regs, bool quiet)
{
    struct process *p = &session->process[pid];
    struct stop stop;

    switch (breakpoints_hit(session, pid, e, linear_rip(regs), &stop)) {
    case HIT_STOP:
        record(session, pid, index, stop.reason, regs->rip, stop.address);
        break;
    case HIT_LEAVE:
        p->thread[index].step_over = true;
        p->restart |= !quiet;
        break;
    case HIT_NONE:
        if (!quiet)
            thread_go(session, pid, index);
        break;
    }
}

static void take_event(struct session *session, unsigned pid, unsigned index,
                       const struct pending_event *e, bool quiet)
{
    struct process *p = &session->process[pid];
    struct thread *t = &p->thread[index];
    struct vcpu_regs regs;

    vcpu_read_regs(target_vcpu(pid, index), &regs);
    t->running = false;
    t->reported = false;
    p->last = index;
    switch (e->event) {
    case DEBUG_STEP:
        stepped(session, pid, index, regs.rip, quiet);
        break;
    case DEBUG_INTERCEPT:
        record(session, pid, index, STOP_INTERCEPT, regs.rip, 0);
        break;
    case DEBUG_ENDED:
        break;
    default: // that of a kind of breakpoint
        take_hit(session, pid, index, e, &regs, quiet);
        break;
    }
}

// The VM's memory and vCPUs were made anew. Breakpoints stay wanted; a step ends here.
static void started_again(struct session *session, unsigned pid)
{
    struct process *p = &session->process[pid];

    for (unsigned i = 0; i < process_vcpus(pid); i++) {
        struct thread *t = &p->thread[i];
        struct pending_event stale;
        vcpu_hold(target_vcpu(pid, i));
        hooks_take_event(session, pid, i, &stale);
        t->running = t->reported = t->step_over = false;
        t->stop.reason = STOP_NONE;
        session->process[pid].restart |= session->client.running && t->want == WANT_RUN;
        if (t->want == WANT_STEP || t->want == WANT_RANGE) {
            struct vcpu_regs regs;
            vcpu_read_regs(target_vcpu(pid, i), &regs);
            record(session, pid, i, STOP_SIGNAL, regs.rip, 0);
        }
    }
    breakpoints_forget(session, pid);
    p->stepping_over = NO_VCPU;
    target_freeze_time(pid, true);
}

void stop_take_end(struct session *session, unsigned pid)
{
    if (!hooks_take_end(session, pid))
        return;
    if (target_vm_exists(pid))
        started_again(session, pid);
    else
        session->process[pid].over = true;
}

static void drain(struct session *session, unsigned pid, bool quiet)
{
    struct pending_event event;

    stop_take_end(session, pid);
    if (session->process[pid].over)
        return;
    for (unsigned i = 0; i < process_vcpus(pid); i++) {
        if (hooks_take_event(session, pid, i, &event))
            take_event(session, pid, i, &event, quiet);
    }
}

static bool anything_stopped(struct session *session)
{
    for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid)) {
        if (session->process[pid].over)
            return true;
        for (unsigned i = 0; i < process_vcpus(pid); i++) {
            const struct thread *t = &session->process[pid].thread[i];
            if (t->want != WANT_HOLD && t->stop.reason != STOP_NONE)
                return true;
        }
    }
    return false;
}

static void tell(struct session *session)
{
    stop_report(session, true);
    reply_send(session);
}

void stop_poll(struct session *session)
{
    if (!session->client.running) {
        for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid))
            stop_take_end(session, pid);
        return;
    }
    for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid)) {
        drain(session, pid, false);
        if (session->process[pid].restart && !session->process[pid].over) {
            hold_process(session, pid);
            drain(session, pid, true);
        }
    }
    if (anything_stopped(session)) {
        tell(session);
        return;
    }
    for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid)) {
        if (session->process[pid].restart) {
            session->process[pid].restart = false;
            process_go(session, pid);
        }
    }
}

static void stop_all(struct session *session)
{
    for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid)) {
        session->process[pid].restart = false;
        if (!session->process[pid].over && target_vm_exists(pid))
            hold_process(session, pid);
        drain(session, pid, true);
        session->process[pid].restart = false;
    }
    session->client.running = session->line.running = session->client.break_in = false;
}

// Whether a stop that waited still means something.
static bool still_holds(struct session *session, unsigned pid, unsigned index)
{
    const struct stop *s = &session->process[pid].thread[index].stop;
    struct vcpu_regs regs;

    if (s->reason == STOP_NONE || s->reason == STOP_SIGNAL)
        return false;
    vcpu_read_regs(target_vcpu(pid, index), &regs);
    if (regs.rip != s->rip)
        return false;
    if (s->reason == STOP_INTERCEPT)
        return target_still_catches(pid, index);
    return breakpoints_wanted(session, pid, s);
}

bool stop_is_due(struct session *session)
{
    bool due = false;

    for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid)) {
        stop_take_end(session, pid);
        session->process[pid].restart = false;
        due |= session->process[pid].over;
        for (unsigned i = 0; !session->process[pid].over && i < process_vcpus(pid); i++) {
            struct thread *t = &session->process[pid].thread[i];
            // gdb takes its breakpoints out to step one thread: the others' stops wait.
            if (t->want == WANT_HOLD)
                continue;
            if (!still_holds(session, pid, i))
                t->stop.reason = STOP_NONE;
            due |= t->stop.reason != STOP_NONE;
        }
    }
    return due;
}

// The stop to tell: a thread that gdb steps comes first, then each in turn.
static bool choose(struct session *session, unsigned *pid, unsigned *index)
{
    unsigned total = GDB_MAX_VMS * GDB_MAX_VCPUS, found = total;

    for (unsigned n = 0; n < total; n++) {
        unsigned at = (session->client.rotate + n) % total;
        unsigned vm = at / GDB_MAX_VCPUS + 1, vcpu = at % GDB_MAX_VCPUS;
        const struct thread *t = &session->process[vm].thread[vcpu];
        if (!session->process[vm].attached || vcpu >= process_vcpus(vm) ||
            t->stop.reason == STOP_NONE || t->want == WANT_HOLD)
            continue;
        if (found == total)
            found = at;
        if (t->want != WANT_RUN) {
            found = at;
            break;
        }
    }
    if (found == total)
        return false;
    session->client.rotate = (found + 1) % total;
    *pid = found / GDB_MAX_VCPUS + 1;
    *index = found % GDB_MAX_VCPUS;
    return true;
}

// A step that ended unasked for, because another stop came first, is not worth a word.
static void drop_steps(struct session *session)
{
    for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid)) {
        for (unsigned i = 0; i < process_vcpus(pid); i++) {
            struct stop *s = &session->process[pid].thread[i].stop;
            if (s->reason == STOP_SIGNAL)
                s->reason = STOP_NONE;
        }
    }
}

// What a thread that is about to be told of was caught at. Returns the signal to tell.
static unsigned tell_caught(struct session *session, unsigned pid, unsigned index, bool gdb_waits)
{
    char buf[256] = "";
    struct text text = TEXT(buf);

    if (session->process[pid].thread[index].stop.reason != STOP_INTERCEPT)
        return GDB_SIGTRAP;
    text_add(&text, "%s/%u caught %s\n", target_vm_name(pid), index,
             target_caught_text(pid, index));
    if (gdb_waits)
        reply_console(session, buf, text.len);
    // gdb takes a SIGTRAP in a step for the step's end, and goes on by itself if the line has not
    // ended, or if it only wanted to get past a breakpoint.
    return session->process[pid].thread[index].want == WANT_RUN ? GDB_SIGTRAP : GDB_SIGINT;
}

// A signal is all that gdb shows of an end that the guest did not want; this says more.
static void tell_end(struct session *session, unsigned pid)
{
    char buf[256] = "";
    struct text text = TEXT(buf);
    u8 code;

    if (target_exit_code(pid, &code))
        return;
    text_add(&text, "%s ended: ", target_vm_name(pid));
    target_end_text(pid, &text);
    text_add(&text, "\n");
    reply_console(session, buf, text.len);
}

// Tells what has happened. False: nothing has.
static bool report(struct session *session, bool gdb_waits)
{
    unsigned pid, index;

    for (pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid)) {
        if (session->process[pid].over) {
            if (gdb_waits)
                tell_end(session, pid);
            reply_ended(session, pid);
            return true;
        }
    }
    if (!choose(session, &pid, &index))
        return false;
    unsigned signal = tell_caught(session, pid, index, gdb_waits);
    reply_stop(session, pid, index, signal);
    drop_steps(session);
    return true;
}

void stop_report(struct session *session, bool gdb_waits)
{
    stop_all(session);
    if (!report(session, gdb_waits))
        reply_stopped(session);
}

// The thread that a break-in is told of: the current one, if it was running.
static bool interrupted(struct session *session, unsigned *pid, unsigned *index)
{
    const struct process *p = process_attached(session, session->client.general_pid);

    *pid = session->client.general_pid;
    *index = session->client.general_vcpu;
    if (p != NULL && p->thread[*index].want != WANT_HOLD)
        return true;
    for (*pid = next_attached(session, 0); *pid != 0; *pid = next_attached(session, *pid)) {
        for (*index = 0; *index < process_vcpus(*pid); ++*index) {
            if (session->process[*pid].thread[*index].want != WANT_HOLD)
                return true;
        }
    }
    return false;
}

void stop_interrupt(struct session *session)
{
    unsigned pid, index;

    stop_all(session);
    if (!report(session, true)) {
        if (interrupted(session, &pid, &index))
            reply_stop(session, pid, index, GDB_SIGINT);
        else
            reply_stopped(session);
    }
    drop_steps(session);
}

void stop_break_in(struct session *session)
{
    if (session->client.running) {
        stop_interrupt(session);
        reply_send(session);
    } else if (next_attached(session, 0) != 0) {
        session->client.break_in = true;
    }
}
