// SPDX-License-Identifier: MIT
// Who has a core, and for how long: src/vcpu on the scripted back end.
#include "scripted/scripted.h"

#define STEP (SLICE / 10)

static struct scripted_vm *first, *second;
static struct vcpu *a, *sibling, *b; // a and its sibling in one VM, b in another

static int start(bool counts_down)
{
    scripted_machine(1);
    this_core()->counts_down = counts_down;
    first = scripted_vm(2);
    second = scripted_vm(1);
    a = first->vcpu[0];
    sibling = first->vcpu[1];
    b = second->vcpu[0];
    scripted_apic_on(a);
    scripted_apic_on(sibling);
    scripted_apic_on(b);
    return 0;
}

static int with_host_timer(void **state)
{
    (void)state;
    return start(false);
}

static int with_preemption_timer(void **state)
{
    (void)state;
    return start(true);
}

// Guests compute for so many slices. Returns the longest stretch of one that had the core.
static u64 compute(unsigned slices)
{
    u64 stretch = 0, longest = 0;
    struct vcpu *v = scripted_enter(), *before = v;
    for (unsigned n = 0; n < slices * (SLICE / STEP); n++) {
        v = scripted_later(v, STEP);
        stretch = v == before ? stretch + STEP : STEP;
        longest = MAX(longest, stretch);
        before = v;
    }
    return longest;
}

static void sleeps(struct vcpu *v)
{
    v->run.exit.length = 1;
    scripted_exit(v, EXIT_REASON_HLT);
    assert_int_equal(v->state, VCPU_SLEEPING);
}

static void assert_near(u64 value, u64 wanted, u64 tolerance)
{
    assert_in_range(value, wanted - MIN(wanted, tolerance), wanted + tolerance);
}

static void one_that_is_alone_runs_on(void **state)
{
    (void)state;
    vmm_make_runnable(a);
    assert_ptr_equal(scripted_enter(), a);
    assert_ptr_equal(scripted_later(a, 1000 * SLICE), a);
    assert_int_equal(a->run.exits[EXIT_REASON_EXTERNAL_INTERRUPT], 0);
    assert_int_equal(a->run.exits[EXIT_REASON_PREEMPTION_TIMER], 0);
}

// A11.
static void equals_have_the_core_by_turns_of_a_slice(void **state)
{
    (void)state;
    vmm_make_runnable(a);
    vmm_make_runnable(b);
    assert_in_range(compute(200), SLICE - STEP, SLICE + STEP);
    assert_near(a->schedule.runtime, 100 * SLICE, 2 * SLICE);
    assert_near(b->schedule.runtime, 100 * SLICE, 2 * SLICE);
}

// A11.
static void weights_are_shares(void **state)
{
    (void)state;
    b->schedule.weight = 300;
    vmm_make_runnable(a);
    vmm_make_runnable(b);
    compute(400);
    assert_near(a->schedule.runtime, 100 * SLICE, 3 * SLICE);
    assert_near(b->schedule.runtime, 300 * SLICE, 3 * SLICE);
}

// A11.
static void a_sleeper_comes_back_with_a_slice_at_most(void **state)
{
    (void)state;
    vmm_make_runnable(b);
    assert_ptr_equal(scripted_enter(), b);
    sleeps(b);
    vmm_make_runnable(a);
    compute(100);
    scripted_post(b, 0x40);
    assert_ptr_equal(scripted_enter(), b); // at once
    u64 before = scripted_now;
    while (scripted_enter() == b)
        scripted_later(b, STEP);
    assert_in_range(scripted_now - before, SLICE, 2 * SLICE + STEP);
    u64 had = a->schedule.runtime;
    compute(20);
    assert_near(a->schedule.runtime - had, 10 * SLICE, 2 * SLICE);
}

// A2.
static void who_yields_gives_its_sibling_the_core(void **state)
{
    (void)state;
    vmm_make_runnable(a);
    assert_ptr_equal(scripted_enter(), a);
    scripted_now += STEP;
    sibling->schedule.vruntime = STEP / 2; // so b is before it
    vmm_make_runnable(sibling);
    vmm_make_runnable(b);
    scripted_exit(a, EXIT_REASON_PAUSE);
    assert_ptr_equal(scripted_enter(), sibling);
}

static void without_a_yield_the_first_of_the_queue_has_it(void **state)
{
    (void)state;
    vmm_make_runnable(a);
    assert_ptr_equal(scripted_enter(), a);
    scripted_now += STEP;
    sibling->schedule.vruntime = STEP / 2;
    vmm_make_runnable(sibling);
    vmm_make_runnable(b);
    scripted_exit(a, EXIT_REASON_INVD);
    assert_ptr_equal(scripted_enter(), b);
}

static void nobody_yields_to_another_vm(void **state)
{
    (void)state;
    vmm_make_runnable(a);
    assert_ptr_equal(scripted_enter(), a);
    b->schedule.vruntime = STEP;
    vmm_make_runnable(b);
    scripted_exit(a, EXIT_REASON_PAUSE);
    assert_ptr_equal(scripted_enter(), a);
}

static void who_is_held_never_runs(void **state)
{
    (void)state;
    vmm_make_runnable(a);
    vmm_make_runnable(b);
    vcpu_hold_for(a, HOLD_DEBUGGER);
    compute(10); // scripted_enter() looks whether who it returns is held
    assert_int_equal(a->schedule.runtime, 0);
    scripted_post(a, 0x40);
    compute(10);
    assert_int_equal(a->schedule.runtime, 0);
}

static void who_is_let_go_runs_with_what_came_meanwhile(void **state)
{
    (void)state;
    vmm_make_runnable(a);
    vcpu_hold_for(a, HOLD_DEBUGGER);
    assert_null(scripted_enter());
    scripted_post(a, 0x40);
    assert_null(scripted_enter());
    vcpu_release_for(a, HOLD_DEBUGGER);
    assert_ptr_equal(scripted_enter(), a);
    assert_int_equal(EVENT_VECTOR(a->run.had.info), 0x40);
}

static void a_sleeper_that_is_held_does_not_run_when_it_wakes(void **state)
{
    (void)state;
    vmm_make_runnable(a);
    assert_ptr_equal(scripted_enter(), a);
    sleeps(a);
    assert_null(scripted_enter());
    vcpu_hold_for(a, HOLD_DEBUGGER);
    scripted_post(a, 0x40);
    assert_null(scripted_enter());
    vcpu_release_for(a, HOLD_DEBUGGER);
    assert_ptr_equal(scripted_enter(), a);
    assert_int_equal(EVENT_VECTOR(a->run.had.info), 0x40);
}

static void two_reasons_to_hold_end_one_by_one(void **state)
{
    (void)state;
    vmm_make_runnable(a);
    vcpu_hold_for(a, HOLD_DEBUGGER);
    vcpu_hold_for(a, HOLD_VM);
    vcpu_release_for(a, HOLD_VM);
    assert_null(scripted_enter());
    vcpu_release_for(a, HOLD_DEBUGGER);
    assert_ptr_equal(scripted_enter(), a);
}

// A1.
static void a_timer_of_a_sleeper_wakes_it(void **state)
{
    (void)state;
    vmm_make_runnable(a);
    vmm_make_runnable(b);
    struct vcpu *v = scripted_enter(), *other = v == a ? b : a;
    const u64 deadline = scripted_now + 3 * STEP;
    lapic_mmio_write(&vapic_of(v)->lapic, APIC_LVT_TIMER, 4, 2 << 17 | 0x50, 0); // TSC deadline
    vapic_set_deadline(v, vcpu_guest_tsc(v, deadline));
    sleeps(v);
    assert_ptr_equal(scripted_enter(), other);
    assert_ptr_equal(scripted_later(other, STEP), other);
    assert_ptr_equal(scripted_later(other, 2 * STEP), v);
    assert_int_equal(EVENT_VECTOR(v->run.had.info), 0x50);
}

#define TESTS(setup)                                                                               \
    TEST(one_that_is_alone_runs_on, setup), TEST(equals_have_the_core_by_turns_of_a_slice, setup), \
        TEST(weights_are_shares, setup), TEST(a_sleeper_comes_back_with_a_slice_at_most, setup),   \
        TEST(who_yields_gives_its_sibling_the_core, setup),                                        \
        TEST(without_a_yield_the_first_of_the_queue_has_it, setup),                                \
        TEST(nobody_yields_to_another_vm, setup), TEST(who_is_held_never_runs, setup),             \
        TEST(who_is_let_go_runs_with_what_came_meanwhile, setup),                                  \
        TEST(a_sleeper_that_is_held_does_not_run_when_it_wakes, setup),                            \
        TEST(two_reasons_to_hold_end_one_by_one, setup),                                           \
        TEST(a_timer_of_a_sleeper_wakes_it, setup)

// With either way of coming back from a guest when a slice is over.
int main(void)
{
#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, scripted_end)
    const struct CMUnitTest tests[] = {TESTS(with_host_timer), TESTS(with_preemption_timer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
