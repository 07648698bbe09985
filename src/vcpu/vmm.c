// SPDX-License-Identifier: MIT
#include "vcpu/vmm.h"

#include "boot/log.h"
#include "boot/memory.h"
#include "boot/multiboot2.h"
#include "lib/cpu.h"
#include "lib/math.h"
#include "lib/string.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/lost.h"
#include "smp/message.h"
#include "smp/time.h"
#include "smp/watchdog.h"
#include "vcpu/entry.h"
#include "vcpu/exits.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"

// One that waits longer than this for its turn goes to a core that has nothing to do.
#define PATIENCE_US 1000

static u64 slice_ticks, patience_ticks;

// A one-shot timer may end a little early, or long before a deadline that is far away: it is set
// again as nothing is armed any more.
static void timer_irq(void)
{
    struct core *c = this_core();
    c->vmm->armed = UINT64_MAX;
    if (watch_is_due(c, rdtsc()))
        c->work_due = 1;
    core_attention(c);
}

COLD enum error vmm_init(struct text *why)
{
    struct core *c = this_core();
    hpa_t memory = memory_alloc(ALIGN_UP(sizeof(struct vmm), PAGE_SIZE), PAGE_SIZE);
    if (memory.v == 0)
        return explain(why, ERR_NO_MEMORY, "no memory for its VMM");
    struct vmm *vmm = phys_to_virt(memory);
    memset(vmm, 0, sizeof(*vmm));
    vmm->armed = UINT64_MAX;

    enum error e = backend_start_core(why);
    if (e != OK)
        return e;
    slice_ticks = host_tsc_hz / (1000000 / SLICE_US);
    patience_ticks = host_tsc_hz / (1000000 / PATIENCE_US);
    switch_init(vmm);
    c->vmm = vmm;
    c->counts_down = backend_counts_down();
    timers_update(c);
    irq_set_handler(VECTOR_TIMER, timer_irq);
    return OK;
}

// ---- run queue ---------------------------------------------------------------------------------

static void enqueue(struct vmm *vmm, struct vcpu *v, u64 now)
{
    v->schedule.waits_since = now;
    heap_insert(&vmm->queue, &v->schedule.link, v->schedule.vruntime);
    vmm->queued++;
}

static void dequeue(struct vmm *vmm, struct vcpu *v)
{
    heap_remove(&vmm->queue, &v->schedule.link);
    vmm->queued--;
    if (vmm->favoured == v)
        vmm->favoured = NULL;
}

static struct vcpu *head(struct vmm *vmm)
{
    struct heap_node *first = heap_first(&vmm->queue);
    return first != NULL ? CONTAINER_OF(first, struct vcpu, schedule.link) : NULL;
}

// Charges the running vCPU for the time since it got the core or was last charged. min_vruntime is
// the least of all that want the core, and never falls.
static void charge(struct vmm *vmm, u64 now)
{
    struct vcpu *v = vmm->running;
    u64 ticks = now - v->schedule.started;
    v->schedule.started = now;
    v->schedule.runtime += ticks;
    v->schedule.vruntime += ticks * 100 / v->schedule.weight;
    u64 least = vmm->queued > 0 ? MIN(v->schedule.vruntime, head(vmm)->schedule.vruntime)
                                : v->schedule.vruntime;
    vmm->min_vruntime = MAX(vmm->min_vruntime, least);
}

static void set_slice_end(struct core *c, u64 end)
{
    c->slice_end = end;
    timers_update(c);
}

void vmm_make_runnable(struct vcpu *v)
{
    ASSERT_OWNER(v);
    if (v->state == VCPU_RUNNABLE || v->state == VCPU_RUNNING)
        return;
    __atomic_store_n(&v->state, VCPU_RUNNABLE, __ATOMIC_SEQ_CST);
    if (v->hold)
        return;
    vmm_enqueue(v);
}

// Puts a runnable vCPU into the queue. One that slept does not bring back the time it did not use,
// beyond a slice: so it runs soon, and cannot keep the core for long.
void vmm_enqueue(struct vcpu *v)
{
    ASSERT_OWNER(v);
    struct vmm *vmm = v->core->vmm;
    u64 now = rdtsc();
    if (vmm->running != NULL)
        charge(vmm, now);
    u64 floor = vmm->min_vruntime > slice_ticks ? vmm->min_vruntime - slice_ticks : 0;
    v->schedule.vruntime = MAX(v->schedule.vruntime, floor);
    enqueue(vmm, v, now);
    if (vmm->running != NULL) {
        u64 end = v->schedule.vruntime < vmm->running->schedule.vruntime ? now : now + slice_ticks;
        set_slice_end(v->core, MIN(v->core->slice_end, end));
    }
    core_reschedule(v->core);
}

void vmm_take_off(struct vcpu *v, enum vcpu_state state)
{
    ASSERT_OWNER(v);
    struct vmm *vmm = v->core->vmm;
    if (vmm->running == v) {
        charge(vmm, rdtsc());
        vmm->running = NULL;
        core_reschedule(v->core);
    } else if (heap_has(&vmm->queue, &v->schedule.link)) {
        dequeue(vmm, v);
    }
    __atomic_store_n(&v->state, state, __ATOMIC_SEQ_CST);
}

void vmm_sleep(struct vcpu *v)
{
    vmm_take_off(v, VCPU_SLEEPING);
    // A sender either sees that we sleep and posts a wake-up, or we see what it posted.
    vcpu_check_wake(v);
}

// The one of v's VM that waits for v's core and is next among its kind, if it is not far behind
// others.
static struct vcpu *waiting_sibling(const struct vcpu *v)
{
    struct vmm *vmm = v->core->vmm;
    u64 least = head(vmm)->schedule.vruntime + slice_ticks;
    struct vcpu *best = NULL;
    for (unsigned i = 0; i < v->guest->vcpu_count; i++) {
        struct vcpu *s = v->guest->vcpu[i];
        if (s != v && vcpu_core(s) == v->core && heap_has(&vmm->queue, &s->schedule.link) &&
            s->schedule.vruntime <= least) {
            least = s->schedule.vruntime;
            best = s;
        }
    }
    return best;
}

// v waits for another vCPU: if one of its VM waits for the core, that may be the one, and has its
// turn now. v loses no more of its share than that takes.
void vmm_yield(struct vcpu *v)
{
    ASSERT_OWNER(v);
    struct vmm *vmm = v->core->vmm;
    if (vmm->queued == 0)
        return;
    vmm->favoured = waiting_sibling(v);
    if (vmm->favoured == NULL)
        return;
    set_slice_end(v->core, 0);
    core_reschedule(v->core);
}

// The next in the queue goes to another core, if it has waited for long and one is idle.
static void share_work(struct vmm *vmm, u64 now)
{
    struct vcpu *v = head(vmm);
    if (now - v->schedule.waits_since < patience_ticks)
        return;
    struct core *to = find_idle_core(v);
    if (to != NULL)
        vcpu_depart(v, to);
}

// When the slice of one that is alone ends: never, but that a guest whose HLT does not exit is to
// be looked at now and then.
static u64 end_alone(const struct vcpu *v, u64 now)
{
    return v->guest->hlt_through ? now + slice_ticks : UINT64_MAX;
}

// The vCPU that is to have the core now; NULL: none.
static struct vcpu *pick(struct core *c, u64 now)
{
    struct vmm *vmm = c->vmm;
    struct vcpu *v = vmm->running;
    if (v != NULL && vmm->queued > 0 && now >= c->slice_end && core_count > 1)
        share_work(vmm, now);
    if (v != NULL && (vmm->queued == 0 || now < c->slice_end)) {
        if (vmm->queued == 0 && (c->slice_end != UINT64_MAX || v->guest->hlt_through))
            set_slice_end(c, end_alone(v, now));
        return v;
    }
    struct vcpu *next = vmm->favoured != NULL ? vmm->favoured : head(vmm);
    if (v != NULL) {
        charge(vmm, now);
        if (v->schedule.vruntime < next->schedule.vruntime &&
            vmm->favoured == NULL) { // it has the greater weight
            set_slice_end(c, now + slice_ticks);
            return v;
        }
    }
    vmm->running = next;
    if (next == NULL)
        return NULL;
    dequeue(vmm, next);
    if (v != NULL) {
        __atomic_store_n(&v->state, VCPU_RUNNABLE, __ATOMIC_RELEASE);
        enqueue(vmm, v, now);
    }
    // Whoever sees it run from now on notifies it; what was posted before is looked for after this.
    __atomic_store_n(&next->state, VCPU_RUNNING, __ATOMIC_SEQ_CST);
    next->schedule.started = now;
    set_slice_end(c, vmm->queued > 0 ? now + slice_ticks : end_alone(next, now));
    return next;
}

void vmm_deadline(struct core *c)
{
    ASSERT_CORE(c);
    u64 now = rdtsc();
    timers_run(now);
    if (now >= c->slice_end)
        core_reschedule(c);
}

// ---- main loop ---------------------------------------------------------------------------------

static void see_to_losses(void)
{
    lost_report();
    vmm_lost_core();
}

void (*vmm_lost_core)(void);

static struct core_work losses = {.run = see_to_losses}; // the first of all

static void tell_loss(void)
{
    vmm_work_due(&losses);
}

static void describe(const struct core *c, struct text *t)
{
    const struct vcpu *v = c->vmm != NULL ? c->vmm->running : NULL;
    if (v != NULL)
        text_add(t, "%s/%u", v->guest->name, v->index);
    else
        text_add(t, "no vCPU");
}

COLD void vmm_add_work(struct core_work *w)
{
    ASSERT_BOOT_CORE();
    struct vmm *vmm = this_vmm();
    vmm->housekeeping = true;
    vmm->polls |= w->always;
    w->due = this_core()->work_due = 1;
    w->next = losses.next;
    losses.next = w;
    core_describe = describe;
    core_lost_tell = tell_loss;
}

void vmm_work_due(struct core_work *w)
{
    struct core *c;
    __atomic_store_n(&w->due, 1, __ATOMIC_SEQ_CST);
    do { // another core may be about to become it
        c = housekeeping_core();
        __atomic_store_n(&c->work_due, 1, __ATOMIC_RELEASE);
        core_attention(c);
        if (c != this_core())
            apic_send(c->apic_id, VECTOR_WAKE);
    } while (c != housekeeping_core());
}

// The housekeeping core is lost.
static COLD NOINLINE void take_housekeeping(struct vmm *vmm)
{
    vmm->housekeeping = true;
    for (struct core_work *w = &losses; w != NULL; w = w->next) {
        if (w->take != NULL)
            w->take();
        vmm->polls |= w->always;
        w->due = 1;
    }
    log_line("vmm", "this core sees to console, debugger and the ends of VMs from now on");
}

// The watchdog's look round, and what the housekeeping core has to do.
static NOINLINE void do_work(struct core *c, struct vmm *vmm)
{
    __atomic_store_n(&c->work_due, vmm->polls, __ATOMIC_SEQ_CST);
    u64 now = rdtsc();
    if (watch_is_due(c, now)) {
        vmm->armed = UINT64_MAX;
        watchdog_look(c, now);
    }
    if (c != housekeeping_core())
        return;
    if (!vmm->housekeeping) {
        take_housekeeping(vmm);
        c->work_due = vmm->polls;
    }
    for (struct core_work *w = &losses; w != NULL; w = w->next) {
        if (__atomic_load_n(&w->due, __ATOMIC_ACQUIRE) || w->always) {
            __atomic_store_n(&w->due, 0, __ATOMIC_SEQ_CST);
            w->run();
        }
    }
}

static void idle(struct core *c)
{
    u64 before = rdtsc();
    if (c->timer_deadline != UINT64_MAX || c->vmm->armed != UINT64_MAX)
        apic_set_deadline(MIN(c->timer_deadline, c->watch_due));
    if (!__atomic_load_n(&c->attention, __ATOMIC_ACQUIRE))
        sti_hlt_cli();
    if (c->timer_deadline != UINT64_MAX)
        apic_set_deadline(c->watch_due);
    c->vmm->armed = UINT64_MAX;
    u64 slept = rdtsc() - before;
    c->vmm->idle_ticks += slept;
    c->exit_tsc += slept;
}

static u64 first_entry_tsc; // of any core; 0: none yet

static COLD NOINLINE void note_first_entry(void)
{
    u64 none = 0, now = rdtsc();
    if (__atomic_compare_exchange_n(&first_entry_tsc, &none, now, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        log_line("vmm", "first guest instruction %lu ticks after the hand-over",
                 (now - boot_handover_tsc));
}

// Does what waits for the core. What comes meanwhile is seen before the entry.
static void see_to_core(struct core *c, struct vmm *vmm)
{
    __atomic_store_n(&c->look, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&c->mailbox, __ATOMIC_ACQUIRE) != NULL)
        messages_run();
    if (__atomic_load_n(&c->work_due, __ATOMIC_ACQUIRE))
        do_work(c, vmm);
    u64 now = rdtsc();
    if (now >= c->timer_deadline)
        timers_run(now);
}

// Gives the core to v.
static void take_core(struct vmm *vmm, struct vcpu *v)
{
    if (vmm->on_core != NULL)
        switch_save(vmm->on_core);
    if (v->run.loaded) { // vcpu_load without its call: so it is at nearly every switch
        backend_load_again(&v->run);
        vmm->current = v;
    } else {
        vcpu_load(v);
    }
    switch_load(v);
    vmm->switches++;
}

// Whether nothing is requested of v and no interrupt waits: what its VMCS says of events still
// holds.
static inline bool is_settled(const struct vcpu *v)
{
    return __atomic_load_n(&v->run.requests, __ATOMIC_ACQUIRE) == 0 &&
           !(__atomic_load_n(v->events.posted, __ATOMIC_ACQUIRE) & 1);
}

struct vcpu *vmm_next(void)
{
    struct core *c = this_core();
    struct vmm *vmm = c->vmm;
    for (;;) {
        if (__atomic_load_n(&c->look, __ATOMIC_ACQUIRE) || vmm->polls)
            see_to_core(c, vmm);
        c->choose = 0;
        struct vcpu *v = pick(c, rdtsc());
        if (v == NULL) {
            idle(c);
            continue;
        }
        if (vmm->on_core != v)
            take_core(vmm, v);
        else if (vmm->current != v)
            vcpu_load(v);
        if (!is_settled(v) && !vcpu_prepare(v))
            continue;
        if (__atomic_load_n(&c->attention, __ATOMIC_ACQUIRE)) {
            vcpu_withdraw(v);
            // Another core may ask again and again: the host's interrupts have their turn.
            sti();
            cpu_relax();
            cli();
            continue;
        }
        if (__builtin_expect(first_entry_tsc == 0, 0))
            note_first_entry();
        return v;
    }
}
