// SPDX-License-Identifier: MIT
// What is typed at the console's line: keys that are commands, and input for the VMs.
#include "boot/log.h"
#include "smp/timer.h"
#include "vm/console_internal.h"
#include "vm/vm.h"

#define RETRY_US 2000 // a guest that had no room for input is asked again this often

static struct console_keys keys;
static struct timer input_timer;

static void feed(struct console_vm *c)
{
    struct vm *vm = CONTAINER_OF(c, struct vm, console);
    u8 byte;
    spin_lock(&vm->lock);
    while (ring_used(&c->input) > 0) {
        byte = c->input.buf[c->input.tail & (c->input.size - 1)];
        if (!board_receive(&vm->board, byte, vm_time(vm)))
            break;
        ring_get(&c->input, &byte);
    }
    devices_unlock_board(vm, NULL);
    if (ring_used(&c->input) > 0)
        timer_set(&input_timer, rdtsc() + console_ticks(RETRY_US));
}

static void input_due(struct timer *t)
{
    (void)t;
    for (unsigned i = 0; i < vm_count; i++) {
        if (ring_used(&vms[i]->console.input) > 0)
            feed(&vms[i]->console);
    }
}

void console_help(void)
{
    log_line("console", "Ctrl-] and a number shows that VM alone and gives it the keyboard; "
                        "Ctrl-] a shows all");
    for (unsigned i = 0; i < vm_count; i++)
        log_line("console", vm_count < 10 ? "  Ctrl-] %u  %s%s" : "  Ctrl-] %02u  %s%s", i + 1,
                 vms[i]->console.name, &vms[i]->console == console.focus ? "  (has it now)" : "");
    log_line("console", "  Ctrl-] k and a number  gives it the keyboard only");
    log_line("console", "  Ctrl-] ]  sends Ctrl-] itself; Ctrl-] h  prints this");
}

static void choose(unsigned number, bool alone)
{
    if (number == 0 || number > vm_count) {
        log_line("console", "there is no VM %u", number);
        return;
    }
    struct console_vm *c = &vms[number - 1]->console;
    if (alone || console.mode != KEY_SPLIT) // there it is changed for each piece of input
        log_line("console", "keyboard: %s%s", c->name, alone ? ", shown alone" : "");
    console_set_focus(c);
    if (alone)
        console_show(KEY_ALONE);
}

static void type(u8 byte)
{
    struct console_vm *focus = console.focus;
    if (focus == NULL)
        return;
    ring_put(&focus->input, byte); // a full buffer drops, as a keyboard's does
    feed(focus);
}

static void carry_out(const struct key_typed *typed)
{
    switch (typed->key) {
    case KEY_BYTE:
        type(typed->byte);
        break;
    case KEY_ALONE:
    case KEY_FOCUS:
        choose(typed->vm, typed->key == KEY_ALONE);
        break;
    case KEY_HELP:
        if (console.mode != KEY_SPLIT)
            console_show(KEY_ALL); // or nobody would see it
        console_help();
        break;
    default:
        console_show(typed->key);
    }
}

void console_receive(u8 byte)
{
    struct key_typed typed[KEYS_AT_ONCE];
    unsigned n = console_keys_take(&keys, byte, vm_count, typed);
    for (unsigned i = 0; i < n; i++)
        carry_out(&typed[i]);
}

void console_input_take(void)
{
    timer_init(&input_timer, input_due);
}
