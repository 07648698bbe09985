// SPDX-License-Identifier: MIT
// A machine of one or two cores for tests of the virtual CPU, all in one thread: a test says which
// core it is, what time it is and what a guest does, and enters and exits as entry.S would.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vcpu/exits.h"
#include "vcpu/vapic.h"
#include "vcpu/vmm.h"
#include "x86/bits.h"
#include "x86/vectors.h"

#define SCRIPTED_CORES 2
#define SCRIPTED_VCPUS 4
#define SCRIPTED_HZ    1000000000ull // the TSC's; also the local APICs' timers
#define SLICE          (SCRIPTED_HZ / 1000000 * SLICE_US)

// A VM, and what the rooms above were told of it.
struct scripted_vm {
    struct guest guest;
    struct vcpu *vcpu[SCRIPTED_VCPUS];
    struct lapic *lapic[SCRIPTED_VCPUS];
    u8 io_bitmap[2 * PAGE_SIZE];
    unsigned triple_faults, crashes, halts, steps;
    u64 hits; // of the debugger's debug registers, as DR6 has them
};

// Everything anew: so many cores without vCPUs, at time 1 s. The calling core is core 0.
void scripted_machine(unsigned number);

// A VM with so many vCPUs, all on core 0, reset and off, in protected mode with interrupts on.
// There may be several.
struct scripted_vm *scripted_vm(unsigned vcpus);

// Gives back what scripted_machine() and scripted_vm() have allocated: a test's teardown.
int scripted_end(void **state);

// The test is that core from now on.
void scripted_be(unsigned number);

// What entry.S does on the calling core, up to the next entry: the vCPU that is in the guest now,
// NULL if the core has nothing to run. An event that could not be delivered there fails the test;
// one that was is in v->run.had.
struct vcpu *scripted_enter(void);

// v, which is in the guest on this core, exits for `reason`, and the exit is handled. What the
// CPU tells of it is in v->run.exit; its events there are gone afterwards.
void scripted_exit(struct vcpu *v, enum exit_reason reason);

// v runs on for so many ticks. Has the core an interrupt then, of its timer or from another core,
// v exits for it; returns who is in the guest afterwards, NULL: nobody.
struct vcpu *scripted_later(struct vcpu *v, u64 ticks);

// How many interrupts were sent to a core.
unsigned scripted_interrupts(unsigned number);

// A fixed, edge-triggered interrupt for v's local APIC, from the calling core.
void scripted_post(struct vcpu *v, u8 vector);

// Turns its local APIC on, as the guest would by the spurious-vector register.
void scripted_apic_on(struct vcpu *v);
