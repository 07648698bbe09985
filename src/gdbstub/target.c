// SPDX-License-Identifier: MIT
// The stub's view of the appliance (target.h), and its line: bytes come in by interrupt on the
// housekeeping core, and the stub works on them in that core's main loop.
#include "gdbstub/target.h"

#include "boot/log.h"
#include "boot/serial.h"
#include "gdbstub/gdbstub.h"
#include "gdbstub/line.h"
#include "gdbstub/session.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "vcpu/cpuid.h"
#include "vcpu/vmm.h"
#include "vm/vm.h"
#include "x86/bits.h"

#define INPUT_SIZE 8192

// COM2 is the only line: the calls of the lower rooms that take no argument, and the stub's own,
// mean this one.
static struct gdb_line {
    u8 buffer[INPUT_SIZE];
    struct ring input; // in the buffer
    u32 kicked, line_break;
    struct core_work work;
    struct session session;
} com2;

static struct vm *vm_at(unsigned pid)
{
    return pid >= 1 && pid <= vm_count ? vms[pid - 1] : NULL;
}

// ---- VMs ---------------------------------------------------------------------------------------

unsigned target_vm_count(void)
{
    return vm_count;
}

bool target_vm_exists(unsigned pid)
{
    struct vm *vm = vm_at(pid);
    return vm != NULL && __atomic_load_n(&vm->state, __ATOMIC_ACQUIRE) != VM_ENDED;
}

const char *target_vm_name(unsigned pid)
{
    struct vm *vm = vm_at(pid);
    return vm != NULL ? vm->config->name : "";
}

bool target_exit_code(unsigned pid, u8 *code)
{
    const struct vm *vm = vm_at(pid);
    u32 how = vm != NULL ? vm->ending : END_KILLED;
    bool killed = how == END_KILLED, crashed = how == END_CRASH, faulted = how == END_TRIPLE_FAULT;
    if (killed || crashed || faulted)
        *code = killed ? 9 : crashed ? 6 : 11; // SIGKILL, SIGABRT, SIGSEGV
    else
        *code = how == END_EXIT ? (u8)vm->exit_value : 0;
    return !killed && !crashed && !faulted;
}

void target_end_text(unsigned pid, struct text *out)
{
    const struct vm *vm = vm_at(pid);
    if (vm == NULL)
        return;
    vm_end_text(vm, out);
    if (vm->ending == END_TRIPLE_FAULT)
        text_add(out, " (%s)", vm->reason);
}

unsigned target_vcpu_count(unsigned pid)
{
    struct vm *vm = vm_at(pid);
    return vm != NULL ? vm->vcpus : 0;
}

struct vcpu *target_vcpu(unsigned pid, unsigned index)
{
    struct vm *vm = vm_at(pid);
    return vm != NULL && index < vm->vcpus ? vm->vcpu[index] : NULL;
}

bool target_identify(const struct vcpu *v, unsigned *pid, unsigned *index)
{
    *pid = v->guest->id;
    *index = v->index;
    return *pid <= GDB_MAX_VMS && *index < GDB_MAX_VCPUS;
}

const struct guest_memory *target_memory(unsigned pid)
{
    return &vm_at(pid)->guest.memory;
}

void target_paging_limits(unsigned pid, struct paging_state *ps)
{
    ps->maxphyaddr = vm_at(pid)->guest.maxphyaddr;
    ps->no_1gb_pages = !cpuid_info.pages_1g;
}

static const char *state_name(const struct vm *vm, const struct vcpu *v)
{
    static const char *const names[] = {
        [VCPU_OFF] = "off",         [VCPU_WAIT_SIPI] = "waiting for SIPI",
        [VCPU_RUNNABLE] = "ready",  [VCPU_RUNNING] = "running",
        [VCPU_SLEEPING] = "halted", [VCPU_MOVING] = "moving"};
    if (vm->state == VM_ENDED)
        return vm->ending == END_CRASH ? "crashed" : "ended";
    if (vcpu_is_lost(v))
        return "lost";
    return v->hold & HOLD_DEBUGGER && v->state == VCPU_RUNNABLE ? "stopped" : names[v->state];
}

void target_describe(unsigned pid, unsigned index, struct text *out)
{
    const struct vcpu *v = target_vcpu(pid, index);
    if (v != NULL)
        text_add(out, "%s/%u %s on core %u", target_vm_name(pid), index, state_name(vm_at(pid), v),
                 vcpu_core(v)->number);
}

unsigned target_core(unsigned pid, unsigned index)
{
    return vcpu_core(target_vcpu(pid, index))->number;
}

void target_kill(unsigned pid)
{
    vm_request_end(vm_at(pid), END_KILLED, 0, "by the debugger");
}

void target_freeze_time(unsigned pid, bool on)
{
    vm_freeze_time(vm_at(pid), on);
}

bool target_watch_page(unsigned pid, gpa_t page, bool on)
{
    return vm_protect_page(vm_at(pid), page, on) == OK;
}

static void page_written(struct vm *vm, gpa_t page, bool before)
{
    gdbstub_page_written(vm->guest.id, page, before);
}

bool target_has_avx(unsigned pid)
{
    (void)pid;
    return cpuid_info.xcr0 & BIT(2);
}

bool target_is_32bit(unsigned pid)
{
    // A kernel that pages outside long mode stays there; one that does not page yet may be on its
    // way to it, and only its image tells, and how its last life ended.
    const struct vm *vm = vm_at(pid);
    struct vcpu_regs regs;
    vcpu_read_regs(target_vcpu(pid, 0), &regs);
    return regs.cr0 & CR0_PG ? !(regs.efer & EFER_LMA) : vm->i386_kernel && !vm->was_long;
}

// ---- the line ----------------------------------------------------------------------------------

void target_kick_line_core(void)
{
    __atomic_store_n(&com2.kicked, 1, __ATOMIC_RELEASE);
    vmm_work_due(&com2.work);
}

void gdb_line_put(const void *bytes, size_t n)
{
    serial_write(&serial_debug, bytes, n, true);
}

static void receive(u8 byte)
{
    ring_put(&com2.input, byte); // what overruns is lost; the checksum tells gdb
    vmm_work_due(&com2.work);
}

static void received_break(void)
{
    com2.line_break = 1;
    vmm_work_due(&com2.work);
}

static void irq(void)
{
    serial_pump(&serial_debug);
    vmm_work_due(&com2.work);
}

static void run(void)
{
    u8 byte;
    serial_pump(&serial_debug);
    while (ring_get(&com2.input, &byte)) {
        gdbstub_input(&com2.session, byte);
        serial_pump(&serial_debug); // the line's own buffer has 16 bytes
    }
    if (com2.line_break) {
        com2.line_break = 0;
        gdbstub_break(&com2.session);
    }
    if (__atomic_exchange_n(&com2.kicked, 0, __ATOMIC_ACQ_REL))
        gdbstub_poll(&com2.session);
}

// The line interrupts this core, or it looks.
static void take(void)
{
    com2.work.always = host_serial_route(&serial_debug, VECTOR_DEBUG) != OK;
}

void gdb_line_init(void)
{
    if (serial_debug.port == 0) {
        log_line("gdb", "no serial line for the debugger");
        return;
    }
    com2.input = RING(com2.buffer);
    gdbstub_init(&com2.session);
    vm_page_written = page_written;
    serial_debug.receive = receive;
    serial_debug.line_break = received_break;
    irq_set_handler(VECTOR_DEBUG, irq);
    com2.work.run = run;
    com2.work.take = take;
    take();
    vmm_add_work(&com2.work);
    log_line("gdb", "waiting on the serial line at port %x: gdb -ex 'target extended-remote LINE'",
             serial_debug.port);
}
