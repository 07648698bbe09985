// SPDX-License-Identifier: MIT
// vCPUs between two cores: src/vcpu on the scripted back end, which fails a test where a vCPU is
// loaded on two cores at once.
#include "scripted/scripted.h"

static struct scripted_vm *vm;
static struct vcpu *v, *other;

// Two vCPUs on core 0, of which v runs; the calling core is core 1.
static int start(void **state)
{
    (void)state;
    scripted_machine(2);
    vm = scripted_vm(2);
    v = vm->vcpu[0];
    other = vm->vcpu[1];
    scripted_apic_on(v);
    scripted_apic_on(other);
    vmm_make_runnable(v);
    assert_ptr_equal(scripted_enter(), v);
    scripted_be(1);
    assert_null(scripted_enter());
    return 0;
}

static void moves(void)
{
    assert_int_equal(vcpu_move(v, cores[1]), OK);
    assert_ptr_equal(vcpu_core(v), cores[1]);
}

static void runs_on(unsigned core)
{
    scripted_be(!core);
    assert_null(scripted_enter());
    scripted_be(core);
    assert_ptr_equal(scripted_enter(), v);
}

static void sleeps(void)
{
    scripted_be(0);
    v->run.exit.length = 1;
    scripted_exit(v, EXIT_REASON_HLT);
    assert_null(scripted_enter());
    scripted_be(1);
}

static void had(u8 vector)
{
    assert_true(v->run.had.info & EVENT_VALID);
    assert_int_equal(EVENT_VECTOR(v->run.had.info), vector);
}

// C4.
static void who_has_moved_runs_on_the_new_core_alone(void **state)
{
    (void)state;
    moves();
    assert_int_equal(v->state, VCPU_MOVING);
    runs_on(1);
    assert_int_equal(v->move.count, 1);
    assert_true(scripted_interrupts(0) > 0); // it was asked to let go
}

// C4.
static void it_comes_back_with_its_registers(void **state)
{
    (void)state;
    scripted_be(0);
    state_set(STATE_RIP, 0x1234);
    write_cr2(0x5678);
    scripted_be(1);
    moves();
    write_cr2(0);
    runs_on(1);
    assert_int_equal(state_get(STATE_RIP), 0x1234);
    assert_int_equal(read_cr2(), 0x5678);
    assert_int_equal(vcpu_move(v, cores[0]), OK);
    runs_on(0);
    assert_int_equal(state_get(STATE_RIP), 0x1234);
    assert_int_equal(v->move.count, 2);
}

static void an_event_that_came_before_the_move_is_seen_after_it(void **state)
{
    (void)state;
    scripted_post(v, 0x40);
    moves();
    runs_on(1);
    had(0x40);
}

// D4.
static void an_event_that_was_prepared_goes_with_it(void **state)
{
    (void)state;
    scripted_be(0);
    scripted_exit(v, EXIT_REASON_INTERRUPT_WINDOW);
    scripted_post(v, 0x40);
    assert_true(vcpu_requested(v));
    assert_true(v->events.loaded);
    scripted_be(1);
    moves();
    runs_on(1);
    had(0x40);
}

static void who_posts_while_it_moves_does_not_lose_the_event(void **state)
{
    (void)state;
    moves();
    scripted_be(0); // the old core, and the new one does not know yet
    unsigned before = scripted_interrupts(1);
    scripted_post(v, 0x40);
    vcpu_send_nmi(v);
    assert_int_equal(scripted_interrupts(1), before); // nobody need be told
    runs_on(1);
    had(VECTOR_NMI);
    scripted_exit(v, EXIT_REASON_INTERRUPT_WINDOW);
    assert_ptr_equal(scripted_enter(), v);
    had(0x40);
}

static void who_sleeps_while_it_moves_wakes_on_the_new_core(void **state)
{
    (void)state;
    sleeps();
    moves();
    scripted_be(0);
    scripted_post(v, 0x40);
    runs_on(1);
    had(0x40);
    assert_int_equal(v->events.wakeups, 1);
}

static void who_sleeps_and_moves_sleeps_on(void **state)
{
    (void)state;
    sleeps();
    moves();
    assert_null(scripted_enter());
    assert_int_equal(v->state, VCPU_SLEEPING);
    scripted_be(0);
    scripted_post(v, 0x40);
    runs_on(1);
    had(0x40);
}

// B5.
static void a_wake_up_that_went_to_the_old_core_finds_it(void **state)
{
    (void)state;
    sleeps();
    moves();
    assert_null(scripted_enter());
    assert_int_equal(lapic_post(&vapic_of(v)->lapic, 0x40, false), LAPIC_NOTIFY);
    message_post(cores[0], &v->wake.message); // from one who saw it on core 0
    runs_on(1);
    had(0x40);
}

static void a_timer_of_a_sleeper_moves_with_it(void **state)
{
    (void)state;
    scripted_be(0);
    lapic_mmio_write(&vapic_of(v)->lapic, APIC_LVT_TIMER, 4, 2 << 17 | 0x50, 0); // TSC deadline
    vapic_set_deadline(v, vcpu_guest_tsc(v, scripted_now + SLICE));
    sleeps();
    moves();
    assert_null(scripted_enter());
    assert_true(cores[0]->timer_deadline == UINT64_MAX);
    scripted_now += SLICE;
    runs_on(1);
    had(0x50);
}

static void what_it_has_had_more_than_others_goes_with_it(void **state)
{
    (void)state;
    cores[1]->vmm->expects = 1; // so it takes none of them by itself
    scripted_be(0);
    vmm_make_runnable(other);
    struct vcpu *now = scripted_enter();
    for (unsigned n = 0; n < 100; n++)
        now = scripted_later(now, SLICE / 10);
    scripted_be(1);
    vcpu_hold_for(v, HOLD_DEBUGGER); // so it is charged for nothing on the way
    assert_true(cores[0]->vmm->min_vruntime > SLICE);
    v->schedule.vruntime = cores[0]->vmm->min_vruntime + 77;
    cores[1]->vmm->min_vruntime = 1234;
    moves();
    assert_null(scripted_enter());
    assert_int_equal(v->schedule.vruntime, 1234 + 77);
}

static void who_is_held_moves_and_stays_held(void **state)
{
    (void)state;
    vcpu_hold_for(v, HOLD_DEBUGGER);
    moves();
    assert_null(scripted_enter());
    scripted_be(0);
    assert_null(scripted_enter());
    vcpu_release_for(v, HOLD_DEBUGGER);
    runs_on(1);
}

static void who_waits_long_goes_to_a_core_with_nothing_to_do(void **state)
{
    (void)state;
    scripted_be(0);
    vmm_make_runnable(other);
    struct vcpu *now = scripted_enter();
    for (unsigned n = 0; n < 20; n++)
        now = scripted_later(now, SLICE / 10);
    scripted_be(1);
    struct vcpu *here = scripted_enter();
    assert_non_null(here);
    assert_ptr_not_equal(here, now);
    assert_int_equal(here->move.count, 1);
    assert_int_equal(now->move.count, 0);
}

static void who_is_off_or_moving_does_not_move(void **state)
{
    (void)state;
    assert_int_equal(vcpu_move(other, cores[1]), ERR_BUSY);
    moves();
    assert_int_equal(vcpu_move(v, cores[0]), ERR_BUSY);
    runs_on(1);
    assert_int_equal(vcpu_move(v, cores[0]), OK);
    runs_on(0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, scripted_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_has_moved_runs_on_the_new_core_alone),
        TEST(it_comes_back_with_its_registers),
        TEST(an_event_that_came_before_the_move_is_seen_after_it),
        TEST(an_event_that_was_prepared_goes_with_it),
        TEST(who_posts_while_it_moves_does_not_lose_the_event),
        TEST(who_sleeps_while_it_moves_wakes_on_the_new_core),
        TEST(who_sleeps_and_moves_sleeps_on),
        TEST(a_wake_up_that_went_to_the_old_core_finds_it),
        TEST(a_timer_of_a_sleeper_moves_with_it),
        TEST(what_it_has_had_more_than_others_goes_with_it),
        TEST(who_is_held_moves_and_stays_held),
        TEST(who_waits_long_goes_to_a_core_with_nothing_to_do),
        TEST(who_is_off_or_moving_does_not_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
