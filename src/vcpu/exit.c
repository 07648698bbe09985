// SPDX-License-Identifier: MIT
// From a VM exit to its handler and back to the entry.
#include "boot/log.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "vcpu/entry.h"
#include "vcpu/exits.h"
#include "vcpu/selftest.h"
#include "vcpu/vapic.h"
#include "vcpu/vmm.h"

#if DEBUG
bool checks_entries;
#endif

// A reason that we asked for by no control, or that has no business here: the VM stops.
static COLD void exit_unexpected(struct vcpu *v)
{
    vcpu_crash(v, "unexpected VM exit %u (%s)", v->run.reason, exit_reason_name(v->run.reason));
}

// An instruction that the guest has not got, by CPUID.
static void exit_undefined(struct vcpu *v)
{
    vcpu_raise_ud(v);
}

// An instruction that does nothing here: caches are coherent, and no device of ours needs a flush.
static void exit_nothing(struct vcpu *v)
{
    vcpu_skip_instruction(v);
}

static void exit_window(struct vcpu *v)
{
    vcpu_note(v, REQUEST_EVENT);
}

static void exit_pause(struct vcpu *v)
{
    vcpu_skip_instruction(v);
    vmm_yield(v);
}

static void exit_rdpmc(struct vcpu *v)
{
    vcpu_raise_gp(v, 0); // no counters
}

void exit_triple_fault(struct vcpu *v)
{
    vcpu_dump(v);
    v->guest->life->triple_fault(v);
}

static void exit_init(struct vcpu *v)
{
    (void)v; // an INIT to this core is blocked in VMX operation; it stays pending
}

// Every reason without a line of its own ends in exit_unexpected. Called from entry.S.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
exit_handler *const exit_handlers[EXIT_REASONS] = {
    [0 ... EXIT_REASONS - 1] = exit_unexpected,
    [EXIT_REASON_EXCEPTION_OR_NMI] = exit_exception,
    [EXIT_REASON_EXTERNAL_INTERRUPT] = exit_external_interrupt,
    [EXIT_REASON_TRIPLE_FAULT] = exit_triple_fault,
    [EXIT_REASON_INIT_SIGNAL] = exit_init,
    [EXIT_REASON_INTERRUPT_WINDOW] = exit_window,
    [EXIT_REASON_NMI_WINDOW] = exit_window,
    [EXIT_REASON_CPUID] = exit_cpuid,
    [EXIT_REASON_GETSEC] = exit_undefined,
    [EXIT_REASON_HLT] = exit_hlt,
    [EXIT_REASON_INVD] = exit_nothing,
    [EXIT_REASON_INVLPG] = exit_invlpg,
    [EXIT_REASON_RDPMC] = exit_rdpmc,
    [EXIT_REASON_RDTSC] = exit_rdtsc,
    [EXIT_REASON_RSM] = exit_undefined,
    [EXIT_REASON_VMCALL] = exit_vmcall,
    [EXIT_REASON_VMCLEAR... EXIT_REASON_VMXON] = exit_undefined,
    [EXIT_REASON_CR_ACCESS] = exit_cr,
    [EXIT_REASON_MOV_DR] = exit_mov_dr,
    [EXIT_REASON_IO_INSTRUCTION] = exit_io,
    [EXIT_REASON_RDMSR] = exit_rdmsr,
    [EXIT_REASON_WRMSR] = exit_wrmsr,
    [EXIT_REASON_MWAIT] = exit_undefined,
    [EXIT_REASON_MONITOR_TRAP_FLAG] = exit_monitor_trap,
    [EXIT_REASON_MONITOR] = exit_undefined,
    [EXIT_REASON_PAUSE] = exit_pause,
    [EXIT_REASON_TPR_BELOW_THRESHOLD] = exit_tpr,
    [EXIT_REASON_APIC_ACCESS] = exit_apic_access,
    [EXIT_REASON_VIRTUALIZED_EOI] = exit_eoi,
    [EXIT_REASON_GDTR_IDTR_ACCESS] = exit_descriptor_table,
    [EXIT_REASON_LDTR_TR_ACCESS] = exit_descriptor_table,
    [EXIT_REASON_EPT_VIOLATION] = exit_ept_violation,
    [EXIT_REASON_INVEPT] = exit_undefined,
    [EXIT_REASON_RDTSCP] = exit_rdtscp,
    [EXIT_REASON_PREEMPTION_TIMER] = exit_preemption_timer,
    [EXIT_REASON_INVVPID] = exit_undefined,
    [EXIT_REASON_WBINVD] = exit_nothing,
    [EXIT_REASON_XSETBV] = exit_xsetbv,
    [EXIT_REASON_APIC_WRITE] = exit_apic_write,
    [EXIT_REASON_RDRAND] = exit_random,
    [EXIT_REASON_INVPCID] = exit_invpcid,
    [EXIT_REASON_VMFUNC] = exit_undefined,
    [EXIT_REASON_ENCLS] = exit_undefined,
    [EXIT_REASON_RDSEED] = exit_random,
    [EXIT_REASON_XSAVES] = exit_undefined,
    [EXIT_REASON_XRSTORS] = exit_undefined,
    [EXIT_REASON_PCONFIG] = exit_undefined,
    [EXIT_REASON_UMWAIT... EXIT_REASON_ENCLV] = exit_undefined,
    [EXIT_REASON_SEAMCALL] = exit_undefined,
    [EXIT_REASON_TDCALL] = exit_undefined,
};
#pragma GCC diagnostic pop

static COLD void entry_failed(struct vcpu *v)
{
    char why[160];
    enum error e = backend_check(&v->run, &TEXT(why));
    vcpu_crash(v, "VM entry failed, %s: %s", exit_reason_name(v->run.reason),
               e != OK ? why : "our checks of the guest state find nothing");
}

COLD void vcpu_entry_failed(struct vcpu *v, const char *why)
{
    vcpu_crash(v, "VM entry %s", why);
}

// After an exit of a guest whose HLT stops the core: an interrupt that waits ends the HLT, which an
// entry would do too (SDM 27.6.2, 27.7.5) where the CPU, or who emulates it, keeps to that. One
// that nothing can end is told of.
static void watch_halted(struct vcpu *v)
{
    if (state_get(STATE_ACTIVITY) != ACTIVITY_HLT)
        return;
    v->events.sleeps_interruptible = state_get(STATE_RFLAGS) & RFLAGS_IF;
    if (vcpu_would_wake(v)) {
        state_set(STATE_ACTIVITY, ACTIVITY_ACTIVE);
    } else if (!v->events.sleeps_interruptible && !v->events.halted_for_good) {
        v->events.halted_for_good = true;
        v->guest->life->halted(v);
    }
}

// An exit of a VM of which something is to be caught or watched, or whose entries are checked, or
// whose reason is not in the table.
void vcpu_special_exit(struct vcpu *v)
{
    if (v->run.reason >= EXIT_REASONS) {
        if (v->run.reason & EXIT_REASON_ENTRY_FAILURE)
            entry_failed(v);
        else
            exit_unexpected(v);
        return;
    }
    v->run.exits[v->run.reason]++;
    if (checks_entries)
        vcpu_note(v, REQUEST_CHECK); // which vcpu_requested() leaves to vcpu_prepare()
    v->guest->intercept_ops->exit(v);
    if (v->guest->hlt_through && v->state == VCPU_RUNNING)
        watch_halted(v);
}

bool vcpu_requested(struct vcpu *v)
{
    if (__atomic_load_n(&v->core->attention, __ATOMIC_ACQUIRE) != 0 || checks_entries ||
        (__atomic_load_n(&v->run.requests, __ATOMIC_RELAXED) & ~(u32)REQUEST_EVENT) != 0) {
        if (v->events.loaded)
            vcpu_withdraw(v);
        return false;
    }
    __atomic_fetch_and(&v->run.requests, ~(u32)REQUEST_EVENT, __ATOMIC_SEQ_CST);
    events_prepare(v);
    return true;
}

bool vcpu_deadline(struct vcpu *v)
{
    struct core *c = v->core;
    if (c->counts_down) {
        vmm_deadline(c);
        return false;
    }
    u64 deadline = MIN(MIN(c->timer_deadline, c->slice_end), c->watch_due);
    if (deadline != c->vmm->armed) {
        c->vmm->armed = deadline;
        apic_set_deadline(deadline);
    }
    return true;
}

// What is requested beyond a look at events. False: v does not run now.
static NOINLINE bool see_to_requests(struct vcpu *v, u32 requests)
{
    if (requests & (REQUEST_INIT | REQUEST_SIPI)) {
        vapic_startup(v, requests & REQUEST_INIT, requests & REQUEST_SIPI);
        if (v->state != VCPU_RUNNING) { // a start-up IPI may have come since
            vcpu_check_wake(v);
            return false;
        }
    }
    if (requests & REQUEST_FLUSH)
        flush_ept(&v->guest->ept);
    if ((requests & REQUEST_TSC) || v->tsc_offset != v->guest->tsc_offset + v->msrs.tsc_adjust) {
        v->tsc_offset = v->guest->tsc_offset + v->msrs.tsc_adjust;
        backend_set_tsc_offset(v->tsc_offset);
    }
    if (requests & REQUEST_TIMER)
        vcpu_timer_due(v);
    if (requests & REQUEST_DEBUG)
        debug_before_entry(v);
    return true;
}

bool vcpu_prepare(struct vcpu *v)
{
    if (v->intercept.waits && !v->guest->intercept_ops->resume(v))
        return false;
    if (v->step.emulated && debug_emulated_step(v))
        return false;
    u32 requests = __atomic_load_n(&v->run.requests, __ATOMIC_ACQUIRE) & ~(u32)REQUEST_NMI;
    if (requests != 0)
        requests = __atomic_fetch_and(&v->run.requests, REQUEST_NMI, __ATOMIC_SEQ_CST);
    if (((requests & ~(u32)(REQUEST_EVENT | REQUEST_NMI)) != 0 ||
         v->tsc_offset != v->guest->tsc_offset + v->msrs.tsc_adjust) &&
        !see_to_requests(v, requests))
        return false;
    events_prepare(v);
#if DEBUG
    if ((requests & REQUEST_CHECK) || checks_entries) {
        char why[160];
        if (backend_check(&v->run, &TEXT(why)) != OK) {
            vcpu_crash(v, "VM entry would be refused: %s", why);
            return false;
        }
    }
#endif
    return true;
}
