// SPDX-License-Identifier: MIT
#include "vm/console_text.h"

#include "lib/string.h"

#define ESC          0x1b
#define RETURNS_MOST 8 // in a row; more are shown

static const char reset[TEXT_RESET] = {ESC, '[', 'm'};

static unsigned show_escaped(u8 byte, char *out)
{
    static const char digits[] = "0123456789abcdef";
    static const char names[] = "abtnvfr"; // of 7 to 13
    if (byte >= 0x20 && byte < 0x7f) {
        out[0] = (char)byte;
        return 1;
    }
    out[0] = '\\';
    out[1] = byte == ESC ? 'e' : byte >= 7 && byte <= 13 ? names[byte - 7] : 'x';
    if (out[1] != 'x')
        return 2;
    out[2] = digits[byte >> 4];
    out[3] = digits[byte & 15];
    return 4;
}

static unsigned release(struct console_text *t, char *out, bool as_it_is)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->len; i++) {
        if (as_it_is)
            out[n++] = (char)t->held[i];
        else
            n += show_escaped(t->held[i], out + n);
    }
    t->begun |= n > 0;
    t->len = 0;
    return n;
}

// Whether SGR's parameters, between "ESC [" and "m", put all colours back.
static bool is_reset(const u8 *parameters, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (parameters[i] != '0' && parameters[i] != ';')
            return false;
    }
    return true;
}

static bool is_colour(const u8 *parameters, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (parameters[i] < '0' || parameters[i] > ';')
            return false;
    }
    return true;
}

// ESC and what follows (ECMA-48, 5.4). Returns whether the byte belongs to it and was taken.
static bool take_sequence(struct console_text *t, u8 byte, char *out, unsigned *n)
{
    if (t->len == 1 ? byte == '[' : byte >= 0x20 && byte < 0x40 && t->len < TEXT_HELD) {
        t->held[t->len++] = byte;
        return true;
    }
    const u8 *parameters = t->held + 2;
    unsigned count = t->len - 2;
    if (t->len >= 2 && byte == 'm' && t->len < TEXT_HELD && is_colour(parameters, count)) {
        t->coloured = !is_reset(parameters, count);
        t->held[t->len++] = byte;
        *n = release(t, out, true);
        return true;
    }
    if (t->len >= 2 && (byte == 'n' || byte == 'c')) {
        t->len = 0;
        return true;
    }
    *n = release(t, out, false);
    return false;
}

// How many bytes the character has (Unicode, table 3-7); 0: the byte begins none.
static unsigned character_length(u8 first)
{
    if (first >= 0xc2 && first < 0xe0)
        return 2;
    if (first >= 0xe0 && first < 0xf0)
        return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

static bool continues(u8 first, unsigned at, u8 byte)
{
    u8 low = 0x80, high = 0xbf;
    if (at == 1 && (first == 0xe0 || first == 0xf0))
        low = first == 0xe0 ? 0xa0 : 0x90; // longer than it need be
    if (at == 1 && (first == 0xed || first == 0xf4))
        high = first == 0xed ? 0x9f : 0x8f; // a surrogate; beyond the last character
    return byte >= low && byte <= high;
}

// Whether a whole character acts on others instead of being shown: C1 controls, the line and the
// paragraph separator, and what turns the direction of writing (Unicode, UAX #9, chapter 2).
static bool is_control(const u8 *c)
{
    if (c[0] == 0xc2)
        return c[1] < 0xa0;
    if (c[0] == 0xd8)
        return c[1] == 0x9c; // U+061C
    if (c[0] == 0xe2 && c[1] == 0x80)
        return c[2] == 0x8e || c[2] == 0x8f ||                           // U+200E, U+200F
               (c[2] >= 0xa8 && c[2] <= 0xae);                           // U+2028 to U+202E
    return c[0] == 0xe2 && c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9; // U+2066 to U+2069
}

static bool take_character(struct console_text *t, u8 byte, char *out, unsigned *n)
{
    bool taken = continues(t->held[0], t->len, byte);
    if (taken) {
        t->held[t->len++] = byte;
        if (t->len < character_length(t->held[0]))
            return true;
    }
    *n = release(t, out, taken && !is_control(t->held));
    return taken;
}

static bool take_return(struct console_text *t, u8 byte, char *out, unsigned *n)
{
    if (byte == '\r' && t->len < RETURNS_MOST) {
        t->held[t->len++] = byte;
        return true;
    }
    *n = release(t, out, false);
    return false;
}

unsigned console_text_byte(struct console_text *t, u8 byte, char *out)
{
    unsigned n = 0;
    bool taken = false;
    if (t->len > 0 && t->held[0] == ESC)
        taken = take_sequence(t, byte, out, &n);
    else if (t->len > 0 && t->held[0] == '\r')
        taken = take_return(t, byte, out, &n);
    else if (t->len > 0)
        taken = take_character(t, byte, out, &n);
    if (taken || (byte == '\r' && !t->begun))
        return n;

    if (byte == ESC || byte == '\r' || character_length(byte) > 0) {
        t->held[0] = byte;
        t->len = 1;
        return n;
    }
    t->begun = true;
    if (byte == '\t')
        out[n++] = '\t';
    else
        n += show_escaped(byte, out + n);
    return n;
}

unsigned console_text_end(struct console_text *t, char *out)
{
    if (t->len > 0 && t->held[0] == '\r')
        t->len = 0;
    unsigned n = release(t, out, false);
    if (t->coloured) {
        memcpy(out + n, reset, TEXT_RESET);
        n += TEXT_RESET;
    }
    t->begun = t->coloured = false;
    return n;
}

bool console_text_is_full(const struct console_text *t, unsigned len, u8 byte)
{
    return len >= CONSOLE_LINE && byte != '\n' && (byte != '\r' || t->len > 0);
}

unsigned console_text_cut(struct console_text *t, char *out)
{
    unsigned n = console_text_end(t, out);
    out[n++] = '\\';
    return n;
}
