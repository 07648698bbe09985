// SPDX-License-Identifier: MIT
// Local APICs between the model (vcpu/lapic.h) and the VMCS: with virtual-interrupt delivery and
// posted interrupts where the CPU has them, by injection where it has not.
#include "vcpu/vapic.h"
#include "boot/memory.h"
#include "boot/paging.h"
#include "lib/cpu.h"
#include "lib/string.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/time.h"
#include "vcpu/cpuid.h"
#include "vcpu/exits.h"
#include "vcpu/msr.h"
#include "vcpu/vmm.h"
#include "x86/bits.h"

#define ICR_ASSERT BIT(14)

// ---- in ----------------------------------------------------------------------------------------

// An interrupt is in v's descriptor and wants a notification. Where v runs, on another core, that
// is no exit if it is in the guest; else its core looks into the descriptor before the next entry.
static inline void notify(struct vcpu *v)
{
    v->events.interrupts_posted++;
    // The state before the core: see vcpu_request.
    if (apicv_delivers() && __atomic_load_n(&v->state, __ATOMIC_SEQ_CST) == VCPU_RUNNING) {
        const struct core *core = vcpu_core(v);
        if (core != this_core()) {
            apic_send_after_locked(core->apic_id, VECTOR_POSTED);
            return;
        }
    }
    vcpu_request(v, REQUEST_EVENT);
}

// A fixed interrupt from any core.
static void post(struct vcpu *v, u8 vector, bool level)
{
    switch (lapic_post(&vapic_of(v)->lapic, vector, level)) {
    case LAPIC_NOTIFY:
        notify(v);
        break;
    case LAPIC_KICK:
        vcpu_request(v, REQUEST_EVENT);
        break;
    default:
        break;
    }
}

static void deliver(struct vcpu *v, const struct lapic_message *m)
{
    switch (m->mode) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST_PRIORITY:
        post(v, m->vector, m->level);
        break;
    case LAPIC_NMI:
        vcpu_send_nmi(v);
        break;
    case LAPIC_INIT: // a start-up IPI that came before it is lost
        __atomic_fetch_and(&v->run.requests, ~(u32)REQUEST_SIPI, __ATOMIC_SEQ_CST);
        vcpu_request(v, REQUEST_INIT);
        break;
    case LAPIC_SIPI: // the first one counts
        if (!(__atomic_load_n(&v->run.requests, __ATOMIC_SEQ_CST) & REQUEST_SIPI))
            v->events.sipi_vector = m->vector;
        vcpu_request(v, REQUEST_SIPI);
        break;
    case LAPIC_EXTINT:
        __atomic_fetch_add(&vapic_of(v)->extint, 1, __ATOMIC_ACQ_REL);
        vcpu_request(v, REQUEST_EVENT);
        break;
    default: // SMI: there is no SMM
        break;
    }
}

void vapic_send_message(struct guest *g, const struct lapic_message *m)
{
    if (m->mode == LAPIC_LOWEST_PRIORITY) {
        struct lapic *l = lapic_arbitrate(g->lapic, g->vcpu_count, m, &g->arbitration);
        if (l != NULL)
            deliver(l->ctx, m);
        return;
    }
    for (unsigned i = 0; i < g->vcpu_count; i++) {
        if (lapic_addressed(g->lapic[i], m))
            deliver(g->vcpu[i], m);
    }
}

// Seen by the boot processor before its next entry.
void vapic_pic_line(struct guest *g, bool level)
{
    struct vapic *a = vapic_of(g->vcpu[0]);
    if (level)
        __atomic_store_n(&a->lint0_rises, a->lint0_rises + 1, __ATOMIC_RELEASE);
    vcpu_request(g->vcpu[0], REQUEST_EVENT);
}

static void on_send(void *ctx, const struct lapic_message *m)
{
    struct vcpu *v = ctx;
    vapic_send_message(v->guest, m);
}

static void on_eoi(void *ctx, u8 vector)
{
    struct vcpu *v = ctx;
    v->guest->devices->eoi(v, vector);
}

static void on_nmi(void *ctx)
{
    vcpu_send_nmi(ctx);
}

static void on_base(void *ctx)
{
    vapic_of(ctx)->mode_changed = true;
    vcpu_note(ctx, REQUEST_EVENT);
}

static const struct lapic_ops ops = {
    .send = on_send, .eoi = on_eoi, .nmi = on_nmi, .base = on_base};

// ---- life --------------------------------------------------------------------------------------

COLD enum error vapic_create(struct vcpu *v, struct text *why)
{
    hpa_t page = page_alloc();
    hpa_t memory = memory_alloc(ALIGN_UP(sizeof(struct vapic), PAGE_SIZE), PAGE_SIZE);
    if (page.v == 0 || memory.v == 0)
        return explain(why, ERR_NO_MEMORY, "no memory for its local APIC");
    struct vapic *a = phys_to_virt(memory);
    memset(a, 0, sizeof(*a));
    v->apic = a;
    v->events.posted = &a->pid.control;
    struct lapic_config config = {.apic_id = v->index,
                                  .bsp = v->index == 0,
                                  .x2apic = true,
                                  .tsc_deadline = true,
                                  .phys_bits = (u8)v->guest->maxphyaddr,
                                  .timer_hz = cpuid_info.crystal_hz,
                                  .tsc_hz = host_tsc_hz};
    lapic_init(&a->lapic, phys_to_virt(page), &a->pid, &config, &ops, v);
    v->guest->lapic[v->index] = &a->lapic;
    return OK;
}

// Has notifications go to the core that v is on.
void vapic_moved(struct vcpu *v)
{
    ASSERT_OWNER(v);
    u32 id = v->core->apic_id;
    if (apicv_delivers())
        pid_set_notification(&vapic_of(v)->pid, VECTOR_POSTED, apic_is_x2apic() ? id : id << 8,
                             false);
}

// The APIC's part of a fresh VMCS.
static COLD void setup_vmcs(struct vcpu *v)
{
    struct vapic *a = vapic_of(v);
    a->extint = 0;
    a->place = APIC_ANYWHERE;
    a->mode_changed = true;
    apicv_setup(virt_to_phys(a->lapic.regs), virt_to_phys(&a->pid), v->guest->apic_page.page);
    if (!apicv_delivers())
        return;
    lapic_set_virtual_delivery(&a->lapic, true);
    vapic_moved(v);
}

COLD void vapic_reset(struct vcpu *v)
{
    ASSERT_LOADED(v);
    struct vapic *a = vapic_of(v);
    lapic_reset(&a->lapic, false);
    if (v->index == 0)
        lapic_virtual_wire(&a->lapic);
    setup_vmcs(v);
}

// Fits the controls and the MSR bitmap to the APIC's mode (SDM 30.1, 30.5).
static void adapt(struct vcpu *v, struct vapic *a)
{
    a->mode_changed = false;
    cpuid_show_apic(v, lapic_mode(&a->lapic) != LAPIC_DISABLED);
    if (!apicv_delivers())
        return;
    enum lapic_mode mode = lapic_mode(&a->lapic);
    bool x2apic = mode == LAPIC_X2APIC && apicv_has_x2apic();
    bool here = mode == LAPIC_XAPIC && lapic_base(&a->lapic).v == APIC_BASE_RESET;
    apicv_set_accesses(&v->run, x2apic ? APICV_X2APIC : here ? APICV_ACCESS_PAGE : APICV_TRAPPED);
    vapic_page_follow(v, here);
    // Writes that the processor virtualizes: TPR, EOI, self-IPI; all others are ours.
    u64 writes = BIT(0x08) | BIT(0x0b) | BIT(0x3f);
    vcpu_let_x2apic_through(v, x2apic ? LAPIC_X2APIC_PAGE_READS : 0, x2apic ? writes : 0);
}

COLD void vapic_startup(struct vcpu *v, bool init, bool sipi)
{
    ASSERT_OWNER(v);
    struct vapic *a = vapic_of(v);
    vcpu_load(v);
    if (init) {
        if (v->index == 0) {
            // The boot processor starts again at the reset vector: firmware's, not ours.
            v->guest->life->reset(v, "INIT to the boot processor");
            return;
        }
        timer_stop(&v->timer);
        lapic_reset(&a->lapic, true);
        vcpu_init(v);
        setup_vmcs(v);
        vmm_take_off(v, VCPU_WAIT_SIPI); // last: the time that it takes is v's own
    }
    if (sipi && v->state == VCPU_WAIT_SIPI)
        vcpu_start(v);
}

// ---- before an entry ---------------------------------------------------------------------------

// The PIC's INT is the boot processor's LINT0. Each rise tells, also one that is over.
static void follow_lint0(struct vcpu *v, struct vapic *a)
{
    if (v->index != 0)
        return;
    u32 rises = __atomic_load_n(&a->lint0_rises, __ATOMIC_ACQUIRE);
    bool level = v->guest->devices->pic_level(v);
    if (rises == a->lint0_seen && level == a->lapic.line[0])
        return;
    if (rises != a->lint0_seen) {
        lapic_lint(&a->lapic, 0, false);
        lapic_lint(&a->lapic, 0, true);
    }
    a->lint0_seen = rises;
    lapic_lint(&a->lapic, 0, level);
}

static bool extint_waits(struct vcpu *v, struct vapic *a)
{
    return v->index == 0 &&
           (a->extint > 0 || (v->guest->devices->pic_level(v) && lapic_accepts_extint(&a->lapic)));
}

// Brings the guest interrupt status up to date and returns it.
static u16 write_status(struct vapic *a)
{
    u16 now = apicv_status();
    u16 next = lapic_next_interrupt_status(&a->lapic, now);
    if (next != now)
        apicv_set_status(next);
    return next;
}

bool vapic_sync(struct vcpu *v)
{
    struct vapic *a = vapic_of(v);
    if (a->mode_changed)
        adapt(v, a);
    follow_lint0(v, a);
    u32 changed = a->stale | lapic_sync(&a->lapic);
    a->stale = 0;
    if (apicv_delivers()) {
        if (changed & LAPIC_CHANGED_EOI_BITMAP) {
            u64 bitmap[4];
            lapic_eoi_exit_bitmap(&a->lapic, bitmap);
            apicv_set_eoi_exits(bitmap);
        }
        bool mask = vcpu_runs_alone(v);
        if (__builtin_expect(mask || a->status_masked, 0)) {
            a->status_masked = mask;
            u16 status = lapic_guest_interrupt_status(&a->lapic);
            apicv_set_status(mask ? status & 0xff00 : status);
        } else if (changed & LAPIC_CHANGED_STATUS) {
            write_status(a);
        }
        return extint_waits(v, a);
    }
    if (apicv_has_tpr())
        apicv_set_tpr_threshold(lapic_tpr_threshold(&a->lapic));
    u8 vector;
    return lapic_deliverable(&a->lapic, &vector) || extint_waits(v, a);
}

u8 vapic_accept(struct vcpu *v)
{
    struct vapic *a = vapic_of(v);
    u8 vector;
    if (!extint_waits(v, a) && lapic_deliverable(&a->lapic, &vector)) {
        lapic_accept(&a->lapic, vector);
        return vector;
    }
    // Another vCPU may have taken the PIC's request back by now: it answers with IRQ 7 then.
    if (__atomic_load_n(&a->extint, __ATOMIC_ACQUIRE) > 0)
        __atomic_fetch_sub(&a->extint, 1, __ATOMIC_ACQ_REL); // nobody else takes any away
    return v->guest->devices->pic_ack(v);
}

// Whether the processor will deliver a vector at the next entry, with virtual-interrupt delivery:
// if its class is above that of PPR, which the processor keeps (SDM 30.2.1).
static bool delivers(const struct vapic *a, u32 vector)
{
    return (vector & 0xf0) > (a->lapic.regs[APIC_PPR / 4] & 0xf0);
}

bool vapic_wakes(struct vcpu *v)
{
    struct vapic *a = vapic_of(v);
    u8 vector;
    follow_lint0(v, a);
    a->stale |= lapic_sync(&a->lapic);
    if (apicv_delivers() && !a->status_masked) {
        if (v->core->vmm->current == v && !(a->stale & ~(u32)LAPIC_CHANGED_STATUS)) {
            // The VMCS is at hand: RVI is the highest of IRR.
            u16 status = a->stale != 0 ? write_status(a) : apicv_status();
            a->stale = 0;
            if (delivers(a, (u8)status))
                return true;
            if (!extint_waits(v, a))
                return false;
        } else if (delivers(a, lapic_arrived(&a->lapic))) { // RVI is out of date
            vcpu_note(v, REQUEST_EVENT);
            return true;
        }
    }
    bool wakes = lapic_deliverable(&a->lapic, &vector) || extint_waits(v, a);
    if (wakes || a->stale != 0)
        vcpu_note(v, REQUEST_EVENT);
    return wakes;
}

// ---- exits -------------------------------------------------------------------------------------

u64 vapic_base_address(struct vcpu *v)
{
    return lapic_base(&vapic_of(v)->lapic).v;
}

// Whether an interrupt is one as kernels send most of them: fixed, to one vCPU by its ID, which
// takes it as it is. The model sends the others.
static inline bool is_plain(const struct guest *g, u32 low, u32 dest)
{
    return (low & ~(u32)(ICR_ASSERT | 0xff)) == 0 && (low & 0xf0) != 0 && dest < g->vcpu_count &&
           lapic_takes_edge(g->lapic[dest], (u8)low);
}

static inline void send_plain(struct vcpu *to, u8 vector)
{
    if (pid_post(&vapic_of(to)->pid, vector))
        notify(to);
}

bool vapic_send_ipi(struct vcpu *v, u32 low, u32 destination)
{
    struct lapic *l = &vapic_of(v)->lapic;
    if (lapic_mode(l) != LAPIC_X2APIC || !is_plain(v->guest, low, destination))
        return false;
    u32 *icr = &l->regs[APIC_ICR_LOW / 4];
    icr[0] = low;
    icr[1] = destination;
    send_plain(v->guest->vcpu[destination], (u8)low);
    return true;
}

static NOINLINE void any_write_done(struct vcpu *v, u32 offset)
{
    struct lapic *l = &vapic_of(v)->lapic;
    u64 before = lapic_deadline(l);
    lapic_apic_write_done(l, offset, vcpu_guest_tsc(v, rdtsc()));
    if (lapic_deadline(l) != before)
        vcpu_set_timer(v);
    vcpu_note(v, REQUEST_EVENT);
}

void vapic_write_done(struct vcpu *v, u32 offset)
{
    const struct lapic *l = &vapic_of(v)->lapic;
    // In xAPIC mode: the x2APIC's ICR is written by a WRMSR that we intercept.
    u32 low = l->regs[APIC_ICR_LOW / 4], destination = l->regs[APIC_ICR_HIGH / 4] >> 24;
    if (offset == APIC_ICR_LOW && is_plain(v->guest, low, destination))
        send_plain(v->guest->vcpu[destination], (u8)low);
    else
        any_write_done(v, offset);
}

void vapic_eoi_done(struct vcpu *v, u8 vector)
{
    lapic_eoi_induced(&vapic_of(v)->lapic, vector);
    vcpu_note(v, REQUEST_EVENT);
}

u64 vapic_cr8_read(struct vcpu *v)
{
    return lapic_cr8(&vapic_of(v)->lapic);
}

void vapic_cr8_write(struct vcpu *v, u64 value)
{
    lapic_set_cr8(&vapic_of(v)->lapic, value);
    vcpu_note(v, REQUEST_EVENT);
}

// A timer that is due when it is read or written has its interrupt there and then.
static void note_change(struct vcpu *v)
{
    if (vapic_of(v)->lapic.changed != 0)
        vcpu_note(v, REQUEST_EVENT);
}

u64 vapic_mmio_read(struct vcpu *v, gpa_t gpa, unsigned size)
{
    u64 now = vcpu_guest_tsc(v, rdtsc());
    u64 value = lapic_mmio_read(&vapic_of(v)->lapic, (u32)gpa.v & 0xfff, size, now);
    note_change(v);
    return value;
}

void vapic_mmio_write(struct vcpu *v, gpa_t gpa, unsigned size, u64 value)
{
    struct lapic *l = &vapic_of(v)->lapic;
    u64 before = lapic_deadline(l);
    lapic_mmio_write(l, (u32)gpa.v & 0xfff, size, value, vcpu_guest_tsc(v, rdtsc()));
    if (lapic_deadline(l) != before)
        vcpu_set_timer(v);
    vcpu_note(v, REQUEST_EVENT);
}

bool vapic_msr_read(struct vcpu *v, u32 msr, u64 *value)
{
    u64 now = vcpu_guest_tsc(v, rdtsc());
    bool ok = lapic_msr_read(&vapic_of(v)->lapic, msr, value, now) == LAPIC_OK;
    note_change(v);
    return ok;
}

bool vapic_msr_write(struct vcpu *v, u32 msr, u64 value)
{
    struct lapic *l = &vapic_of(v)->lapic;
    u64 before = lapic_deadline(l);
    if (lapic_msr_write(l, msr, value, vcpu_guest_tsc(v, rdtsc())) != LAPIC_OK)
        return false;
    if (lapic_deadline(l) != before)
        vcpu_set_timer(v);
    vcpu_note(v, REQUEST_EVENT);
    return true;
}

static NOINLINE void set_any_deadline(struct vcpu *v, u64 value)
{
    struct lapic *l = &vapic_of(v)->lapic;
    u64 before = lapic_deadline(l);
    lapic_write_tsc_deadline(l, value, vcpu_guest_tsc(v, rdtsc()));
    if (lapic_deadline(l) != before)
        vcpu_set_timer(v);
    note_change(v); // it was due at once, or the one before it just now
}

// Whether the vCPU's timer is for its local APIC alone.
static bool has_timer_alone(const struct vcpu *v)
{
    return v->index != 0 ||
           __atomic_load_n(&v->guest->device_deadline, __ATOMIC_RELAXED) == UINT64_MAX;
}

void vapic_set_deadline(struct vcpu *v, u64 value)
{
    if (has_timer_alone(v) &&
        lapic_move_deadline(&vapic_of(v)->lapic, value, vcpu_guest_tsc(v, rdtsc())))
        timer_set(&v->timer, value - v->tsc_offset);
    else
        set_any_deadline(v, value);
}

bool vapic_deadline_due(struct vcpu *v)
{
    struct vapic *a = vapic_of(v);
    u64 now = rdtsc();
    if (now < v->timer.deadline || !apicv_delivers() || !has_timer_alone(v) ||
        a->lapic.changed != 0 || a->stale != 0 || a->status_masked || vcpu_runs_alone(v))
        return false;
    int vector = lapic_deadline_due(&a->lapic, vcpu_guest_tsc(v, now));
    if (vector < 0)
        return false;
    u16 status = apicv_status();
    if ((u8)status < vector)
        apicv_set_status((u16)((status & 0xff00) | vector));
    timer_stop(&v->timer);
    return true;
}

void vapic_expire(struct vcpu *v, u64 now)
{
    ASSERT_OWNER(v);
    struct vapic *a = vapic_of(v);
    if (!lapic_expire(&a->lapic, now))
        return;
    // Put into the VMCS at once, if it is at hand and nothing else has changed.
    if (apicv_delivers() && v->core->vmm->current == v &&
        a->lapic.changed == LAPIC_CHANGED_STATUS && a->stale == 0 && !a->status_masked &&
        !vcpu_runs_alone(v)) {
        a->lapic.changed = 0;
        write_status(a);
    } else {
        vcpu_note(v, REQUEST_EVENT);
    }
}

void vapic_tsc_written(struct vcpu *v, u64 before, u64 after)
{
    ASSERT_OWNER(v);
    lapic_tsc_written(&vapic_of(v)->lapic, before, after);
    note_change(v);
    vcpu_set_timer(v);
}
