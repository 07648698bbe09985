// SPDX-License-Identifier: MIT
#include "vcpu/vcpu.h"

#include "boot/log.h"
#include "boot/memory.h"
#include "lib/cpu.h"
#include "lib/format.h"
#include "lib/string.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/time.h"
#include "vcpu/exits.h"
#include "vcpu/msr.h"
#include "vcpu/selftest.h"
#include "vcpu/vapic.h"
#include "vcpu/vmm.h"
#include "x86/bits.h"

#define MISC_ENABLE_RESET     0x1801ul // fast strings; BTS and PEBS unavailable
#define MTRR_DEF_TYPE_RESET   0xc06ul  // enabled, fixed enabled, write-back
#define MTRR_FIXED_WRITE_BACK 0x0606060606060606ul

// Of one vCPU that has its core.
#define TIMER_EVENTS_PER_SECOND 10000

// A guest may program timers that are always due. They keep neither its core from entering guests
// and taking interrupts, nor whoever has the core while it waits: it has what it missed at its
// turn.
static void timer_expired(struct timer *t)
{
    struct vcpu *v = CONTAINER_OF(t, struct vcpu, timer);
    vcpu_timer_due(v);
    bool waits = v->state == VCPU_RUNNABLE;
    u64 soonest = rdtsc() + host_tsc_hz / (waits ? 1000 : TIMER_EVENTS_PER_SECOND);
    if (t->deadline >= soonest)
        return;
    timer_set(t, soonest);
    if (waits)
        vcpu_note(v, REQUEST_TIMER);
}

// What came to nothing (an NMI that is blocked, a timer that another vCPU set again) is not looked
// at again for a while, nor told again: `wake` stays pending. So senders on other cores take no
// more from this one than that.
static void woken(struct message *m)
{
    struct vcpu *v = CONTAINER_OF(m, struct vcpu, wake.message);
    struct core *core = vcpu_core(v);
    if (core != this_core()) { // it has moved meanwhile
        message_post(core, m);
    } else if (rdtsc() >= v->wake.again) {
        vcpu_check_wake(v);
        if (v->state == VCPU_SLEEPING || v->state == VCPU_WAIT_SIPI)
            v->wake.again = rdtsc() + host_tsc_hz / TIMER_EVENTS_PER_SECOND;
    } else if (__atomic_exchange_n(&m->pending, 1, __ATOMIC_ACQ_REL) == 0) {
        timer_set(&v->wake.timer, v->wake.again);
    }
}

static void wake_due(struct timer *t)
{
    struct vcpu *v = CONTAINER_OF(t, struct vcpu, wake.timer);
    __atomic_store_n(&v->wake.message.pending, 0, __ATOMIC_SEQ_CST);
    woken(&v->wake.message);
}

void vcpu_forget_wake(struct vcpu *v)
{
    ASSERT_OWNER(v);
    if (v->wake.timer.deadline != UINT64_MAX)
        __atomic_store_n(&v->wake.message.pending, 0, __ATOMIC_SEQ_CST);
    timer_stop(&v->wake.timer);
}

// An NMI waits that is not blocked by an earlier one. Another vCPU's VMCS may be current.
static bool nmi_wakes(struct vcpu *v)
{
    if (!(__atomic_load_n(&v->run.requests, __ATOMIC_SEQ_CST) & REQUEST_NMI) && v->events.nmis == 0)
        return false;
    struct vcpu *before = vcpu_core(v)->vmm->current;
    vcpu_load(v);
    bool blocked = state_get(STATE_BLOCKING) & BLOCKING_BY_NMI;
    if (before != NULL)
        vcpu_load(before);
    return !blocked;
}

bool vcpu_would_wake(struct vcpu *v)
{
    return nmi_wakes(v) || (v->events.sleeps_interruptible && vapic_wakes(v));
}

void vcpu_check_wake(struct vcpu *v)
{
    if (v->state != VCPU_SLEEPING && v->state != VCPU_WAIT_SIPI)
        return;
    u32 now = REQUEST_TIMER | REQUEST_INIT | REQUEST_SIPI;
    u32 requests = __atomic_fetch_and(&v->run.requests, ~now, __ATOMIC_SEQ_CST) & now;
    if (requests & REQUEST_INIT) {
        if (v->state == VCPU_SLEEPING) { // it is reset at its turn, in its own time
            vcpu_note(v, requests & (REQUEST_INIT | REQUEST_SIPI));
            vmm_make_runnable(v);
            return;
        }
        // It has been, and waits.
        vcpu_forget_nmis(v);
    }
    if ((requests & REQUEST_SIPI) && v->state == VCPU_WAIT_SIPI) {
        struct vcpu *before = v->core->vmm->current; // perhaps about to be entered
        vapic_startup(v, false, true);
        if (before != NULL)
            vcpu_load(before);
    }
    if (requests & REQUEST_TIMER)
        vcpu_timer_due(v);
    if (v->state == VCPU_SLEEPING && vcpu_would_wake(v)) {
        v->events.wakeups++;
        vmm_make_runnable(v);
    }
}

COLD struct vcpu *vcpu_new(struct guest *guest, unsigned index, struct core *core)
{
    hpa_t memory = memory_alloc(ALIGN_UP(sizeof(struct vcpu), PAGE_SIZE), PAGE_SIZE);
    hpa_t xsave = page_alloc();
    if (memory.v == 0 || xsave.v == 0)
        return NULL;
    struct vcpu *v = phys_to_virt(memory);
    memset(v, 0, sizeof(*v));
    if (backend_create(&v->run) != OK)
        return NULL;
    v->guest = guest;
    v->index = index;
    v->core = core;
    v->switched.xsave = phys_to_virt(xsave);
    v->schedule.weight = 100;
    v->state = VCPU_OFF;
    vcpu_set_skip_flags(v);
    heap_node_init(&v->schedule.link);
    timer_init(&v->timer, timer_expired);
    timer_init(&v->wake.timer, wake_due);
    v->wake.message.run = woken;
    v->move.arrival.run = vcpu_arrive;
    return v;
}

static void reset_vector_state(struct vcpu *v)
{
    memset(v->switched.xsave, 0, FPU_STATE_SIZE);
    u16 fcw = FCW_RESET;
    u32 mxcsr = MXCSR_RESET;
    memcpy(v->switched.xsave, &fcw, sizeof(fcw));
    memcpy(v->switched.xsave + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
    v->switched.xcr0 = 1;
    v->switched.extended = false;
}

// What RESET and INIT do alike. Its VMCS is current.
static void begin_again(struct vcpu *v)
{
    memset(v->run.gpr, 0, sizeof(v->run.gpr));
    v->run.gpr[RDX] = cpuid(1, 0).eax;
    v->events.info = v->events.deferred_interrupt = 0;
    vcpu_forget_nmis(v);
    v->intercept.waits = false;
    v->switched.cr2 = 0;
    memset(v->switched.dr, 0, sizeof(v->switched.dr));
    v->switched.dr6 = DR6_RESET;
    step_over_end(v);
    const struct guest *g = v->guest;
    struct backend_vm vm = {.io_bitmap = g->io_bitmap,
                            .cr4_allowed = g->cr4_allowed,
                            .maxphyaddr = g->maxphyaddr,
                            .one_vcpu = g->vcpu_count == 1};
    backend_reset(&v->run, &vm, v->core);
    backend_set_ept(vcpu_ept_pointer(v));
    v->tsc_offset = g->tsc_offset + v->msrs.tsc_adjust;
    backend_set_tsc_offset(v->tsc_offset);
    v->debug.guest_dr7 = DR7_FIXED;
    cpuid_follow_cr4(v, 0);
    vcpu_apply_catches(v);
    flush_vpid(v->run.vpid);
    flush_ept(&v->guest->ept);
}

COLD void vcpu_reset(struct vcpu *v)
{
    ASSERT_OWNER(v);
    if (v->core->vmm->on_core == v)
        v->core->vmm->on_core = NULL;
    v->switched.kernel_gs_base = v->switched.star = v->switched.lstar = v->switched.cstar =
        v->switched.fmask = v->switched.tsc_aux = 0;
    v->msrs.misc_enable = MISC_ENABLE_RESET;
    v->msrs.mtrr_def_type = MTRR_DEF_TYPE_RESET;
    for (unsigned i = 0; i < ARRAY_SIZE(v->msrs.mtrr_fixed); i++)
        v->msrs.mtrr_fixed[i] = MTRR_FIXED_WRITE_BACK;
    memset(v->msrs.mtrr_variable, 0, sizeof(v->msrs.mtrr_variable));
    v->msrs.tsc_adjust = 0;
    reset_vector_state(v);
    vcpu_load(v);
    backend_reset_more();
    v->msrs.debugctl = 0;
    begin_again(v);
}

COLD void vcpu_init(struct vcpu *v)
{
    ASSERT_OWNER(v);
    vcpu_load(v);
    switch_save(v);
    if (v->core->vmm->on_core == v)
        v->core->vmm->on_core = NULL; // what is kept goes there anew, beside what is not
    begin_again(v);
}

COLD void vcpu_start(struct vcpu *v)
{
    ASSERT_LOADED(v);
    struct segment cs;
    state_get_segment(SEG_CS, &cs);
    cs.selector = (u16)(v->events.sipi_vector << 8);
    cs.base = (u64)v->events.sipi_vector << 12;
    state_set_segment(SEG_CS, &cs);
    state_set(STATE_RIP, 0);
    vmm_make_runnable(v);
}

void vcpu_load(struct vcpu *v)
{
    ASSERT_OWNER(v);
    struct vmm *vmm = v->core->vmm;
    if (vmm->current == v)
        return;
    bool first = !v->run.loaded;
    backend_load(&v->run, v->core);
    vmm->current = v;
    if (first)
        flush_ept(&v->guest->ept);
}

void vcpu_unload(struct vcpu *v)
{
    ASSERT_OWNER(v);
    struct vmm *vmm = v->core->vmm;
    switch_save(v);
    if (vmm->on_core == v)
        vmm->on_core = NULL;
    backend_unload(&v->run);
    if (vmm->current == v)
        vmm->current = NULL;
}

void vcpu_request(struct vcpu *v, u32 request)
{
    __atomic_fetch_or(&v->run.requests, request, __ATOMIC_SEQ_CST);
    // First the state: one that runs or sleeps does so on the core that we find then, or has since
    // left it and will see the request when it arrives elsewhere.
    u32 state = __atomic_load_n(&v->state, __ATOMIC_SEQ_CST);
    struct core *c = vcpu_core(v);
    if (state == VCPU_SLEEPING || state == VCPU_WAIT_SIPI) {
        message_post(c, &v->wake.message);
    } else if (state == VCPU_RUNNING && c != this_core()) {
        core_attention(c);
        apic_send(c->apic_id, VECTOR_WAKE);
    }
}

void guest_request_flush(const struct guest *g, const struct vcpu *but)
{
    for (unsigned i = 0; i < g->vcpu_count; i++) {
        if (g->vcpu[i] != but)
            vcpu_request(g->vcpu[i], REQUEST_FLUSH);
    }
}

void vcpu_send_nmi(struct vcpu *v)
{
    __atomic_fetch_add(&v->events.nmis_sent, 1, __ATOMIC_ACQ_REL);
    vcpu_request(v, REQUEST_NMI);
}

void vcpu_forget_nmis(struct vcpu *v)
{
    __atomic_fetch_and(&v->run.requests, ~(u32)REQUEST_NMI, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->events.nmis_sent, 0, __ATOMIC_RELEASE);
    v->events.nmis = 0;
}

void vcpu_set_single_step(struct vcpu *v, bool step, bool mask_interrupts)
{
    ASSERT_OWNER(v);
    v->step.single = step;
    v->step.masks_interrupts = step && mask_interrupts;
    vcpu_set_skip_flags(v);
}

void vcpu_set_skip_flags(struct vcpu *v)
{
    bool always = v->step.single || v->step.over != 0;
    v->step.skip_flags = (u32)(RFLAGS_TF | RFLAGS_RF | (always ? RFLAGS_FIXED : 0));
}

void vcpu_skip_wrapped(struct vcpu *v, u64 rip)
{
    state_set(STATE_RIP, state_get(STATE_CS_ACCESS) & SEGMENT_LONG ? rip : (u32)rip);
    vcpu_skip_rare(v, state_get(STATE_BLOCKING), state_get(STATE_RFLAGS));
}

void vcpu_skip_rare(struct vcpu *v, u64 blocking, u64 rflags)
{
    state_set(STATE_BLOCKING, blocking & ~(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
    if (rflags & RFLAGS_RF)
        state_set(STATE_RFLAGS, rflags & ~RFLAGS_RF);
    vcpu_step_due(v, rflags);
    step_over_end(v);
    if (v->step.single) {
        v->step.emulated = true;
        vcpu_note(v, REQUEST_DEBUG);
    }
}

COLD void vcpu_dump(struct vcpu *v)
{
    ASSERT_LOADED(v);
    struct vcpu_regs r;
    vcpu_get_regs(v, &r);
    const char *n = v->guest->name;
    char exit[160];
    struct text t = TEXT(exit);
    backend_describe_exit(&v->run, &t);
    log_line("vm", "%s vcpu %u: exit %s", n, v->index, exit);
    log_line("vm", "%s rip %04x:%016lx rsp %016lx rflags %08lx", n, r.seg[SEG_CS].selector, r.rip,
             r.gpr[RSP], r.rflags);
    log_line("vm", "%s rax %016lx rbx %016lx rcx %016lx rdx %016lx", n, r.gpr[RAX], r.gpr[RBX],
             r.gpr[RCX], r.gpr[RDX]);
    log_line("vm", "%s rsi %016lx rdi %016lx rbp %016lx r8  %016lx", n, r.gpr[RSI], r.gpr[RDI],
             r.gpr[RBP], r.gpr[R8]);
    log_line("vm", "%s r9  %016lx r10 %016lx r11 %016lx r12 %016lx", n, r.gpr[R9], r.gpr[R10],
             r.gpr[R11], r.gpr[R12]);
    log_line("vm", "%s r13 %016lx r14 %016lx r15 %016lx efer %lx", n, r.gpr[R13], r.gpr[R14],
             r.gpr[R15], r.efer);
    log_line("vm", "%s cr0 %08lx cr2 %016lx cr3 %016lx cr4 %08lx", n, r.cr0, r.cr2, r.cr3, r.cr4);
    log_line("vm", "%s cs base %lx limit %x access %x; idt %lx limit %x; event %x", n,
             r.seg[SEG_CS].base, r.seg[SEG_CS].limit, r.seg[SEG_CS].access, r.idtr.base,
             r.idtr.limit, backend_exit_delivering());
}

COLD void vcpu_crash(struct vcpu *v, const char *fmt, ...)
{
    ASSERT_LOADED(v);
    char reason[160];
    va_list args;
    va_start(args, fmt);
    str_vformat(reason, sizeof(reason), fmt, args);
    va_end(args);
    vcpu_dump(v);
    v->guest->life->crash(v, reason);
}

void vcpu_compose(struct vcpu *v)
{
    ASSERT_LOADED(v);
    struct backend_wishes *w = &v->run.wishes;
    w->step = v->step.single || v->step.over != 0;
    w->alone = vcpu_runs_alone(v);
    w->free = (v->step.over & STEP_OVER_MOV_DR ? (u32)CATCH_MOV_DR : 0) |
              (v->step.over & STEP_OVER_INVPCID ? (u32)CATCH_INVLPG : 0) |
              (v->step.over & STEP_OVER_DESCRIPTORS ? (u32)CATCH_DESCRIPTOR_TABLES : 0);
    w->mov_dr = v->debug.registers;
    w->breakpoints = v->debug.breakpoints;
    backend_compose(&v->run);
}

static void build_msr_bitmap(struct vcpu *v)
{
    msr_bitmap_build(&v->run, v->msrs.x2apic_reads, v->msrs.x2apic_writes);
    v->guest->intercept_ops->catch_msrs(v);
}

void vcpu_apply_catches(struct vcpu *v)
{
    ASSERT_LOADED(v);
    const struct guest *g = v->guest;
    struct backend_catches c = {.free = g->hlt_through ? (u32)CATCH_HLT : 0};
    bool items = g->intercept_ops->wants(v, &c);
    backend_catch(&v->run, &c);
    build_msr_bitmap(v);
    v->run.plain_reasons = !items && !g->hlt_through && !checks_entries ? EXIT_REASONS : 0;
    vcpu_note(v, REQUEST_DEBUG);
}

void vcpu_let_x2apic_through(struct vcpu *v, u64 reads, u64 writes)
{
    ASSERT_OWNER(v);
    v->msrs.x2apic_reads = reads;
    v->msrs.x2apic_writes = writes;
    build_msr_bitmap(v);
}

u64 vcpu_ept_pointer(const struct vcpu *v)
{
    const struct guest *g = v->guest;
    return ept_pointer(&g->ept, v->step.over & STEP_OVER_VIEW ? 0 : g->caught_view);
}
