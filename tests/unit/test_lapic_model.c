// SPDX-License-Identifier: MIT
// LIBS: -lpthread
// Random sequences against a reference model, with APIC virtualization and without. With it there
// is a processor that does what SDM Vol. 3 chapter 30 says. Then real threads that post.
#include "lapic_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

static struct apic a;

// ---- the reference -------------------------------------------------------------------------

static struct {
    bool irr[256], isr[256], level[256];
    bool posted_edge[256], posted_level[256];
    u32 tpr, broadcasts;
} ref;

static int ref_top(const bool *set)
{
    for (int v = 255; v >= 0; v--)
        if (set[v])
            return v;
    return -1;
}

static u32 ref_ppr(void)
{
    int top = ref_top(ref.isr);
    u32 isr_class = top < 0 ? 0 : (u32)top / 16;
    return ref.tpr / 16 >= isr_class ? ref.tpr : isr_class * 16;
}

static int ref_next(void)
{
    int irr = ref_top(ref.irr);
    return irr >= 0 && (u32)irr / 16 > ref_ppr() / 16 ? irr : -1;
}

static int ref_take(void)
{
    int v = ref_next();
    if (v >= 0) {
        ref.irr[v] = false;
        ref.isr[v] = true;
    }
    return v;
}

static void ref_eoi(void)
{
    int v = ref_top(ref.isr);
    if (v < 0)
        return;
    ref.isr[v] = false;
    ref.broadcasts += ref.level[v];
}

static void ref_sync(void)
{
    for (int v = 0; v < 256; v++) {
        if (ref.posted_edge[v] || ref.posted_level[v]) {
            ref.irr[v] = true;
            ref.level[v] = ref.posted_level[v];
        }
        ref.posted_edge[v] = ref.posted_level[v] = false;
    }
}

static void check(void)
{
    for (u32 v = 0; v < 256; v++) {
        u32 n = v / 32 * 4, bit = v % 32;
        assert_int_equal(a.page[APIC_IRR / 4 + n] >> bit & 1, ref.irr[v]);
        assert_int_equal(a.page[APIC_ISR / 4 + n] >> bit & 1, ref.isr[v]);
        assert_int_equal(a.page[APIC_TMR / 4 + n] >> bit & 1, ref.level[v]);
        assert_int_equal(a.l.level[v / 64] >> (v % 64) & 1, ref.level[v]);
    }
    assert_int_equal(a.eois, ref.broadcasts);
    assert_int_equal(lapic_highest_irr(&a.l), ref_top(ref.irr));
    assert_int_equal(lapic_highest_isr(&a.l), ref_top(ref.isr));
}

// ---- the processor, with APIC virtualization -----------------------------------------------

static struct {
    u32 rvi, svi;
    u64 eoi_exit[4];
} cpu;

static u32 *page_word(u32 base, u32 v)
{
    return &a.page[base / 4 + v / 32 * 4];
}

static u32 page_top(u32 base)
{
    for (u32 v = 255; v > 0; v--)
        if (*page_word(base, v) >> v % 32 & 1)
            return v;
    return 0;
}

static void cpu_ppr(void) // 30.1.3
{
    u32 tpr = a.page[APIC_TPR / 4];
    a.page[APIC_PPR / 4] = tpr >> 4 >= cpu.svi >> 4 ? tpr & 0xff : cpu.svi & 0xf0;
}

static void cpu_enter(void)
{
    u32 changed = lapic_sync(&a.l);
    if (changed & LAPIC_CHANGED_STATUS) {
        u16 status = lapic_guest_interrupt_status(&a.l);
        cpu.rvi = status & 0xff;
        cpu.svi = status >> 8;
    }
    if (changed & LAPIC_CHANGED_EOI_BITMAP)
        lapic_eoi_exit_bitmap(&a.l, cpu.eoi_exit);
    cpu_ppr();
    assert_int_equal(cpu.rvi, page_top(APIC_IRR));
    assert_int_equal(cpu.svi, page_top(APIC_ISR));
}

static int cpu_take(void) // 30.2.2
{
    u32 v = cpu.rvi;
    if (v >> 4 <= a.page[APIC_PPR / 4] >> 4)
        return -1;
    *page_word(APIC_ISR, v) |= 1u << v % 32;
    cpu.svi = v;
    a.page[APIC_PPR / 4] = v & 0xf0;
    *page_word(APIC_IRR, v) &= ~(1u << v % 32);
    cpu.rvi = page_top(APIC_IRR);
    return (int)v;
}

static void cpu_eoi(void) // 30.1.4
{
    u32 v = cpu.svi;
    *page_word(APIC_ISR, v) &= ~(1u << v % 32);
    cpu.svi = page_top(APIC_ISR);
    cpu_ppr();
    if (cpu.eoi_exit[v / 64] >> v % 64 & 1) {
        lapic_eoi_induced(&a.l, (u8)v);
        cpu_enter();
    }
}

static void cpu_self_ipi(u32 v) // 30.1.5
{
    *page_word(APIC_IRR, v) |= 1u << v % 32;
    cpu.rvi = MAX(cpu.rvi, v);
}

static void cpu_posted(void) // 30.6
{
    a.pid.control &= ~(u64)PID_ON;
    for (u32 v = 0; v < 256; v++)
        if (a.pid.pir[v / 64] >> v % 64 & 1)
            cpu_self_ipi(v);
    memset(a.pid.pir, 0, sizeof(a.pid.pir));
}

// ---- random sequences ----------------------------------------------------------------------

static u64 seed;

static u32 random_below(u32 n)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (u32)(seed >> 33) % n;
}

static void one_step(bool hardware)
{
    u32 v = 16 + random_below(240);
    // A quarter of the vectors is level-triggered, a quarter now this and now that.
    bool mixed = v % 4 == 3, level = mixed ? random_below(2) : v % 4 == 2;
    switch (random_below(8)) {
    case 0:
    case 1: {
        enum lapic_posted posted = lapic_post(&a.l, (u8)v, level);
        (level ? ref.posted_level : ref.posted_edge)[v] = true;
        if (!hardware)
            return; // seen at the next sync
        ref_sync();
        if (posted == LAPIC_NOTIFY)
            cpu_posted();
        else
            assert_int_equal(posted, LAPIC_KICK);
        if (posted == LAPIC_KICK)
            cpu_enter();
        assert_false(a.pid.control & PID_ON);
        return;
    }
    case 2:
        if (mixed)
            return;
        if (hardware && !ref.level[v] && random_below(2)) {
            cpu_self_ipi(v);
            ref.irr[v] = true;
            return;
        }
        lapic_deliver(&a.l, LAPIC_FIXED, (u8)v, level);
        ref.irr[v] = true;
        ref.level[v] = level;
        if (hardware)
            cpu_enter();
        return;
    case 3: {
        u32 tpr = random_below(3) ? 0 : random_below(256);
        ref.tpr = tpr;
        if (hardware) {
            a.page[APIC_TPR / 4] = tpr;
            cpu_ppr();
        } else {
            put(&a, APIC_TPR, tpr);
        }
        return;
    }
    case 4:
    case 5:
        if (ref_top(ref.isr) < 0)
            return;
        ref_eoi();
        if (hardware)
            cpu_eoi();
        else
            put(&a, APIC_EOI, 0);
        return;
    default: {
        u8 vector;
        ref_sync();
        if (hardware)
            cpu_enter();
        else
            lapic_sync(&a.l);
        int next = ref_next();
        assert_int_equal(lapic_deliverable(&a.l, &vector), next >= 0);
        if (next >= 0)
            assert_int_equal(vector, next);
        if (!hardware) {
            // 30.1.1: the threshold is set when and only when a lower TPR alone would help.
            int top = ref_top(ref.irr);
            u32 want = top >= 0 && (u32)top / 16 <= ref.tpr / 16 ? (u32)top / 16 : 0;
            assert_int_equal(lapic_tpr_threshold(&a.l), want);
            if (next >= 0)
                lapic_accept(&a.l, vector);
        } else {
            assert_int_equal(cpu_take(), next);
        }
        ref_take();
        assert_int_equal(get(&a, APIC_PPR), ref_ppr());
        return;
    }
    }
}

static void run(bool hardware)
{
    seed = 0x9e3779b97f4a7c15ull;
    for (int round = 0; round < 40; round++) {
        memset(&ref, 0, sizeof(ref));
        memset(&cpu, 0, sizeof(cpu));
        apic_on(&a, 0);
        lapic_set_virtual_delivery(&a.l, hardware);
        if (hardware)
            cpu_enter();
        for (int step = 0; step < 2000; step++) {
            one_step(hardware);
            check();
        }
    }
    assert_true(a.eois > 50);
}

// F3.
static void the_software_apic_equals_the_reference(void **state)
{
    (void)state;
    run(false);
}

// F5.
static void the_virtualized_apic_equals_the_reference(void **state)
{
    (void)state;
    run(true);
}

// ---- threads -------------------------------------------------------------------------------

enum { SENDERS = 3, PER_SENDER = 16, POSTS = 20000 };

static u32 taken[256];
static u32 level_posts[SENDERS];
static bool wake, failed;

static bool expired(const struct timespec *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec - since->tv_sec > 30;
}

// Posts each of its vectors again as soon as the one before was taken, so that each post must come
// through by itself. Wakes the owner only when lapic_post says so.
static void *sender(void *arg)
{
    u32 me = (u32)(uintptr_t)arg, posted[PER_SENDER] = {0};
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (u32 done = 0; done < POSTS;) {
        bool idle = true;
        for (u32 i = 0; i < PER_SENDER && done < POSTS; i++) {
            u8 v = (u8)(32 + me + i * SENDERS);
            if (__atomic_load_n(&taken[v], __ATOMIC_ACQUIRE) != posted[i])
                continue;
            bool level = me == 1 || (me == 2 && done % 3 == 0);
            enum lapic_posted how = lapic_post(&a.l, v, level);
            if (how == LAPIC_NOTIFY || how == LAPIC_KICK)
                __atomic_store_n(&wake, true, __ATOMIC_SEQ_CST);
            posted[i]++;
            level_posts[me] += level;
            done++;
            idle = false;
        }
        if (idle) {
            if (__atomic_load_n(&failed, __ATOMIC_RELAXED) || expired(&start)) {
                __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
                return NULL;
            }
            sched_yield();
        }
    }
    return NULL;
}

static u32 total_taken(void)
{
    u32 sum = 0;
    for (u32 v = 0; v < 256; v++)
        sum += taken[v];
    return sum;
}

// F6: none lost, none doubled, with an owner that looks only when it was told to.
static void posts_from_threads_come_once_each(void **state)
{
    (void)state;
    pthread_t threads[SENDERS];
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    apic_on(&a, 0);
    for (uintptr_t i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sender, (void *)i), 0);
    u32 count = 0;
    while (!__atomic_load_n(&failed, __ATOMIC_RELAXED)) {
        if (!__atomic_exchange_n(&wake, false, __ATOMIC_SEQ_CST)) {
            if (count == SENDERS * POSTS || expired(&start))
                break;
            sched_yield();
            continue;
        }
        for (int v; (v = take(&a)) >= 0; count++) {
            lapic_eoi(&a.l);
            __atomic_fetch_add(&taken[v], 1, __ATOMIC_RELEASE);
        }
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    lapic_sync(&a.l);
    assert_int_equal(lapic_highest_irr(&a.l), -1);
    assert_false(failed);
    assert_int_equal(count, SENDERS * POSTS);
    assert_int_equal(count, total_taken());
    assert_int_equal(a.eois, level_posts[0] + level_posts[1] + level_posts[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_software_apic_equals_the_reference),
        cmocka_unit_test(the_virtualized_apic_equals_the_reference),
        cmocka_unit_test(posts_from_threads_come_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
