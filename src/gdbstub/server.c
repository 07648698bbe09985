// SPDX-License-Identifier: MIT
// From a packet to what carries it out.
#include "gdbstub/attach.h"
#include "gdbstub/breakpoints.h"
#include "gdbstub/events.h"
#include "gdbstub/gdbstub.h"
#include "gdbstub/memory.h"
#include "gdbstub/monitor.h"
#include "gdbstub/query.h"
#include "gdbstub/regs.h"
#include "gdbstub/run.h"
#include "gdbstub/stop.h"
#include "lib/string.h"

// ---- packets of one letter and of v --------------------------------------------------------

static void packet_why(const char *args)
{
    (void)args;
    if (session.running) {
        stop_report(false);
        return;
    }
    attach_first();
    reply_stopped();
}

static void packet_extended(const char *args)
{
    (void)args;
    reply_ok();
}

static void packet_vCont_query(const char *args)
{
    (void)args;
    reply_start();
    text_add(&reply, "vCont;c;C;s;S;t;r");
}

// While something runs: see packet_ready().
static void packet_vCtrlC(const char *args)
{
    (void)args;
    stop_break_in();
    reply_ok();
}

// Those that have no reply, by the protocol: one would be taken for the next packet's. R and r (to
// start a program again) do nothing more.
static void packet_silent(const char *args)
{
    (void)args;
    reply_later = true;
}

// ---- dispatch ------------------------------------------------------------------------------

// How a packet's name ends.
enum ending {
    ANY,   // its arguments follow
    WHOLE, // nothing follows
};

static const struct packet {
    const char *name;
    enum ending ending;
    void (*run)(const char *args);
} packets[] = {
    {"!", WHOLE, packet_extended},
    {"?", WHOLE, packet_why},
    {"c", ANY, packet_c},
    {"C", ANY, packet_C},
    {"D", ANY, packet_D},
    {"g", WHOLE, packet_g},
    {"G", ANY, packet_G},
    {"H", ANY, packet_H},
    {"k", WHOLE, packet_k},
    {"m", ANY, packet_m},
    {"M", ANY, packet_M},
    {"p", ANY, packet_p},
    {"P", ANY, packet_P},
    {"qAttached", ANY, query_attached},
    {"qC", WHOLE, query_current},
    {"qfThreadInfo", WHOLE, query_first_threads},
    {"qqemu.PhyMemMode", WHOLE, query_physical},
    {"qqemu.sstep", WHOLE, query_sstep},
    {"qqemu.sstepbits", WHOLE, query_sstep_bits},
    {"Qqemu.PhyMemMode:", ANY, set_physical},
    {"Qqemu.sstep=", ANY, set_sstep},
    {"qRcmd,", ANY, packet_monitor},
    {"qsThreadInfo", WHOLE, query_more_threads},
    {"QStartNoAckMode", WHOLE, query_no_ack},
    {"qSupported", ANY, query_supported},
    {"qSymbol:", ANY, query_symbol},
    {"qThreadExtraInfo,", ANY, query_thread_info},
    {"qXfer:features:read:", ANY, query_features},
    {"qXfer:threads:read:", ANY, query_threads},
    {"s", ANY, packet_s},
    {"r", WHOLE, packet_silent},
    {"R", ANY, packet_silent},
    {"S", ANY, packet_S},
    {"T", ANY, packet_T},
    {"vAttach;", ANY, packet_attach},
    {"vCont?", WHOLE, packet_vCont_query},
    {"vCont", ANY, packet_vCont},
    {"vCtrlC", WHOLE, packet_vCtrlC},
    {"vKill;", ANY, packet_kill},
    {"x", ANY, packet_x},
    {"X", ANY, packet_X},
    {"z", ANY, packet_z},
    {"Z", ANY, packet_Z},
};

// While guests run a client has nothing to say but that it wants them stopped; a new client
// introduces itself, or asks for the state.
static bool allowed_while_running(const char *body)
{
    return strncmp(body, "qSupported", 10) == 0 || strcmp(body, "?") == 0;
}

// The packet that has arrived, and its arguments. NULL: not known.
static const struct packet *find_packet(const char **args)
{
    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        const struct packet *p = &packets[i];
        *args = line.body;
        if (skip_word(args, p->name) && (p->ending == ANY || **args == '\0'))
            return p;
    }
    return NULL;
}

static bool has_reply(const struct packet *p)
{
    return p == NULL || (p->run != packet_k && p->run != packet_silent);
}

static void packet_ready(void)
{
    const char *body = line.body, *args;
    const struct packet *p = find_packet(&args);

    reply_later = false;
    reply_start(); // an empty reply says: not known
    // What carries the line says that nobody is there any more; so there is no reply.
    if (strcmp(body, "vHangUp") == 0) {
        gdbstub_line_dead();
        return;
    }
    if (!session.running || allowed_while_running(body)) {
        if (p != NULL)
            p->run(args);
    } else if (strcmp(body, "vCtrlC") == 0) {
        reply_ok();
        reply_send();
        stop_break_in();
        return;
    } else if (strncmp(body, "vCont;t", 7) == 0) {
        stop_break_in();
        return;
    } else if (has_reply(p)) {
        reply_error(E_RUNNING, "not while guests run");
    } else {
        return;
    }
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
