// SPDX-License-Identifier: MIT
// A VM as a whole. All of its state hangs from struct vm.
//
// The lock guards the board and what its callbacks touch. It is taken on any core that runs one of
// the VM's vCPUs, and by the console for input; nobody waits for another core while holding it.
#pragma once

#include "intercept/intercept.h"
#include "lib/cpu.h"
#include "lib/format.h"
#include "lib/lock.h"
#include "smp/message.h"
#include "smp/timer.h"
#include "vcpu/vapic.h"
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

// A page whose writes are announced.
struct watched_page {
    gpa_t page;
    struct ept_restriction *writes; // what withholds them from vCPUs; NULL: nothing does
    bool open;                      // but not now: some step over theirs
};

struct vm {
    struct guest guest; // first: vcpu->guest is the VM
    struct intercepts intercepts;
    const struct config_vm *config;
    u32 state; // enum vm_state; written by the manager, read by all
    struct vcpu *vcpu[CONFIG_VCPUS];
    struct lapic *lapic[CONFIG_VCPUS];
    unsigned vcpus;

    struct spinlock lock;
    struct board board;

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
    struct timer restart_timer; // the housekeeping core's
    u64 frozen_at;              // host TSC; 0: time goes on

    // Pages whose writes are announced. The lock guards them, and those that vCPUs step over.
    struct spinlock watch_lock;
    struct guest_watcher watcher; // while there are any
    struct watched_page watched[VM_WATCHED_PAGES];
    unsigned watched_count;
};

extern struct vm *vms[VMS_MAX];
extern unsigned vm_count;

static inline struct vm *vm_of(const struct vcpu *v)
{
    return (struct vm *)(void *)v->guest;
}

// The VM's time in ticks: its TSC, without a vCPU's own adjustment.
static inline u64 vm_time(const struct vm *vm)
{
    return guest_time(&vm->guest);
}

// ---- life (life.c) -------------------------------------------------------------------------

// Makes the VM's memory, EPT, vCPUs and devices. Boot core, all cores in VMX operation. An error
// leaves in *why why it cannot be.
enum error vm_create(struct vm *vm, unsigned id, const struct config_vm *config, struct text *why);

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
void vm_ends_init(void) REQUIRES_BOOT_CORE();

// ---- pages whose writes are announced (watched.c) --------------------------------------------

// Has the writes to a page of RAM announced, or not any more: vCPUs' own, and all by guest_write()
// (x86/guest_memory.h). All vCPUs are held; the debugger's core. ERR_NOT_FOUND: it is not RAM;
// ERR_NO_MEMORY: one page too many, or no room for tables, and then vCPUs' own writes are not
// announced.
enum error vm_protect_page(struct vm *vm, gpa_t page, bool on);

// Called when such a page is about to be written, and when all vCPUs that did are done. The watch
// lock is held; it must not wait. Set before the first such page.
extern void (*vm_page_written)(struct vm *vm, gpa_t page, bool before);

// Members of vm_memory_ops (vcpu/vcpu.h).
extern const struct memory_ops vm_memory_ops;
bool watched_write(struct vcpu *v, gpa_t gpa);
void watched_stepped(struct vcpu *v);

// v is reset: its step does not end.
void watched_forget(struct vcpu *v) REQUIRES_OWNER(v);

// ---- devices (devices.c) -------------------------------------------------------------------

extern const struct device_ops vm_device_ops;
extern const struct life_ops vm_life_ops;

// Makes a VM's board. An error leaves its sentence in *why.
enum error devices_init(struct vm *vm, struct text *why);

// After a call into the board: drops the VM's lock and sees to its next event, which may have
// moved. v is the vCPU that the call was for, on its core; NULL: none.
void devices_unlock_board(struct vm *vm, struct vcpu *v) REQUIRES_HELD(&vm->lock);
