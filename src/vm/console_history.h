// SPDX-License-Identifier: MIT
// The last of what a guest has written, as it wrote it; and the line's stream in which each VM's
// output is whole, for a program at the other end to take apart (docs/consoles.md).
#pragma once

#include "lib/types.h"

#define HISTORY_SIZE 8192 // bytes kept; a power of two
#define SCREENFUL    4096 // of them, those that are shown again
#define CHUNK_MOST   200  // characters of a chunk's text

struct console_history {
    u8 bytes[HISTORY_SIZE];
    u64 head; // bytes ever written
    u64 sent; // up to which they have gone out, where they go out as they are
};

// Adds a byte. Returns false when one that was not sent made room for it.
bool history_add(struct console_history *h, u8 byte);

static inline u8 history_at(const struct console_history *h, u64 position)
{
    return h->bytes[position & (HISTORY_SIZE - 1)];
}

static inline unsigned history_unsent(const struct console_history *h)
{
    return (unsigned)(h->head - h->sent);
}

// Where the last screenful begins: with a line, or else with an escape sequence.
u64 history_screenful(const struct console_history *h);

// How long a query to the terminal (ECMA-48: CSI, and DSR or DA) at the position is; 0: there is
// none. One that is old is not sent again: the answer would be typed to who does not wait for it.
unsigned history_query(const struct console_history *h, u64 at);

struct chunk {
    char text[CHUNK_MOST];
    unsigned len;
    u64 end;    // position behind it
    bool ended; // it goes to the end of a line
};

// The next chunk from h->sent on: up to a line's end ("\r\n" or "\n"), to the limit (a position),
// or until it is full; in its text a backslash is doubled and control characters have backslashes.
// Returns false when it cannot be said yet, since the line goes on; with `pause` it is what there
// is.
bool history_chunk(const struct console_history *h, u64 limit, bool pause, struct chunk *c);
