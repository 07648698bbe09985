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

#define ESCAPE   0x1d // Ctrl-]
#define RETRY_US 2000 // a guest that had no room for input is asked again this often

static struct spinlock lock;
static struct console_vm *focus;
static struct console_vm *unfinished; // whose partial line stands on the screen
static unsigned shown;                // characters of it that are out
static bool escaped;                  // the last key was Ctrl-]
static struct timer input_timer;
static struct core_work work;

static void put(const char *text, size_t n)
{
    serial_write(&serial_console, text, n, false);
}

static void put_line(const char *text, size_t n)
{
    put(text, n);
    put("\r\n", 2);
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
        put("\r\n", 2);
    unfinished = NULL;
}

// Shows what of a focused VM's line is not yet out.
static void show_partial(struct console_vm *c)
{
    if (unfinished != c) {
        leave_line();
        put_mark(c);
        unfinished = c;
        shown = 0;
    }
    put(c->line + shown, c->len - shown);
    shown = c->len;
}

static void end_line(struct console_vm *c)
{
    if (unfinished == c) {
        put_line(c->line + shown, c->len - shown);
        unfinished = NULL;
    } else {
        struct console_vm *was = unfinished;
        leave_line();
        put_mark(c);
        put_line(c->line, c->len);
        if (was != NULL && was->len > 0)
            show_partial(was);
    }
    c->len = 0;
}

void console_guest_byte(struct console_vm *c, u8 byte)
{
    spin_lock(&lock);
    if (byte == '\n') {
        end_line(c);
    } else if (byte != '\r') {
        if (c->len == CONSOLE_LINE)
            end_line(c);
        c->line[c->len++] = (char)byte;
        if (c == focus)
            show_partial(c);
    }
    spin_unlock(&lock);
}

void console_vm_flush(struct console_vm *c)
{
    spin_lock(&lock);
    if (c->len > 0)
        end_line(c);
    spin_unlock(&lock);
}

// Lines of the log.
static void sink(const char *line, size_t n)
{
    spin_lock(&lock);
    struct console_vm *was = unfinished;
    leave_line();
    put_line(line, n - 1);
    if (was != NULL && was->len > 0)
        show_partial(was);
    spin_unlock(&lock);
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
    u64 deadline = board_deadline(&vm->board);
    bool moved = deadline != vm->board_deadline;
    vm->board_deadline = deadline;
    spin_unlock(&vm->lock);
    if (moved)
        vcpu_request(vm->vcpu[0], REQUEST_TIMER);
    if (ring_used(&c->input) > 0)
        timer_set(&input_timer, rdtsc() + host_tsc_hz / (1000000 / RETRY_US));
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
    for (unsigned i = 0; i < vm_count; i++)
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
    core_attention(this_core());
}

static void run(void)
{
    static u64 reported;
    serial_pump(&serial_console);
    // Told when there is room again, so that this line is not lost as well.
    u64 dropped = serial_console.dropped;
    if (dropped != reported && ring_free(&serial_console.tx) > SERIAL_TX_SIZE / 2) {
        log_line("console", "%llu characters lost: the guests write faster than the line sends",
                 (unsigned long long)(dropped - reported));
        reported = dropped;
    }
}

void console_init(void)
{
    timer_init(&input_timer, input_due);
    log_sink = sink;
    serial_console.receive = receive;
    irq_set_handler(VECTOR_CONSOLE, irq);
    work.run = run;
    vmm_add_work(this_core(), &work);
    if (host_irq_route(serial_console.irq, VECTOR_CONSOLE, this_core()->apic_id))
        serial_enable_interrupts(&serial_console);
    else
        log_line("console", "no IOAPIC has IRQ %u: typed input is looked for only now and then",
                 serial_console.irq);
}
