// SPDX-License-Identifier: MIT
// Guests' state that fails when it is loaded, by the boot option `test.fault`.
#include "vcpu/selftest.h"

#if DEBUG
#include "boot/cmdline.h"
#include "boot/log.h"
#include "boot/selftest.h"
#include "lib/cpu.h"
#include "lib/string.h"
#include "smp/time.h"
#include "smp/timer.h"
#include "vcpu/exits.h"
#include "vcpu/vmm.h"
#include "x86/bits.h"

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
        state_set(STATE_RIP, BIT(48));
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

void vcpu_selftest(void)
{
    static const struct selftest tests[] = {{"guest-values", spoil_guests}};
    spoiling = selftest_choose(tests, ARRAY_SIZE(tests)) != NULL;
    selftest_end();
    char what[16];
    checks_entries =
        cmdline_value("test.checks", what, sizeof(what)) && strcmp(what, "entries") == 0;
    if (checks_entries)
        log_line("vmm", "each VM entry is checked before it is made");
}

void vcpu_selftest_start(void)
{
    if (!spoiling)
        return;
    timer_init(&spoil_timer, spoil);
    timer_set(&spoil_timer, rdtsc() + host_tsc_hz / 1000);
}
#else
void vcpu_selftest(void) {}
void vcpu_selftest_start(void) {}
#endif
