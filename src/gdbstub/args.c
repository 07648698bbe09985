// SPDX-License-Identifier: MIT
#include "gdbstub/args.h"

#include "lib/string.h"

// ";ACTION[:THREAD]"
static bool parse_action(const char **s, int current_pid, struct action *a)
{
    u64 signal;

    *a = (struct action){.id = {ID_ALL, ID_ALL}};
    if (!skip_char(s, ';') || **s == '\0')
        return false;
    char kind = *(*s)++;
    switch (kind) {
    case 'C':
    case 'S':
        // A signal means nothing to a CPU; it is taken and dropped.
        a->kind = (char)(kind | 0x20);
        if (!hex_number(s, &signal))
            return false;
        break;
    case 'c':
    case 's':
    case 't':
        a->kind = kind;
        break;
    case 'r':
        a->kind = kind;
        if (!hex_number(s, &a->start) || !skip_char(s, ',') || !hex_number(s, &a->end))
            return false;
        break;
    default:
        return false;
    }
    return !skip_char(s, ':') || parse_thread_id(s, current_pid, &a->id);
}

static bool parse_actions(const char **s, int current_pid, struct packet_args *out)
{
    while (**s != '\0') {
        if (out->actions == MAX_ACTIONS ||
            !parse_action(s, current_pid, &out->action[out->actions]))
            return false;
        out->actions++;
    }
    return true;
}

// The letter at *s, if it is in the set; *form is at the '[', and is moved to the ']'.
static bool parse_letter(const char **form, const char **s, char *letter)
{
    bool found = false;

    for (++*form; **form != ']'; ++*form)
        found |= **form == **s;
    if (found)
        *letter = *(*s)++;
    return found;
}

bool parse_args(const char *form, struct packet_codec *line, const char *text, unsigned current_pid,
                struct packet_args *out)
{
    const char *s = text;
    bool ok = true;

    out->numbers = out->actions = 0;
    for (; ok && *form != '\0'; form++) {
        out->bytes = (u8 *)line->body + (s - line->body);
        out->length = line->len - (size_t)(s - line->body);
        switch (*form) {
        case 'N':
            ok = out->numbers < MAX_NUMBERS && hex_number(&s, &out->number[out->numbers++]);
            break;
        case 'T':
            ok = parse_thread_id(&s, (int)current_pid, &out->thread);
            break;
        case 'H':
            // Decoded bytes never overtake the digits that they come from.
            out->length = strlen(s) / 2;
            ok = hex_bytes(&s, out->bytes, out->length) && *s == '\0';
            if (ok)
                out->bytes[out->length] = '\0';
            return ok;
        case 'B':
        case '*':
            return true;
        case 'A':
            return parse_actions(&s, (int)current_pid, out);
        case '[':
            ok = parse_letter(&form, &s, &out->letter);
            break;
        case '?':
            if (*s == '\0')
                return true;
            break;
        default:
            ok = skip_char(&s, *form);
        }
    }
    return ok && *s == '\0';
}
