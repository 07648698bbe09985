// SPDX-License-Identifier: MIT
// The cores under the virtual CPU in its tests, and entries and exits as entry.S has them.
#include "scripted/scripted.h"

#include <stdlib.h>
#include <string.h>

#include "boot/log.h"
#include "boot/memory.h"
#include "boot/multiboot2.h"
#include "boot/paging.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/lost.h"
#include "smp/time.h"
#include "smp/watchdog.h"
#include "vcpu/cpuid.h"

struct core *scripted_core;
struct core *cores[CORES_MAX];
unsigned core_count;
struct core *cores_housekeeping;
u64 scripted_now, scripted_cr2, scripted_dr[8];
u64 host_tsc_hz = SCRIPTED_HZ, boot_handover_tsc, boot_load_offset, watch_slack;
bool apic_x2apic;
void (*core_describe)(const struct core *c, struct text *t);
void (*core_lost_tell)(void);
void (*nmi_handler)(const struct trap_frame *f);

static struct core core[SCRIPTED_CORES];
static unsigned interrupts[SCRIPTED_CORES]; // sent to it
static bool waits[SCRIPTED_CORES];          // one has not been taken yet
static u64 apic_deadline[SCRIPTED_CORES];
static irq_handler *timer_handler;
static struct vcpu *inside[SCRIPTED_CORES]; // exits and is entered again with no look round
static jmp_buf nothing_to_do;

// ---- memory ------------------------------------------------------------------------------------

#define BLOCKS 256
static void *block[BLOCKS];
static unsigned blocks;

// Host-physical, so that the direct map leads to it.
hpa_t memory_alloc(u64 size, u64 align)
{
    void *p = aligned_alloc(align, size);
    assert_true(blocks < BLOCKS);
    assert_non_null(p);
    block[blocks++] = p;
    return HPA((u64)p - DIRECT_MAP);
}

hpa_t page_alloc(void)
{
    hpa_t page = memory_alloc(PAGE_SIZE, PAGE_SIZE);
    memset(phys_to_virt(page), 0, PAGE_SIZE);
    return page;
}

void page_free(hpa_t page)
{
    (void)page; // scripted_end() does
}

int scripted_end(void **state)
{
    (void)state;
    while (blocks > 0)
        free(block[--blocks]);
    return 0;
}

// ---- the machine -------------------------------------------------------------------------------

void log_line(const char *part, const char *fmt, ...)
{
    (void)part, (void)fmt;
}

void lost_report(void) {}

void watchdog_look(struct core *c, u64 now)
{
    (void)now;
    c->watch_due = UINT64_MAX;
}

void apic_set_deadline(u64 deadline)
{
    apic_deadline[this_core()->number] = deadline;
}

void apic_send(u32 id, u8 vector)
{
    assert_int_equal(vector, VECTOR_WAKE);
    interrupts[id]++;
    waits[id] = true;
}

void irq_set_handler(u8 vector, irq_handler *handler)
{
    assert_int_equal(vector, VECTOR_TIMER);
    timer_handler = handler;
}

// A wake-up asks for nothing more: who sends one has left word.
void irq_dispatch(u8 vector)
{
    if (vector == VECTOR_TIMER)
        timer_handler();
}

// The interrupt that the calling core has now; 0: none.
static u8 take_interrupt(void)
{
    unsigned number = this_core()->number;
    if (scripted_now >= apic_deadline[number]) {
        apic_deadline[number] = UINT64_MAX;
        return VECTOR_TIMER;
    }
    bool waited = waits[number];
    waits[number] = false;
    return waited ? VECTOR_WAKE : 0;
}

unsigned scripted_interrupts(unsigned number)
{
    return interrupts[number];
}

// While a core waits for another, that one answers.
static void others_answer(void)
{
    struct core *self = scripted_core;
    for (unsigned i = 0; i < core_count; i++) {
        if (cores[i] == self)
            continue;
        scripted_core = cores[i];
        inside[i] = NULL; // its guest has exited for the message
        messages_run();
    }
    scripted_core = self;
}

void scripted_machine(unsigned number)
{
    memset(core, 0, sizeof(core));
    memset(interrupts, 0, sizeof(interrupts));
    memset(inside, 0, sizeof(inside));
    memset(waits, 0, sizeof(waits));
    memset(apic_deadline, 0xff, sizeof(apic_deadline));
    scripted_now = SCRIPTED_HZ;
    scripted_delivers = scripted_counts_down = false;
    cpuid_info = (struct cpuid_info){.crystal_hz = SCRIPTED_HZ, .maxphyaddr = 40};
    core_count = number;
    core_waits = others_answer;
    for (unsigned i = 0; i < number; i++) {
        cores[i] = &core[i];
        core[i] = (struct core){.self = &core[i],
                                .number = i,
                                .apic_id = i,
                                .online = CORE_ONLINE,
                                .timer_deadline = UINT64_MAX,
                                .slice_end = UINT64_MAX,
                                .watch_due = UINT64_MAX};
        scripted_be(i);
        assert_int_equal(vmm_init(NULL), OK);
    }
    cores_housekeeping = &core[0];
    scripted_be(0);
}

void scripted_be(unsigned number)
{
    scripted_core = &core[number];
}

// ---- entries and exits -------------------------------------------------------------------------

void scripted_halt(void)
{
    u8 vector = take_interrupt();
    if (vector != 0)
        irq_dispatch(vector);
    else
        longjmp(nothing_to_do, 1);
}

// Delivers what the entry was given, if the guest can take it (SDM 27.3.1.4).
static void deliver(struct backend_vcpu *b)
{
    u64 blocking = b->word[STATE_BLOCKING];
    b->had = b->next;
    b->next = (struct scripted_event){0};
    if (!(b->had.info & EVENT_VALID))
        return;
    if (EVENT_TYPE(b->had.info) == EVENT_EXTERNAL) {
        assert_true(b->word[STATE_RFLAGS] & RFLAGS_IF);
        assert_int_equal(blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS), 0);
    } else if (EVENT_TYPE(b->had.info) == EVENT_NMI) {
        assert_int_equal(blocking & (BLOCKING_BY_NMI | BLOCKING_BY_MOV_SS), 0);
        b->word[STATE_BLOCKING] |= BLOCKING_BY_NMI;
    }
}

// From `prepared` in entry.S to VMRESUME. NULL: the main loop is next.
static struct vcpu *try_to_enter(struct vcpu *v)
{
    const struct core *c = this_core();
    for (;;) {
        if (v->run.requests | c->attention) {
            if (!vcpu_requested(v))
                return NULL;
        } else if (c->guest_deadline > scripted_now || vcpu_deadline(v)) {
            return v;
        }
    }
}

struct vcpu *scripted_enter(void)
{
    unsigned number = this_core()->number;
    if (setjmp(nothing_to_do) != 0) {
        inside[number] = NULL;
        return NULL;
    }
    struct vcpu *v = inside[number];
    do {
        if (v == NULL)
            v = vmm_next();
        v = try_to_enter(v);
    } while (v == NULL);
    inside[number] = v;
    assert_int_equal(v->state, VCPU_RUNNING);
    assert_int_equal(v->hold, 0);
    assert_ptr_equal(v->core, this_core());
    assert_ptr_equal(scripted_loaded(), &v->run);
    deliver(&v->run);
    return v;
}

void scripted_exit(struct vcpu *v, enum exit_reason reason)
{
    assert_ptr_equal(inside[this_core()->number], v);
    v->run.reason = reason;
    if (v->run.reason >= v->run.plain_reasons) {
        vcpu_special_exit(v);
    } else {
        v->run.exits[reason]++;
        exit_handlers[reason](v);
    }
    v->run.exit = (struct scripted_exit){0};
}

struct vcpu *scripted_later(struct vcpu *v, u64 ticks)
{
    const struct core *c = this_core();
    scripted_now += ticks;
    u8 vector = take_interrupt();
    if (vector != 0) {
        v->run.exit.event.info = (u32)EVENT_VALID | EVENT_EXTERNAL << 8 | vector;
        scripted_exit(v, EXIT_REASON_EXTERNAL_INTERRUPT);
    } else if (c->counts_down && scripted_now >= c->guest_deadline) {
        scripted_exit(v, EXIT_REASON_PREEMPTION_TIMER);
    } else {
        return v;
    }
    return scripted_enter();
}
