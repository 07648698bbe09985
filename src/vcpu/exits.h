// SPDX-License-Identifier: MIT
// What exits are handled with: for the files of this room, and for interception.
#pragma once

#include "boot/paging.h"
#include "vcpu/vcpu.h"
#include "x86/bits.h"
#include "x86/breakpoint_match.h"
#include "x86/regs_check.h"

// vcpu.c: vcpu_skip_from() where RIP wraps, and what it does rarely.
void vcpu_skip_wrapped(struct vcpu *v, u64 rip);
void vcpu_skip_rare(struct vcpu *v, u64 blocking, u64 rflags);
void vcpu_set_skip_flags(struct vcpu *v);

// Ends an instruction of `length` bytes at `from`, GUEST_RIP, that was carried out for the guest:
// RIP moves on, blocking by STI and MOV SS and RFLAGS.RF end, and a single step, the guest's or the
// debugger's, is due. faulted: the exit was like a fault, which sets RF (SDM 28.3.3). False: there
// was more to do.
static inline bool vcpu_skip_from(struct vcpu *v, u64 from, u64 length, bool faulted)
{
    u64 rip = from + length;
    if (__builtin_expect((u32)rip < (u32)length, 0)) { // outside 64-bit code RIP has 32 bits
        vcpu_skip_wrapped(v, rip);
        return false;
    }
    state_set(STATE_RIP, rip);
    u64 blocking = state_get(STATE_BLOCKING), rflags = state_get(STATE_RFLAGS);
    if (faulted && (rflags & RFLAGS_RF)) {
        rflags &= ~RFLAGS_RF;
        state_set(STATE_RFLAGS, rflags);
    }
    if (__builtin_expect((blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) != 0 ||
                             (rflags & v->step.skip_flags) != 0,
                         0)) {
        vcpu_skip_rare(v, blocking, rflags);
        return false;
    }
    return true;
}

// The guest's single step is due behind an instruction, or an iteration, that we carried out and
// that was no branch. rflags: before it.
static inline void vcpu_step_due(struct vcpu *v, u64 rflags)
{
    if ((rflags & RFLAGS_TF) && !(v->msrs.debugctl & DEBUGCTL_BTF))
        state_set(STATE_PENDING_DEBUG, state_get(STATE_PENDING_DEBUG) | DR6_BS);
}

// Whether data and I/O breakpoints, the guest's or the debugger's, are enabled: then accesses that
// we carry out are to be looked at.
static inline bool vcpu_breaks(void)
{
    return __builtin_expect(breakpoints_enabled(state_get(STATE_DR7)), 0);
}

// A debug trap is due if `hits`, of breakpoint_match() for all accesses of an instruction or an
// iteration that we carried out, has an enabled breakpoint.
static inline void vcpu_hits_due(u64 hits)
{
    if (hits & DR6_ENABLED)
        state_set(STATE_PENDING_DEBUG, state_get(STATE_PENDING_DEBUG) | hits);
}

// breakpoints.c: DR0 to DR3 and DR7 as the CPU has them for v.
void vcpu_breakpoints(const struct vcpu *v, struct breakpoint_registers *r) REQUIRES_LOADED(v);

// breakpoints.c: a debug trap is due if one access of 1 to 10 bytes meets an enabled breakpoint.
// For accesses that are carried out without the emulator, which notes its own.
void vcpu_break_at(const struct vcpu *v, enum breakpoint_access access, u64 address, unsigned size)
    REQUIRES_LOADED(v);

static inline void vcpu_skip_bytes(struct vcpu *v, u64 length)
{
    (void)vcpu_skip_from(v, state_get(STATE_RIP), length, false);
}

// The same for the instruction that caused the exit.
static inline void vcpu_skip_instruction(struct vcpu *v)
{
    vcpu_skip_bytes(v, backend_exit_length());
}

// vcpu.c: tells the back end how it is stepped and debugged, and has it compose the controls anew.
void vcpu_compose(struct vcpu *v) REQUIRES_LOADED(v);

// vcpu.c: has it exit for what the hypervisor and its guest's items want.
void vcpu_apply_catches(struct vcpu *v) REQUIRES_LOADED(v);

// vcpu.c: something waits that ends HLT.
bool vcpu_would_wake(struct vcpu *v);

// vcpu.c: a wake-up that was put off is not due here any more; v is about to leave the core.
void vcpu_forget_wake(struct vcpu *v) REQUIRES_OWNER(v);

// regs.c
void vcpu_limits(const struct vcpu *v, struct regs_limits *l);

// exit_carried.c: what MOV to a control register, CLTS or LMSW writes.
u64 cr_written(struct vcpu *v, const struct exit_cr *exit);

// exit_carried.c: ends an RDRAND or RDSEED: its operand, of whatever size, and the flags. ok: there
// was a random number.
void random_result(struct vcpu *v, u64 value, bool ok);

// exit_cluster.c: exit clusters (x86/cluster.h).
// The access that follows the instruction at rip, which has touched gpa and was carried out another
// way than as part of a cluster.
void cluster_memory_first(struct vcpu *v, u64 rip, gpa_t gpa);
// The IN that follows an OUT to an index port, of `length` bytes at rip, that was carried out.
void cluster_port(struct vcpu *v, u16 port, u64 rip, u64 length);

// exit_cluster.c: accesses of 1 to 8 bytes to guest-physical memory that is not RAM.
u64 vcpu_mmio_read(struct vcpu *v, gpa_t gpa, unsigned size);
void vcpu_mmio_write(struct vcpu *v, gpa_t gpa, unsigned size, u64 value);

// exit_memory.c: an EPT violation that is no cluster.
void exit_memory_uncommon(struct vcpu *v, const struct exit_memory *exit);

// exit_io.c: what an IN of 1, 2 or 4 bytes gives.
void io_set_rax(struct vcpu *v, unsigned size, u32 value);

// Of IA32_DEBUGCTL guests have LBR and BTF (SDM 18.4.1). The CPU gets BTF of them: there are no
// MSRs of last branches, and where LBRs are architectural (SDM 19) the bit is reserved.

// A debug exception is taken: it ends both (SDM 18.4.2, 18.4.3), and does not when it exits or is
// injected (SDM 28.1, 27.6.1).
static inline void vcpu_end_debugctl(struct vcpu *v)
{
    if (v->msrs.debugctl == 0)
        return;
    v->msrs.debugctl = 0;
    state_set(STATE_DEBUGCTL, 0);
}

// exit_msr.c: MSRs that RDMSR and WRMSR exit for. False: #GP.
bool msr_read_caught(struct vcpu *v, u32 msr, u64 *value);
bool msr_write_caught(struct vcpu *v, u32 msr, u64 value);

// msr_access.c: one that the guest reads by itself, unless that is intercepted. False: it is none.
bool msr_read_direct(struct vcpu *v, u32 msr, u64 *value) REQUIRES_LOADED(v);

// switch.c: registers that stay on the core until another vCPU takes it.
struct vmm;
void switch_init(struct vmm *vmm);
void switch_save(struct vcpu *v);
void switch_load(struct vcpu *v);
// v has the core; value is allowed.
void switch_set_xcr0(struct vcpu *v, u64 value) REQUIRES_LOADED(v);

// v is about to use more vector state than FXSAVE holds, or PKRU.
void switch_extend(struct vcpu *v) REQUIRES_OWNER(v);

// events.c
void events_redeliver(struct vcpu *v, u32 info) REQUIRES_LOADED(v);
// An exception of EVENT_… type, merged with what v->events.info says was being delivered. length:
// of the instruction that is a software exception, in bytes.
void events_exception(struct vcpu *v, u32 type, u8 vector, bool has_error, u32 error, u32 length)
    REQUIRES_LOADED(v);
void events_prepare(struct vcpu *v); // before an entry

// After each exit that may have interrupted a delivery.
static inline void events_take_back(struct vcpu *v)
{
    u32 info = backend_exit_delivering();
    if (__builtin_expect((info & EVENT_VALID) != 0, 0))
        events_redeliver(v, info);
}

// The same after an access to memory that the EPT did not allow, which may be that of an IRET that
// had just ended blocking by NMI (SDM 28.2.3).
static inline void events_take_back_from(struct vcpu *v, const struct exit_memory *exit)
{
    events_take_back(v);
    if (__builtin_expect((exit->how & MEMORY_NMI_UNBLOCKED) != 0, 0) &&
        !(v->events.info & EVENT_VALID))
        state_set(STATE_BLOCKING, state_get(STATE_BLOCKING) | BLOCKING_BY_NMI);
}

// exits
exit_handler exit_triple_fault, exit_exception, exit_external_interrupt, exit_cpuid, exit_hlt,
    exit_io, exit_rdmsr, exit_wrmsr, exit_cr, exit_ept_violation, exit_preemption_timer,
    exit_xsetbv, exit_vmcall, exit_monitor_trap, exit_apic_access, exit_apic_write, exit_eoi,
    exit_mov_dr, exit_tpr, exit_rdtsc, exit_rdtscp, exit_random, exit_invlpg, exit_invpcid,
    exit_descriptor_table;

// The EPT pointer of the view that v is to run in.
u64 vcpu_ept_pointer(const struct vcpu *v);

// vmm.c: the vCPU sleeps, or steps back in the queue.
void vmm_sleep(struct vcpu *v);
void vmm_yield(struct vcpu *v) REQUIRES_OWNER(v);

// move.c: v leaves its core for `to`, from the main loop; a core that v may run on
// and that has nothing to do, or NULL. It will expect v.
void vcpu_depart(struct vcpu *v, struct core *to) REQUIRES_OWNER(v);
void vcpu_arrive(struct message *m);
struct core *find_idle_core(const struct vcpu *v);

// Runs the timers that are due; the main loop is next if a slice is over.
void vmm_deadline(struct core *c) REQUIRES_CORE(c);

// debug.c
// Tells the debugger, which may want the vCPU held: true, then it is. Before
// DEBUG_INTERCEPT: v->intercept.text.
bool debug_report(struct vcpu *v, enum debug_event event, u64 dr6) REQUIRES_OWNER(v);
bool debug_exception(struct vcpu *v, u32 info) REQUIRES_LOADED(v); // true: the debugger took it
void debug_before_entry(struct vcpu *v) REQUIRES_LOADED(v);
bool debug_emulated_step(struct vcpu *v) REQUIRES_LOADED(v); // true: the vCPU is held now
