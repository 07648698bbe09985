// SPDX-License-Identifier: MIT
#include "vm/console_keys.h"

#define ESCAPE 0x1d // Ctrl-]

enum { PLAIN, ESCAPED, NUMBER, AFTER_0, AFTER_1 };

static bool is_digit(u8 byte)
{
    return byte >= '0' && byte <= '9';
}

static unsigned number(struct console_keys *k, unsigned vm, struct key_typed *typed)
{
    k->state = PLAIN;
    *typed = (struct key_typed){.key = k->wanted, .vm = vm};
    return 1;
}

static unsigned first_digit(struct console_keys *k, u8 byte, unsigned vms, struct key_typed *typed)
{
    if (byte == '0')
        k->state = AFTER_0;
    else if (byte == '1' && vms >= 10)
        k->state = AFTER_1;
    else
        return number(k, byte - '0', typed);
    return 0;
}

static unsigned command(struct console_keys *k, u8 byte, unsigned vms, struct key_typed *typed)
{
    k->state = PLAIN;
    k->wanted = KEY_ALONE;
    if (is_digit(byte))
        return first_digit(k, byte, vms, typed);
    *typed = (struct key_typed){.key = KEY_HELP};
    switch (byte) {
    case 'a':
        typed->key = KEY_ALL;
        break;
    case 'k':
        k->state = NUMBER;
        k->wanted = KEY_FOCUS;
        return 0;
    case 's':
        typed->key = KEY_SPLIT;
        break;
    case ']':
        *typed = (struct key_typed){.key = KEY_BYTE, .byte = ESCAPE};
        break;
    default:
        break;
    }
    return 1;
}

static unsigned other(struct console_keys *k, u8 byte, struct key_typed *typed)
{
    if (byte == ESCAPE) {
        k->state = ESCAPED;
        return 0;
    }
    *typed = (struct key_typed){.key = KEY_BYTE, .byte = byte};
    return 1;
}

unsigned console_keys_take(struct console_keys *k, u8 byte, unsigned vms,
                           struct key_typed typed[KEYS_AT_ONCE])
{
    unsigned n = 0;
    u8 state = k->state;
    if (state == AFTER_1 && !is_digit(byte)) {
        n = number(k, 1, typed);
        if (byte == '\r')
            return n;
    }
    if (byte == ESCAPE || n > 0 || state == PLAIN)
        return n + other(k, byte, typed + n);
    if (state == ESCAPED)
        return command(k, byte, vms, typed);
    if (is_digit(byte)) {
        unsigned digit = byte - (unsigned)'0';
        return state == NUMBER ? first_digit(k, byte, vms, typed)
                               : number(k, state == AFTER_1 ? 10 + digit : digit, typed);
    }
    k->state = PLAIN;
    typed->key = KEY_HELP;
    return 1;
}
