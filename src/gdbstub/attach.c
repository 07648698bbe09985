// SPDX-License-Identifier: MIT
#include "gdbstub/attach.h"

#include "gdbstub/breakpoints.h"
#include "gdbstub/hooks.h"
#include "gdbstub/regs.h"
#include "gdbstub/run.h"
#include "gdbstub/stop.h"
#include "lib/string.h"

static void clear_threads(struct process *p)
{
    for (unsigned i = 0; i < GDB_MAX_VCPUS; i++)
        memset(&p->thread[i], 0, sizeof(p->thread[i]));
    p->stepping_over = NO_VCPU;
    p->over = false;
}

enum error attach_process(struct session *session, unsigned pid)
{
    if (pid == 0 || pid > GDB_MAX_VMS || pid > target_vm_count() || !target_vm_exists(pid) ||
        session->process[pid].attached || target_vcpu_count(pid) == 0 ||
        target_vcpu_count(pid) > GDB_MAX_VCPUS)
        return ERR_NOT_FOUND;

    struct process *p = &session->process[pid];
    clear_threads(p);
    p->last = 0;
    for (unsigned i = 0; i < process_vcpus(pid); i++)
        vcpu_hold(target_vcpu(pid, i));
    target_freeze_time(pid, true);
    hooks_attach(session, pid, true);
    breakpoints_attach(session, pid, true);
    p->layout_32 = p->layout_forced ? p->forced_32 : regs_layout_wanted(pid);
    session->client.general_pid = session->client.resume_pid = pid;
    session->client.general_vcpu = session->client.resume_vcpu = 0;
    return OK;
}

// Leaves the session without a process that is no longer there.
static void leave(struct session *session, unsigned pid)
{
    hooks_attach(session, pid, false);
    clear_threads(&session->process[pid]);
    if (session->client.general_pid == pid)
        session->client.general_pid = session->client.general_vcpu = 0;
    if (session->client.resume_pid == pid)
        session->client.resume_pid = session->client.resume_vcpu = 0;
    session->client.break_in &= next_attached(session, 0) != 0;
}

// Holds the VM and takes out whatever gdb put in.
static void clean(struct session *session, unsigned pid)
{
    hold_process(session, pid);
    breakpoints_clear(session, pid);
    breakpoints_apply(session, pid);
}

// Leaves a VM as if gdb had never been there, but held. False: the VM is gone.
static bool clean_and_leave(struct session *session, unsigned pid)
{
    if (!target_vm_exists(pid)) {
        forget_process(session, pid);
        return false;
    }
    clean(session, pid);
    breakpoints_attach(session, pid, false);
    leave(session, pid);
    return true;
}

void detach_process(struct session *session, unsigned pid)
{
    if (!clean_and_leave(session, pid))
        return;
    target_freeze_time(pid, false);
    for (unsigned i = 0; i < process_vcpus(pid); i++)
        vcpu_let_go(target_vcpu(pid, i), false, false);
}

void kill_process(struct session *session, unsigned pid)
{
    if (clean_and_leave(session, pid))
        target_kill(pid);
}

void forget_process(struct session *session, unsigned pid)
{
    breakpoints_drop(session, pid);
    leave(session, pid);
}

void detach_all(struct session *session)
{
    for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid))
        detach_process(session, pid);
    session->client = (struct client){.sstep = SSTEP_ENABLE | SSTEP_NOIRQ | SSTEP_NOTIMER};
    session->line.running = false;
}

void attach_next(struct session *session, unsigned pid)
{
    session->next_pid = pid;
}

// The VM that a new client is given; 0: there is none.
static unsigned first_choice(struct session *session)
{
    unsigned pid = session->next_pid;
    if (pid == 0 || !target_vm_exists(pid)) {
        for (pid = 1; pid <= target_vm_count() && !target_vm_exists(pid); pid++)
            ;
    }
    return pid <= target_vm_count() ? pid : 0;
}

void attach_first(struct session *session)
{
    if (next_attached(session, 0) != 0)
        return;
    unsigned first = first_choice(session);
    session->next_pid = 0;
    if (first != 0 && attach_process(session, first) == OK)
        return;
    for (unsigned pid = 1; pid <= target_vm_count(); pid++) {
        if (attach_process(session, pid) == OK)
            return;
    }
}

void session_reset(struct session *session)
{
    // That one stays held in between, so that the last client's death does not let it run.
    unsigned first = first_choice(session);
    if (process_attached(session, first) != NULL) {
        clean(session, first);
        breakpoints_attach(session, first, false);
        leave(session, first);
    }
    detach_all(session);
    attach_first(session);
}

// ---- packets -----------------------------------------------------------------------------

void packet_H(struct session *session, const struct packet_args *a)
{
    // "Any" thread of the current process is the current one.
    bool named = a->thread.tid > 0;

    if (a->letter == 'g' && (named || a->pid != session->client.general_pid)) {
        session->client.general_pid = a->pid;
        session->client.general_vcpu = a->index;
    } else if (a->letter == 'c' && (named || a->pid != session->client.resume_pid)) {
        session->client.resume_pid = a->pid;
        session->client.resume_vcpu = a->index;
    }
    reply_ok(session);
}

void packet_T(struct session *session, const struct packet_args *a)
{
    (void)a; // it has been found
    reply_ok(session);
}

void packet_detach_all(struct session *session, const struct packet_args *a)
{
    bool no_ack = session->line.no_ack;
    struct client before = session->client;

    (void)a;
    detach_all(session);
    session->client.multiprocess = before.multiprocess;
    session->client.swbreak = before.swbreak;
    session->client.hwbreak = before.hwbreak;
    session->client.error_message = before.error_message;
    session->line.no_ack = no_ack;
    reply_ok(session);
}

void packet_detach(struct session *session, const struct packet_args *a)
{
    detach_process(session, a->pid);
    reply_ok(session);
}

void packet_attach(struct session *session, const struct packet_args *a)
{
    u64 pid = a->number[0];

    if (pid > GDB_MAX_VMS || attach_process(session, (unsigned)pid) != OK) {
        reply_error(session, E_THREAD, NO_VM);
        return;
    }
    reply_stop(session, (unsigned)pid, 0, GDB_SIGTRAP);
}

void packet_kill(struct session *session, const struct packet_args *a)
{
    kill_process(session, a->pid);
    reply_ok(session);
}

// Has no reply, and without multiprocess no name: the current VM.
void packet_k(struct session *session, const struct packet_args *a)
{
    (void)a;
    if (process_attached(session, session->client.general_pid) != NULL)
        kill_process(session, session->client.general_pid);
}
