// SPDX-License-Identifier: MIT
// A screenful of text: as it is to be, and as it was drawn, so that only what has changed is drawn
// and nothing is ever read from a screen. When it is full it moves up by a third: to move it by a
// row for each line would draw it all as often.
#pragma once

#include "lib/types.h"

#define TEXT_COLUMNS_MAX 240
#define TEXT_ROWS_MAX    128
#define TEXT_GROUP       4 // letters that are compared, and drawn, together

struct textscreen {
    u32 columns, rows;
    u32 top;                // which of `wanted` is the first row
    u32 row, column;        // where the next letter goes
    bool ended;             // the row has ended, and the next letter begins another
    u32 changed, unchanged; // the first row that may have to be drawn, and the first behind these
    u32 wanted[TEXT_ROWS_MAX][TEXT_COLUMNS_MAX / TEXT_GROUP];
    u32 drawn[TEXT_ROWS_MAX][TEXT_COLUMNS_MAX / TEXT_GROUP];
};

// An empty one. columns: a multiple of TEXT_GROUP, at most TEXT_COLUMNS_MAX; rows: 2 to
// TEXT_ROWS_MAX. drawn: whether the screen is known to be empty too.
void textscreen_init(struct textscreen *t, u32 columns, u32 rows, bool drawn);

// Adds text: printable ASCII, '\n' between lines, anything else becomes '?'. A line that is longer
// than a row goes on in the next.
void textscreen_add(struct textscreen *t, const char *text, size_t n);

// Draws up to `most` groups of letters by calls of put, each for some in a row. Returns whether
// there may be more to draw.
bool textscreen_draw(struct textscreen *t, u32 most,
                     void (*put)(u32 row, u32 column, const char *text, u32 n));
