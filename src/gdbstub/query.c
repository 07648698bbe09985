// SPDX-License-Identifier: MIT
#include "gdbstub/query.h"

#include "gdbstub/attach.h"
#include "gdbstub/memory.h"
#include "gdbstub/regs.h"
#include "gdbstub/session.h"
#include "lib/string.h"
#include "x86/bits.h"

static bool has_feature(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = list; p != NULL && *p != '\0';) {
        if (strncmp(p, name, n) == 0 && (p[n] == ';' || p[n] == '\0'))
            return true;
        p = strchr(p, ';');
        if (p != NULL)
            p++;
    }
    return false;
}

void query_supported(struct session *session, const struct packet_args *a)
{
    const char *args = (const char *)a->bytes;

    session_reset(session);
    skip_char(&args, ':');
    session->client.multiprocess = has_feature(args, "multiprocess+");
    session->client.swbreak = has_feature(args, "swbreak+");
    session->client.hwbreak = has_feature(args, "hwbreak+");
    session->client.error_message = has_feature(args, "error-message+");

    reply_start(session);
    text_add(&session->reply,
             "PacketSize=%x;QStartNoAckMode+;multiprocess+;vContSupported+;swbreak+;hwbreak+;"
             "qXfer:features:read+;qXfer:threads:read+;binary-upload+",
             GDB_PACKET_SIZE);
    if (session->client.error_message)
        text_add(&session->reply, ";error-message+");
}

void query_no_ack(struct session *session, const struct packet_args *a)
{
    (void)a;
    reply_ok(session);
    session->line.no_ack = true;
}

void query_current(struct session *session, const struct packet_args *a)
{
    reply_start(session);
    text_add(&session->reply, "QC");
    text_thread(session, &session->reply, a->pid, a->index);
}

// The VM was there before gdb: gdb detaches from it when it quits, and does not kill it.
void query_attached(struct session *session, const struct packet_args *a)
{
    (void)a;
    reply_start(session);
    text_add(&session->reply, "1");
}

void query_first_threads(struct session *session, const struct packet_args *a)
{
    (void)a;
    reply_start(session);
    for (unsigned pid = next_alive(session, 0); pid != 0; pid = next_alive(session, pid)) {
        for (unsigned i = 0; i < process_vcpus(pid); i++) {
            text_add(&session->reply, session->reply.len == 0 ? "m" : ",");
            text_thread(session, &session->reply, pid, i);
        }
    }
    if (session->reply.len == 0)
        text_add(&session->reply, "l");
}

void query_more_threads(struct session *session, const struct packet_args *a)
{
    (void)a;
    reply_start(session);
    text_add(&session->reply, "l");
}

static const char *mode_name(const struct vcpu_regs *regs)
{
    if (in_64bit_mode(regs))
        return "64-bit";
    if (in_long_mode(regs))
        return "compatibility";
    if ((regs->cr0 & BIT(0)) == 0)
        return "real";
    if ((regs->rflags & BIT(17)) != 0)
        return "virtual-8086";
    return (regs->seg[SEG_CS].access & SEGMENT_BIG) != 0 ? "32-bit" : "16-bit protected";
}

static void describe(unsigned pid, unsigned index, struct text *out)
{
    struct vcpu_regs regs;

    target_describe(pid, index, out);
    vcpu_read_regs(target_vcpu(pid, index), &regs);
    text_add(out, ", ring %u, %s", current_ring(&regs), mode_name(&regs));
}

void query_thread_info(struct session *session, const struct packet_args *a)
{
    char buf[200] = "";
    struct text t = TEXT(buf);

    describe(a->pid, a->index, &t);
    reply_start(session);
    text_hex(&session->reply, buf, t.len);
}

// ---- qXfer ---------------------------------------------------------------------------------

// The numbers are offset and length. Opens a window of the object onto the reply.
static struct window open_window(struct session *session, const struct packet_args *a)
{
    reply_start(session);
    text_add(&session->reply, "m");
    return (struct window){.offset = a->number[0],
                           .room = MIN(a->number[1], (u64)GDB_PACKET_SIZE - 64),
                           .out = &session->reply};
}

// "l" says that nothing follows.
static void close_window(struct session *session, const struct window *w)
{
    if (w->seen <= w->offset || w->seen - w->offset <= w->room)
        session->line.out[0] = 'l';
}

void query_features(struct session *session, const struct packet_args *a)
{
    struct window w = open_window(session, a);

    description(session, a->pid, &w);
    close_window(session, &w);
}

void query_no_annex(struct session *session, const struct packet_args *a)
{
    (void)a;
    reply_error(session, E_INVALID, "no such annex");
}

static void add_xml_escaped(struct text *out, const char *s)
{
    for (; *s != '\0'; s++) {
        switch (*s) {
        case '<':
            text_add(out, "&lt;");
            break;
        case '&':
            text_add(out, "&amp;");
            break;
        case '"':
            text_add(out, "&quot;");
            break;
        default:
            text_add(out, "%c", *s < ' ' || *s > '~' ? '?' : *s);
        }
    }
}

static void add_thread(struct session *session, struct window *w, unsigned pid, unsigned index)
{
    char plain[200] = "", buf[1600]; // an escape takes up to six characters
    struct text p = TEXT(plain), t = TEXT(buf);

    describe(pid, index, &p);
    text_add(&t, "<thread id=\"");
    text_thread(session, &t, pid, index);
    text_add(&t, "\" core=\"%u\">", target_core(pid, index));
    add_xml_escaped(&t, plain);
    text_add(&t, "</thread>");
    window_add(w, buf, t.len);
}

void query_threads(struct session *session, const struct packet_args *a)
{
    static const char begin[] = "<threads>", end[] = "</threads>";
    struct window w = open_window(session, a);

    window_add(&w, begin, sizeof(begin) - 1);
    for (unsigned pid = next_alive(session, 0); pid != 0; pid = next_alive(session, pid)) {
        for (unsigned i = 0; i < process_vcpus(pid); i++)
            add_thread(session, &w, pid, i);
    }
    window_add(&w, end, sizeof(end) - 1);
    close_window(session, &w);
}

// ---- settings that scripts and front ends know from QEMU -----------------------------------

void query_physical(struct session *session, const struct packet_args *a)
{
    (void)a;
    reply_start(session);
    text_add(&session->reply, "%u", session->client.physical);
}

void set_physical(struct session *session, const struct packet_args *a)
{
    session->client.physical = a->letter == '1';
    reply_ok(session);
}

void query_sstep_bits(struct session *session, const struct packet_args *a)
{
    (void)a;
    reply_start(session);
    text_add(&session->reply, "ENABLE=%x,NOIRQ=%x,NOTIMER=%x", SSTEP_ENABLE, SSTEP_NOIRQ,
             SSTEP_NOTIMER);
}

void query_sstep(struct session *session, const struct packet_args *a)
{
    (void)a;
    reply_start(session);
    text_add(&session->reply, "0x%x", session->client.sstep);
}

void set_sstep(struct session *session, const struct packet_args *a)
{
    if ((a->number[0] & ~(u64)(SSTEP_ENABLE | SSTEP_NOIRQ | SSTEP_NOTIMER)) != 0) {
        reply_error(session, E_INVALID, BAD_SSTEP);
        return;
    }
    session->client.sstep = (unsigned)a->number[0];
    reply_ok(session);
}
