// SPDX-License-Identifier: MIT
#include "boot/record.h"

#include "lib/format.h"

static struct {
    u32 length;
    char text[RECORD_TEXT];
} record;

void record_add(const char *fmt, ...)
{
    struct text t = {.buf = record.text + record.length, .size = RECORD_TEXT - record.length};
    if (t.size < 2)
        return;
    va_list args;
    va_start(args, fmt);
    size_t n = str_vformat(t.buf, t.size - 1, fmt, args);
    va_end(args);
    n = MIN(n, t.size - 2);
    t.buf[n] = '\n';
    record.length += (u32)n + 1;
}

u32 record_length(void)
{
    return record.length;
}

const char *record_text(void)
{
    return record.text;
}
