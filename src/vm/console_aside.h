// SPDX-License-Identifier: MIT
// Lines that are kept while the console shows one VM alone: the last that find room.
#pragma once

#include "lib/types.h"

#define ASIDE_SIZE 16384 // a power of two

struct console_aside {
    char bytes[ASIDE_SIZE];
    u32 head, tail;   // bytes ever added, ever taken; each line ends with '\n'
    unsigned dropped; // lines that made room for others
};

// Adds a line: the name's mark, unless name is NULL, and n bytes, less than 1024.
void console_aside_add(struct console_aside *a, const char *name, const char *line, unsigned n);

// Takes the next byte. Returns false when there is none.
bool console_aside_take(struct console_aside *a, char *byte);
