// SPDX-License-Identifier: MIT
// The posted-interrupt descriptor (SDM Vol. 3, 30.6): the only way for a fixed interrupt into a
// local APIC from another core. Without posted interrupts in hardware the owner empties it itself
// before each entry, so senders do the same in both cases.
//
// Any core may call pid_post, pid_notification and pid_pending. The rest is for the core that owns
// the vCPU. Protocol: a sender sets the PIR bit, then ON, and sends a notification only if it was
// the one who set ON. The owner clears ON before it empties PIR, and looks at ON after it changed
// SN, NV or NDST and before it sleeps, so an interrupt is neither lost nor taken twice.
#pragma once

#include "lib/types.h"

struct posted_interrupt_descriptor {
    u64 pir[4];      // bits 255:0: posted-interrupt requests, one bit per vector
    u64 control;     // bits 319:256: ON, SN, NV, NDST
    u64 reserved[3]; // bits 511:320: software's, not used
} ALIGNED(64);

_Static_assert(sizeof(struct posted_interrupt_descriptor) == 64, "SDM Table 30-1");

enum {
    PID_ON = 1 << 0, // bit 256: outstanding notification
    PID_SN = 1 << 1, // bit 257: suppress notification
    PID_NV_SHIFT = 16,
    PID_NDST_SHIFT = 32,
};

// Posts vector (0..255). Returns whether the caller must send a notification: true for the one
// sender that set ON while SN was clear. Any core.
static inline bool pid_post(struct posted_interrupt_descriptor *pid, u8 vector)
{
    // Whoever set the bit before us sets ON as well: nothing is left to do. Each test is of the bit
    // that is set and no other, for which the processor has one instruction.
    u64 bit = BIT(vector & 63);
    if (__atomic_fetch_or(&pid->pir[vector >> 6], bit, __ATOMIC_SEQ_CST) & bit)
        return false;
    if (__atomic_fetch_or(&pid->control, PID_ON, __ATOMIC_SEQ_CST) & PID_ON)
        return false;
    return !(__atomic_load_n(&pid->control, __ATOMIC_RELAXED) & PID_SN);
}

// Whether something waits in the descriptor. Any core.
static inline bool pid_pending(const struct posted_interrupt_descriptor *pid)
{
    return __atomic_load_n(&pid->control, __ATOMIC_ACQUIRE) & PID_ON;
}

// Where a notification goes now: its vector and the host APIC ID in NDST's form (in xAPIC mode the
// ID stands in bits 15:8). An owner that moves away afterwards finds ON set. Any core.
static inline void pid_notification(const struct posted_interrupt_descriptor *pid, u8 *vector,
                                    u32 *destination)
{
    u64 control = __atomic_load_n(&pid->control, __ATOMIC_ACQUIRE);
    *vector = (u8)(control >> PID_NV_SHIFT);
    *destination = (u32)(control >> PID_NDST_SHIFT);
}

// Changes notification vector, destination (NDST's form) and suppression in one step. Returns
// whether ON is set: then there may be something to drain that nobody will notify of again. Owner.
static inline bool pid_set_notification(struct posted_interrupt_descriptor *pid, u8 vector,
                                        u32 destination, bool suppress)
{
    u64 wanted =
        (u64)destination << PID_NDST_SHIFT | (u64)vector << PID_NV_SHIFT | (suppress ? PID_SN : 0u);
    u64 old = __atomic_load_n(&pid->control, __ATOMIC_RELAXED);
    // Others only turn ON on, and only once: a second try succeeds.
    while (!__atomic_compare_exchange_n(&pid->control, &old, wanted | (old & PID_ON), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
    return old & PID_ON;
}

// The two steps of taking what is posted; owner, while the vCPU is not in the guest. First ON is
// cleared: returns whether it was set, for otherwise there is nothing.
static inline bool pid_acknowledge(struct posted_interrupt_descriptor *pid)
{
    if (!pid_pending(pid))
        return false;
    __atomic_fetch_and(&pid->control, ~(u64)PID_ON, __ATOMIC_SEQ_CST);
    return true;
}

// Then the requests for vectors 64 * i and up are taken, i being 0 to 3: bit v % 64 for vector v.
static inline u64 pid_take(struct posted_interrupt_descriptor *pid, u32 i)
{
    if (__atomic_load_n(&pid->pir[i], __ATOMIC_RELAXED) == 0)
        return 0;
    return __atomic_exchange_n(&pid->pir[i], 0, __ATOMIC_SEQ_CST);
}
