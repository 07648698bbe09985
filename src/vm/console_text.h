// SPDX-License-Identifier: MIT
// What of a guest's output may reach a terminal that it shares with others, as text: printable
// characters, UTF-8 among them, tabs, and colours (ECMA-48's SGR). All else could change what
// others have written, or pass for it, and is shown as `\e`, `\r`, `\x9b` and the like: other
// escape sequences, control characters of 7 and of 8 bits, what is no UTF-8, and the characters of
// Unicode that turn the direction of writing or end lines. A query to the terminal (DSR, DA) has
// no picture and is left out, since the answer would be typed to whoever has the keyboard. A
// carriage return counts unless it stands at a line's beginning or end.
#pragma once

#include "lib/types.h"

#define TEXT_HELD  32 // bytes that may have to be seen together: no colour is longer
#define TEXT_MOST  80 // characters that one byte can bring
#define TEXT_RESET 3  // that the end of colours brings

// Characters after which a line is cut where it goes on, and the room that it needs for that.
#define CONSOLE_LINE 240
#define CONSOLE_ROOM (CONSOLE_LINE + 2 * TEXT_MOST + 1)

// All zero at first.
struct console_text {
    u8 held[TEXT_HELD]; // the beginning of an escape sequence or a character, or carriage returns
    unsigned len;
    bool begun;    // something of the line was shown
    bool coloured; // and its end has to put the colours back
};

// Takes a byte other than '\n' and writes what is now sure to out, which has room for TEXT_MOST.
// Returns how many characters that is.
unsigned console_text_byte(struct console_text *t, u8 byte, char *out);

// Whether the line, len characters by now, is to be cut before this byte: it is full, and the byte
// is none of a line's end.
bool console_text_is_full(const struct console_text *t, unsigned len, u8 byte);

// The line is cut: as console_text_end, and behind it the backslash that says that it goes on. One
// character more than TEXT_MOST at most.
unsigned console_text_cut(struct console_text *t, char *out);

// The line is over: writes what was held, and the end of its colours. Returns as console_text_byte.
unsigned console_text_end(struct console_text *t, char *out);
