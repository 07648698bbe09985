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

void query_supported(const char *args)
{
    session_reset();
    skip_char(&args, ':');
    session.multiprocess = has_feature(args, "multiprocess+");
    session.swbreak = has_feature(args, "swbreak+");
    session.hwbreak = has_feature(args, "hwbreak+");
    session.error_message = has_feature(args, "error-message+");

    reply_start();
    text_add(&reply,
             "PacketSize=%x;QStartNoAckMode+;multiprocess+;vContSupported+;swbreak+;hwbreak+;"
             "qXfer:features:read+;qXfer:threads:read+;binary-upload+",
             GDB_PACKET_SIZE);
    if (session.error_message)
        text_add(&reply, ";error-message+");
}

void query_no_ack(const char *args)
{
    (void)args;
    reply_ok();
    line.no_ack = true;
}

void query_current(const char *args)
{
    (void)args;
    if (current_vcpu() == NULL)
        return;
    reply_start();
    text_add(&reply, "QC");
    text_thread(&reply, session.general_pid, session.general_vcpu);
}

// The VM was there before gdb: gdb detaches from it when it quits, and does not kill it.
void query_attached(const char *args)
{
    (void)args;
    reply_start();
    text_add(&reply, "1");
}

void query_first_threads(const char *args)
{
    (void)args;
    reply_start();
    for (unsigned pid = next_alive(0); pid != 0; pid = next_alive(pid)) {
        for (unsigned i = 0; i < process_vcpus(pid); i++) {
            text_add(&reply, reply.len == 0 ? "m" : ",");
            text_thread(&reply, pid, i);
        }
    }
    if (reply.len == 0)
        text_add(&reply, "l");
}

void query_more_threads(const char *args)
{
    (void)args;
    reply_start();
    text_add(&reply, "l");
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

void query_thread_info(const char *args)
{
    char buf[200] = "";
    struct text t = TEXT(buf);
    struct thread_id id;
    unsigned pid, index;

    if (!parse_thread_id(&args, (int)session.general_pid, &id) || !find_thread(id, &pid, &index)) {
        reply_error(E_THREAD, "no such thread");
        return;
    }
    describe(pid, index, &t);
    reply_start();
    text_hex(&reply, buf, t.len);
}

// ---- qXfer ---------------------------------------------------------------------------------

// "OFFSET,LENGTH": opens a window of the object onto the reply.
static bool open_window(const char *args, struct window *w)
{
    *w = (struct window){.out = &reply};
    if (!hex_number(&args, &w->offset) || !skip_char(&args, ',') || !hex_number(&args, &w->room) ||
        *args != '\0') {
        reply_error(E_FORMAT, "malformed offset or length");
        return false;
    }
    w->room = MIN(w->room, (u64)GDB_PACKET_SIZE - 64);
    reply_start();
    text_add(&reply, "m");
    return true;
}

// "l" says that nothing follows.
static void close_window(const struct window *w)
{
    if (w->seen <= w->offset || w->seen - w->offset <= w->room)
        line.out[0] = 'l';
}

void query_features(const char *args)
{
    struct window w;

    if (!skip_word(&args, "target.xml:")) {
        reply_error(E_INVALID, "no such annex");
        return;
    }
    if (current_vcpu() == NULL || !open_window(args, &w))
        return;
    description(session.general_pid, &w);
    close_window(&w);
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

static void add_thread(struct window *w, unsigned pid, unsigned index)
{
    char plain[200] = "", buf[1600]; // an escape takes up to six characters
    struct text p = TEXT(plain), t = TEXT(buf);

    describe(pid, index, &p);
    text_add(&t, "<thread id=\"");
    text_thread(&t, pid, index);
    text_add(&t, "\" core=\"%u\">", target_core(pid, index));
    add_xml_escaped(&t, plain);
    text_add(&t, "</thread>");
    window_add(w, buf, t.len);
}

void query_threads(const char *args)
{
    static const char begin[] = "<threads>", end[] = "</threads>";
    struct window w;

    if (!skip_char(&args, ':') || !open_window(args, &w)) {
        if (reply.len == 0)
            reply_error(E_INVALID, "no such annex");
        return;
    }
    window_add(&w, begin, sizeof(begin) - 1);
    for (unsigned pid = next_alive(0); pid != 0; pid = next_alive(pid)) {
        for (unsigned i = 0; i < process_vcpus(pid); i++)
            add_thread(&w, pid, i);
    }
    window_add(&w, end, sizeof(end) - 1);
    close_window(&w);
}

void query_symbol(const char *args)
{
    (void)args;
    reply_ok(); // no symbol is wanted
}

// ---- settings that scripts and front ends know from QEMU -----------------------------------

void query_physical(const char *args)
{
    (void)args;
    reply_start();
    text_add(&reply, "%u", session.physical);
}

void set_physical(const char *args)
{
    if ((args[0] != '0' && args[0] != '1') || args[1] != '\0') {
        reply_error(E_FORMAT, "0 or 1");
        return;
    }
    session.physical = args[0] == '1';
    reply_ok();
}

void query_sstep_bits(const char *args)
{
    (void)args;
    reply_start();
    text_add(&reply, "ENABLE=%x,NOIRQ=%x,NOTIMER=%x", SSTEP_ENABLE, SSTEP_NOIRQ, SSTEP_NOTIMER);
}

void query_sstep(const char *args)
{
    (void)args;
    reply_start();
    text_add(&reply, "0x%x", session.sstep);
}

void set_sstep(const char *args)
{
    u64 bits;

    skip_word(&args, "0x");
    if (!hex_number(&args, &bits) || *args != '\0' ||
        (bits & ~(u64)(SSTEP_ENABLE | SSTEP_NOIRQ | SSTEP_NOTIMER)) != 0) {
        reply_error(E_INVALID, "not such bits");
        return;
    }
    session.sstep = (unsigned)bits;
    reply_ok();
}
