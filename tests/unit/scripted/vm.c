// SPDX-License-Identifier: MIT
// VMs for tests of the virtual CPU, and what the rooms above it would be told.
#include "scripted/scripted.h"

#include <string.h>

#include "boot/memory.h"
#include "boot/paging.h"
#include "lib/cpu.h"

static struct scripted_vm *vm_of(const struct vcpu *v)
{
    return CONTAINER_OF(v->guest, struct scripted_vm, guest);
}

static u32 no_device(struct vcpu *v, u16 port, unsigned size)
{
    (void)v, (void)port, (void)size;
    return UINT32_MAX;
}

static bool no_pic(const struct vcpu *v)
{
    (void)v;
    return false;
}

static bool anywhere(const struct vcpu *v, unsigned number)
{
    (void)v, (void)number;
    return true;
}

static void halted(struct vcpu *v)
{
    vm_of(v)->halts++;
}

static void triple_fault(struct vcpu *v)
{
    vm_of(v)->triple_faults++;
}

static void crash(struct vcpu *v, const char *reason)
{
    (void)v;
    fail_msg("%s", reason);
}

static bool wants_nothing(const struct vcpu *v, struct backend_catches *c)
{
    (void)v, (void)c;
    return false;
}

static void no_msrs(struct vcpu *v)
{
    (void)v;
}

static bool event(struct vcpu *v, enum debug_event what, u64 dr6)
{
    struct scripted_vm *vm = vm_of(v);
    vm->steps += what == DEBUG_STEP;
    vm->hits |= what == DEBUG_REGISTER ? dr6 : 0;
    return what == DEBUG_REGISTER;
}

static const struct device_ops devices = {.port_in = no_device, .pic_level = no_pic};
static const struct memory_ops memory_ops = {0};
static const struct life_ops life = {
    .may_run = anywhere, .halted = halted, .triple_fault = triple_fault, .crash = crash};
static const struct intercept_ops intercept_ops = {
    .wants = wants_nothing, .catch_msrs = no_msrs, .exception = no_msrs};
static const struct debug_hooks hooks = {.event = event};

static struct vcpu *new_vcpu(struct guest *g, unsigned index)
{
    struct vcpu *v = vcpu_new(g, index, this_core());
    assert_non_null(v);
    assert_int_equal(vapic_create(v, NULL), OK);
    return v;
}

static void start_vcpu(struct vcpu *v)
{
    vcpu_reset(v);
    vapic_reset(v);
    state_set(STATE_CR0, CR0_PE | CR0_ET);
    state_set(STATE_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
}

struct scripted_vm *scripted_vm(unsigned vcpus)
{
    struct scripted_vm *vm =
        phys_to_virt(memory_alloc(ALIGN_UP(sizeof(*vm), PAGE_SIZE), PAGE_SIZE));
    memset(vm, 0, sizeof(*vm));
    vm->guest = (struct guest){.name = "vm",
                               .id = 1,
                               .devices = &devices,
                               .memory_ops = &memory_ops,
                               .life = &life,
                               .intercept_ops = &intercept_ops,
                               .io_bitmap = vm->io_bitmap,
                               .maxphyaddr = 40,
                               .vcpu = vm->vcpu,
                               .vcpu_count = vcpus,
                               .lapic = vm->lapic,
                               .device_deadline = UINT64_MAX};
    debug_hooks = &hooks;
    assert_true(vcpus <= SCRIPTED_VCPUS);
    assert_int_equal(ept_init(&vm->guest.ept, (struct ept_features){0}), OK);
    for (unsigned i = 0; i < vcpus; i++)
        vm->vcpu[i] = new_vcpu(&vm->guest, i);
    for (unsigned i = 0; i < vcpus; i++)
        start_vcpu(vm->vcpu[i]);
    return vm;
}

void scripted_apic_on(struct vcpu *v)
{
    lapic_mmio_write(&vapic_of(v)->lapic, APIC_SVR, 4, 0x1ff, vcpu_guest_tsc(v, rdtsc()));
}

void scripted_post(struct vcpu *v, u8 vector)
{
    const struct lapic_message m = {.mode = LAPIC_FIXED, .vector = vector, .dest = v->index};
    vapic_send_message(v->guest, &m);
}
