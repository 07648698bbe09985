// SPDX-License-Identifier: MIT
#include "vm/console.h"

#include "boot/log.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/timer.h"
#include "vcpu/vmm.h"
#include "vm/console_internal.h"
#include "vm/vm.h"

struct console console = {.lock = {.breakable = true}, .mode = KEY_ALL};

static struct timer pause_timer;
static struct core_work work;

static bool stands_still(const struct console_vm *c)
{
    return rdtsc() - c->touched >= console_ticks(PAUSE_US);
}

// Whether the VM may write: each further byte may bring a line of the full length to its end.
static bool may_write(const struct console_vm *c)
{
    if (console_is_streamed(c))
        return history_unsent(&c->history) < HISTORY_SIZE / 2;
    if (console.mode == KEY_ALONE)
        return true; // what it writes goes to the backlog
    return !c->complete && console_has_room(CONSOLE_ROOM, GUESTS_SHARE);
}

static void add_byte(struct console_vm *c, u8 byte)
{
    bool streamed = console_is_streamed(c);
    c->touched = rdtsc();
    if (!history_add(&c->history, byte) && streamed)
        console.lost++;
    console_add_to_line(c, byte);
    if (streamed)
        console_stream(c, false);
}

bool console_guest_byte(struct console_vm *c, u8 byte)
{
    spin_lock(&console.lock);
    add_byte(c, byte);
    bool more = may_write(c);
    console.held += !more - c->held;
    c->held = !more;
    bool watch = !console.watched && console_pause_matters(c);
    console.watched |= watch;
    spin_unlock(&console.lock);
    if (watch)
        vmm_work_due(&work);
    return more;
}

void console_vm_flush(struct console_vm *c)
{
    spin_lock(&console.lock);
    if (console_is_streamed(c))
        console_stream(c, true);
    if (c->len > 0 || c->text.len > 0)
        console_finish_line(c, SERIAL_TX_SIZE);
    console.lost += c->complete;
    c->complete = false;
    c->len = c->shown = 0;
    spin_unlock(&console.lock);
}

void console_vm_init(struct console_vm *c, unsigned id, const char *name)
{
    c->id = id;
    c->name = name;
    c->input = RING(c->input_buffer);
    if (console.focus == NULL)
        console.focus = c;
}

// ---- the housekeeping core ---------------------------------------------------------------------

// After the line has sent something: VMs that were held go on, in turn.
static void release_guests(void)
{
    static unsigned turn;
    for (unsigned i = 0; i < vm_count; i++) {
        struct vm *vm = vms[turn++ % vm_count];
        struct console_vm *c = &vm->console;
        spin_lock(&console.lock);
        if (c->complete)
            console_end_line(c, GUESTS_SHARE);
        if (console_is_streamed(c))
            console_stream(c, stands_still(c));
        bool release = c->held && may_write(c);
        console.held -= release;
        c->held &= !release;
        bool none_left = !console_has_room(CONSOLE_ROOM, GUESTS_SHARE);
        spin_unlock(&console.lock);
        if (release) {
            spin_lock(&vm->lock);
            board_transmit_ready(&vm->board);
            devices_unlock_board(vm, NULL);
        }
        if (none_left)
            break; // the next one is first next time
    }
}

// Brings out what pauses. Returns when to look again.
static u64 show_paused(void)
{
    u64 next = UINT64_MAX;
    for (unsigned i = 0; i < vm_count; i++) {
        struct console_vm *c = &vms[i]->console;
        bool still = stands_still(c);
        if (still)
            console_paused(c);
        if (console_pause_matters(c)) // still: there was no room
            next = MIN(next, (still ? rdtsc() : c->touched) + console_ticks(PAUSE_US));
    }
    return next;
}

void console_watch(void)
{
    spin_lock(&console.lock);
    u64 next = show_paused();
    console.watched = next != UINT64_MAX;
    spin_unlock(&console.lock);
    timer_set(&pause_timer, next);
}

static void pause_due(struct timer *t)
{
    (void)t;
    console_watch();
}

static void report_lost(void)
{
    spin_lock(&console.lock);
    unsigned n = console_has_room(LOG_LINE_MAX, GUESTS_SHARE) ? console.lost : 0;
    console.lost -= n;
    spin_unlock(&console.lock);
    if (n > 0)
        log_line("console", "%u lines or bytes were lost: more than the serial line carries", n);
}

static void irq(void)
{
    serial_pump(&serial_console);
    vmm_work_due(&work);
}

static void run(void)
{
    serial_pump(&serial_console);
    if (__atomic_load_n(&console.held, __ATOMIC_RELAXED) > 0)
        release_guests();
    if (__atomic_load_n(&console.lost, __ATOMIC_RELAXED) > 0)
        report_lost();
    if (__atomic_load_n(&console.watched, __ATOMIC_RELAXED))
        console_watch();
}

// The line interrupts this core, or it looks; the timers are its.
static void take(void)
{
    timer_init(&pause_timer, pause_due);
    console_input_take();
    work.always = host_serial_route(&serial_console, VECTOR_CONSOLE) != OK;
    if (work.always)
        log_line("console", "no IOAPIC has IRQ %u: typed input is looked for only now and then",
                 serial_console.irq);
}

// Lines of the log.
static void sink(const char *line, size_t n)
{
    spin_lock(&console.lock);
    console_log_line(line, n - 1);
    spin_unlock(&console.lock);
}

void console_init(void)
{
    log_sink = sink;
    serial_console.receive = console_receive;
    irq_set_handler(VECTOR_CONSOLE, irq);
    work.run = run;
    work.take = take;
    take();
    vmm_add_work(&work);
}
