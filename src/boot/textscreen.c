// SPDX-License-Identifier: MIT
#include "boot/textscreen.h"

#include "lib/string.h"

#define BLANKS  0x20202020u // a group of them
#define UNKNOWN 0           // what no text looks like

static void fill(const struct textscreen *t, u32 *row, u32 group)
{
    for (u32 i = 0; i < t->columns / TEXT_GROUP; i++)
        row[i] = group;
}

static u32 *wanted_row(struct textscreen *t, u32 row)
{
    u32 i = t->top + row;
    return t->wanted[i < t->rows ? i : i - t->rows];
}

void textscreen_init(struct textscreen *t, u32 columns, u32 rows, bool drawn)
{
    t->columns = columns;
    t->rows = rows;
    t->top = t->row = t->column = 0;
    t->ended = false;
    t->changed = 0;
    t->unchanged = drawn ? 0 : rows;
    for (u32 i = 0; i < rows; i++) {
        fill(t, t->wanted[i], BLANKS);
        fill(t, t->drawn[i], drawn ? BLANKS : UNKNOWN);
    }
}

static void begin_row(struct textscreen *t)
{
    t->ended = false;
    t->column = 0;
    if (++t->row < t->rows)
        return;
    u32 moved = (t->rows + 2) / 3;
    for (u32 i = 0; i < moved; i++)
        fill(t, wanted_row(t, i), BLANKS);
    t->top += moved;
    if (t->top >= t->rows)
        t->top -= t->rows;
    t->row -= moved;
    t->changed = 0;
    t->unchanged = t->rows;
}

static void touch(struct textscreen *t)
{
    if (t->changed >= t->unchanged) { // all is drawn
        t->changed = t->row;
        t->unchanged = t->row + 1;
    }
    t->changed = MIN(t->changed, t->row);
    t->unchanged = MAX(t->unchanged, t->row + 1);
}

void textscreen_add(struct textscreen *t, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        if (text[i] == '\n') {
            if (t->ended) // an empty line
                begin_row(t);
            t->ended = true;
            i++;
            continue;
        }
        if (t->ended || t->column == t->columns)
            begin_row(t);
        touch(t);
        char *row = (char *)wanted_row(t, t->row);
        for (; i < n && text[i] != '\n' && t->column < t->columns; i++)
            row[t->column++] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    }
}

// Draws the groups of one row that differ, at most as many; returns how many it has drawn.
static u32 draw_row(struct textscreen *t, u32 row, u32 most,
                    void (*put)(u32 row, u32 column, const char *text, u32 n))
{
    const u32 *wanted = wanted_row(t, row);
    u32 *drawn = t->drawn[row], done = 0;
    for (u32 i = 0, groups = t->columns / TEXT_GROUP; i < groups && done < most; i++) {
        u32 from = i;
        while (i < groups && wanted[i] != drawn[i] && done + (i - from) < most)
            i++;
        if (i == from)
            continue;
        put(row, from * TEXT_GROUP, (const char *)&wanted[from], (i - from) * TEXT_GROUP);
        memcpy(&drawn[from], &wanted[from], (i - from) * sizeof(u32));
        done += i - from;
    }
    return done;
}

bool textscreen_draw(struct textscreen *t, u32 most,
                     void (*put)(u32 row, u32 column, const char *text, u32 n))
{
    for (u32 done = 0; t->changed < t->unchanged; t->changed++) {
        done += draw_row(t, t->changed, most - done, put);
        if (done == most)
            return true;
    }
    return false;
}
