// SPDX-License-Identifier: MIT
#include "vm/console_backlog.h"

#include "lib/string.h"

bool console_backlog_take(struct console_backlog *a, char *byte)
{
    if (a->tail == a->head)
        return false;
    *byte = a->bytes[a->tail++ & (BACKLOG_SIZE - 1)];
    return true;
}

static void make_room(struct console_backlog *a, u32 n)
{
    char byte;
    while (BACKLOG_SIZE - (a->head - a->tail) < n) {
        while (console_backlog_take(a, &byte) && byte != '\n')
            ;
        a->dropped++;
    }
}

static void add(struct console_backlog *a, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a->bytes[a->head++ & (BACKLOG_SIZE - 1)] = text[i];
}

void console_backlog_add(struct console_backlog *a, const char *name, const char *line, unsigned n)
{
    size_t mark = name != NULL ? strlen(name) : 0;
    make_room(a, (u32)mark + n + sizeof("| "));
    if (name != NULL) {
        add(a, name, mark);
        add(a, "| ", 2);
    }
    add(a, line, n);
    add(a, "\n", 1);
}
