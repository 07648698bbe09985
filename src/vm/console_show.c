// SPDX-License-Identifier: MIT
// Changes of what the console's line carries.
#include "boot/log.h"
#include "lib/format.h"
#include "vm/console_internal.h"
#include "vm/vm.h"

// What a guest may have done to the terminal while it had it alone, undone, whatever sequence it is
// in the middle of: character sets, modes (DECSTR, and what that does not reset everywhere), the
// other screen, the mouse, paste; and the cursor below all text.
#define UNDO                                                                                  \
    "\x18\x1b\\\x0f\x1b(B\x1b[!p\x1b[?1049l\x1b[?1000;1002;1003;1004;1006;2004l\x1b[?1l\x1b>" \
    "\x1b[?25h\x1b[?7h\x1b[4l\x1b[r\x1b[m\x1b[999;1H\r\n"
#define CLEAR "\x1b[2J\x1b[H"

void console_set_focus(struct console_vm *c)
{
    spin_lock(&console.lock);
    console.focus = c;
    if (console.unfinished != c)
        c->shown = 0; // what it waits with is shown again
    spin_unlock(&console.lock);
    console_watch();
}

static void leave_mode(void)
{
    console_leave_line();
    if (console.mode == KEY_ALONE)
        console_put(UNDO);
    else if (console.mode == KEY_SPLIT)
        console_put("|end\r\n");
}

// The last screenful.
static void show_again(struct console_vm *c)
{
    c->fresh = c->history.head;
    c->history.sent = history_screenful(&c->history);
}

static void begin_alone(struct console_vm *c)
{
    char text[80];
    str_format(text, sizeof(text), CLEAR "-- %s alone; Ctrl-] a shows all --\r\n", c->name);
    console_put(text);
    console.alone = c;
    show_again(c);
}

static void begin_split(void)
{
    char text[80];
    str_format(text, sizeof(text), "|begin %u\r\n", vm_count);
    console_put(text);
    for (unsigned i = 0; i < vm_count; i++) {
        struct console_vm *c = &vms[i]->console;
        str_format(text, sizeof(text), "|vm %u %s\r\n", c->id, c->name);
        console_put(text);
        show_again(c);
    }
}

static void change(enum key mode)
{
    leave_mode();
    console.mode = mode;
    if (mode == KEY_ALONE)
        begin_alone(console.focus);
    else if (mode == KEY_SPLIT)
        begin_split();
    for (unsigned i = 0; i < vm_count; i++) {
        struct console_vm *c = &vms[i]->console;
        c->shown = 0;
        if (c->complete)
            console_end_line(c, GUESTS_SHARE);
    }
}

void console_show(enum key mode)
{
    if (mode == KEY_ALL && console.mode == KEY_ALL)
        return;
    if (mode == KEY_ALONE && console.focus == NULL)
        return;
    unsigned dropped = 0;
    spin_lock(&console.lock);
    if (console.mode == KEY_ALONE && mode != KEY_ALONE) {
        change(KEY_ALL);
        dropped = console_show_backlog();
    }
    if (mode != console.mode || mode != KEY_ALL)
        change(mode);
    spin_unlock(&console.lock);
    if (dropped > 0)
        log_line("console", "%u older lines were not kept", dropped);
    console_watch();
}

void console_vm_ended(struct console_vm *c)
{
    if (console.mode == KEY_ALONE && console.alone == c)
        console_show(KEY_ALL);
}

void console_finish(void)
{
    if (console.mode == KEY_ALONE)
        console_show(KEY_ALL);
    spin_lock(&console.lock);
    console.finishing = true;
    for (unsigned i = 0; i < vm_count; i++) {
        struct console_vm *c = &vms[i]->console;
        if (console_is_streamed(c))
            console_stream(c, true);
        else if (c->complete)
            console_end_line(c, SERIAL_TX_SIZE);
    }
    spin_unlock(&console.lock);
}
