// SPDX-License-Identifier: MIT
// A VM as a whole. All of its state hangs from struct vm.
//
// The lock guards the board and what its callbacks touch. It is taken on any core that runs one of
// the VM's vCPUs, and by the console for input; nobody waits for another core while holding it.
#pragma once

#include "lib/cpu.h"
#include "lib/format.h"
#include "lib/lock.h"
#include "smp/message.h"
#include "smp/timer.h"
#include "vcpu/lapic.h"
#include "vcpu/vcpu.h"
#include "vdev/board.h"
#include "vm/config.h"
#include "vm/console.h"

#define VMS_MAX          CONFIG_VMS
#define VM_WATCHED_PAGES 256 // as many as there can be breakpoints

enum vm_state { VM_LEFT_OUT, VM_STARTING, VM_RUNNING, VM_ENDED };

// A triple fault is a reset like others, but in what a debugger is told.
enum vm_end {
    END_NONE,
    END_POWEROFF,
    END_RESET,
    END_TRIPLE_FAULT,
    END_EXIT,
    END_KILLED,
    END_CRASH,
};

// Where a vCPU's xAPIC page is. One that has not run since it was reset does not care yet.
enum apic_place { APIC_ANYWHERE, APIC_HERE, APIC_ELSEWHERE };

// A vCPU's local APIC and what the hardware shares of it.
struct vapic {
    struct posted_interrupt_descriptor pid;
    struct lapic lapic;
    u8 place;           // enum apic_place; others look at it under the VM's lock
    bool mode_changed;  // the VMCS's controls do not fit the APIC's mode yet
    bool status_masked; // RVI was written as 0 for a step
    u32 stale;          // LAPIC_CHANGED_… not yet in the VMCS
    u64 extint;         // ExtINT messages waiting; under the VM's lock
    u32 lint0_rises;    // of the PIC's INT, counted under the VM's lock
    u32 lint0_seen;     // those that the APIC has been told of
};

// A page whose writes are announced.
struct watched_page {
    gpa_t page;
    struct ept_restriction *writes; // what withholds them from vCPUs
    bool open;                      // but not now: some step over theirs
};

struct vm {
    struct guest guest; // first: vcpu->guest is the VM
    const struct config_vm *config;
    u32 state; // enum vm_state; written by the manager, read by all
    struct vcpu *vcpu[CONFIG_VCPUS];
    struct lapic *lapic[CONFIG_VCPUS];
    unsigned vcpus;

    struct spinlock lock;
    struct board board;
    u64 board_deadline; // as the timer of vCPU 0 knows it
    u32 arbitration;
    hpa_t apic_page; // behind the xAPIC's address where the CPU virtualizes accesses to it
    struct ept_restriction *apic_page_withheld; // from all, or nothing; NULL: there is no such page

    struct console_vm console;

    // How it ended; the first to end it sets `ending`.
    u32 ending; // enum vm_end
    bool kill_wanted;
    u32 exit_value;
    char reason[160];
    struct message start_message;
    bool i386_kernel; // its image is one
    bool was_long;    // a life before this one ended in long mode
    u64 starts;
    u64 created_at;             // seconds since 1970
    u64 started;                // host TSC at the last start
    u64 absent;                 // accesses since then that nothing answered; any core
    struct timer restart_timer; // the duty core's
    u64 frozen_at;              // host TSC; 0: time goes on

    // Pages whose writes are announced. The lock guards them, and those that vCPUs step over.
    struct spinlock watch_lock;
    struct watched_page watched[VM_WATCHED_PAGES];
    unsigned watched_count;
};

extern struct vm *vms[VMS_MAX];
extern unsigned vm_count;

static inline struct vm *vm_of(const struct vcpu *v)
{
    return (struct vm *)(void *)v->guest;
}

static inline struct vapic *vapic_of(const struct vcpu *v)
{
    return v->apic;
}

// The VM's time in ticks: its TSC, without a vCPU's own adjustment.
static inline u64 vm_time(const struct vm *vm)
{
    return rdtsc() + vm->guest.tsc_offset;
}

// ---- life (life.c) -------------------------------------------------------------------------

// Makes the VM's memory, EPT, vCPUs and devices. Boot core, all cores in VMX operation. Returns
// NULL, or why it cannot be.
const char *vm_create(struct vm *vm, unsigned id, const struct config_vm *config);

// Has the core of its first vCPU load the image and start it. Any core.
void vm_start(struct vm *vm);

// Ends the VM, or restarts it after a reset if its configuration says so. The first call counts.
// Any core, also with the lock held; does not wait.
void vm_request_end(struct vm *vm, enum vm_end how, u32 value, const char *reason);

// How a VM ended, as the log says it: "poweroff", "exit 3", …
void vm_end_text(const struct vm *vm, struct text *t);

// Time stands still for the VM, or goes on. All vCPUs are held. The debugger's core.
void vm_freeze_time(struct vm *vm, bool on);

// From now on VMs may end. Boot core.
void vm_ends_init(void);

// ---- pages whose writes are announced (watched.c) --------------------------------------------

// Has the writes to a page of RAM announced, or not any more. All vCPUs are held; the debugger's
// core. ERR_NOT_FOUND: it is not RAM; ERR_NO_MEMORY: no room for tables, or one page too many.
enum error vm_protect_page(struct vm *vm, gpa_t page, bool on);

// Called when such a page is about to be written, and when all vCPUs that did are done. The watch
// lock is held; it must not wait. Set before the first such page.
extern void (*vm_page_written)(struct vm *vm, gpa_t page, bool before);

// guest_ops.write_protected, .write_ram and .page_stepped (vcpu/vcpu.h).
bool watched_write(struct vcpu *v, gpa_t gpa);
bool watched_write_ram(struct vcpu *v, gpa_t gpa, const void *value, unsigned size);
void watched_stepped(struct vcpu *v);

// v is reset: its step does not end. Its core.
void watched_forget(struct vcpu *v);

// ---- local APICs (vapic.c) ------------------------------------------------------------------

const char *vapic_create(struct vm *vm, struct vcpu *v);
void vapic_reset(struct vcpu *v);
void vapic_moved(struct vcpu *v);
void vapic_send_message(struct vm *vm, const struct lapic_message *m);
void vapic_pic_line(struct vm *vm, bool level); // the PIC's INT; the lock held
bool vapic_sync(struct vcpu *v);
u8 vapic_accept(struct vcpu *v);
bool vapic_wakes(struct vcpu *v);
u64 vapic_base_address(struct vcpu *v);
void vapic_write_done(struct vcpu *v, u32 offset);
void vapic_eoi_done(struct vcpu *v, u8 vector);
u64 vapic_cr8_read(struct vcpu *v);
void vapic_cr8_write(struct vcpu *v, u64 value);
u64 vapic_mmio_read(struct vcpu *v, gpa_t gpa, unsigned size);
void vapic_mmio_write(struct vcpu *v, gpa_t gpa, unsigned size, u64 value);

// Whether gpa lies in v's xAPIC page.
static inline bool vapic_claims(const struct vcpu *v, gpa_t gpa)
{
    const struct lapic *l = &vapic_of(v)->lapic;
    return (gpa.v & PAGE_MASK) == lapic_base(l).v && lapic_mode(l) == LAPIC_XAPIC;
}

bool vapic_msr_read(struct vcpu *v, u32 msr, u64 *value);
bool vapic_msr_write(struct vcpu *v, u32 msr, u64 value);
void vapic_set_deadline(struct vcpu *v, u64 value);
bool vapic_send_ipi(struct vcpu *v, u32 low, u32 destination);
bool vapic_deadline_due(struct vcpu *v);
void vapic_expire(struct vcpu *v, u64 now); // now: the guest's TSC; its timer is due
void vapic_startup(struct vcpu *v, bool init, bool sipi);
void vapic_tsc_written(struct vcpu *v, u64 before, u64 after);

// ---- the xAPIC's page (apic_page.c) ---------------------------------------------------------

// Makes the page, if the CPU virtualizes it, and maps it. False: no memory.
bool apic_page_create(struct vm *vm);

// The local APIC of v, which is about to run, is at the default address in xAPIC mode, or not. v's
// core.
void apic_page_follow(struct vcpu *v, bool here);

// ---- devices (devices.c) -------------------------------------------------------------------

extern const struct guest_ops vm_guest_ops;

// Makes a VM's board. An error leaves its sentence in *why.
enum error devices_init(struct vm *vm, struct text *why) MUST_CHECK;

// After a call into the board: drops the VM's lock and sees to its next event, which may have
// moved. v is the vCPU that the call was for, on its core; NULL: none.
void devices_unlock_board(struct vm *vm, struct vcpu *v);

// Sets the vCPU's timer to what its local APIC, and the board for vCPU 0, want next. Its core.
void devices_set_timer(struct vcpu *v);
