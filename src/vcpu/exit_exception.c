// SPDX-License-Identifier: MIT
// Exceptions and NMIs that exit: the host's own, the debugger's, and the guest's, which are handed
// on as if they had not been caught.
#include "lib/cpu.h"
#include "smp/descriptors.h"
#include "vcpu/exits.h"
#include "x86/bits.h"
#include "x86/vectors.h"

#define DEBUG_EVENTS 0xe00ful // B0 to B3, BD, BS, BT
#define NO_FAULTS    (BIT(VECTOR_DB) | BIT(VECTOR_DF) | BIT(VECTOR_MC))

// What a #DB does on its way to the handler, and does not when it exits or is injected (SDM 28.1,
// 27.6.1): only the hits are replaced in DR6.
static void debug_exception_taken(struct vcpu *v, u32 type)
{
    if (type == EVENT_HARDWARE_EXCEPTION) // else INT1, which leaves DR6 alone
        write_dr6((read_dr6() & ~DR6_HITS) | (backend_exit_debug_hits() & DEBUG_EVENTS));
    if (v->debug.registers)
        v->debug.guest_dr7 &= ~DR7_GD;
    state_set(STATE_DR7, state_get(STATE_DR7) & ~DR7_GD);
    vcpu_end_debugctl(v);
}

// Makes it v->events.info as it came, merged with nothing.
static void hand_on(struct vcpu *v, u32 info)
{
    u32 type = EVENT_TYPE(info);
    u8 vector = EVENT_VECTOR(info);
    bool software = type == EVENT_SOFTWARE_EXCEPTION || type == EVENT_PRIVILEGED_SOFTWARE_EXCEPTION;
    if (vector == VECTOR_DB) {
        debug_exception_taken(v, type);
    } else if (vector == VECTOR_PF) {
        v->switched.cr2 = backend_exit_address();
        write_cr2(v->switched.cr2);
    }
    v->events.info = 0;
    events_exception(v, type, vector, info & EVENT_HAS_ERROR,
                     info & EVENT_HAS_ERROR ? backend_exit_event_error() : 0,
                     software ? (u32)backend_exit_length() : 0);
    // The flags are saved as they would have been pushed: RF is set for a fault (SDM 28.3.3).
    if (type == EVENT_HARDWARE_EXCEPTION && !(BIT(vector) & NO_FAULTS))
        state_set(STATE_RFLAGS, state_get(STATE_RFLAGS) | RFLAGS_RF);
}

// An exception of the guest's own. What it comes to with the event whose delivery it ended is
// another exception if it is a double fault.
static void handle(struct vcpu *v, u32 info)
{
    u32 first = v->events.info, error = v->events.error, length = v->events.length;
    hand_on(v, info);
    v->guest->intercept_ops->exception(v);
    if (!(first & EVENT_VALID))
        return;
    u32 second = v->events.info, second_error = v->events.error;
    v->events.info = first;
    v->events.error = error;
    v->events.length = length;
    if (!(second & EVENT_VALID)) // it is ignored
        return;
    events_exception(v, EVENT_TYPE(second), EVENT_VECTOR(second), second & EVENT_HAS_ERROR,
                     second_error, 0);
    if ((v->events.info & EVENT_VALID) && EVENT_VECTOR(v->events.info) != EVENT_VECTOR(second))
        v->guest->intercept_ops->exception(v);
}

void exit_exception(struct vcpu *v)
{
    struct exit_event exit = backend_exit_event();
    u32 info = exit.info;
    u8 vector = EVENT_VECTOR(info);
    events_take_back(v);
    bool delivering = v->events.info & EVENT_VALID;
    if (EVENT_TYPE(info) == EVENT_NMI) { // the host's
        if (nmi_handler != NULL)
            nmi_handler(NULL);
    } else if (vector == VECTOR_MC) {
        vcpu_crash(v, "machine check");
    } else if (!debug_exception(v, info)) {
        handle(v, info);
        return;
    }
    // An IRET that had ended blocking by NMI before it faulted is to be run again (SDM 28.2.3).
    if (exit.nmi_unblocked && !delivering && vector != VECTOR_DF)
        state_set(STATE_BLOCKING, state_get(STATE_BLOCKING) | BLOCKING_BY_NMI);
}
