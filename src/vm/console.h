// SPDX-License-Identifier: MIT
// COM1 as the user sees it: the log and all guests' consoles; what is typed goes to the VM that has
// the keyboard. The line carries one of three things, chosen by keys (console_keys.h):
//
// - All VMs, as at the start: the log, and each line of a guest behind its VM's mark. Lines are
//   never mixed, and of a guest's bytes only text and colours pass (console_text.h). A line that is
//   not finished is shown when the VM with the keyboard has written nothing for a moment, as it
//   does at a prompt. When another line cuts it, it is left with a backslash, and is shown again
//   when it has grown, or is whole. A line that is very long comes in pieces; each but the last
//   ends with a backslash, too.
// - One VM alone: its bytes as they are, after its last screenful. Lines of the others and of the
//   log are kept meanwhile, the last of them, and follow.
// - The split stream: all VMs' bytes as they are, in marked lines that ci/console takes apart
//   (docs/consoles.md).
//
// A guest that writes faster than the line carries sees a UART that is full. What it writes all the
// same is lost, as are lines of the log that find no room, and the log says how much.
#pragma once

#include "lib/ring.h"
#include "lib/types.h"
#include "vm/console_history.h"
#include "vm/console_text.h"

#define CONSOLE_INPUT 4096

struct console_vm {
    unsigned id; // VM number, from 1
    const char *name;
    char line[CONSOLE_ROOM]; // as it is shown among others
    unsigned len;
    unsigned shown; // characters of it that were shown, if not where they can still be added to
    struct console_text text;
    bool complete; // the line waits for room
    bool held;     // the guest's UART is full until there is room
    u64 touched;   // TSC at its last byte
    struct console_history history;
    u64 fresh; // of the history's positions: what is before was sent in another mode
    struct ring input;
    u8 input_buffer[CONSOLE_INPUT];
};

void console_vm_init(struct console_vm *c, unsigned id, const char *name);

// A byte that a guest sends. Returns false when it is to send no more: board_transmit_ready
// follows. Any core; takes the console's lock only.
bool console_guest_byte(struct console_vm *c, u8 byte);

// Shows what is left of an unfinished line.
void console_vm_flush(struct console_vm *c);

// The VM has ended and will not start again: who looked at it alone sees all. The housekeeping
// core.
void console_vm_ended(struct console_vm *c);

// The last is about to be said: brings out what waits, shows all. The housekeeping core.
void console_finish(void);

// Takes over the log and the console line: input is read from now on. Boot core, after smp.
void console_init(void);

// Prints how to use it. Boot core, when the VMs are there.
void console_help(void);
