// SPDX-License-Identifier: MIT
#include "vm/console_history.h"

#define ESC        0x1b
#define QUERY_MOST 16

bool history_add(struct console_history *h, u8 byte)
{
    h->bytes[h->head++ & (HISTORY_SIZE - 1)] = byte;
    if (history_unsent(h) <= HISTORY_SIZE)
        return true;
    h->sent = h->head - HISTORY_SIZE;
    return false;
}

u64 history_screenful(const struct console_history *h)
{
    if (h->head <= SCREENFUL)
        return 0;
    u64 first = h->head - SCREENFUL;
    for (u64 at = first; at < first + SCREENFUL / 2; at++) {
        if (history_at(h, at) == '\n')
            return at + 1;
    }
    for (u64 at = first; at < h->head; at++) { // a program that draws
        if (history_at(h, at) == ESC)
            return at;
    }
    return first;
}

unsigned history_query(const struct console_history *h, u64 at)
{
    if (h->head - at < 3 || history_at(h, at) != ESC || history_at(h, at + 1) != '[')
        return 0;
    for (unsigned n = 2; at + n < h->head && n < QUERY_MOST; n++) {
        u8 byte = history_at(h, at + n);
        if (byte == 'n' || byte == 'c')
            return n + 1;
        if (byte < 0x20 || byte >= 0x40)
            break;
    }
    return 0;
}

// Returns how many characters the byte becomes, 4 at most.
static unsigned encode(u8 byte, char *out)
{
    static const char digits[] = "0123456789abcdef";
    if (byte != '\t' && (byte < 0x20 || byte == 0x7f)) {
        out[0] = '\\';
        out[1] = byte == ESC ? 'e' : byte == '\r' ? 'r' : byte == '\n' ? 'n' : 'x';
        if (out[1] != 'x')
            return 2;
        out[2] = digits[byte >> 4];
        out[3] = digits[byte & 15];
        return 4;
    }
    out[0] = (char)byte;
    out[1] = '\\';
    return byte == '\\' ? 2 : 1;
}

bool history_chunk(const struct console_history *h, u64 limit, bool pause, struct chunk *c)
{
    c->len = 0;
    c->ended = false;
    c->end = h->sent;
    while (c->end < limit && c->len + 4 <= CHUNK_MOST) {
        u8 byte = history_at(h, c->end);
        bool more = c->end + 1 < limit;
        if (byte == '\r' && !more && !pause)
            return false;
        if (byte == '\r' && more && history_at(h, c->end + 1) == '\n') {
            c->end += 2;
            c->ended = true;
            return true;
        }
        c->len += encode(byte, c->text + c->len);
        c->end++;
        if (byte == '\n')
            return true;
    }
    bool full = c->len + 4 > CHUNK_MOST;
    return full || (pause && c->end > h->sent);
}
