// SPDX-License-Identifier: MIT
#include "gdbstub/packet.h"

#include "gdbstub/wire.h"
#include "lib/string.h"

// Naks that are answered; a line that garbles every packet must not keep us busy for ever.
#define MAX_RESENDS 16

#define BREAK_IN 0x03

void packet_init(struct packet_codec *c, void (*put)(const void *bytes, size_t n))
{
    memset(c, 0, sizeof(*c));
    c->put = put;
}

static void start(struct packet_codec *c)
{
    c->state = PACKET_BODY;
    c->sum = 0;
    c->len = 0;
    c->bad = c->too_long = false;
}

static void add(struct packet_codec *c, u8 byte)
{
    if (c->len < GDB_PACKET_SIZE)
        c->body[c->len++] = (char)byte;
    else
        c->too_long = true;
}

static enum packet_event finish(struct packet_codec *c)
{
    static const char opening[] = "qSupported";

    c->state = PACKET_IDLE;
    if (c->bad || c->sum != c->sum_sent) {
        // Without acks a garbled packet is dropped: the other side's time-out is what remains.
        if (!c->no_ack)
            c->put("-", 1);
        return PACKET_NONE;
    }
    c->body[c->len] = '\0';
    c->sent = false; // the last reply has arrived, or nobody waits for it any more
    // Another client after one that has died: it expects acks until it turns them off.
    if (!c->too_long && strncmp(c->body, opening, sizeof(opening) - 1) == 0)
        c->no_ack = false;
    if (!c->no_ack)
        c->put("+", 1);
    return c->too_long ? PACKET_LONG : PACKET_READY;
}

static enum packet_event idle_input(struct packet_codec *c, u8 byte)
{
    switch (byte) {
    case '$':
        start(c);
        return PACKET_NONE;
    case BREAK_IN:
        return PACKET_BREAK;
    case '+':
        c->sent = false;
        return PACKET_NONE;
    case '-':
        if (!c->no_ack && c->sent && c->resends < MAX_RESENDS) {
            unsigned resends = c->resends + 1;
            packet_send(c);
            c->resends = resends;
        }
        return PACKET_NONE;
    default:
        return PACKET_NONE; // noise
    }
}

enum packet_event packet_input(struct packet_codec *c, u8 byte)
{
    if (c->running && byte == BREAK_IN) {
        c->state = PACKET_IDLE;
        return PACKET_BREAK;
    }
    if (c->state == PACKET_IDLE)
        return idle_input(c, byte);
    // Escaped inside a packet, so a bare one always starts another: the sender died, or a byte of
    // the checksum was lost.
    if (byte == '$') {
        start(c);
        return PACKET_NONE;
    }

    int digit = hex_digit((char)byte);
    switch (c->state) {
    case PACKET_BODY:
        if (byte == '#') {
            c->state = PACKET_SUM1;
            break;
        }
        c->sum = (u8)(c->sum + byte);
        if (byte == '}')
            c->state = PACKET_ESCAPE;
        else
            add(c, byte);
        break;
    case PACKET_ESCAPE:
        if (byte == '#') { // nothing to escape: damaged
            c->bad = true;
            c->state = PACKET_SUM1;
            break;
        }
        c->sum = (u8)(c->sum + byte);
        add(c, byte ^ 0x20);
        c->state = PACKET_BODY;
        break;
    case PACKET_SUM1:
        c->bad |= digit < 0;
        c->sum_sent = (u8)((digit & 15) << 4);
        c->state = PACKET_SUM2;
        break;
    case PACKET_SUM2:
        c->bad |= digit < 0;
        c->sum_sent = (u8)(c->sum_sent | (digit & 15));
        return finish(c);
    case PACKET_IDLE:
        break;
    }
    return PACKET_NONE;
}

// Encoded bytes on their way to the line, in pieces.
struct encoder {
    struct packet_codec *codec;
    u8 sum;
    size_t n;
    char buf[128];
};

static void flush(struct encoder *e)
{
    if (e->n > 0)
        e->codec->put(e->buf, e->n);
    e->n = 0;
}

static void emit(struct encoder *e, char c)
{
    if (e->n == sizeof(e->buf))
        flush(e);
    e->buf[e->n++] = c;
    e->sum = (u8)(e->sum + (u8)c);
}

static bool needs_escape(char c)
{
    return c == '#' || c == '$' || c == '}' || c == '*';
}

// A character and how often it comes again. Three repeats are the fewest that gain; the count's
// character is repeats + 29, printable, and neither '#' nor '$'.
static void emit_run(struct encoder *e, char c, size_t repeats)
{
    emit(e, c);
    while (repeats >= 3) {
        size_t n = MIN(repeats, (size_t)('~' - 29));
        if (n == '#' - 29 || n == '$' - 29)
            n = '"' - 29;
        emit(e, '*');
        emit(e, (char)(n + 29));
        repeats -= n;
        if (repeats == 0)
            return;
        emit(e, c); // the next run's own character
        repeats--;
    }
    while (repeats-- > 0)
        emit(e, c);
}

void packet_send(struct packet_codec *c)
{
    struct encoder e = {.codec = c};
    static const char digit[] = "0123456789abcdef";

    emit(&e, '$');
    e.sum = 0;
    for (size_t i = 0; i < c->out_len;) {
        char ch = c->out[i];
        size_t end = i + 1;
        if (needs_escape(ch)) {
            // Not run-length encoded: runs are undone before escapes are.
            emit(&e, '}');
            emit(&e, (char)(ch ^ 0x20));
        } else {
            while (end < c->out_len && c->out[end] == ch)
                end++;
            emit_run(&e, ch, end - i - 1);
        }
        i = end;
    }
    u8 sum = e.sum;
    emit(&e, '#');
    emit(&e, digit[sum >> 4]);
    emit(&e, digit[sum & 15]);
    flush(&e);
    c->sent = true;
    c->resends = 0;
}
