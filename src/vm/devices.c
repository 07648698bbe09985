// SPDX-License-Identifier: MIT
// The board and its vCPUs: ports, memory-mapped registers, timers.
#include "boot/log.h"
#include "smp/time.h"
#include "vcpu/cpuid.h"
#include "vcpu/stats.h"
#include "vcpu/vmm.h"
#include "vm/vm.h"

#define ABSENT_TOLD 10000 // accesses

void devices_unlock_board(struct vm *vm, struct vcpu *v)
{
    ASSERT_HELD(&vm->lock);
    u64 deadline = board_deadline(&vm->board);
    bool moved = deadline != vm->guest.device_deadline;
    vm->guest.device_deadline = deadline;
    spin_unlock(&vm->lock);
    if (!moved)
        return;
    if (v != NULL && v->index == 0)
        vcpu_set_timer(v);
    else
        vcpu_request(vm->vcpu[0], REQUEST_TIMER);
}

// The same, quick where nothing moved.
static void unlock_board(struct vm *vm, struct vcpu *v)
{
    if (vm->board.moved)
        devices_unlock_board(vm, v);
    else
        spin_unlock(&vm->lock);
}

// ---- accesses ----------------------------------------------------------------------------------

// Nothing answered an access. A guest that goes on like this has lost its way: it is told of, once
// a start.
static NOINLINE void nothing_there(struct vcpu *v, const char *kind, u64 at)
{
    struct vm *vm = vm_of(v);
    if (__builtin_expect(__atomic_add_fetch(&vm->absent, 1, __ATOMIC_RELAXED) != ABSENT_TOLD, 1))
        return;
    struct vcpu_regs regs;
    vcpu_get_regs(v, &regs);
    log_line("vm", "%s: 10,000 accesses to %s%lx, where there is nothing; rip %lx",
             vm->config->name, kind, at, regs.rip);
}

static NOINLINE u32 port_in_any(struct vcpu *v, u16 port, unsigned size)
{
    struct vm *vm = vm_of(v);
    u32 value = UINT32_MAX;
    if (size == 1 && board_port_absent(&vm->board, port)) {
        nothing_there(v, "port ", port);
        return value;
    }
    spin_lock(&vm->lock);
    bool there = board_io(&vm->board, port, size, false, &value, vm_time(vm));
    unlock_board(vm, v);
    if (__builtin_expect(!there, 0))
        nothing_there(v, "port ", port);
    return value;
}

static u32 port_in(struct vcpu *v, u16 port, unsigned size)
{
    const struct vm *vm = vm_of(v);
    u32 value;
    if (board_peek(&vm->board, port, size, vm_time(vm), &value))
        return value;
    return port_in_any(v, port, size);
}

static void port_out(struct vcpu *v, u16 port, unsigned size, u32 value)
{
    struct vm *vm = vm_of(v);
    if (size == 1 && board_port_absent(&vm->board, port)) {
        nothing_there(v, "port ", port);
        return;
    }
    spin_lock(&vm->lock);
    bool there = board_io(&vm->board, port, size, true, &value, vm_time(vm));
    unlock_board(vm, v);
    if (__builtin_expect(!there, 0))
        nothing_there(v, "port ", port);
}

static u64 mmio_read(struct vcpu *v, gpa_t gpa, unsigned size)
{
    struct vm *vm = vm_of(v);
    u64 value;
    spin_lock(&vm->lock);
    bool there = board_mmio(&vm->board, gpa, size, false, &value, vm_time(vm));
    unlock_board(vm, v);
    if (__builtin_expect(!there, 0))
        nothing_there(v, "", gpa.v);
    return value;
}

static void mmio_write(struct vcpu *v, gpa_t gpa, unsigned size, u64 value)
{
    struct vm *vm = vm_of(v);
    spin_lock(&vm->lock);
    bool there = board_mmio(&vm->board, gpa, size, true, &value, vm_time(vm));
    unlock_board(vm, v);
    if (__builtin_expect(!there, 0))
        nothing_there(v, "", gpa.v);
}

static void no_memory(struct vcpu *v, gpa_t gpa)
{
    struct vm *vm = vm_of(v);
    spin_lock(&vm->lock);
    bool absent = board_memory_absent(&vm->board, gpa);
    spin_unlock(&vm->lock);
    if (absent)
        nothing_there(v, "", gpa.v);
}

// ---- callbacks of the board, the lock held ------------------------------------------------------

static void on_intr(void *ctx, bool level)
{
    struct vm *vm = ctx;
    vapic_pic_line(&vm->guest, level);
}

static void on_msi(void *ctx, const struct ioapic_message *m)
{
    struct vm *vm = ctx;
    struct lapic_message message = {.dest = lapic_destination(m->dest),
                                    .logical = m->logical,
                                    .level = m->level,
                                    .vector = m->vector,
                                    .mode = (enum lapic_delivery)m->delivery_mode};
    vapic_send_message(&vm->guest, &message);
}

static bool on_transmit(void *ctx, u8 byte)
{
    struct vm *vm = ctx;
    return console_guest_byte(&vm->console, byte);
}

static void on_shutdown(void *ctx)
{
    vm_request_end(ctx, END_POWEROFF, 0, "ACPI S5");
}

static void on_reset(void *ctx)
{
    vm_request_end(ctx, END_RESET, 0, "reset by a port");
}

static void on_exit(void *ctx, u32 value)
{
    vm_request_end(ctx, END_EXIT, value, "port 0xf4");
}

COLD enum error devices_init(struct vm *vm, struct text *why)
{
    u64 below = MIN(vm->config->memory, MMIO_HOLE);
    vm->created_at = time_wall_clock();
    struct board_config config = {
        .tsc_hz = host_tsc_hz,
        .wall_clock = (i64)vm->created_at,
        .memory_below_4g = below,
        .memory_above_4g = vm->config->memory - below,
        .host_uarts = vm->config->devices,
        .fwcfg = {.vcpus = (u16)vm->vcpus,
                  .memory = vm->config->memory,
                  .cmdline = vm->config->cmdline},
        .call = {.intr = on_intr,
                 .msi = on_msi,
                 .transmit = on_transmit,
                 .shutdown = on_shutdown,
                 .reset = on_reset,
                 .exit = on_exit},
        .ctx = vm,
        .why = why,
    };
    vm->guest.device_deadline = UINT64_MAX;
    return board_init(&vm->board, &config, vm_time(vm));
}

// ---- what vcpu asks
// ------------------------------------------------------------------------------

static u64 hypercall(struct vcpu *v, u64 number)
{
    (void)v;
    return stats_hypercall(number); // number 0 does nothing and does not come here
}

static void triple_fault(struct vcpu *v)
{
    vm_request_end(vm_of(v), END_TRIPLE_FAULT, 0, "triple fault");
}

static COLD void crash(struct vcpu *v, const char *reason)
{
    vm_request_end(vm_of(v), END_CRASH, 0, reason);
}

static void halted(struct vcpu *v)
{
    struct vm *vm = vm_of(v);
    for (unsigned i = 0; i < vm->vcpus; i++) {
        const struct vcpu *other = vm->vcpu[i];
        u32 state = __atomic_load_n(&other->state, __ATOMIC_ACQUIRE);
        bool started = state != VCPU_OFF && state != VCPU_WAIT_SIPI;
        if (started && !__atomic_load_n(&other->events.halted_for_good, __ATOMIC_ACQUIRE))
            return; // an operating system that has taken this CPU offline
    }
    log_line("vm", "%s halted with interrupts off: only an NMI or a reset ends that",
             vm->config->name);
}

static bool may_run(const struct vcpu *v, unsigned core)
{
    return core_set_has(&vm_of(v)->config->cores, core);
}

static void expire(struct vcpu *v)
{
    struct vm *vm = vm_of(v);
    spin_lock(&vm->lock);
    board_expire(&vm->board, vm_time(vm));
    vm->guest.device_deadline = board_deadline(&vm->board);
    spin_unlock(&vm->lock);
}

static bool pic_level(const struct vcpu *v)
{
    return board_pic_level(&vm_of(v)->board);
}

static u8 ack_pic(struct vcpu *v)
{
    struct vm *vm = vm_of(v);
    spin_lock(&vm->lock);
    u8 vector = board_pic_ack(&vm->board, vm_time(vm));
    spin_unlock(&vm->lock);
    return vector;
}

static void eoi(struct vcpu *v, u8 vector)
{
    struct vm *vm = vm_of(v);
    spin_lock(&vm->lock);
    board_ioapic_eoi(&vm->board, vector, vm_time(vm));
    spin_unlock(&vm->lock);
}

static void reset(struct vcpu *v, const char *reason)
{
    vm_request_end(vm_of(v), END_RESET, 0, reason);
}

const struct device_ops vm_device_ops = {
    .port_in = port_in,
    .port_out = port_out,
    .mmio_read = mmio_read,
    .mmio_write = mmio_write,
    .no_memory = no_memory,
    .expire = expire,
    .pic_level = pic_level,
    .pic_ack = ack_pic,
    .eoi = eoi,
};

const struct life_ops vm_life_ops = {
    .may_run = may_run,
    .halted = halted,
    .hypercall = hypercall,
    .reset = reset,
    .triple_fault = triple_fault,
    .crash = crash,
};
