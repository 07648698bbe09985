// SPDX-License-Identifier: MIT
// Events into the guest: exceptions, interrupts, NMIs, and those lost to an exit during delivery
// (SDM Vol. 3, 25.8.3, 27.6, 28.2.4).
#include "lib/cpu.h"
#include "lib/math.h"
#include "vcpu/exits.h"
#include "vcpu/selftest.h"
#include "vcpu/vapic.h"
#include "vcpu/vmm.h"
#include "x86/bits.h"
#include "x86/vectors.h"

static bool is_contributory(u8 vector)
{
    return vector == 0 || (vector >= VECTOR_TS && vector <= VECTOR_GP) || vector == VECTOR_CP;
}

static void set_event(struct vcpu *v, u32 type, u8 vector, bool has_error, u32 error, u32 length)
{
    v->events.info = (u32)(EVENT_VALID | type << 8 | vector | (has_error ? EVENT_HAS_ERROR : 0));
    v->events.error = error;
    v->events.length = length;
}

// Keeps an interrupt or NMI that v->events.info holds for later.
static void put_off(struct vcpu *v)
{
    if (EVENT_TYPE(v->events.info) == EVENT_NMI)
        v->events.nmis++; // it was taken from these
    else if (EVENT_TYPE(v->events.info) == EVENT_EXTERNAL)
        v->events.deferred_interrupt = v->events.info;
    v->events.info = 0;
}

void events_exception(struct vcpu *v, u32 type, u8 vector, bool has_error, u32 error, u32 length)
{
    ASSERT_LOADED(v);
    // While another event is being delivered (SDM Table 6-5): most come one after the other. The
    // instruction that a fault interrupted, INT n too, raises it again; interrupts do not come
    // again.
    if (v->events.info & EVENT_VALID) {
        u8 first = EVENT_TYPE(v->events.info) == EVENT_HARDWARE_EXCEPTION
                       ? EVENT_VECTOR(v->events.info)
                       : VECTOR_NMI;
        bool worse = is_contributory(vector) || vector == VECTOR_PF;
        put_off(v);
        if (first == VECTOR_DF && worse) {
            v->run.reason = EXIT_REASON_TRIPLE_FAULT; // for the record
            exit_triple_fault(v);
            return;
        }
        if ((is_contributory(first) && is_contributory(vector)) || (first == VECTOR_PF && worse)) {
            vector = VECTOR_DF;
            has_error = true;
            error = 0;
        }
    }
    if (!(state_get(STATE_CR0) & CR0_PE))
        has_error = false; // real mode has no error codes
    set_event(v, type, vector, has_error, error, length);
    vcpu_note(v, REQUEST_EVENT);
}

void vcpu_raise(struct vcpu *v, u8 vector, bool has_error, u32 error)
{
    ASSERT_LOADED(v);
    events_exception(v, EVENT_HARDWARE_EXCEPTION, vector, has_error, error, 0);
    v->guest->intercept_ops->exception(v); // which the exception bitmap does not see
    // A fault resumes at its instruction with RF set in the pushed flags; traps are not raised
    // here.
    state_set(STATE_RFLAGS, state_get(STATE_RFLAGS) | RFLAGS_RF);
}

void vcpu_raise_ud(struct vcpu *v)
{
    vcpu_raise(v, VECTOR_UD, false, 0);
}

void vcpu_raise_gp(struct vcpu *v, u32 error)
{
    vcpu_raise(v, VECTOR_GP, true, error);
}

void vcpu_raise_pf(struct vcpu *v, u64 address, u32 error)
{
    ASSERT_LOADED(v);
    v->switched.cr2 = address;
    write_cr2(address);
    vcpu_raise(v, VECTOR_PF, true, error);
}

// What was being delivered when the exit came must be delivered again.
void events_redeliver(struct vcpu *v, u32 info)
{
    ASSERT_LOADED(v);
    u32 type = EVENT_TYPE(info);
    bool has_length = type == EVENT_SOFTWARE_INTERRUPT || type == EVENT_SOFTWARE_EXCEPTION ||
                      type == EVENT_PRIVILEGED_SOFTWARE_EXCEPTION;
    bool has_error = info & EVENT_HAS_ERROR;
    set_event(v, type, EVENT_VECTOR(info), has_error,
              has_error ? backend_exit_delivering_error() : 0,
              has_length ? (u32)backend_exit_length() : 0);
    vcpu_note(v, REQUEST_EVENT);
    if (type == EVENT_NMI) // its delivery begins again, blocking with it
        state_set(STATE_BLOCKING, state_get(STATE_BLOCKING) & ~BLOCKING_BY_NMI);
}

static void set_window(struct vcpu *v, bool interrupt, bool nmi)
{
    struct backend_wishes *w = &v->run.wishes;
    if (interrupt == w->interrupt_window && nmi == w->nmi_window)
        return;
    w->interrupt_window = interrupt;
    w->nmi_window = nmi;
    vcpu_compose(v);
}

static bool can_take_interrupt(void)
{
    return (state_get(STATE_RFLAGS) & RFLAGS_IF) &&
           !(state_get(STATE_BLOCKING) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
}

static bool can_take_nmi(void)
{
    return !(state_get(STATE_BLOCKING) & (BLOCKING_BY_NMI | BLOCKING_BY_MOV_SS | BLOCKING_BY_STI));
}

// An interrupt or NMI that was taken for delivery stays out of a step that masks them, and of a
// state that a debugger has written and that cannot take it (SDM 27.3.1.4).
static void defer_event(struct vcpu *v)
{
    u32 type = EVENT_TYPE(v->events.info);
    bool nmi = type == EVENT_NMI;
    if ((type == EVENT_EXTERNAL || nmi) &&
        (v->step.masks_interrupts || !(nmi ? can_take_nmi() : can_take_interrupt())))
        put_off(v);
}

// Takes an event back out of the VMCS, where it stands since a preparation that no entry followed:
// only an entry clears its valid bit. False: it has been delivered.
static bool take_out_event(struct vcpu *v)
{
    bool loaded = v->events.loaded;
    v->events.loaded = false;
    if (!loaded)
        return false;
    u32 info, error, length;
    if (!backend_take_back(&info, &error, &length))
        return false;
    if (!(v->events.info & EVENT_VALID))
        set_event(v, EVENT_TYPE(info), EVENT_VECTOR(info), info & EVENT_HAS_ERROR, error, length);
    else if (EVENT_TYPE(info) == EVENT_EXTERNAL) // a newer exception replaces other exceptions
        v->events.deferred_interrupt = info;
    else if (EVENT_TYPE(info) == EVENT_NMI)
        v->events.nmis++;
    return true;
}

void vcpu_withdraw(struct vcpu *v)
{
    if (take_out_event(v) || checks_entries)
        vcpu_note(v, REQUEST_EVENT);
}

// Takes in the NMIs that were sent. While one is blocked the CPU latches one more, not two.
static void count_nmis(struct vcpu *v)
{
    __atomic_fetch_and(&v->run.requests, ~(u32)REQUEST_NMI, __ATOMIC_ACQ_REL);
    u32 sent = __atomic_exchange_n(&v->events.nmis_sent, 0, __ATOMIC_ACQ_REL);
    u32 most = state_get(STATE_BLOCKING) & BLOCKING_BY_NMI ? NMIS_MAX - 1 : NMIS_MAX;
    v->events.nmis = (u8)MAX(MIN(v->events.nmis + sent, most), v->events.nmis);
}

// A debug trap of the instruction before waits: it comes first, and an event that is injected would
// take its place (SDM 6.9, 27.7.3). Windows open behind it (27.7.5).
static bool trap_waits(void)
{
    return (state_get(STATE_PENDING_DEBUG) & (DR6_BS | DR6_ENABLED)) != 0;
}

// A #DB that is injected behind STI or MOV SS: the entry wants BS in the pending debug exceptions
// as RFLAGS.TF has it (SDM 27.3.1.5), and the exit has cleared it.
static void settle_trap(void)
{
    u64 pending = state_get(STATE_PENDING_DEBUG);
    if (!(state_get(STATE_BLOCKING) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)))
        return;
    bool traps =
        (state_get(STATE_RFLAGS) & RFLAGS_TF) && !(state_get(STATE_DEBUGCTL) & DEBUGCTL_BTF);
    state_set(STATE_PENDING_DEBUG, traps ? pending | DR6_BS : pending & ~DR6_BS);
}

// Before an entry: chooses at most one event, and asks to be told when the next can be delivered.
void events_prepare(struct vcpu *v)
{
    take_out_event(v);
    bool interrupt_waits = vapic_sync(v);
    u32 requests = __atomic_load_n(&v->run.requests, __ATOMIC_ACQUIRE);

    if (!interrupt_waits && v->events.info == 0 && v->events.deferred_interrupt == 0 &&
        !(requests & REQUEST_NMI) && v->events.nmis == 0 && !v->run.wishes.interrupt_window &&
        !v->run.wishes.nmi_window)
        return;
    // It must not stay among the requests: they keep the vCPU out of the guest.
    if (requests & REQUEST_NMI)
        count_nmis(v);
    if (v->events.info & EVENT_VALID)
        defer_event(v);
    bool free = !(v->events.info & EVENT_VALID) && !vcpu_runs_alone(v) && !trap_waits();
    if (v->events.deferred_interrupt == 0) {
        // Nothing has been put off.
    } else if (free && can_take_interrupt()) {
        v->events.info = v->events.deferred_interrupt;
        v->events.deferred_interrupt = 0;
        free = false;
    } else {
        interrupt_waits = true;
    }
    if (v->events.nmis != 0 && free && can_take_nmi()) {
        v->events.nmis--;
        set_event(v, EVENT_NMI, VECTOR_NMI, false, 0, 0);
        free = false;
    }
    bool nmi_waits = v->events.nmis != 0;
    if (interrupt_waits && free && can_take_interrupt()) {
        set_event(v, EVENT_EXTERNAL, vapic_accept(v), false, 0, 0);
        v->events.injected++;
        interrupt_waits = vapic_sync(v);
    }
    if (vcpu_runs_alone(v))
        interrupt_waits = nmi_waits = false; // a window would open before the step
    set_window(v, interrupt_waits, nmi_waits);

    if (v->events.info & EVENT_VALID) {
        if (EVENT_VECTOR(v->events.info) == VECTOR_DB)
            settle_trap();
        backend_inject(v->events.info, v->events.error, v->events.length);
        v->events.info = 0;
        v->events.length = 0;
        v->events.loaded = true;
    }
}
