// SPDX-License-Identifier: MIT
// Text formatting into a bounded buffer: %c %s %d %i %u %x %X %p %% with flags '-', '0', width,
// precision (numbers or '*') and the length modifiers l, ll, z, h, hh.
#pragma once

#include <stdarg.h>

#include "lib/error.h"
#include "lib/types.h"

// Formats into buf (size bytes, always terminated when size > 0). Returns the length that the
// whole text has, which is >= size when it was cut.
size_t str_format(char *buf, size_t size, const char *fmt, ...) PRINTF(3, 4);
size_t str_vformat(char *buf, size_t size, const char *fmt, va_list args);

// A text that grows in a fixed buffer; what does not fit is dropped and remembered in `cut`.
struct text {
    char *buf;
    size_t size; // bytes in buf
    size_t len;  // characters so far, without the terminator
    bool cut;
};

#define TEXT(array) ((struct text){.buf = (array), .size = sizeof(array)})

void text_add(struct text *t, const char *fmt, ...) PRINTF(2, 3);

// Adds to *why the sentence, for a reader, that says why something fails, and is the error e. NULL:
// nobody wants to know. A macro, so that the compiler sees which error is returned.
#define explain(why, e, ...) (text_explain((why), __VA_ARGS__), (e))
void text_explain(struct text *why, const char *fmt, ...) PRINTF(2, 3);

// The value of a hexadecimal digit; -1: it is none.
int hex_digit(char c);

// A whole number, decimal or 0x and hexadecimal, that fills the len characters at s. False: it is
// none, or has more than 64 bits.
bool str_number(const char *s, size_t len, u64 *value);
