// SPDX-License-Identifier: MIT
// A guest's output as it is shown among others', of arbitrary bytes: nothing gets to the terminal
// but text in UTF-8 and whole colours, which end with the line. A zero byte ends a line.
#include <stdlib.h>

#include "vm/console_text.h"

static void check(bool condition)
{
    if (!condition)
        abort();
}

// A character of UTF-8 that is no control. Returns its length.
static size_t character(const u8 *p, size_t n)
{
    if (*p == '\t' || (*p >= 0x20 && *p < 0x7f))
        return 1;
    size_t length = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    check(*p >= 0xc2 && *p <= 0xf4 && length <= n);
    u32 code = *p & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        check((p[i] & 0xc0) == 0x80);
        code = code << 6 | (p[i] & 0x3f);
    }
    static const u32 least[] = {0, 0, 0xa0, 0x800, 0x10000};
    check(code >= least[length] && code < 0x110000 && (code < 0xd800 || code > 0xdfff));
    return length;
}

// A colour. Returns its length; *on is whether it is one, and not the end of all.
static size_t colour(const u8 *p, size_t n, bool *on)
{
    size_t length = 2;
    check(n > 2 && p[1] == '[');
    *on = false;
    for (; length < n && p[length] != 'm'; length++) {
        check(p[length] >= '0' && p[length] <= ';');
        *on |= p[length] != '0' && p[length] != ';';
    }
    check(length < n);
    return length + 1;
}

static void check_line(const u8 *line, size_t n)
{
    bool on = false;
    for (size_t at = 0; at < n;)
        at += line[at] == 0x1b ? colour(line + at, n - at, &on) : character(line + at, n - at);
    check(!on);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static u8 line[1 << 18];
    struct console_text t = {0};
    size_t n = 0;
    for (size_t i = 0; i <= size && n + 2 * TEXT_MOST <= sizeof(line); i++) {
        bool end = i == size || data[i] == '\0';
        unsigned more = end ? console_text_end(&t, (char *)line + n)
                            : console_text_byte(&t, data[i], (char *)line + n);
        check(more <= TEXT_MOST && t.len <= TEXT_HELD);
        n += more;
        if (!end)
            continue;
        check(t.len == 0);
        check_line(line, n);
        n = 0;
    }
    return 0;
}
