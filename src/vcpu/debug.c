// SPDX-License-Identifier: MIT
// A debugger's hold on a vCPU: stopping, registers, single steps, breakpoints.
#include "vcpu/debug.h"

#include "lib/cpu.h"
#include "lib/string.h"
#include "vcpu/exits.h"
#include "vcpu/guest_access.h"
#include "vcpu/vmm.h"
#include "x86/bits.h"
#include "x86/vectors.h"

const struct debug_hooks *debug_hooks;

// ---- holding -----------------------------------------------------------------------------------

void vcpu_hold_here(struct vcpu *v, enum hold_reason why)
{
    ASSERT_OWNER(v);
    if (v->hold == 0) {
        bool was_running = v->state == VCPU_RUNNING || v->state == VCPU_RUNNABLE;
        vmm_take_off(v, was_running ? VCPU_RUNNABLE : (enum vcpu_state)v->state);
    }
    v->hold |= why;
}

static void release_here(struct vcpu *v, u32 why)
{
    bool was_held = v->hold != 0;
    v->hold &= ~why;
    if (was_held && v->hold == 0 && v->state == VCPU_RUNNABLE)
        vmm_enqueue(v);
}

struct hold_call {
    struct vcpu *v;
    enum hold_reason why;
    bool step, mask;
};

static void run_hold(void *arg)
{
    struct hold_call *c = arg;
    vcpu_hold_here(c->v, c->why);
}

// HLT is over for a vCPU that is to step, or that goes on elsewhere.
static void end_sleep(struct vcpu *v)
{
    if (v->state == VCPU_SLEEPING)
        vmm_make_runnable(v);
    if (v->guest->hlt_through) {
        vcpu_load(v);
        state_set(STATE_ACTIVITY, 0);
    }
}

static void run_release(void *arg)
{
    struct hold_call *c = arg;
    struct vcpu *v = c->v;
    if (c->why == HOLD_DEBUGGER) {
        if (c->step)
            end_sleep(v);
        vcpu_set_single_step(v, c->step, c->mask);
        v->step.emulated = false;
        vcpu_note(v, REQUEST_DEBUG | REQUEST_EVENT);
    }
    release_here(v, c->why);
}

void vcpu_hold_for(struct vcpu *v, enum hold_reason why)
{
    struct hold_call c = {.v = v, .why = why};
    vcpu_call(v, run_hold, &c);
}

void vcpu_release_for(struct vcpu *v, enum hold_reason why)
{
    struct hold_call c = {.v = v, .why = why};
    vcpu_call(v, run_release, &c);
}

void vcpu_hold(struct vcpu *v)
{
    vcpu_hold_for(v, HOLD_DEBUGGER);
}

void vcpu_let_go(struct vcpu *v, bool step, bool mask_interrupts)
{
    struct hold_call c = {.v = v, .why = HOLD_DEBUGGER, .step = step, .mask = mask_interrupts};
    vcpu_call(v, run_release, &c);
}

bool vcpu_is_held(const struct vcpu *v)
{
    return __atomic_load_n(&v->hold, __ATOMIC_ACQUIRE) & HOLD_DEBUGGER;
}

// ---- registers ---------------------------------------------------------------------------------

struct regs_call {
    struct vcpu *v;
    void *out;
    const void *in;
    struct text *why;
    enum error error;
};

static void run_read_regs(void *arg)
{
    struct regs_call *c = arg;
    vcpu_load(c->v);
    vcpu_get_regs(c->v, c->out);
}

static void run_write_regs(void *arg)
{
    struct regs_call *c = arg;
    struct vcpu *v = c->v;
    vcpu_load(v);
    u64 rip = state_get(STATE_RIP);
    c->error = vcpu_set_regs(v, c->in, c->why);
    if (c->error != OK || state_get(STATE_RIP) == rip)
        return;
    end_sleep(v);
    step_over_end(v);
    // An exception that was on its way was the old instruction's.
    if (v->events.info != 0 && EVENT_TYPE(v->events.info) != EVENT_EXTERNAL &&
        EVENT_TYPE(v->events.info) != EVENT_NMI)
        v->events.info = 0;
}

void vcpu_read_regs(struct vcpu *v, struct vcpu_regs *out)
{
    struct regs_call c = {.v = v, .out = out};
    if (!vcpu_call(v, run_read_regs, &c))
        memset(out, 0, sizeof(*out));
}

// What a call on the vCPU's core came to.
static enum error called(bool done, const struct regs_call *c)
{
    if (done)
        return c->error;
    text_add(c->why, "the vCPU's core is lost");
    return ERR_NOT_FOUND;
}

enum error vcpu_write_regs(struct vcpu *v, const struct vcpu_regs *in, struct text *why)
{
    struct regs_call c = {.v = v, .in = in, .why = why};
    return called(vcpu_call(v, run_write_regs, &c), &c);
}

static void run_read_fpu(void *arg)
{
    struct regs_call *c = arg;
    switch_save(c->v);
    memcpy(c->out, c->v->switched.xsave, FPU_STATE_SIZE);
    if (c->v->guest->xcr0_allowed == 0) { // FXSAVE has no header
        u64 xstate_bv = XSTATE_FXSR;
        memcpy((u8 *)c->out + XSTATE_BV, &xstate_bv, sizeof(xstate_bv));
    }
}

static void run_write_fpu(void *arg)
{
    struct regs_call *c = arg;
    struct vcpu *v = c->v;
    struct regs_limits limits;
    vcpu_limits(v, &limits);
    c->error = regs_check_fpu(c->in, &limits, c->why);
    if (c->error != OK)
        return;
    switch_save(v);
    memcpy(v->switched.xsave, c->in, FPU_STATE_SIZE);
    v->switched.extended = v->guest->xcr0_allowed != 0;
    if (v->core->vmm->on_core == v)
        switch_load(v);
    c->error = OK;
}

void vcpu_read_fpu(struct vcpu *v, void *area)
{
    struct regs_call c = {.v = v, .out = area};
    if (!vcpu_call(v, run_read_fpu, &c))
        memset(area, 0, FPU_STATE_SIZE);
}

enum error vcpu_write_fpu(struct vcpu *v, const void *area, struct text *why)
{
    struct regs_call c = {.v = v, .in = area, .why = why};
    return called(vcpu_call(v, run_write_fpu, &c), &c);
}

// ---- breakpoints -------------------------------------------------------------------------------

struct debug_call {
    struct vcpu *v;
    const u64 *dr;
    u64 dr7;
    bool on;
    u8 vector;
    bool has_error;
    u32 error_code, length;
};

static void run_set_registers(void *arg)
{
    struct debug_call *c = arg;
    struct vcpu *v = c->v;
    bool take = (c->dr7 & 0xff) != 0;
    vcpu_load(v);
    switch_save(v);
    if (take && !v->debug.registers)
        v->debug.guest_dr7 = state_get(STATE_DR7);
    v->debug.registers = take;
    memcpy(v->debug.dr, c->dr, sizeof(v->debug.dr));
    v->debug.dr7 = (c->dr7 | DR7_FIXED) & ~DR7_GD;
    state_set(STATE_DR7, take ? v->debug.dr7 : v->debug.guest_dr7);
    if (v->core->vmm->on_core == v)
        switch_load(v);
    vcpu_note(v, REQUEST_DEBUG);
}

void vcpu_set_breakpoint_registers(struct vcpu *v, const u64 dr[4], u64 dr7)
{
    struct debug_call c = {.v = v, .dr = dr, .dr7 = dr7};
    vcpu_call(v, run_set_registers, &c);
}

static void run_catch(void *arg)
{
    struct debug_call *c = arg;
    c->v->debug.breakpoints = c->on;
    vcpu_note(c->v, REQUEST_DEBUG);
}

void vcpu_catch_breakpoints(struct vcpu *v, bool on)
{
    struct debug_call c = {.v = v, .on = on};
    vcpu_call(v, run_catch, &c);
}

static void run_inject(void *arg)
{
    struct debug_call *c = arg;
    vcpu_load(c->v);
    vcpu_raise(c->v, c->vector, c->has_error, c->error_code);
    if (c->vector == VECTOR_BP || c->vector == 4) {
        c->v->events.info = (u32)(EVENT_VALID | EVENT_SOFTWARE_EXCEPTION << 8 | c->vector);
        c->v->events.length = c->length;
    }
}

void vcpu_inject_exception(struct vcpu *v, u8 vector, bool has_error, u32 error_code,
                           u32 instruction_length)
{
    struct debug_call c = {.v = v,
                           .vector = vector,
                           .has_error = has_error,
                           .error_code = error_code,
                           .length = instruction_length};
    vcpu_call(v, run_inject, &c);
}

// Brings the VMCS in line with what the debugger asked for.
void debug_before_entry(struct vcpu *v)
{
    ASSERT_LOADED(v);
    // Blocking by STI and MOV SS lasts for one instruction, which is the one we step over.
    if (v->step.masks_interrupts || (v->step.over & STEP_OVER_PAGE)) {
        u64 blocking = state_get(STATE_BLOCKING);
        state_set(STATE_BLOCKING, blocking & ~(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
    }
    if (v->debug.registers)
        state_set(STATE_DR7, v->debug.dr7); // a reset of the vCPU has cleared it
    backend_set_ept(vcpu_ept_pointer(v));
    vcpu_compose(v);
}

// ---- exits -------------------------------------------------------------------------------------

bool debug_report(struct vcpu *v, enum debug_event event, u64 dr6)
{
    ASSERT_OWNER(v);
    if (debug_hooks == NULL || !debug_hooks->event(v, event, dr6))
        return false;
    vcpu_set_single_step(v, false, false);
    vcpu_note(v, REQUEST_DEBUG);
    vcpu_hold_here(v, HOLD_DEBUGGER);
    return true;
}

static void step_done(struct vcpu *v)
{
    v->step.emulated = false;
    if (!debug_report(v, DEBUG_STEP, 0)) {
        vcpu_set_single_step(v, false, false);
        vcpu_note(v, REQUEST_DEBUG | REQUEST_EVENT);
    }
}

void exit_monitor_trap(struct vcpu *v)
{
    if (v->step.over != 0) {
        step_over_end(v);
        if (!v->step.single)
            return;
    }
    step_done(v);
}

void step_over(struct vcpu *v, enum step_over what)
{
    ASSERT_OWNER(v);
    v->step.over |= (u8)what;
    vcpu_set_skip_flags(v);
    vcpu_note(v, REQUEST_DEBUG | REQUEST_EVENT);
}

void step_over_end(struct vcpu *v)
{
    ASSERT_OWNER(v);
    bool page = v->step.over & STEP_OVER_PAGE;
    if (v->step.over == 0)
        return;
    v->step.over = 0;
    vcpu_set_skip_flags(v);
    vcpu_note(v, REQUEST_DEBUG | REQUEST_EVENT);
    if (page)
        v->guest->memory_ops->page_stepped(v);
}

bool debug_exception(struct vcpu *v, u32 info)
{
    ASSERT_LOADED(v);
    u8 vector = EVENT_VECTOR(info);
    if (vector == VECTOR_BP && v->debug.breakpoints)
        return debug_report(v, DEBUG_BREAKPOINT, 0);
    if (vector == VECTOR_DB && v->debug.registers) {
        u64 q = backend_exit_debug_hits();
        if ((q & DR6_HITS) == 0 || !debug_report(v, DEBUG_REGISTER, q))
            return false;
        if (q & DR6_BS) // the guest's own single step is delivered when the debugger lets it go
            state_set(STATE_PENDING_DEBUG, state_get(STATE_PENDING_DEBUG) | DR6_BS);
        return true;
    }
    return false;
}

// The guest's MOV DR. While the debugger has the registers it works on its own values; the exit
// comes before all faults (SDM 26.1.3).
void exit_mov_dr(struct vcpu *v)
{
    struct exit_dr exit = backend_exit_dr();
    unsigned n = exit.number, gpr = exit.gpr;
    bool from = exit.from;
    if (!v->debug.registers) {
        step_over(v, STEP_OVER_MOV_DR);
        return;
    }
    if (n == 4 || n == 5) {
        if (state_get(STATE_CR4) & CR4_DE) {
            vcpu_raise_ud(v);
            return;
        }
        n += 2;
    }
    if (guest_cpl() != 0) {
        vcpu_raise_gp(v, 0);
        return;
    }
    if (v->debug.guest_dr7 & DR7_GD) {
        v->debug.guest_dr7 &= ~DR7_GD;
        write_dr6(read_dr6() | DR6_BD);
        vcpu_end_debugctl(v);
        vcpu_raise(v, VECTOR_DB, false, 0);
        return;
    }
    u64 operand = guest_code_size() == CODE_64 ? UINT64_MAX : UINT32_MAX;
    u64 *kept = n < 4 ? &v->switched.dr[n] : &v->debug.guest_dr7,
        value = vcpu_get_gpr(v, gpr) & operand;
    if (!from && n >= 6 && value >> 32 != 0) {
        vcpu_raise_gp(v, 0);
        return;
    }
    if (n == 6) {
        if (from)
            vcpu_set_gpr(v, gpr, read_dr6());
        else
            write_dr6((u32)value);
    } else if (from) {
        vcpu_set_gpr(v, gpr, *kept & operand);
    } else {
        *kept = n == 7 ? (value | DR7_FIXED) & 0xffff2fff : value;
    }
    vcpu_skip_instruction(v);
}

bool debug_emulated_step(struct vcpu *v)
{
    ASSERT_LOADED(v);
    if (!v->step.emulated || !v->step.single)
        return false;
    step_done(v);
    return v->hold != 0;
}
