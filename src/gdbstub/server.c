// SPDX-License-Identifier: MIT
// From a packet to what carries it out.
#include "gdbstub/attach.h"
#include "gdbstub/gdbstub.h"
#include "gdbstub/hooks.h"
#include "gdbstub/packets.h"
#include "gdbstub/query.h"
#include "gdbstub/search.h"
#include "gdbstub/stop.h"
#include "lib/string.h"

// ---- packets about the session as a whole ----------------------------------------------------

void packet_why(struct session *session, const struct packet_args *a)
{
    (void)a;
    if (session->client.running) {
        stop_report(session, false);
        return;
    }
    attach_first(session);
    reply_stopped(session);
}

void packet_ok(struct session *session, const struct packet_args *a)
{
    (void)a;
    reply_ok(session);
}

// What carries the line says that nobody is there any more.
void packet_hang_up(struct session *session, const struct packet_args *a)
{
    (void)a;
    gdbstub_line_dead(session);
}

// ---- dispatch ------------------------------------------------------------------------------

static bool find_current(struct session *session, struct packet_args *a)
{
    a->vcpu = current_vcpu(session);
    a->pid = session->client.general_pid;
    a->index = session->client.general_vcpu;
    return a->vcpu != NULL;
}

// Finds whom the packet concerns. False: there is no such, and the reply says so.
static bool find_whom(struct session *session, const struct packet *p, struct packet_args *a)
{
    switch (p->whom) {
    case NOBODY:
        return true;
    case CURRENT:
        return find_current(session, a);
    case RESUMED:
        a->pid = session->client.resume_pid;
        a->index = session->client.resume_vcpu;
        if (process_attached(session, a->pid) == NULL) {
            reply_error(session, E_THREAD, "no current thread");
            return false;
        }
        break;
    case THREAD:
        if (!find_thread(session, a->thread, &a->pid, &a->index)) {
            reply_error(session, E_THREAD, "no such thread");
            return false;
        }
        break;
    case PROCESS:
        a->pid = (unsigned)MIN(a->number[0], GDB_MAX_VMS + 1ul);
        a->index = 0;
        if (process_attached(session, a->pid) == NULL) {
            reply_error(session, E_THREAD, "not attached");
            return false;
        }
        break;
    }
    a->vcpu = target_vcpu(a->pid, a->index);
    return true;
}

static void carry_out(struct session *session, const struct packet *p, const char *text)
{
    struct packet_args *args = &session->args;

    args->option = p->option;
    if (!parse_args(p->args, &session->line, text, session->client.general_pid, args))
        reply_error(session, p->error != 0 ? p->error : E_FORMAT, p->malformed);
    else if (find_whom(session, p, args))
        p->run(session, args);
}

static void packet_ready(struct session *session)
{
    const char *text;
    const struct packet *p = packet_find(session->line.body, session->client.running, &text);

    search_end(session); // who sends another packet does not wait for it any more
    session->reply_later = p != NULL && p->silent;
    reply_start(session); // an empty reply says: not known
    if (session->client.running && (p == NULL || p->when == STOPPED))
        reply_error(session, E_RUNNING, "not while guests run");
    else if (p != NULL)
        carry_out(session, p, text);
    if (!session->reply_later)
        reply_send(session);
}

void gdbstub_init(struct session *session)
{
    memset(session, 0, sizeof(*session));
    session->client = (struct client){.sstep = SSTEP_ENABLE | SSTEP_NOIRQ | SSTEP_NOTIMER};
    packet_init(&session->line, gdb_line_put);
    reply_start(session);
    hooks_init(session);
}

void gdbstub_input(struct session *session, u8 byte)
{
    switch (packet_input(&session->line, byte)) {
    case PACKET_NONE:
        break;
    case PACKET_READY:
        packet_ready(session);
        break;
    case PACKET_BREAK:
        stop_break_in(session);
        break;
    case PACKET_LONG:
        reply_error(session, E_FORMAT, "packet too long");
        reply_send(session);
        break;
    }
}

void gdbstub_break(struct session *session)
{
    stop_break_in(session);
}

void gdbstub_poll(struct session *session)
{
    stop_poll(session);
    search_poll(session);
}

void gdbstub_line_dead(struct session *session)
{
    detach_all(session);
    search_end(session);
    packet_init(&session->line, gdb_line_put);
    reply_start(session);
}
