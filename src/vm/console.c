// SPDX-License-Identifier: MIT
#include "vm/console.h"

#include "boot/log.h"
#include "boot/serial.h"
#include "lib/format.h"
#include "lib/lock.h"
#include "lib/string.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/time.h"
#include "smp/timer.h"
#include "vm/vm.h"
#include "vmx/vmm.h"

#define ESCAPE    0x1d  // Ctrl-]
#define RETRY_US  2000  // a guest that had no room for input is asked again this often
#define PROMPT_US 20000 // a line that stood still for so long waits for its reader

// Guests leave a part of the line's ring to the log, however much they write.
#define GUESTS_SHARE (SERIAL_TX_SIZE / 4 * 3)
#define ROOM_TO_END  64 // for the end of a line that was begun

static struct spinlock lock = {.breakable = true};
static struct console_vm *focus;
static struct console_vm *unfinished; // whose partial line stands on the screen
static unsigned shown;                // characters of it that are out
static unsigned lost;                 // lines and bytes that found no room
static unsigned held;                 // how many VMs wait for room
static bool escaped;                  // the last key was Ctrl-]
static struct timer input_timer, prompt_timer;
static struct core_work work;

static u64 us_to_ticks(u64 us)
{
    return host_tsc_hz / 1000000 * us;
}

// ---- output, with the lock held ----------------------------------------------------------------

// Whether the line can take n more bytes. Lines are written whole or not at all.
static bool has_room(size_t n, u32 share)
{
    return ring_used(&serial_console.tx) + n + ROOM_TO_END <= share;
}

static void put(const char *text, size_t n)
{
    serial_write(&serial_console, text, n, false);
}

// How long a question to the terminal at the beginning of the text is (ECMA-48: CSI and DSR or DA;
// busybox's shell asks where its prompt is). 0: there is none.
static size_t question(const char *text, size_t n)
{
    if (n < 3 || text[0] != '\x1b' || text[1] != '[')
        return 0;
    size_t end = 2;
    while (end < n && text[end] >= 0x20 && text[end] < 0x40)
        end++;
    return end < n && (text[end] == 'n' || text[end] == 'c') ? end + 1 : 0;
}

// A line whose guest does not wait for an answer to it, or had it already: the terminal would type
// one all the same.
static void put_line(const struct console_vm *c)
{
    for (size_t from = 0, i = 0; i <= c->len; i++) {
        size_t skip = i < c->len ? question(c->line + i, c->len - i) : 0;
        if (skip == 0 && i < c->len)
            continue;
        put(c->line + from, i - from);
        from = i + skip;
    }
}

static void put_mark(const struct console_vm *c)
{
    put(c->name, strlen(c->name));
    put("| ", 2);
}

// Leaves the partial line that is on the screen, if any: the next text begins a line.
static void leave_line(void)
{
    if (unfinished != NULL)
        put("\\\r\n", 3);
    unfinished = NULL;
}

// Shows what of a focused VM's line is not yet out.
static void show_partial(struct console_vm *c)
{
    if (!has_room(strlen(c->name) + c->len, GUESTS_SHARE))
        return;
    if (unfinished == c) {
        put(c->line + shown, c->len - shown);
    } else {
        leave_line();
        put_mark(c);
        put_line(c);
        unfinished = c;
    }
    shown = c->len;
}

static bool stands_still(const struct console_vm *c)
{
    return rdtsc() - c->touched >= us_to_ticks(PROMPT_US);
}

// After a line that cut into the one of the VM with focus: a prompt is shown again, but a line that
// is still being written only when it is done.
static void show_prompt(void)
{
    if (focus != NULL && focus->len > 0 && unfinished != focus && stands_still(focus))
        show_partial(focus);
}

// Shows a line, or leaves it to wait for room.
static void end_line(struct console_vm *c, u32 share)
{
    c->complete = !has_room(strlen(c->name) + c->len, share);
    if (c->complete)
        return;
    if (unfinished == c) {
        put(c->line + shown, c->len - shown);
        put("\r\n", 2);
        unfinished = NULL;
    } else {
        leave_line();
        put_mark(c);
        put_line(c);
        put("\r\n", 2);
    }
    c->len = 0;
    show_prompt();
}

// Whether the VM may write: each further byte may bring a line of the full length to its end.
static bool may_write(const struct console_vm *c)
{
    return !c->complete && has_room(strlen(c->name) + CONSOLE_LINE, GUESTS_SHARE);
}

static void add_byte(struct console_vm *c, u8 byte)
{
    if (c->complete || (byte != '\n' && c->len == CONSOLE_LINE))
        end_line(c, GUESTS_SHARE);
    if (c->complete) {
        lost++;
    } else if (byte == '\n') {
        end_line(c, GUESTS_SHARE);
    } else if (byte != '\r') {
        c->line[c->len++] = (char)byte;
        if (c == focus && (unfinished == c || c->len == 1))
            show_partial(c);
    }
}

bool console_guest_byte(struct console_vm *c, u8 byte)
{
    spin_lock(&lock);
    c->touched = rdtsc();
    add_byte(c, byte);
    bool more = may_write(c);
    held += !more - c->held;
    c->held = !more;
    spin_unlock(&lock);
    return more;
}

// After the line has sent something: VMs that were held go on, in turn.
static void release_guests(void)
{
    static unsigned turn;
    for (unsigned i = 0; i < vm_count; i++) {
        struct vm *vm = vms[turn++ % vm_count];
        struct console_vm *c = &vm->console;
        spin_lock(&lock);
        if (c->complete)
            end_line(c, GUESTS_SHARE);
        bool release = c->held && may_write(c);
        held -= release;
        c->held &= !release;
        bool none_left = !has_room(CONSOLE_LINE, GUESTS_SHARE);
        spin_unlock(&lock);
        if (release) {
            spin_lock(&vm->lock);
            board_transmit_ready(&vm->board);
            devices_unlock_board(vm, NULL);
        }
        if (none_left)
            break; // the next one is first next time
    }
}

void console_vm_flush(struct console_vm *c)
{
    spin_lock(&lock);
    if (c->len > 0)
        end_line(c, SERIAL_TX_SIZE);
    lost += c->complete;
    c->complete = false;
    c->len = 0;
    spin_unlock(&lock);
}

// Lines of the log.
static void sink(const char *line, size_t n)
{
    spin_lock(&lock);
    if (has_room(n, SERIAL_TX_SIZE)) {
        leave_line();
        put(line, n - 1);
        put("\r\n", 2);
        show_prompt();
    } else {
        lost++;
    }
    spin_unlock(&lock);
}

static void report_lost(void)
{
    spin_lock(&lock);
    unsigned n = has_room(LOG_LINE_MAX, GUESTS_SHARE) ? lost : 0;
    lost -= n;
    spin_unlock(&lock);
    if (n > 0)
        log_line("console", "%u lines or bytes were lost: more than the serial line carries", n);
}

// The duty core looks here whenever the line has sent something, so after each cut too.
static void look_for_prompt(void)
{
    if (focus == NULL || focus->len == 0 || unfinished == focus)
        return; // as good as always
    spin_lock(&lock);
    show_prompt();
    bool hidden = focus->len > 0 && unfinished != focus;
    u64 due = focus->touched + us_to_ticks(PROMPT_US);
    spin_unlock(&lock);
    if (hidden)
        timer_set(&prompt_timer, due);
}

static void prompt_due(struct timer *t)
{
    (void)t;
    look_for_prompt();
}

void console_vm_init(struct console_vm *c, unsigned id, const char *name)
{
    c->id = id;
    c->name = name;
    c->input = RING(c->input_buffer);
    if (focus == NULL)
        focus = c;
}

// ---- input -------------------------------------------------------------------------------------

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
        timer_set(&input_timer, rdtsc() + us_to_ticks(RETRY_US));
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
    log_line("console", "Ctrl-] and a digit gives a VM the keyboard; Ctrl-] h prints this");
    for (unsigned i = 0; i < MIN(vm_count, 9u); i++) // as many as there are digits
        log_line("console", "  Ctrl-] %u  %s%s", i + 1, vms[i]->console.name,
                 &vms[i]->console == focus ? "  (has it now)" : "");
    log_line("console", "  Ctrl-] ]  sends Ctrl-] itself");
}

static void set_focus(unsigned n)
{
    if (n == 0 || n > vm_count) {
        log_line("console", "there is no VM %u", n);
        return;
    }
    spin_lock(&lock);
    focus = &vms[n - 1]->console;
    spin_unlock(&lock);
    log_line("console", "keyboard: %s", focus->name);
    spin_lock(&lock);
    if (focus->len > 0)
        show_partial(focus);
    spin_unlock(&lock);
}

static void receive(u8 byte)
{
    if (escaped) {
        escaped = false;
        if (byte >= '0' && byte <= '9') {
            set_focus(byte - '0');
            return;
        }
        if (byte != ']' && byte != ESCAPE) {
            console_help();
            return;
        }
        byte = ESCAPE;
    } else if (byte == ESCAPE) {
        escaped = true;
        return;
    }
    if (focus == NULL)
        return;
    ring_put(&focus->input, byte); // a full buffer drops, as a keyboard's does
    feed(focus);
}

static void irq(void)
{
    serial_pump(&serial_console);
    vmm_work_due(&work);
}

static void run(void)
{
    serial_pump(&serial_console);
    if (__atomic_load_n(&held, __ATOMIC_RELAXED) > 0)
        release_guests();
    if (__atomic_load_n(&lost, __ATOMIC_RELAXED) > 0)
        report_lost();
    look_for_prompt();
}

// The line interrupts this core, or it looks; the timers are its.
static void take(void)
{
    timer_init(&input_timer, input_due);
    timer_init(&prompt_timer, prompt_due);
    work.always = !host_serial_route(&serial_console, VECTOR_CONSOLE);
    if (work.always)
        log_line("console", "no IOAPIC has IRQ %u: typed input is looked for only now and then",
                 serial_console.irq);
}

void console_init(void)
{
    log_sink = sink;
    serial_console.receive = receive;
    irq_set_handler(VECTOR_CONSOLE, irq);
    work.run = run;
    work.take = take;
    take();
    vmm_add_work(&work);
}
