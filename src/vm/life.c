// SPDX-License-Identifier: MIT
// A VM from its configuration to its end, and again.
#include "boot/log.h"
#include "boot/memory.h"
#include "boot/paging.h"
#include "lib/cpu.h"
#include "lib/string.h"
#include "smp/lost.h"
#include "smp/time.h"
#include "vcpu/cpuid.h"
#include "vcpu/debug.h"
#include "vcpu/stats.h"
#include "vcpu/vmm.h"
#include "vdev/acpi.h"
#include "vdev/firmware.h"
#include "vm/appliance.h"
#include "vm/hostdev.h"
#include "vm/vm.h"
#include "x86/bits.h"

#define XCR0_AVX    0x6ul
#define XCR0_AVX512 0xe6ul

// A VM that resets again and again is started no more often than this.
#define RESTART_US 1000000

void clear_sse(void *at, u64 bytes);
void clear_avx(void *at, u64 bytes);
void clear_avx512(void *at, u64 bytes);

static unsigned assigned[CORES_MAX]; // vCPUs per core
static struct core_work ends;        // the housekeeping core's: VMs that end

// ---- making ------------------------------------------------------------------------------------

static enum error add_ram(struct vm *vm, u64 gpa, u64 size, struct text *why)
{
    u64 align = size >= GiB && backend_pages_1g() ? GiB : 2 * MiB;
    hpa_t host = memory_alloc(size, align);
    if (host.v == 0 && align == GiB)
        host = memory_alloc(size, 2 * MiB);
    if (host.v == 0)
        return explain(why, ERR_NO_MEMORY, "not enough memory in one piece");
    struct guest_memory *m = &vm->guest.memory;
    m->region[m->count++] = (struct ram_region){GPA(gpa), size, phys_to_virt(host)};
    enum error e = ept_map(&vm->guest.ept, GPA(gpa), host, size, EPT_RWX);
    return e == OK ? OK : explain(why, e, "no memory for its EPT");
}

static enum error make_memory(struct vm *vm, struct text *why)
{
    struct guest *g = &vm->guest;
    struct ept_features features = {
        .pages_2m = backend_pages_2m(),
        .pages_1g = backend_pages_1g(),
        .execute_only = backend_has_execute_only(),
    };
    enum error e = ept_init(&g->ept, features);
    if (e != OK)
        return explain(why, e, "no memory for its EPT");
    u64 below = MIN(vm->config->memory, MMIO_HOLE), above = vm->config->memory - below;
    e = add_ram(vm, 0, below, why);
    if (e == OK && above > 0)
        e = add_ram(vm, RAM_ABOVE_4G, above, why);
    if (e != OK)
        return e;

    hpa_t io = memory_alloc(IO_BITMAP_SIZE, PAGE_SIZE);
    if (io.v == 0)
        return explain(why, ERR_NO_MEMORY, "no memory for its bitmaps");
    g->io_bitmap = phys_to_virt(io);
    memset(g->io_bitmap, 0xff, IO_BITMAP_SIZE);
    e = vapic_page_create(&vm->guest);
    return e == OK ? OK : explain(why, e, "no memory for its EPT");
}

// The online core of the VM's set that has the fewest vCPUs so far.
static struct core *choose_core(const struct config_vm *config)
{
    struct core *best = NULL;
    for (unsigned i = 0; i < core_count; i++) {
        if (cores[i]->vmm != NULL && core_set_has(&config->cores, i) &&
            (best == NULL || assigned[i] < assigned[best->number]))
            best = cores[i];
    }
    if (best != NULL)
        assigned[best->number]++;
    return best;
}

static enum error make_vcpus(struct vm *vm, const struct config_vm *config, struct text *why)
{
    enum error e = OK;
    for (unsigned i = 0; i < config->vcpus && e == OK; i++) {
        struct core *core = choose_core(config);
        if (core == NULL)
            return explain(why, ERR_NOT_FOUND, "none of its cores is online");
        struct vcpu *v = vcpu_new(&vm->guest, i, core);
        if (v == NULL)
            return explain(why, ERR_NO_MEMORY, "no memory for its vCPUs");
        v->schedule.weight = config->weight;
        v->hold = HOLD_VM;
        vm->vcpu[i] = v;
        e = vapic_create(v, why);
    }
    return e;
}

static void run_start(struct message *m);
static void restart_due(struct timer *t);

enum error vm_create(struct vm *vm, unsigned id, const struct config_vm *config, struct text *why)
{
    vm->config = config;
    vm->guest = (struct guest){.name = config->name,
                               .id = id,
                               .devices = &vm_device_ops,
                               .memory_ops = &vm_memory_ops,
                               .life = &vm_life_ops,
                               .lapic = vm->lapic,
                               .xcr0_allowed = cpuid_info.xcr0,
                               .cr4_allowed = cpuid_info.cr4,
                               .maxphyaddr = cpuid_info.maxphyaddr,
                               .has_rdtscp = cpuid_info.rdtscp,
                               .vcpu = vm->vcpu,
                               .vcpu_count = config->vcpus,
                               .hlt_through = config->hlt_through};
    while (1u << vm->guest.apic_log < config->vcpus)
        vm->guest.apic_log++;
    vm->vcpus = config->vcpus;
    vm->start_message.run = run_start;
    timer_init(&vm->restart_timer, restart_due);

    enum error e = make_memory(vm, why);
    if (e == OK)
        e = make_vcpus(vm, config, why);
    vm->guest.tsc_offset = 0 - rdtsc(); // its time begins
    if (e == OK)
        e = devices_init(vm, why);
    if (e == OK)
        e = hostdev_give(vm, why);
    if (e == OK)
        e = intercept_init(&vm->guest, &vm->intercepts, config->intercept, config->intercepts, why);
    if (e == OK)
        console_vm_init(&vm->console, id, config->name);
    return e;
}

// ---- start -------------------------------------------------------------------------------------

static void clear_region(const struct guest_memory *m, const struct ram_region *r,
                         void (*clear)(void *at, u64 bytes))
{
    for (u64 at = 0; at < r->size; at += GUEST_WRITE_MOST) {
        struct guest_write w;
        u64 n = MIN(r->size - at, GUEST_WRITE_MOST);
        void *p = guest_write_begin(m, GPA(r->start.v + at), n, &w);
        if (p == NULL)
            break; // not reached: it is RAM
        clear(p, n);
        guest_write_end(&w);
    }
}

static void clear_memory(const struct guest_memory *m)
{
    // The core's vector registers are about to be used.
    struct vmm *vmm = this_vmm();
    if (vmm->on_core != NULL)
        vcpu_unload(vmm->on_core);
    u64 xcr0 = cpuid_info.xcr0;
    if (xcr0 != 0) {
        vmm->xcr0 = xcr0;
        xsetbv(0, xcr0);
    }
    void (*clear)(void *at, u64 bytes) = clear_sse;
    if ((xcr0 & XCR0_AVX512) == XCR0_AVX512)
        clear = clear_avx512;
    else if ((xcr0 & XCR0_AVX) == XCR0_AVX)
        clear = clear_avx;
    for (unsigned i = 0; i < m->count; i++)
        clear_region(m, &m->region[i], clear);
}

// What firmware leaves in low memory. 18.2 Hz: 1,573,040 ticks a day.
static enum error write_firmware(struct vm *vm)
{
    u64 seconds = vm->created_at + vm_time(vm) / host_tsc_hz;
    struct acpi_config tables = {.vcpus = vm->vcpus, .uarts = vm->config->devices};
    struct firmware_config low = {
        .vcpus = vm->vcpus,
        .uarts = (u8)(vm->config->devices | 3), // COM1 and COM2 are always there
        .cpu_signature = cpuid_info.signature,
        .cpu_features = cpuid_info.features,
        .midnight_ticks = (u32)(seconds % 86400 * 1573040 / 86400),
    };
    struct guest_memory *m = &vm->guest.memory;
    enum error e = firmware_build(&low, m);
    if (e == OK)
        e = acpi_build(&tables, m);
    return e == OK ? smbios_build(m) : e;
}

static enum error load(struct vm *vm, struct entry_state *entry, struct text *why)
{
    struct load_failure failure;
    struct load_request request;
    clear_memory(&vm->guest.memory);
    enum error e = config_load_request(vm->config, appliance_image, NULL, &request, &failure);
    if (e != OK)
        return explain(why, e, "%s", failure.text);
    vm->i386_kernel = image_is_i386(&request.kernel);
    e = write_firmware(vm);
    if (e != OK)
        return explain(why, e, "no room for its ACPI tables");
    request.rsdp = GPA(ACPI_RSDP);
    request.smbios = GPA(SMBIOS_ENTRY);
    e = load_image(&request, &vm->guest.memory, entry, &failure);
    return e == OK ? OK : explain(why, e, "%s", failure.text);
}

// An i386 image that has been in long mode is the start of a 64-bit kernel, and will be again.
static void note_mode(struct vcpu *v)
{
    struct vm *vm = vm_of(v);
    struct vcpu_regs regs;
    if (v->index > 0 || vm->starts == 0)
        return;
    vcpu_read_regs(v, &regs);
    if (regs.efer & EFER_LMA)
        vm->was_long = true;
}

static void reset_vcpu(void *arg)
{
    struct vcpu *v = arg;
    vmm_take_off(v, v->index == 0 ? VCPU_OFF : VCPU_WAIT_SIPI);
    __atomic_store_n(&v->run.requests, 0, __ATOMIC_SEQ_CST);
    v->events.halted_for_good = false;
    vcpu_set_single_step(v, false, false);
    v->step.emulated = false;
    v->step.over = 0; // guest memory is made anew
    watched_forget(v);
    note_mode(v);
    vcpu_reset(v);
    vapic_reset(v);
    vcpu_note(v, REQUEST_EVENT | REQUEST_TIMER | REQUEST_TSC | REQUEST_DEBUG);
}

// On the core of vCPU 0.
static void run_start(struct message *m)
{
    struct vm *vm = CONTAINER_OF(m, struct vm, start_message);
    struct entry_state entry;
    char text[160] = "";
    struct text why = TEXT(text);
    struct vcpu *first = vm->vcpu[0];
    // This takes long, and no lock; the debugger's line has a buffer of 16 bytes, 1.4 ms.
    sti();
    enum error e = load(vm, &entry, &why);
    cli();
    for (unsigned i = 0; i < vm->vcpus; i++)
        vcpu_call(vm->vcpu[i], reset_vcpu, vm->vcpu[i]);
    spin_lock(&vm->lock);
    if (vm->starts > 0)
        board_reset(&vm->board, vm_time(vm));
    vm->guest.device_deadline = board_deadline(&vm->board);
    spin_unlock(&vm->lock);
    hostdev_start(vm);
    __atomic_store_n(&vm->ending, (u32)END_NONE, __ATOMIC_SEQ_CST);
    vm->starts++;
    vm->started = rdtsc();
    __atomic_store_n(&vm->absent, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&vm->state, VM_RUNNING, __ATOMIC_SEQ_CST);
    log_line("vm", "%s started", vm->config->name);
    vmm_work_due(&ends); // if it was to end meanwhile

    if (e == OK) {
        vcpu_load(first);
        text_add(&why, "the loader's start state is refused: ");
        e = vcpu_set_regs(first, &entry.regs, &why);
    }
    if (e != OK) {
        vm_request_end(vm, END_CRASH, 0, text);
        return;
    }
    if (__atomic_load_n(&vm->kill_wanted, __ATOMIC_SEQ_CST)) {
        vm_request_end(vm, END_KILLED, 0, "by the debugger");
        return;
    }
    vmm_make_runnable(first);
    for (unsigned i = 0; i < vm->vcpus; i++)
        vcpu_release_for(vm->vcpu[i], HOLD_VM);
}

void vm_start(struct vm *vm)
{
    __atomic_store_n(&vm->state, VM_STARTING, __ATOMIC_RELEASE);
    message_post(vcpu_core(vm->vcpu[0]), &vm->start_message);
}

// ---- end ---------------------------------------------------------------------------------------

void vm_request_end(struct vm *vm, enum vm_end how, u32 value, const char *reason)
{
    u32 none = END_NONE;
    struct vcpu *v = this_vmm()->running;
    if (v != NULL && vm_of(v) == vm)
        vcpu_hold_here(v, HOLD_VM);
    if (how == END_KILLED) // one that waits to be started again is killed when it has been
        __atomic_store_n(&vm->kill_wanted, true, __ATOMIC_SEQ_CST);
    if (!__atomic_compare_exchange_n(&vm->ending, &none, how, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        return;
    vm->exit_value = value;
    str_format(vm->reason, sizeof(vm->reason), "%s", reason);
    vmm_work_due(&ends);
}

void vm_end_text(const struct vm *vm, struct text *t)
{
    switch (vm->ending) {
    case END_POWEROFF:
        text_add(t, "poweroff");
        break;
    case END_RESET:
    case END_TRIPLE_FAULT:
        text_add(t, "reset");
        break;
    case END_EXIT:
        text_add(t, "exit %u", vm->exit_value);
        break;
    case END_KILLED:
        text_add(t, "killed");
        break;
    case END_CRASH:
        text_add(t, "crash: %s", vm->reason);
        break;
    default:
        text_add(t, "running");
    }
}

static void restart_due(struct timer *t)
{
    vm_start(CONTAINER_OF(t, struct vm, restart_timer));
}

static void restart(struct vm *vm)
{
    u64 due = vm->started + host_tsc_hz / 1000000 * RESTART_US;
    __atomic_store_n(&vm->state, VM_STARTING, __ATOMIC_RELEASE);
    if (rdtsc() >= due)
        vm_start(vm);
    else
        timer_set(&vm->restart_timer, due);
}

static void stop_timer(void *arg)
{
    struct vcpu *v = arg;
    timer_stop(&v->timer);
}

// The core of a vCPU of the VM that is lost; NULL: none is.
static const struct core *lost_core(const struct vm *vm)
{
    for (unsigned i = 0; cores_lost > 0 && i < vm->vcpus; i++) {
        if (vcpu_is_lost(vm->vcpu[i]))
            return vcpu_core(vm->vcpu[i]);
    }
    return NULL;
}

static bool is_reset(const struct vm *vm)
{
    return vm->ending == END_RESET || vm->ending == END_TRIPLE_FAULT;
}

static void run_end(struct vm *vm, const struct core *lost)
{
    for (unsigned i = 0; i < vm->vcpus; i++) {
        vcpu_hold_for(vm->vcpu[i], HOLD_VM);
        vcpu_call(vm->vcpu[i], stop_timer, vm->vcpu[i]);
    }
    if (lost != NULL && (vm->ending == END_NONE || is_reset(vm))) {
        vm->ending = END_CRASH;
        str_format(vm->reason, sizeof(vm->reason), "core %u was lost: %s", lost->number,
                   lost->lost_by);
    }
    hostdev_stop(vm);
    console_vm_flush(&vm->console);

    char buf[200];
    struct text t = TEXT(buf);
    vm_end_text(vm, &t);
    bool again = is_reset(vm) && !vm->config->reset_stops;
    if (vm->ending == END_EXIT)
        log_line("vm", "%s exit 0xf4: %u", vm->config->name, vm->exit_value);
    if (is_reset(vm))
        log_line("vm", "%s reset (%s)%s", vm->config->name, vm->reason,
                 again ? ", starting it again" : "");
    if (!again) {
        console_vm_ended(&vm->console);
        for (unsigned i = 0; i < vm->vcpus; i++)
            stats_log_exits(vm->vcpu[i]);
        intercept_log(&vm->guest);
        log_line("vm", "%s ended: %s", vm->config->name, buf);
        __atomic_store_n(&vm->state, VM_ENDED, __ATOMIC_RELEASE);
    }
    bool debugged = debug_hooks != NULL && debug_hooks->event(vm->vcpu[0], DEBUG_ENDED, 0);
    if (again && debugged) // it starts again stopped, so that its breakpoints can be put back
        vcpu_hold(vm->vcpu[0]);
    if (again)
        restart(vm);
    else
        appliance_vm_ended(vm);
}

// Ends the VMs that want to, or have a vCPU on a core that is lost. The housekeeping core.
static void run_ends(void)
{
    for (unsigned i = 0; i < vm_count; i++) {
        struct vm *vm = vms[i];
        const struct core *lost = lost_core(vm);
        u32 state = __atomic_load_n(&vm->state, __ATOMIC_SEQ_CST);
        bool due = __atomic_load_n(&vm->ending, __ATOMIC_SEQ_CST) != END_NONE || lost != NULL;
        // One that starts is seen when it has started, if it does.
        if ((state == VM_RUNNING && due) || (state == VM_STARTING && vcpu_is_lost(vm->vcpu[0])))
            run_end(vm, lost);
    }
}

static void take_ends(void)
{
    for (unsigned i = 0; i < vm_count; i++) {
        struct vm *vm = vms[i];
        if (vm->restart_timer.deadline != UINT64_MAX) {
            timer_init(&vm->restart_timer, restart_due);
            vm_start(vm);
        }
    }
    appliance_look();
}

static void lost(void)
{
    vmm_work_due(&ends);
}

void vm_ends_init(void)
{
    ASSERT_BOOT_CORE();
    ends.run = run_ends;
    ends.take = take_ends;
    vmm_lost_core = lost;
    vmm_add_work(&ends);
}

// ---- debugger ----------------------------------------------------------------------------------

static void resume_time(void *arg)
{
    struct vcpu *v = arg;
    vcpu_note(v, REQUEST_TSC | REQUEST_TIMER);
    vcpu_check_wake(v);
    vcpu_set_timer(v);
}

void vm_freeze_time(struct vm *vm, bool on)
{
    if (on == (vm->frozen_at != 0))
        return;
    if (on) {
        vm->frozen_at = rdtsc();
        vm->guest.frozen = true;
        for (unsigned i = 0; i < vm->vcpus; i++)
            vcpu_call(vm->vcpu[i], stop_timer, vm->vcpu[i]);
        return;
    }
    vm->guest.tsc_offset -= rdtsc() - vm->frozen_at;
    vm->frozen_at = 0;
    vm->guest.frozen = false;
    for (unsigned i = 0; i < vm->vcpus; i++) {
        vm->vcpu[i]->tsc_offset = vm->guest.tsc_offset + vm->vcpu[i]->msrs.tsc_adjust;
        vcpu_call(vm->vcpu[i], resume_time, vm->vcpu[i]);
    }
}
