// SPDX-License-Identifier: MIT
// What is typed at the consoles' line: Ctrl-] begins a command, also in the middle of one; all else
// is for a VM.
#pragma once

#include "lib/types.h"

enum key {
    KEY_NONE,
    KEY_BYTE,  // for the VM that has the keyboard
    KEY_ALL,   // show all VMs
    KEY_ALONE, // show a VM alone, and give it the keyboard
    KEY_FOCUS, // give a VM the keyboard
    KEY_SPLIT, // send the stream for ci/console
    KEY_HELP,
};

struct key_typed {
    enum key key;
    unsigned vm; // KEY_ALONE, KEY_FOCUS: number, 0 to 19, whether there is one or not
    u8 byte;     // KEY_BYTE
};

// All zero at first.
struct console_keys {
    u8 state;
    enum key wanted; // what the number is for
};

#define KEYS_AT_ONCE 2 // that one byte can complete

// Takes a byte; `vms` is how many VMs there are. A VM's number is one digit, or two where there are
// ten VMs or more: then 0 and 1 wait for the second digit, and a 1 that gets none is VM 1 (Enter
// ends it; another key counts itself). Returns how many keys were completed.
unsigned console_keys_take(struct console_keys *k, u8 byte, unsigned vms,
                           struct key_typed typed[KEYS_AT_ONCE]);
