// SPDX-License-Identifier: MIT
// Instructions that fail, by the boot option `test.fault`, to see how that is reported (SDM 31),
// and guests' state that fails when it is loaded.
#include "vmx/selftest.h"

#if DEBUG
#include "boot/memory.h"
#include "boot/paging.h"
#include "boot/selftest.h"
#include "ept/ept.h"
#include "lib/cpu.h"
#include "lib/string.h"
#include "smp/time.h"
#include "smp/timer.h"
#include "vcpu/vcpu_internal.h"
#include "vcpu/vmm.h"
#include "vmx/caps.h"
#include "vmx/flush.h"

#define NO_FIELD ((enum vmcs_field)0x7ffe)

static void make_current(void)
{
    hpa_t page = page_alloc();
    *(u32 *)phys_to_virt(page) = BASIC_REVISION(vmx_caps.basic);
    vmclear(page);
    vmptrld(page);
}

static void vmread_without_vmcs(void)
{
    vmread(GUEST_RIP);
}

static void vmread_of_nothing(void)
{
    make_current();
    vmread(NO_FIELD);
}

static void vmwrite_of_nothing(void)
{
    make_current();
    vmwrite(NO_FIELD, 0);
}

static void vmclear_misaligned(void)
{
    make_current(); // which has the error number
    vmclear(HPA(0x123));
}

static void vmptrld_of_vmxon_region(void)
{
    make_current();
    vmptrld(virt_to_phys(this_vmm()->vmxon));
}

static void invvpid_of_0(void)
{
    make_current();
    vpid_flush(0);
}

static void invept_of_reserved_bit(void)
{
    static struct ept_space s;
    s.root[0] = phys_to_virt(HPA(0x80));
    make_current();
    ept_flush(&s);
}

// ---- values that no CPU takes
// --------------------------------------------------------------------

static bool spoiling;
static struct timer spoil_timer;
static u32 spoiled; // bit for each VM

static void put32(struct vcpu *v, size_t at, u32 value)
{
    memcpy(v->switched.xsave + at, &value, sizeof(value));
}

// v is off the core.
static void spoil_vcpu(struct vcpu *v)
{
    switch (v->guest->id) {
    case 1:
        v->switched.dr6 |= BIT(32);
        break;
    case 2:
        v->switched.kernel_gs_base = BIT(63);
        break;
    case 3:
        v->switched.lstar = BIT(47);
        break;
    case 4:
        v->switched.xcr0 = 5; // AVX without SSE
        break;
    case 5:
        put32(v, XSAVE_MXCSR, UINT32_MAX);
        break;
    case 6:
        v->switched.extended = true;
        put32(v, XSTATE_BV + 4, 1u << 30);
        break;
    case 7:
        vcpu_load(v);
        vmwrite(GUEST_RIP, BIT(48));
        vcpu_note(v, REQUEST_CHECK);
        break;
    default:
        break;
    }
}

// Whoever has the core.
static void spoil(struct timer *t)
{
    struct vmm *vmm = this_vmm();
    struct vcpu *v = vmm->running;
    timer_set(t, rdtsc() + host_tsc_hz / 1000);
    if (v == NULL || vmm->on_core != v || (spoiled & BIT(v->guest->id)) != 0)
        return;
    spoiled |= (u32)BIT(v->guest->id);
    switch_save(v);
    vmm->on_core = NULL; // so that it is loaded again
    spoil_vcpu(v);
    core_reschedule(this_core());
}

static void spoil_guests(void) {}

static const struct selftest guest_tests[] = {{"guest-values", spoil_guests}};

void vmx_selftest(void)
{
    static const struct selftest tests[] = {
        {"vmread", vmread_without_vmcs},
        {"vmread-field", vmread_of_nothing},
        {"vmwrite-field", vmwrite_of_nothing},
        {"vmclear", vmclear_misaligned},
        {"vmptrld", vmptrld_of_vmxon_region},
        {"invept", invept_of_reserved_bit},
        {"invvpid", invvpid_of_0},
    };
    selftest_run(tests, ARRAY_SIZE(tests));
    spoiling = selftest_choose(guest_tests, ARRAY_SIZE(guest_tests)) != NULL;
    selftest_end();
}

void vmx_selftest_start(void)
{
    if (!spoiling)
        return;
    timer_init(&spoil_timer, spoil);
    timer_set(&spoil_timer, rdtsc() + host_tsc_hz / 1000);
}
#else
void vmx_selftest(void) {}
void vmx_selftest_start(void) {}
#endif
