// SPDX-License-Identifier: MIT
// The console's parts: what the line carries (console_line.c), how that changes (console_show.c),
// what is typed (console_input.c), and when all of it happens (console.c).
#pragma once

#include "boot/serial.h"
#include "lib/lock.h"
#include "smp/time.h"
#include "vm/console.h"
#include "vm/console_keys.h"

#define PAUSE_US 20000 // who has written nothing for so long waits for somebody

// Guests leave a part of the line's ring to the log, however much they write.
#define GUESTS_SHARE (SERIAL_TX_SIZE / 4 * 3)
#define ROOM_TO_END  64 // for the end of a line that was begun

struct console {
    struct spinlock lock;
    enum key mode;                 // KEY_ALL, KEY_ALONE or KEY_SPLIT: what the line carries
    struct console_vm *focus;      // has the keyboard; NULL: there are no VMs
    struct console_vm *alone;      // which one it is in KEY_ALONE
    struct console_vm *unfinished; // whose partial line stands on the screen
    unsigned lost;                 // lines and bytes that found no room
    unsigned held;                 // how many VMs wait for room
    bool watched;                  // the housekeeping core looks for pauses, or is about to
    bool finishing;                // the line is waited for
};

extern struct console console;

static inline u64 console_ticks(u64 us)
{
    return host_tsc_hz / 1000000 * us;
}

// ---- console_line.c: with the lock held --------------------------------------------------------

// Whether the line can take n more bytes, with `share` bytes of its ring in use at most. Lines are
// written whole or not at all.
bool console_has_room(size_t n, u32 share);

void console_put(const char *text);

// Leaves the partial line that is on the screen, if any: the next text begins a line.
void console_leave_line(void);

// A line of the log, without its end.
void console_log_line(const char *line, size_t n);

// Takes a byte into the VM's line; brings out a line that is whole.
void console_add_to_line(struct console_vm *c, u8 byte);

// Brings out a line that waits for room, if there is now.
void console_end_line(struct console_vm *c, u32 share);

// The line ends here.
void console_finish_line(struct console_vm *c, u32 share);

// Whether the VM's bytes go out as they are.
bool console_is_streamed(const struct console_vm *c);

// Brings out what has not gone out of a VM that is streamed, and also what may be continued if it
// pauses.
void console_stream(struct console_vm *c, bool pause);

// Whether something is to come out when the guest pauses.
bool console_pause_matters(const struct console_vm *c);

// It pauses: brings that out, if there is room.
void console_paused(struct console_vm *c);

// Lines that were kept while a VM was alone. Returns how many older ones were not.
unsigned console_show_backlog(void);

// ---- console_show.c: the housekeeping core -----------------------------------------------------

// Gives a VM the keyboard; what is shown stays as it is.
void console_set_focus(struct console_vm *c);

// Changes what the line carries, to a KEY_ALONE of the VM that has the keyboard.
void console_show(enum key mode);

// ---- console_input.c: the housekeeping core ----------------------------------------------------

// At start, and when another core becomes the housekeeping core: timers are to be its.
void console_input_take(void);

// The line's receiver.
void console_receive(u8 byte);

// ---- console.c ---------------------------------------------------------------------------------

// Looks at once, and from then on, for VMs that pause. The housekeeping core.
void console_watch(void);
