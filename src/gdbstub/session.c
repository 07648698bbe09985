// SPDX-License-Identifier: MIT
#include "gdbstub/session.h"

#include "lib/string.h"

void reply_start(struct session *session)
{
    session->reply = TEXT(session->line.out);
    session->line.out[0] = '\0';
}

void reply_send(struct session *session)
{
    session->line.out_len = session->reply.len;
    packet_send(&session->line);
}

void reply_ok(struct session *session)
{
    reply_start(session);
    text_add(&session->reply, "OK");
}

void reply_error(struct session *session, unsigned number, const char *why)
{
    reply_start(session);
    if (session->client.error_message)
        text_add(&session->reply, "E.%s", why);
    else
        text_add(&session->reply, "E%02x", number);
}

void reply_refused(struct session *session, const char *why)
{
    reply_start(session);
    text_add(&session->reply, "E.%s", why);
}

void reply_console(struct session *session, const char *text, size_t n)
{
    reply_start(session);
    text_add(&session->reply, "O");
    text_hex(&session->reply, text, n);
    reply_send(session);
}

void window_add(struct window *w, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++, w->seen++) {
        if (w->seen >= w->offset && w->seen - w->offset < w->room)
            text_bytes(w->out, text + i, 1);
    }
}

struct process *process_attached(struct session *session, unsigned pid)
{
    if (pid == 0 || pid > GDB_MAX_VMS || !session->process[pid].attached)
        return NULL;
    return &session->process[pid];
}

unsigned process_vcpus(unsigned pid)
{
    return MIN(target_vcpu_count(pid), (unsigned)GDB_MAX_VCPUS);
}

unsigned next_attached(struct session *session, unsigned pid)
{
    while (++pid <= GDB_MAX_VMS) {
        if (session->process[pid].attached)
            return pid;
    }
    return 0;
}

unsigned next_alive(struct session *session, unsigned pid)
{
    do
        pid = next_attached(session, pid);
    while (pid != 0 && session->process[pid].over);
    return pid;
}

static bool alive(struct session *session, unsigned pid)
{
    return process_attached(session, pid) != NULL && !session->process[pid].over;
}

void text_thread(struct session *session, struct text *t, unsigned pid, unsigned index)
{
    if (session->client.multiprocess)
        text_add(t, "p%x.%x", pid, index + 1);
    else
        text_add(t, "%x", index + 1);
}

bool find_thread(struct session *session, struct thread_id id, unsigned *pid, unsigned *index)
{
    *pid = id.pid > 0 ? (unsigned)id.pid : session->client.general_pid;
    if (id.pid <= 0 && !alive(session, *pid))
        *pid = next_alive(session, 0);
    *index = id.tid > 0 ? (unsigned)id.tid - 1 : 0;
    return alive(session, *pid) && *index < process_vcpus(*pid);
}

struct vcpu *current_vcpu(struct session *session)
{
    if (!alive(session, session->client.general_pid)) {
        reply_error(session, E_THREAD, "no current thread");
        return NULL;
    }
    return target_vcpu(session->client.general_pid, session->client.general_vcpu);
}
