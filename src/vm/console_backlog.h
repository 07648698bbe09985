// SPDX-License-Identifier: MIT
// Lines that are kept while the console shows one VM alone: the last that find room.
#pragma once

#include "lib/types.h"

#define BACKLOG_SIZE 16384 // a power of two

struct console_backlog {
    char bytes[BACKLOG_SIZE];
    u32 head, tail;   // bytes ever added, ever taken; each line ends with '\n'
    unsigned dropped; // lines that made room for others
};

// Adds a line: the name's mark, unless name is NULL, and n bytes, less than 1024.
void console_backlog_add(struct console_backlog *a, const char *name, const char *line, unsigned n);

// Takes the next byte. Returns false when there is none.
bool console_backlog_take(struct console_backlog *a, char *byte);
