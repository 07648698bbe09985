// SPDX-License-Identifier: MIT
// Stop replies: what the session's next word to gdb is when guests have stopped.
#include "gdbstub/attach.h"
#include "gdbstub/regs.h"
#include "gdbstub/stop.h"
#include "lib/string.h"

static void add_reason(struct session *session, const struct stop *s, u64 rip)
{
    switch (s->reason) {
    case STOP_BREAKPOINT:
        // With a segment base, rip is not the address that gdb knows: a plain trap is what it
        // shows.
        if (session->client.swbreak && rip == s->address)
            text_add(&session->reply, "swbreak:;");
        break;
    case STOP_HARDWARE:
        if (session->client.hwbreak && rip == s->address)
            text_add(&session->reply, "hwbreak:;");
        break;
    case STOP_WRITE:
        text_add(&session->reply, "watch:%lx;", s->address);
        break;
    case STOP_ACCESS:
        text_add(&session->reply, "awatch:%lx;", s->address);
        break;
    case STOP_NONE:
    case STOP_SIGNAL:
    case STOP_INTERCEPT:
        break;
    }
}

void reply_stop(struct session *session, unsigned pid, unsigned index, unsigned signal)
{
    struct process *p = &session->process[pid];
    struct thread *t = &p->thread[index];
    struct vcpu_regs regs;

    vcpu_read_regs(target_vcpu(pid, index), &regs);
    reply_start(session);
    text_add(&session->reply, "T%02xthread:", signal);
    text_thread(session, &session->reply, pid, index);
    text_add(&session->reply, ";");
    add_reason(session, &t->stop, regs.rip);
    expedite(session, pid, &regs, &session->reply);
    t->stop.reason = STOP_NONE;
    t->reported = true;
    t->reported_rip = regs.rip;
    p->last = index;
    session->client.general_pid = session->client.resume_pid = pid;
    session->client.general_vcpu = session->client.resume_vcpu = index;
}

void reply_ended(struct session *session, unsigned pid)
{
    u8 code;
    bool exited = target_exit_code(pid, &code);

    reply_start(session);
    text_add(&session->reply, "%c%02x", exited ? 'W' : 'X', code);
    if (session->client.multiprocess)
        text_add(&session->reply, ";process:%x", pid);
    forget_process(session, pid);
}

void reply_stopped(struct session *session)
{
    for (unsigned pid = next_attached(session, 0); pid != 0; pid = next_attached(session, pid)) {
        stop_take_end(session, pid);
        if (session->process[pid].over) {
            reply_ended(session, pid);
            return;
        }
    }
    if (process_attached(session, session->client.general_pid) == NULL) {
        session->client.general_pid = next_attached(session, 0);
        session->client.general_vcpu = 0;
    }
    if (session->client.general_pid != 0) {
        session->process[session->client.general_pid]
            .thread[session->client.general_vcpu]
            .stop.reason = STOP_NONE;
        reply_stop(session, session->client.general_pid, session->client.general_vcpu, GDB_SIGTRAP);
    } else {
        reply_start(session);
        text_add(&session->reply, "W00");
    }
}
