// SPDX-License-Identifier: MIT
// What is left of a fault in root mode: lines of text, and a copy of them in memory that a warm
// reset keeps and the next start prints.
#pragma once

#include "boot/pstore.h"
#include "lib/types.h"

// What is beyond is dropped.
#define RECORD_TEXT PSTORE_TEXT

// Prints what the last start left, and clears it. Boot core, after memory_init().
void record_init(void);

// Whether it had left something.
bool record_was_left(void);

// Adds a line. Any core, any context; one at a time.
void record_add(const char *fmt, ...) PRINTF(1, 2);

// Bytes of text so far: lines, each with "\n".
u32 record_length(void);

// Logs the lines of the text from one byte to before another.
void record_log(const char *part, u32 from, u32 to);

// Leaves what there is so far to the next start. As record_add().
void record_keep(void);
