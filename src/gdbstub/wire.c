// SPDX-License-Identifier: MIT
#include "gdbstub/wire.h"

#include "lib/string.h"

bool hex_number(const char **s, u64 *value)
{
    const char *p = *s;
    u64 v = 0;

    for (; hex_digit(*p) >= 0; p++) {
        if (v >> 60 != 0)
            return false;
        v = v << 4 | (u64)hex_digit(*p);
    }
    if (p == *s)
        return false;
    *s = p;
    *value = v;
    return true;
}

bool skip_char(const char **s, char c)
{
    if (**s != c || c == '\0')
        return false;
    ++*s;
    return true;
}

bool skip_word(const char **s, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*s, word, n) != 0)
        return false;
    *s += n;
    return true;
}

bool hex_bytes(const char **s, void *out, size_t n)
{
    u8 *to = out;

    for (size_t i = 0; i < n; i++) {
        int high = hex_digit((*s)[0]);
        if (high < 0)
            return false;
        int low = hex_digit((*s)[1]);
        if (low < 0)
            return false;
        to[i] = (u8)(high << 4 | low);
        *s += 2;
    }
    return true;
}

void text_hex(struct text *t, const void *bytes, size_t n)
{
    static const char digit[] = "0123456789abcdef";
    const u8 *b = bytes;

    for (size_t i = 0; i < n; i++) {
        char pair[2] = {digit[b[i] >> 4], digit[b[i] & 15]};
        text_bytes(t, pair, 2);
    }
}

void text_bytes(struct text *t, const void *bytes, size_t n)
{
    size_t room = t->size - t->len;
    if (n >= room) {
        t->cut = true;
        n = room - 1;
    }
    memcpy(t->buf + t->len, bytes, n);
    t->len += n;
    t->buf[t->len] = '\0';
}

static bool parse_id(const char **s, int *id)
{
    u64 v;

    if (skip_word(s, "-1")) {
        *id = ID_ALL;
        return true;
    }
    if (!hex_number(s, &v) || v > INT32_MAX)
        return false;
    *id = (int)v;
    return true;
}

bool parse_thread_id(const char **s, int current_pid, struct thread_id *out)
{
    if (!skip_char(s, 'p')) {
        bool ok = parse_id(s, &out->tid);
        out->pid = out->tid == ID_ALL ? ID_ALL : current_pid;
        return ok;
    }
    if (!parse_id(s, &out->pid))
        return false;
    out->tid = ID_ALL;
    return !skip_char(s, '.') || parse_id(s, &out->tid);
}
