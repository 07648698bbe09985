// SPDX-License-Identifier: MIT
// One VMM per core: VMX operation, the run queue, the main loop.
#pragma once

#include "lib/heap.h"
#include "smp/core.h"
#include "vcpu/vcpu.h"

// Work of an upper room (console, debugger) that the housekeeping core's loop does before it runs
// anything, when it is due.
struct core_work {
    struct core_work *next;
    void (*run)(void);
    void (*take)(void); // another core does it from now on: timers and interrupts are to be its
    bool always;        // at each turn of the loop, since nothing tells when it is due
    u32 due;            // public
};

#define SLICE_US 5000 // a vCPU that shares its core runs this long at a stretch

struct vmm {
    struct vcpu *current;  // whose VMCS is current
    struct vcpu *on_core;  // whose switched registers are on the core
    struct vcpu *running;  // the one that has the core now; read by others
    struct heap queue;     // runnable vCPUs, by vruntime
    struct vcpu *favoured; // of these, the one that is to be next; or NULL
    unsigned queued;       // read by others
    u32 expects;           // public: a vCPU is on its way to this core, which had nothing to do
    u64 min_vruntime;
    u64 armed;         // what the local APIC is set to, where there is no preemption timer
    bool housekeeping; // it is the housekeeping core
    bool polls;        // some of them are to be seen to at each turn of the loop
    u64 idle_ticks, switches;
    u64 star, lstar, cstar, fmask, tsc_aux, xcr0; // as they are on the core
    const char *refused; // a register that the CPU did not take at the present switch; or NULL
    u64 refused_value;
};

static inline struct vmm *this_vmm(void)
{
    return this_core()->vmm;
}

// Allocates the core's VMM and enters VMX operation (SDM 24.7): CR0 and CR4 as the fixed bits
// demand, IA32_FEATURE_CONTROL locked with VMX on where firmware left it open. The core itself.
enum error vmm_init(struct text *why);

// Makes v runnable (after reset, at VM start or wake-up).
void vmm_make_runnable(struct vcpu *v) REQUIRES_OWNER(v);

// Puts a vCPU that is runnable and not held into its core's queue.
void vmm_enqueue(struct vcpu *v) REQUIRES_OWNER(v);

// Takes v out of the queue or off the core and leaves it in `state`.
void vmm_take_off(struct vcpu *v, enum vcpu_state state) REQUIRES_OWNER(v);

// Adds work, which is due at once, and again at each turn of the main loop if w->always is set.
void vmm_add_work(struct core_work *w) REQUIRES_BOOT_CORE();

// Has the housekeeping core do w soon. Any core.
void vmm_work_due(struct core_work *w);

// Set by the room above: a core has been lost. The housekeeping core.
extern void (*vmm_lost_core)(void);
