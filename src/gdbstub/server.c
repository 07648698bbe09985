// SPDX-License-Identifier: MIT
// From a packet to what carries it out.
#include "gdbstub/attach.h"
#include "gdbstub/breakpoints.h"
#include "gdbstub/events.h"
#include "gdbstub/gdbstub.h"
#include "gdbstub/packets.h"
#include "gdbstub/query.h"
#include "gdbstub/stop.h"
#include "lib/string.h"

// ---- packets about the session as a whole ----------------------------------------------------

void packet_why(const struct packet_args *a)
{
    (void)a;
    if (session.running) {
        stop_report(false);
        return;
    }
    attach_first();
    reply_stopped();
}

void packet_ok(const struct packet_args *a)
{
    (void)a;
    reply_ok();
}

// What carries the line says that nobody is there any more.
void packet_hang_up(const struct packet_args *a)
{
    (void)a;
    gdbstub_line_dead();
}

// ---- dispatch ------------------------------------------------------------------------------

static bool find_current(struct packet_args *a)
{
    a->vcpu = current_vcpu();
    a->pid = session.general_pid;
    a->index = session.general_vcpu;
    return a->vcpu != NULL;
}

// Finds whom the packet concerns. False: there is no such, and the reply says so.
static bool find_whom(const struct packet *p, struct packet_args *a)
{
    switch (p->whom) {
    case NOBODY:
        return true;
    case CURRENT:
        return find_current(a);
    case RESUMED:
        a->pid = session.resume_pid;
        a->index = session.resume_vcpu;
        if (process_attached(a->pid) == NULL) {
            reply_error(E_THREAD, "no current thread");
            return false;
        }
        break;
    case THREAD:
        if (!find_thread(a->thread, &a->pid, &a->index)) {
            reply_error(E_THREAD, "no such thread");
            return false;
        }
        break;
    case PROCESS:
        a->pid = (unsigned)MIN(a->number[0], GDB_MAX_VMS + 1ul);
        a->index = 0;
        if (process_attached(a->pid) == NULL) {
            reply_error(E_THREAD, "not attached");
            return false;
        }
        break;
    }
    a->vcpu = target_vcpu(a->pid, a->index);
    return true;
}

static void carry_out(const struct packet *p, const char *text)
{
    static struct packet_args args;

    args.option = p->option;
    if (!parse_args(p->args, &line, text, session.general_pid, &args))
        reply_error(p->error != 0 ? p->error : E_FORMAT, p->malformed);
    else if (find_whom(p, &args))
        p->run(&args);
}

static void packet_ready(void)
{
    const char *text;
    const struct packet *p = packet_find(line.body, session.running, &text);

    reply_later = p != NULL && p->silent;
    reply_start(); // an empty reply says: not known
    if (session.running && (p == NULL || p->when == STOPPED))
        reply_error(E_RUNNING, "not while guests run");
    else if (p != NULL)
        carry_out(p, text);
    if (!reply_later)
        reply_send();
}

void gdbstub_init(void)
{
    memset(processes, 0, sizeof(processes));
    session = (struct session){.sstep = SSTEP_ENABLE | SSTEP_NOIRQ | SSTEP_NOTIMER};
    packet_init(&line, gdb_line_put);
    reply_start();
    breakpoints_init();
    stop_init();
    events_init();
}

void gdbstub_input(u8 byte)
{
    switch (packet_input(&line, byte)) {
    case PACKET_NONE:
        break;
    case PACKET_READY:
        packet_ready();
        break;
    case PACKET_BREAK:
        stop_break_in();
        break;
    case PACKET_LONG:
        reply_error(E_FORMAT, "packet too long");
        reply_send();
        break;
    }
}

void gdbstub_break(void)
{
    stop_break_in();
}

void gdbstub_poll(void)
{
    stop_poll();
}

void gdbstub_line_dead(void)
{
    detach_all();
    packet_init(&line, gdb_line_put);
    reply_start();
}
