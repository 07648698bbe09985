// SPDX-License-Identifier: MIT
// A virtual CPU and the part of its VM that running it needs.
//
// A vCPU belongs to one core at a time. Only that core touches it, except for the fields marked
// public, which others change by atomic operations; whoever wants more asks the core by message.
#pragma once

#include "ept/ept.h"
#include "lib/cpu.h"
#include "lib/heap.h"
#include "lib/lock.h"
#include "lib/types.h"
#include "smp/core.h"
#include "smp/lost.h"
#include "smp/message.h"
#include "smp/timer.h"
#include "vcpu/cpuid.h"
#include "vcpu/debug.h"
#include "vcpu/requires.h"
#include "vmx/backend.h"
#include "x86/fetch.h"
#include "x86/guest_memory.h"
#include "x86/walk.h"

struct guest;
struct intercepts;
struct lapic;
struct vapic;
struct vcpu;

// What vcpu asks of the rooms above it, a table for each matter. All are called on the vCPU's core,
// in root mode, and may not wait for another core.

struct device_ops {
    // One access of size 1, 2 or 4 bytes to an emulated port. Of a value only these bytes count.
    u32 (*port_in)(struct vcpu *v, u16 port, unsigned size);
    void (*port_out)(struct vcpu *v, u16 port, unsigned size, u32 value);
    // One access of 1 to 8 bytes to guest-physical memory that is neither RAM nor v's local APIC.
    u64 (*mmio_read)(struct vcpu *v, gpa_t gpa, unsigned size);
    void (*mmio_write)(struct vcpu *v, gpa_t gpa, unsigned size, u64 value);
    // The CPU wanted code or a paging structure where no RAM is, and was answered by an exception.
    void (*no_memory)(struct vcpu *v, gpa_t gpa);
    // The time of guest->device_deadline has come. v is vCPU 0.
    void (*expire)(struct vcpu *v);
    // The 8259's INT, and its answer to an acknowledge cycle: a vector.
    bool (*pic_level)(const struct vcpu *v);
    u8 (*pic_ack)(struct vcpu *v);
    // The EOI of a level-triggered interrupt, for the IOAPIC.
    void (*eoi)(struct vcpu *v, u8 vector);
};

struct memory_ops {
    // A write to a page that was write-protected on request. True: handled, run on (perhaps after
    // step_over(STEP_OVER_PAGE): then page_stepped follows when the write is done).
    bool (*write_protected)(struct vcpu *v, gpa_t gpa);
    void (*page_stepped)(struct vcpu *v);
};

struct life_ops {
    // Whether v may run on that core.
    bool (*may_run)(const struct vcpu *v, unsigned core);
    // The vCPU halted with interrupts off: only an NMI, INIT or reset ends that.
    void (*halted)(struct vcpu *v);
    // A hypercall beyond number 0. The result goes to RAX.
    u64 (*hypercall)(struct vcpu *v, u64 number);
    // The VM is at its end: as the guest asked, by a triple fault, or for something that the
    // hypervisor will not run.
    void (*reset)(struct vcpu *v, const char *reason);
    void (*triple_fault)(struct vcpu *v);
    void (*crash)(struct vcpu *v, const char *reason);
};

// What a VM is caught at (src/intercept). All on the vCPU's core, its state loaded.
struct intercept_ops {
    // Adds what the items want a vCPU to exit for. False: there are no items.
    bool (*wants)(const struct vcpu *v, struct backend_catches *c);
    void (*catch_msrs)(struct vcpu *v); // in its MSR bitmap
    // An exit of a guest that has items; an exception that v has caused and that will be delivered
    // to it (v->events.info).
    void (*exit)(struct vcpu *v);
    void (*exception)(struct vcpu *v);
    // Carries out what v was stopped at by an item. False: v does not run now.
    bool (*resume)(struct vcpu *v);
    // Whether an emulated access of v to this byte is to vanish. access: EPT_READ, EPT_WRITE.
    bool (*is_ignored)(const struct vcpu *v, gpa_t gpa, u32 access);
};

// The page behind the xAPIC's address where the CPU virtualizes accesses to it (vapic_page.c).
struct apic_page {
    struct spinlock lock;
    hpa_t page;
    struct ept_restriction *withheld; // from all, or nothing; NULL: there is no such page
};

// What all vCPUs of a VM share. Set before the first runs; only tsc_offset changes later, while all
// are held.
struct guest {
    const char *name;
    unsigned id; // VM number, from 1
    const struct device_ops *devices;
    const struct memory_ops *memory_ops;
    const struct life_ops *life;
    struct ept_space ept;
    unsigned caught_view; // the view without what items want to see of its memory; 0: there is none
    struct guest_memory memory;
    u8 *io_bitmap;   // IO_BITMAP_SIZE bytes
    u16 own_port[2]; // 8 ports each that lead to a device of the host; 0: none
    struct intercepts *intercepts;
    const struct intercept_ops *intercept_ops;
    bool hlt_through; // the guest's HLT stops the core
    u64 tsc_offset;   // guest TSC = host TSC + this
    u64 xcr0_allowed;
    u64 cr4_allowed;
    unsigned maxphyaddr;
    bool has_rdtscp;
    struct vcpu *const *vcpu; // all of them, by index
    unsigned vcpu_count;
    u8 apic_log; // log2 of the number of APIC IDs, for CPUID's topology

    // Its local APICs, by vCPU (vapic.h); whose turn lowest-priority arbitration is.
    struct lapic **lapic;
    u32 arbitration;
    struct apic_page apic_page;
    // The devices' next event in the VM's time; UINT64_MAX: none. The room above sets it, and calls
    // vcpu_set_timer() for vCPU 0. frozen: no timer of the VM comes to its end.
    u64 device_deadline;
    bool frozen;
};

enum vcpu_state {
    VCPU_OFF,       // not started, or its VM has ended
    VCPU_WAIT_SIPI, // after INIT
    VCPU_RUNNABLE,  // in its core's queue
    VCPU_RUNNING,   // on its core
    VCPU_SLEEPING,  // HLT: waits for an event
    VCPU_MOVING,    // between two cores
};

// Requests: bits that make the vCPU's core look before the next entry. Public.
enum {
    REQUEST_EVENT = 1 << 0, // interrupts may have been posted; sync
    REQUEST_HOLD = 1 << 1,  // the debugger or the VM's end wants it out of the guest
    REQUEST_FLUSH = 1 << 2, // EPT changed
    REQUEST_NMI = 1 << 3,
    REQUEST_INIT = 1 << 4,
    REQUEST_SIPI = 1 << 5,
    REQUEST_TIMER = 1 << 6, // its device timers may have moved
    REQUEST_TSC = 1 << 7,   // guest->tsc_offset changed
    REQUEST_CHECK = 1 << 8, // run the SDM's checks before the next entry
    REQUEST_DEBUG = 1 << 9, // what the debugger asked for changed
};

enum hold_reason { HOLD_DEBUGGER = 1, HOLD_VM = 2, HOLD_CHANGE = 4 };

// Pages with write protection that one instruction may write to: operand and stack, or an event's
// delivery, each across a page's end.
#define STEP_PAGES 4

// What one instruction of a vCPU runs without. Bits: an LGDT may be on a watched page's way.
enum step_over {
    STEP_OVER_PAGE = 1 << 0,        // the write protection of page_stepped
    STEP_OVER_DESCRIPTORS = 1 << 1, // descriptor-table exiting
    STEP_OVER_MOV_DR = 1 << 2,      // MOV-DR exiting
    STEP_OVER_VIEW = 1 << 3,        // what an EPT view withholds
    STEP_OVER_INVPCID = 1 << 4,     // INVLPG exiting
};

// How it is stepped: by the monitor trap flag, for the debugger or over one instruction.
struct vcpu_step {
    bool single, masks_interrupts; // the debugger's
    bool emulated;                 // the stepped instruction was carried out by us
    u8 over;                       // bits of enum step_over
    u32 skip_flags;                // bits of RFLAGS that make vcpu_skip_instruction look closer
    u8 pages;                      // so many of these are writable meanwhile; under the watch lock
    gpa_t page[STEP_PAGES];
};

// A CPU takes an NMI at once and latches another until that one's IRET; both may have come before
// the next entry.
#define NMIS_MAX 2

// What waits to be delivered, and what its sleep waits for.
struct vcpu_events {
    u32 info; // of what is to be delivered at the next entry; 0: nothing. VMCS format (SDM 25.8.3)
    u32 error, length;
    u32 deferred_interrupt;    // like info: one that was acknowledged and must wait; 0: none
    bool loaded;               // what info says was put into the VMCS for the next entry
    u8 nmis;                   // that wait: at most NMIS_MAX
    u32 nmis_sent;             // public: since they were last counted, beside REQUEST_NMI
    bool sleeps_interruptible; // RFLAGS.IF when it went to sleep
    bool halted_for_good;      // HLT with interrupts off was reported
    u8 sipi_vector;
    const u64 *posted; // bit 0: something waits in its posted-interrupt descriptor
    u64 injected, interrupts_posted, wakeups;
};

// Registers that stay on the core until another vCPU takes it (switch.c).
struct vcpu_switched {
    u64 cr2, kernel_gs_base, star, lstar, cstar, fmask, tsc_aux, xcr0;
    u64 dr[4], dr6;
    u8 *xsave;     // FPU_STATE_SIZE bytes, the XSAVE area's standard format
    bool extended; // more of it than FXSAVE holds may be in use
};

// MSRs that are only remembered, and those of the x2APIC that the processor virtualizes.
struct vcpu_msrs {
    u64 misc_enable, mtrr_def_type, mtrr_fixed[11], mtrr_variable[16], bios_sign_id;
    u64 debugctl; // the CPU has of it what works for guests
    u64 tsc_adjust;
    u64 x2apic_reads, x2apic_writes; // bit n: register 800H + n
};

// The present hit of an item (src/intercept).
struct vcpu_intercept {
    u64 rip;             // of the instruction that waits
    u32 io_elements;     // of the present INS or OUTS so far
    bool waits;          // the debugger has it before its instruction is carried out
    bool memory_ignored; // emulated accesses to memory that is to be ignored vanish
    bool io_ignored;     // INS gives zeros, OUTS vanishes
    char text[120];      // of the last DEBUG_INTERCEPT: `io:0x3f8:w: OUT 0x3f8, 1 byte, value 0x41`
};

// Its place among others on its core (vmm.c).
struct vcpu_schedule {
    struct heap_node link;
    u64 vruntime, weight, started; // ticks weighted; share; when it got the core
    u64 waits_since;               // when it came into the queue
    u64 runtime;                   // ticks on a core in all
};

struct vcpu_wake {
    struct message message; // from whoever posted an event while it slept
    struct timer timer;     // has `message` run at `again`, and kept pending until then
    u64 again;
};

struct vcpu_move {
    struct message arrival; // to the core that it moves to
    bool arriving;          // that is on its way
    u32 as;                 // enum vcpu_state on the old core
    u64 count;
};

// What the debugger has of it; changed by the owner core, on request.
struct vcpu_debug {
    u64 dr[4], dr7; // its own
    u64 guest_dr7;
    bool registers;   // dr and dr7 are in use, and the guest works on its own values
    bool breakpoints; // #BP is the debugger's
};

struct vcpu {
    struct backend_vcpu run; // first

    u32 state;         // enum vcpu_state; read by others
    u32 index;         // number in its VM, from 0
    struct core *core; // owner; changes only while the vCPU is moving; read by others
    struct guest *guest;
    u64 tsc_offset; // as the CPU has it
    u32 hold;       // enum hold_reason bits
    struct timer timer;

    struct vcpu_step step;
    struct vcpu_events events;
    struct vcpu_switched switched;
    struct vcpu_msrs msrs;
    struct vcpu_intercept intercept;
    struct vcpu_schedule schedule;
    struct vcpu_wake wake;
    struct vcpu_move move;
    struct vcpu_debug debug;
    struct vcpu_cpuid cpuid;
    struct fetch_cache fetch;
    struct vapic *apic;
};

// ---- life --------------------------------------------------------------------------------

// Allocates what a vCPU of guest needs, owned by core. NULL when memory runs out.
struct vcpu *vcpu_new(struct guest *guest, unsigned index, struct core *core);

// Puts it into the state after RESET, off, or into that after INIT, which leaves alone what is not
// on the way of a new start: vector state, XCR0, MTRRs and nearly all other MSRs, the TSC, CR0's CD
// and NW (SDM 10.1, Table 10-1). The local APIC is not its affair.
void vcpu_reset(struct vcpu *v) REQUIRES_OWNER(v);
void vcpu_init(struct vcpu *v) REQUIRES_OWNER(v);

// After vcpu_init(): it becomes runnable at the page that the start-up IPI's vector names,
// v->events.sipi_vector (SDM 9.4.4.1).
void vcpu_start(struct vcpu *v) REQUIRES_LOADED(v);

// Makes v's VMCS current on the calling core.
void vcpu_load(struct vcpu *v) REQUIRES_OWNER(v);

// Takes v's state off the core, so that another may run it (VMCLEAR).
void vcpu_unload(struct vcpu *v) REQUIRES_OWNER(v);

// The core that owns v. Any core; on another than that one it may be out of date at once.
static inline struct core *vcpu_core(const struct vcpu *v)
{
    return __atomic_load_n(&v->core, __ATOMIC_ACQUIRE);
}

// v was on a core that is lost: nothing is known of it any more.
static inline bool vcpu_is_lost(const struct vcpu *v)
{
    return core_is_lost(vcpu_core(v));
}

// Runs fn(arg) on the core that owns v, wherever that is, and waits for its end as core_call does.
// False: it was not run, as that core is lost.
bool vcpu_call(struct vcpu *v, void (*fn)(void *arg), void *arg);

// Moves v to core `to`, whether it runs, waits, sleeps or is held by the debugger. Any core's main
// loop; waits until v has left its old core. ERR_INVALID: `to` runs no guests or v may not run
// there; ERR_BUSY: v is off, or its VM starts or ends, it is moving already,
// or its core is lost.
enum error vcpu_move(struct vcpu *v, struct core *to);

// ---- events ------------------------------------------------------------------------------

// Sets request bits and sees to it that v's core looks at them soon, waking v if it sleeps. Any
// core.
void vcpu_request(struct vcpu *v, u32 request);

// Sends v an NMI. Any core.
void vcpu_send_nmi(struct vcpu *v);

// No NMI waits any more. Its core.
void vcpu_forget_nmis(struct vcpu *v);

// Wakes v if something waits that ends its sleep. Its core.
void vcpu_check_wake(struct vcpu *v);

// Single step by the monitor trap flag.
void vcpu_set_single_step(struct vcpu *v, bool step, bool mask_interrupts) REQUIRES_OWNER(v);

// Sets request bits on v's own core, outside the guest.
static inline void vcpu_note(struct vcpu *v, u32 request)
{
    __atomic_fetch_or(&v->run.requests, request, __ATOMIC_RELAXED);
}

// Raises an exception at the present instruction, merging with one that was being delivered
// (double and triple fault, SDM Table 6-5). For exits and emulation.
void vcpu_raise(struct vcpu *v, u8 vector, bool has_error, u32 error) REQUIRES_LOADED(v);
void vcpu_raise_ud(struct vcpu *v);
void vcpu_raise_gp(struct vcpu *v, u32 error);
void vcpu_raise_pf(struct vcpu *v, u64 address, u32 error) REQUIRES_LOADED(v);

// ---- helpers for exits -------------------------------------------------------------------

// Runs the next instruction of v, which is out of the guest, without what is named: by the monitor
// trap flag, and with nothing injected that waits. It ends when that instruction has been carried
// out, by the CPU or by us, or an exception of its own has been delivered; a debugger's single step
// ends with it. For STEP_OVER_PAGE memory_ops.page_stepped is called then.
void step_over(struct vcpu *v, enum step_over what) REQUIRES_OWNER(v);

// Ends it early: the instruction will not be carried out, since RIP is another or v is reset.
void step_over_end(struct vcpu *v) REQUIRES_OWNER(v);

// The next instruction is to run alone: what waits for delivery waits on.
static inline bool vcpu_runs_alone(const struct vcpu *v)
{
    return v->step.masks_interrupts || v->step.over != 0;
}

// Keeps v out of the guest, or lets it go, for one of several reasons. Any core; waits.
// vcpu_hold_here: does not wait; from an exit handler too.
void vcpu_hold_here(struct vcpu *v, enum hold_reason why) REQUIRES_OWNER(v);
void vcpu_hold_for(struct vcpu *v, enum hold_reason why);
void vcpu_release_for(struct vcpu *v, enum hold_reason why);

// Ends the VM because of this vCPU, with a register dump in the log.
void vcpu_crash(struct vcpu *v, const char *fmt, ...) REQUIRES_LOADED(v) PRINTF(2, 3);
void vcpu_dump(struct vcpu *v) REQUIRES_LOADED(v);

// The VM's time in ticks: its TSC, without a vCPU's own adjustment.
static inline u64 guest_time(const struct guest *g)
{
    return rdtsc() + g->tsc_offset;
}

// timer.c: sets v's timer to what its local APIC, and the devices for vCPU 0, want next; sees to
// what is due of that.
void vcpu_set_timer(struct vcpu *v) REQUIRES_OWNER(v);
void vcpu_timer_due(struct vcpu *v) REQUIRES_OWNER(v);

static inline u64 vcpu_guest_tsc(const struct vcpu *v, u64 host_tsc)
{
    return host_tsc + v->tsc_offset;
}

u64 vcpu_get_gpr(struct vcpu *v, unsigned n);
void vcpu_set_gpr(struct vcpu *v, unsigned n, u64 value);

// The paging state for walks of v's page tables; its core.
void vcpu_paging_state(struct vcpu *v, struct paging_state *ps);

// Has all vCPUs of the guest but one (NULL: all) flush what their cores have cached of its EPT
// before they run on. Any core; does not wait.
void guest_request_flush(const struct guest *g, const struct vcpu *but);

// Registers as in vcpu/debug.h. ERR_INVALID, and nothing is changed: no CPU can have them, for the
// reason that `why` gets.
void vcpu_get_regs(struct vcpu *v, struct vcpu_regs *r) REQUIRES_LOADED(v);
enum error vcpu_set_regs(struct vcpu *v, const struct vcpu_regs *r, struct text *why)
    REQUIRES_LOADED(v);

// CR0, CR3 and CR4 as the guest writes them. False: the value raises #GP.
bool vcpu_set_cr0(struct vcpu *v, u64 value) REQUIRES_LOADED(v);
bool vcpu_set_cr3(struct vcpu *v, u64 value) REQUIRES_LOADED(v);
bool vcpu_set_cr4(struct vcpu *v, u64 value) REQUIRES_LOADED(v);
