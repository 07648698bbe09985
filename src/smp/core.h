// SPDX-License-Identifier: MIT
// One block per core, found through GS. "Public" fields may be touched by other cores, atomically;
// all else belongs to the core itself.
#pragma once

#include "boot/panic.h"
#include "lib/assert.h"
#include "lib/heap.h"
#include "lib/types.h"

#define CORES_MAX 256

struct vmm; // the core's hypervisor proper (vcpu/vmm.h)
struct message;

struct tss {
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3, iopb;
} PACKED;

enum core_online { CORE_STARTING, CORE_ONLINE, CORE_GIVEN_UP, CORE_LOST };

struct core {
    struct core *self;  // GS:0
    void *stack_top;    // GS:8; the start-up code takes it from here
    u64 guest_deadline; // GS:16; when the core must be back from a guest, TSC ticks; see timer.h
    u64 exit_tsc;       // GS:24; of the last exit, with its sleep added; where COUNT_VMX counts
    u32 number, apic_id;
    struct vmm *vmm;

    // Public.
    union {
        u32 attention ALIGNED(64); // GS:64; not 0: something waits for the core's main loop
        struct {
            u8 look;   // for all that others may have left, or timers
            u8 choose; // for another vCPU, perhaps; the core's own
        };
    };
    u32 online;   // enum core_online
    u32 work_due; // not 0: the main loop is to do more than to look for messages and timers
    struct message *mailbox; // newest first

    struct heap timers ALIGNED(64); // struct timer, by deadline
    u64 timer_deadline;             // of the first timer, TSC ticks; UINT64_MAX: none
    u64 slice_end;    // when another vCPU is to have its turn; UINT64_MAX: nobody waits
    bool counts_down; // a preemption timer brings the core back from a guest
    u64 irqs, nmis;   // taken
    u64 gdt[8];
    struct tss tss;

    // The watchdog's: when to look at the next core, TSC ticks; that core, what it showed last, and
    // since when it is to show more (0: it has). nmi_… are public: what the core that watches this
    // one wants by an NMI, and whether one came in root mode.
    u64 watch_due, watched_signs, asked;
    struct core *watched;
    u64 waits;    // turns of loops that wait for others with interrupts off
    u64 wait_due; // when such a loop is to look
    u64 nmi_signs;
    u32 nmi_kind, nmi_answered;

    // Its end (lost.h). Read by others when it is lost.
    u32 losing;                   // faults on the way to it
    u32 report_start, report_end; // in the record's text
    bool reported;                // it is in the log
    char lost_by[128];
};

_Static_assert(offsetof(struct core, stack_top) == 8, "trampoline.S reads it there");

extern struct core *cores[CORES_MAX];
extern unsigned core_count; // blocks, in the MADT's order; the boot core is cores[0]
extern u32 cores_online;

static inline struct core *this_core(void)
{
    struct core *c;
    __asm__("mov %%gs:0, %0" : "=r"(c));
    return c;
}

// What functions demand (lib/assert.h): they are called on core c; on the boot core.
#define REQUIRES_CORE(c)
#define ASSERT_CORE(c) ASSERT((c) == this_core())
#define REQUIRES_BOOT_CORE()
#define ASSERT_BOOT_CORE() ASSERT(this_core()->number == 0)

// Waits for an interrupt with nothing to do after it: a core that runs no guests.
static inline void core_stop(void)
{
    __asm__ volatile("cli; hlt" ::: "memory");
}

// Asks the core's main loop to look round before it next enters a guest. The core itself, or
// another one that also sends it an interrupt.
static inline void core_attention(struct core *c)
{
    __atomic_store_n(&c->look, 1, __ATOMIC_RELEASE);
}

// Asks it to look at its run queue alone. The core itself.
static inline void core_reschedule(struct core *c)
{
    __atomic_store_n(&c->choose, 1, __ATOMIC_RELAXED);
}
