// SPDX-License-Identifier: MIT
#include "smp/message.h"

#include "lib/lock.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/lost.h"

void message_post(struct core *c, struct message *m)
{
    if (__atomic_exchange_n(&m->pending, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    struct message *head = __atomic_load_n(&c->mailbox, __ATOMIC_RELAXED);
    do {
        m->next = head;
    } while (!__atomic_compare_exchange_n(&c->mailbox, &head, m, true, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
    core_attention(c);
    if (head == NULL && c != this_core())
        apic_send(c->apic_id, VECTOR_WAKE);
    if (__builtin_expect(core_is_lost(c), 0))
        core_lost_tell();
}

void messages_run(void)
{
    ASSERT_INTERRUPTS_OFF();
    struct core *c = this_core();
    struct message *newest = __atomic_exchange_n(&c->mailbox, NULL, __ATOMIC_ACQUIRE);
    struct message *oldest = NULL;
    while (newest != NULL) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct message *next = oldest->next;
        __atomic_store_n(&oldest->pending, 0, __ATOMIC_RELEASE);
        oldest->run(oldest); // may free or post the message again
        oldest = next;
    }
}

struct call {
    struct message message;
    void (*fn)(void *arg);
    void *arg;
    u32 done;
};

static void run_call(struct message *m)
{
    struct call *call = CONTAINER_OF(m, struct call, message);
    call->fn(call->arg);
    __atomic_store_n(&call->done, 1, __ATOMIC_RELEASE); // the caller's stack may be gone after this
}

bool core_call(struct core *c, void (*fn)(void *arg), void *arg)
{
    ASSERT_INTERRUPTS_OFF();
    if (c == this_core()) {
        fn(arg);
        return true;
    }
    if (core_is_lost(c))
        return false;
    struct call call = {.message = {.run = run_call}, .fn = fn, .arg = arg};
    message_post(c, &call.message);
    while (!__atomic_load_n(&call.done, __ATOMIC_ACQUIRE)) {
        if (core_is_lost(c)) // what it has not done by now it will not do
            return __atomic_load_n(&call.done, __ATOMIC_ACQUIRE);
        messages_run();
        if (core_waits != NULL)
            core_waits();
        cpu_relax();
    }
    return true;
}
