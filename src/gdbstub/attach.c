// SPDX-License-Identifier: MIT
#include "gdbstub/attach.h"

#include "gdbstub/breakpoints.h"
#include "gdbstub/debug_registers.h"
#include "gdbstub/events.h"
#include "gdbstub/regs.h"
#include "gdbstub/run.h"
#include "gdbstub/stop.h"
#include "lib/string.h"

static unsigned wanted; // by attach_next(); 0: none

static void clear_threads(struct process *p)
{
    for (unsigned i = 0; i < GDB_MAX_VCPUS; i++)
        memset(&p->thread[i], 0, sizeof(p->thread[i]));
    p->stepping_over = NO_VCPU;
    p->over = false;
}

static void catch_breakpoints(unsigned pid, bool on)
{
    for (unsigned i = 0; i < process_vcpus(pid); i++)
        vcpu_catch_breakpoints(target_vcpu(pid, i), on);
}

bool attach_process(unsigned pid)
{
    if (pid == 0 || pid > GDB_MAX_VMS || pid > target_vm_count() || !target_vm_exists(pid) ||
        processes[pid].attached || target_vcpu_count(pid) == 0 ||
        target_vcpu_count(pid) > GDB_MAX_VCPUS)
        return false;

    struct process *p = &processes[pid];
    clear_threads(p);
    memset(p->hw, 0, sizeof(p->hw));
    p->last = 0;
    p->debug_registers = true; // whatever is in them goes at the first resume
    for (unsigned i = 0; i < process_vcpus(pid); i++)
        vcpu_hold(target_vcpu(pid, i));
    target_freeze_time(pid, true);
    events_attach(pid, true);
    catch_breakpoints(pid, true);
    p->layout_32 = p->layout_forced ? p->forced_32 : layout_wanted(pid);
    session.general_pid = session.resume_pid = pid;
    session.general_vcpu = session.resume_vcpu = 0;
    return true;
}

// Leaves the session without a process that is no longer there.
static void leave(unsigned pid)
{
    events_attach(pid, false);
    clear_threads(&processes[pid]);
    if (session.general_pid == pid)
        session.general_pid = session.general_vcpu = 0;
    if (session.resume_pid == pid)
        session.resume_pid = session.resume_vcpu = 0;
    session.break_in &= next_attached(0) != 0;
}

// Holds the VM and takes out whatever gdb put in.
static void clean(unsigned pid)
{
    hold_process(pid);
    breakpoints_clear(pid);
    debug_registers_clear(pid);
    breakpoints_apply(pid);
}

// Leaves a VM as if gdb had never been there, but held. False: the VM is gone.
static bool clean_and_leave(unsigned pid)
{
    if (!target_vm_exists(pid)) {
        forget_process(pid);
        return false;
    }
    clean(pid);
    catch_breakpoints(pid, false);
    leave(pid);
    return true;
}

void detach_process(unsigned pid)
{
    if (!clean_and_leave(pid))
        return;
    target_freeze_time(pid, false);
    for (unsigned i = 0; i < process_vcpus(pid); i++)
        vcpu_let_go(target_vcpu(pid, i), false, false);
}

void kill_process(unsigned pid)
{
    if (clean_and_leave(pid))
        target_kill(pid);
}

void forget_process(unsigned pid)
{
    breakpoints_drop(pid);
    debug_registers_clear(pid);
    leave(pid);
}

void detach_all(void)
{
    for (unsigned pid = next_attached(0); pid != 0; pid = next_attached(pid))
        detach_process(pid);
    session = (struct session){.sstep = SSTEP_ENABLE | SSTEP_NOIRQ | SSTEP_NOTIMER};
    line.running = false;
}

void attach_next(unsigned pid)
{
    wanted = pid;
}

// The VM that a new client is given; 0: there is none.
static unsigned first_choice(void)
{
    unsigned pid = wanted;
    if (pid == 0 || !target_vm_exists(pid)) {
        for (pid = 1; pid <= target_vm_count() && !target_vm_exists(pid); pid++)
            ;
    }
    return pid <= target_vm_count() ? pid : 0;
}

void attach_first(void)
{
    if (next_attached(0) != 0)
        return;
    unsigned first = first_choice();
    wanted = 0;
    if (first != 0 && attach_process(first))
        return;
    for (unsigned pid = 1; pid <= target_vm_count(); pid++) {
        if (attach_process(pid))
            return;
    }
}

void session_reset(void)
{
    // That one stays held in between, so that the last client's death does not let it run.
    unsigned first = first_choice();
    if (process_attached(first) != NULL) {
        clean(first);
        catch_breakpoints(first, false);
        leave(first);
    }
    detach_all();
    attach_first();
}

// ---- packets -----------------------------------------------------------------------------

void packet_H(const struct packet_args *a)
{
    // "Any" thread of the current process is the current one.
    bool named = a->thread.tid > 0;

    if (a->letter == 'g' && (named || a->pid != session.general_pid)) {
        session.general_pid = a->pid;
        session.general_vcpu = a->index;
    } else if (a->letter == 'c' && (named || a->pid != session.resume_pid)) {
        session.resume_pid = a->pid;
        session.resume_vcpu = a->index;
    }
    reply_ok();
}

void packet_T(const struct packet_args *a)
{
    (void)a; // it has been found
    reply_ok();
}

void packet_detach_all(const struct packet_args *a)
{
    bool no_ack = line.no_ack;
    struct session before = session;

    (void)a;
    detach_all();
    session.multiprocess = before.multiprocess;
    session.swbreak = before.swbreak;
    session.hwbreak = before.hwbreak;
    session.error_message = before.error_message;
    line.no_ack = no_ack;
    reply_ok();
}

void packet_detach(const struct packet_args *a)
{
    detach_process(a->pid);
    reply_ok();
}

void packet_attach(const struct packet_args *a)
{
    u64 pid = a->number[0];

    if (pid > GDB_MAX_VMS || !attach_process((unsigned)pid)) {
        reply_error(E_THREAD, NO_VM);
        return;
    }
    reply_stop((unsigned)pid, 0, GDB_SIGTRAP);
}

void packet_kill(const struct packet_args *a)
{
    kill_process(a->pid);
    reply_ok();
}

// Has no reply, and without multiprocess no name: the current VM.
void packet_k(const struct packet_args *a)
{
    (void)a;
    if (process_attached(session.general_pid) != NULL)
        kill_process(session.general_pid);
}
