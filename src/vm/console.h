// SPDX-License-Identifier: MIT
// COM1 as the user sees it: the log and all guests' consoles, each line marked with its VM; what is
// typed goes to the VM that has focus. Ctrl-] and a digit gives VM n focus, Ctrl-] h prints help.
//
// The VM with focus is shown as it writes; others, and the log, line by line, so that lines are
// never mixed. When such a line cuts into an unfinished one, that is left with a backslash and
// shown again whole: when it is done, or has stood still for a moment as a prompt does. A guest
// that writes faster than the serial line carries sees a UART that is full; what it writes all the
// same is lost, as are lines of the log that find no room, and the log says how much.
#pragma once

#include "lib/ring.h"
#include "lib/types.h"

#define CONSOLE_LINE  240 // characters of a guest's line that are kept together
#define CONSOLE_INPUT 256

struct console_vm {
    unsigned id; // VM number, from 1
    const char *name;
    char line[CONSOLE_LINE];
    unsigned len;
    bool complete; // the line waits for room
    bool held;     // the guest's UART is full until there is room
    u64 touched;   // TSC at its last byte
    struct ring input;
    u8 input_buffer[CONSOLE_INPUT];
};

void console_vm_init(struct console_vm *c, unsigned id, const char *name);

// A byte that a guest sends. Returns false when it is to send no more: board_transmit_ready
// follows. Any core; takes the console's lock only.
bool console_guest_byte(struct console_vm *c, u8 byte);

// Shows what is left of an unfinished line.
void console_vm_flush(struct console_vm *c);

// Takes over the log and the console line: input is read from now on. Boot core, after smp.
void console_init(void);

// Prints how to use it. Boot core, when the VMs are there.
void console_help(void);
