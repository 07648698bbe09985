// SPDX-License-Identifier: MIT
#include "vm/hostdev.h"

#include "boot/acpi.h"
#include "boot/log.h"
#include "boot/serial.h"
#include "lib/cpu.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/time.h"
#include "vm/vm.h"

// A 16550 without its FIFO asks 23 times in a millisecond at 115,200 baud, both ways together. A
// guest that plays with its interrupt enable bits could ask as often as it can write them, and take
// the core from others who run there: what is beyond this many waits for the next window.
#define WINDOW_US  1000
#define WINDOW_MAX 50

#define PORT_SIZE 8 // ports of a UART
#define XAPIC_IDS 255

struct hostdev {
    struct vm *vm; // whose it is; NULL: nobody's
    const struct serial_port *port;
    unsigned number;   // COM n
    bool running;      // the VM runs, and interrupts are let through; with its lock
    u64 interrupts;    // forwarded since the VM's start; with its lock
    u64 window_end;    // host TSC; with its lock
    unsigned count;    // in this window; with its lock
    struct timer over; // the end of a window that was full; the core's that takes the interrupts
};

static struct hostdev devices[2]; // at IRQ 3 and 4; no two share one

static struct hostdev *device_at(u8 irq)
{
    return &devices[irq - 3];
}

// The number of the line's port, from 0; -1: it is not there.
static int number_of(const struct serial_line *line)
{
    for (unsigned n = 0; n < SERIAL_PORTS; n++) {
        if (serial_ports[n].base == line->port)
            return (int)n;
    }
    return -1;
}

enum error hostdev_check(unsigned n, struct text *why)
{
    const struct serial_port *p = &serial_ports[n];
    enum error e = config_device_free(n, number_of(&serial_console), number_of(&serial_debug), why);
    if (e != OK)
        return e;
    if (!serial_answers(p->base))
        return explain(why, ERR_NOT_FOUND, "this machine has no UART there");
    if (acpi.isa[p->irq].level)
        return explain(why, ERR_UNSUPPORTED, "its interrupt is not edge-triggered");
    return OK;
}

// ---- interrupts --------------------------------------------------------------------------------

// The host's IRQ line of an ISA UART rises once for each time that the guest is wanted, and again
// only after the guest has served it: each rise is one on the board.
static void forward(struct hostdev *d)
{
    struct vm *vm = d->vm;
    u64 now = rdtsc();
    spin_lock(&vm->lock);
    if (d->running) { // else it was on its way when the VM ended
        if (now >= d->window_end) {
            d->window_end = now + host_tsc_hz / 1000000 * WINDOW_US;
            d->count = 0;
        }
        if (++d->count == WINDOW_MAX) {
            host_irq_mask(d->port->irq, true);
            timer_set(&d->over, d->window_end);
        }
        d->interrupts++;
        board_host_irq(&vm->board, d->port->irq);
    }
    spin_unlock(&vm->lock);
}

static void irq3(void)
{
    forward(device_at(3));
}

static void irq4(void)
{
    forward(device_at(4));
}

static void window_over(struct timer *t)
{
    struct hostdev *d = CONTAINER_OF(t, struct hostdev, over);
    spin_lock(&d->vm->lock);
    if (d->running) {
        host_irq_mask(d->port->irq, false);
        board_host_irq(&d->vm->board, d->port->irq); // for what rose while it was masked
    }
    spin_unlock(&d->vm->lock);
}

// ---- ports -------------------------------------------------------------------------------------

// Of a VM that has devices. Their ports come here only where the guest's accesses are intercepted.
static struct device_ops ops;

// Whether an access lies within a device of the vCPU's VM.
static bool is_device(const struct vcpu *v, u16 port, unsigned size)
{
    for (const struct hostdev *d = devices; d < devices + ARRAY_SIZE(devices); d++) {
        if (d->vm == vm_of(v) && port >= d->port->base &&
            port + size <= (unsigned)d->port->base + PORT_SIZE)
            return true;
    }
    return false;
}

static u32 port_in(struct vcpu *v, u16 port, unsigned size)
{
    if (!is_device(v, port, size))
        return vm_device_ops.port_in(v, port, size);
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

static void port_out(struct vcpu *v, u16 port, unsigned size, u32 value)
{
    if (!is_device(v, port, size))
        vm_device_ops.port_out(v, port, size, value);
    else if (size == 1)
        outb(port, (u8)value);
    else if (size == 2)
        outw(port, (u16)value);
    else
        outl(port, value);
}

// ---- a VM's life -------------------------------------------------------------------------------

enum error hostdev_give(struct vm *vm, struct text *why)
{
    for (unsigned n = 0; n < SERIAL_PORTS; n++) {
        if (!(vm->config->devices & BIT(n)))
            continue;
        const struct serial_port *p = &serial_ports[n];
        struct hostdev *d = device_at(p->irq);
        const struct core *core = vm->vcpu[0]->core;
        if (core->apic_id >= XAPIC_IDS) // beyond what an IOAPIC can name
            core = cores[0];
        u8 vector = p->irq == 3 ? VECTOR_IRQ3 : VECTOR_IRQ4;
        d->vm = vm;
        d->port = p;
        ops = vm_device_ops;
        ops.port_in = port_in;
        ops.port_out = port_out;
        vm->guest.devices = &ops;
        d->number = n + 1;
        timer_init(&d->over, window_over);
        irq_set_handler(vector, p->irq == 3 ? irq3 : irq4);
        if (host_irq_route(p->irq, vector, core->apic_id) != OK)
            return explain(why, ERR_NOT_FOUND, "no IOAPIC has its device's interrupt");
        host_irq_mask(p->irq, true);
        vm->guest.own_port[p->irq - 3] = p->base;
        log_line("vm", "%s has com%u: port %x, IRQ %u by core %u", vm->config->name, d->number,
                 p->base, p->irq, core->number);
    }
    return OK;
}

void hostdev_start(struct vm *vm)
{
    for (struct hostdev *d = devices; d < devices + ARRAY_SIZE(devices); d++) {
        if (d->vm != vm)
            continue;
        serial_reset(d->port->base);
        spin_lock(&vm->lock);
        d->running = true;
        d->interrupts = d->window_end = 0;
        host_irq_mask(d->port->irq, false);
        spin_unlock(&vm->lock);
    }
}

void hostdev_stop(struct vm *vm)
{
    for (struct hostdev *d = devices; d < devices + ARRAY_SIZE(devices); d++) {
        if (d->vm != vm || !d->running)
            continue;
        spin_lock(&vm->lock);
        d->running = false;
        host_irq_mask(d->port->irq, true);
        spin_unlock(&vm->lock);
        serial_quiet(d->port->base);
        log_line("vm", "%s com%u: %lu interrupts", vm->config->name, d->number, d->interrupts);
    }
}
