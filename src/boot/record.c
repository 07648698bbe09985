// SPDX-License-Identifier: MIT
#include "boot/record.h"

#include "boot/log.h"
#include "boot/memory.h"
#include "boot/paging.h"
#include "lib/format.h"
#include "lib/string.h"

static struct {
    u32 length;
    char text[RECORD_TEXT];
} record;

static hpa_t place; // of the copy; 0: there is none
static bool was_left;

static void log_lines(const char *part, const char *what, const char *text, u32 n)
{
    for (u32 from = 0, at = 0; at < n; at++) {
        if (text[at] != '\n')
            continue;
        log_line(part, "%s%.*s", what, (int)(at - from), text + from);
        from = at + 1;
    }
}

void record_init(void)
{
    place = memory_persistent();
    struct pstore *p = phys_to_virt(place);
    if (place.v == 0 || !pstore_is_valid(p, place))
        return;
    was_left = true;
    for (u64 i = 0; i < p->length; i++) { // whoever wrote it, it is for a terminal
        if ((p->text[i] < ' ' || p->text[i] > '~') && p->text[i] != '\n')
            p->text[i] = '?';
    }
    log_lines("boot", "the last start left a record: ", p->text, (u32)p->length);
    p->magic = 0;
}

bool record_was_left(void)
{
    return was_left;
}

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

void record_log(const char *part, u32 from, u32 to)
{
    log_lines(part, "", record.text + from, to - from);
}

void record_keep(void)
{
    if (place.v == 0)
        return;
    pstore_seal(phys_to_virt(place), place, record.text, record.length);
    __asm__ volatile("wbinvd" ::: "memory"); // a reset may drop what is in caches alone
}
