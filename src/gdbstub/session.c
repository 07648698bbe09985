// SPDX-License-Identifier: MIT
#include "gdbstub/session.h"

#include "lib/string.h"

struct session session;
struct process processes[GDB_MAX_VMS + 1];
struct packet_codec line;
struct text reply;
bool reply_later;

void reply_start(void)
{
    reply = TEXT(line.out);
    line.out[0] = '\0';
}

void reply_send(void)
{
    line.out_len = reply.len;
    packet_send(&line);
}

void reply_ok(void)
{
    reply_start();
    text_add(&reply, "OK");
}

void reply_error(unsigned number, const char *why)
{
    reply_start();
    if (session.error_message)
        text_add(&reply, "E.%s", why);
    else
        text_add(&reply, "E%02x", number);
}

void reply_refused(const char *why)
{
    reply_start();
    text_add(&reply, "E.%s", why);
}

void reply_console(const char *text, size_t n)
{
    reply_start();
    text_add(&reply, "O");
    text_hex(&reply, text, n);
    reply_send();
}

void window_add(struct window *w, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++, w->seen++) {
        if (w->seen >= w->offset && w->seen - w->offset < w->room)
            text_bytes(w->out, text + i, 1);
    }
}

struct process *process_attached(unsigned pid)
{
    if (pid == 0 || pid > GDB_MAX_VMS || !processes[pid].attached)
        return NULL;
    return &processes[pid];
}

unsigned process_vcpus(unsigned pid)
{
    return MIN(target_vcpu_count(pid), (unsigned)GDB_MAX_VCPUS);
}

unsigned next_attached(unsigned pid)
{
    while (++pid <= GDB_MAX_VMS) {
        if (processes[pid].attached)
            return pid;
    }
    return 0;
}

unsigned next_alive(unsigned pid)
{
    do
        pid = next_attached(pid);
    while (pid != 0 && processes[pid].over);
    return pid;
}

static bool alive(unsigned pid)
{
    return process_attached(pid) != NULL && !processes[pid].over;
}

void text_thread(struct text *t, unsigned pid, unsigned index)
{
    if (session.multiprocess)
        text_add(t, "p%x.%x", pid, index + 1);
    else
        text_add(t, "%x", index + 1);
}

bool find_thread(struct thread_id id, unsigned *pid, unsigned *index)
{
    *pid = id.pid > 0 ? (unsigned)id.pid : session.general_pid;
    if (id.pid <= 0 && !alive(*pid))
        *pid = next_alive(0);
    *index = id.tid > 0 ? (unsigned)id.tid - 1 : 0;
    return alive(*pid) && *index < process_vcpus(*pid);
}

struct vcpu *current_vcpu(void)
{
    if (!alive(session.general_pid)) {
        reply_error(E_THREAD, "no current thread");
        return NULL;
    }
    return target_vcpu(session.general_pid, session.general_vcpu);
}
