// SPDX-License-Identifier: MIT
// What is left of a fault in root mode: lines of text, and copies of them in memory that a warm
// reset keeps and the next start prints.
#pragma once

#include "lib/types.h"

#define RECORD_TEXT 8160 // bytes; what is beyond is dropped

// Adds a line. Any core, any context; one at a time.
void record_add(const char *fmt, ...) PRINTF(1, 2);

// Bytes of text so far, and the text: lines, each with "\n".
u32 record_length(void);
const char *record_text(void);
