// SPDX-License-Identifier: MIT
// From one core to another (SDM Vol. 3, 25.11.1): VMCLEAR on the old one, a message, VMPTRLD on the
// new one.
//
// The old core does all that there is to do before it changes v->core, so whoever is on the new
// core may touch the vCPU from then on, even before the message comes, which puts it to work again.
// A sender of events sees VCPU_MOVING and leaves it at the bits that it has set; they are looked at
// on arrival. One that saw the state before finds nobody on the old core, which does no harm.
#include "smp/lost.h"
#include "smp/message.h"
#include "vcpu/exits.h"
#include "vcpu/vapic.h"
#include "vcpu/vmm.h"

struct owner_call {
    struct vcpu *v;
    void (*fn)(void *arg);
    void *arg;
    bool done;
};

static void run_if_owner(void *arg)
{
    struct owner_call *c = arg;
    if (c->v->core != this_core())
        return;
    c->fn(c->arg);
    c->done = true;
}

bool vcpu_call(struct vcpu *v, void (*fn)(void *arg), void *arg)
{
    struct owner_call c = {.v = v, .fn = fn, .arg = arg};
    while (!c.done) {
        if (!core_call(vcpu_core(v), run_if_owner, &c) && vcpu_is_lost(v))
            return false;
    }
    return true;
}

void vcpu_depart(struct vcpu *v, struct core *to)
{
    ASSERT_OWNER(v);
    const struct vmm *vmm = v->core->vmm;
    v->move.as = v->state == VCPU_RUNNING ? VCPU_RUNNABLE : v->state;
    vmm_take_off(v, VCPU_MOVING);
    timer_stop(&v->timer);
    vcpu_forget_wake(v);
    vcpu_unload(v);
    // What it has had more of than others goes with it.
    v->schedule.vruntime -= MIN(v->schedule.vruntime, vmm->min_vruntime);
    v->move.count++;
    v->move.arriving = true;
    __atomic_store_n(&v->core, to, __ATOMIC_RELEASE);
    message_post(to, &v->move.arrival);
}

void vcpu_arrive(struct message *m)
{
    struct vcpu *v = CONTAINER_OF(m, struct vcpu, move.arrival);
    struct vmm *vmm = this_vmm();
    __atomic_store_n(&vmm->expects, 0, __ATOMIC_RELEASE);
    v->move.arriving = false;
    v->schedule.vruntime += vmm->min_vruntime;
    vapic_moved(v);
    vcpu_note(v, REQUEST_EVENT);
    if (v->state != VCPU_MOVING) // its VM has been reset meanwhile
        return;
    __atomic_store_n(&v->state, v->move.as, __ATOMIC_SEQ_CST);
    if (v->move.as == VCPU_RUNNABLE && v->hold == 0)
        vmm_enqueue(v);
    if (!(v->hold & HOLD_VM))
        vcpu_timer_due(v); // which also wakes it, if there is a reason
}

struct move_call {
    struct vcpu *v;
    struct core *to;
    enum error error;
};

static void run_move(void *arg)
{
    struct move_call *c = arg;
    struct vcpu *v = c->v;
    if (c->to == v->core)
        return;
    if (v->state == VCPU_OFF || v->move.arriving || (v->hold & HOLD_VM))
        c->error = ERR_BUSY;
    else
        vcpu_depart(v, c->to);
}

enum error vcpu_move(struct vcpu *v, struct core *to)
{
    if (to->vmm == NULL || core_is_lost(to) || !v->guest->life->may_run(v, to->number))
        return ERR_INVALID;
    struct move_call c = {.v = v, .to = to, .error = OK};
    return vcpu_call(v, run_move, &c) ? c.error : ERR_BUSY;
}

struct core *find_idle_core(const struct vcpu *v)
{
    for (unsigned i = 0; i < core_count; i++) {
        struct vmm *vmm = cores[i]->vmm;
        if (vmm == NULL || core_is_lost(cores[i]) ||
            __atomic_load_n(&vmm->running, __ATOMIC_RELAXED) != NULL ||
            __atomic_load_n(&vmm->queued, __ATOMIC_RELAXED) != 0 || !v->guest->life->may_run(v, i))
            continue;
        if (__atomic_exchange_n(&vmm->expects, 1, __ATOMIC_ACQUIRE) == 0)
            return cores[i];
    }
    return NULL;
}
