// SPDX-License-Identifier: MIT
// Stop replies: what the session's next word to gdb is when guests have stopped.
#include "gdbstub/attach.h"
#include "gdbstub/regs.h"
#include "gdbstub/stop.h"
#include "lib/string.h"

static void add_reason(const struct stop *s, u64 rip)
{
    switch (s->reason) {
    case STOP_BREAKPOINT:
        // With a segment base, rip is not the address that gdb knows: a plain trap is what it
        // shows.
        if (session.swbreak && rip == s->address)
            text_add(&reply, "swbreak:;");
        break;
    case STOP_HARDWARE:
        if (session.hwbreak && rip == s->address)
            text_add(&reply, "hwbreak:;");
        break;
    case STOP_WRITE:
        text_add(&reply, "watch:%lx;", s->address);
        break;
    case STOP_ACCESS:
        text_add(&reply, "awatch:%lx;", s->address);
        break;
    case STOP_NONE:
    case STOP_SIGNAL:
    case STOP_INTERCEPT:
        break;
    }
}

void reply_stop(unsigned pid, unsigned index, unsigned signal)
{
    struct process *p = &processes[pid];
    struct thread *t = &p->thread[index];
    struct vcpu_regs regs;

    vcpu_read_regs(target_vcpu(pid, index), &regs);
    reply_start();
    text_add(&reply, "T%02xthread:", signal);
    text_thread(&reply, pid, index);
    text_add(&reply, ";");
    add_reason(&t->stop, regs.rip);
    expedite(pid, &regs, &reply);
    t->stop.reason = STOP_NONE;
    t->reported = true;
    t->reported_rip = regs.rip;
    p->last = index;
    session.general_pid = session.resume_pid = pid;
    session.general_vcpu = session.resume_vcpu = index;
}

void reply_ended(unsigned pid)
{
    u8 code;
    bool exited = target_exit_code(pid, &code);

    reply_start();
    text_add(&reply, "%c%02x", exited ? 'W' : 'X', code);
    if (session.multiprocess)
        text_add(&reply, ";process:%x", pid);
    forget_process(pid);
}

void reply_stopped(void)
{
    for (unsigned pid = next_attached(0); pid != 0; pid = next_attached(pid)) {
        stop_take_end(pid);
        if (processes[pid].over) {
            reply_ended(pid);
            return;
        }
    }
    if (process_attached(session.general_pid) == NULL) {
        session.general_pid = next_attached(0);
        session.general_vcpu = 0;
    }
    if (session.general_pid != 0) {
        processes[session.general_pid].thread[session.general_vcpu].stop.reason = STOP_NONE;
        reply_stop(session.general_pid, session.general_vcpu, GDB_SIGTRAP);
    } else {
        reply_start();
        text_add(&reply, "W00");
    }
}
