// SPDX-License-Identifier: MIT
// What a vCPU's next entry delivers: src/vcpu on the scripted back end.
#include "scripted/scripted.h"

#define TIMER_VECTOR 0x40
#define LOW_VECTOR   0x31

static struct scripted_vm *vm;
static struct vcpu *v;

// One vCPU in the guest, its local APIC on.
static int one_vcpu(void **state)
{
    (void)state;
    scripted_machine(1);
    vm = scripted_vm(1);
    v = vm->vcpu[0];
    scripted_apic_on(v);
    vmm_make_runnable(v);
    assert_ptr_equal(scripted_enter(), v);
    return 0;
}

static void set_if(bool on)
{
    u64 rflags = state_get(STATE_RFLAGS);
    state_set(STATE_RFLAGS, on ? rflags | RFLAGS_IF : rflags & ~RFLAGS_IF);
}

// An instruction of the guest that does nothing but exit.
static void exits(void)
{
    v->run.exit.length = 3;
    scripted_exit(v, EXIT_REASON_INVD);
}

static void enters(void)
{
    assert_ptr_equal(scripted_enter(), v);
}

static void had(u32 type, u8 vector)
{
    assert_true(v->run.had.info & EVENT_VALID);
    assert_int_equal(EVENT_TYPE(v->run.had.info), type);
    assert_int_equal(EVENT_VECTOR(v->run.had.info), vector);
}

static void had_nothing(void)
{
    assert_int_equal(v->run.had.info, 0);
}

// The exit came while an event of the guest was being delivered.
static void delivering(u32 type, u8 vector, u32 error)
{
    bool has_error = vector == VECTOR_GP || vector == VECTOR_PF || vector == VECTOR_DF;
    v->run.exit.delivering =
        (u32)(EVENT_VALID | type << 8 | vector | (has_error ? EVENT_HAS_ERROR : 0));
    v->run.exit.delivering_error = error;
}

// An exit for something that is not the guest's.
static void host_nmi(void)
{
    v->run.exit.event.info = (u32)(EVENT_VALID | EVENT_NMI << 8 | VECTOR_NMI);
    scripted_exit(v, EXIT_REASON_EXCEPTION_OR_NMI);
}

// The guest causes an exception that exits, perhaps while another event is being delivered.
static void causes(u8 vector, u32 error)
{
    bool has_error = vector == VECTOR_GP || vector == VECTOR_PF || vector == VECTOR_DF;
    v->run.exit.event.info = (u32)(EVENT_VALID | EVENT_HARDWARE_EXCEPTION << 8 | vector |
                                   (has_error ? EVENT_HAS_ERROR : 0));
    v->run.exit.event_error = error;
    scripted_exit(v, EXIT_REASON_EXCEPTION_OR_NMI);
}

// D3.
static void an_interrupt_is_injected_at_the_next_entry(void **state)
{
    (void)state;
    exits();
    scripted_post(v, TIMER_VECTOR);
    enters();
    had(EVENT_EXTERNAL, TIMER_VECTOR);
    assert_false(v->run.composed.interrupt_window);
    exits();
    enters();
    had_nothing();
}

// D7.
static void an_interrupt_waits_for_the_window_while_interrupts_are_off(void **state)
{
    (void)state;
    exits();
    set_if(false);
    scripted_post(v, TIMER_VECTOR);
    enters();
    had_nothing();
    assert_true(v->run.composed.interrupt_window);
    set_if(true);
    scripted_exit(v, EXIT_REASON_INTERRUPT_WINDOW);
    enters();
    had(EVENT_EXTERNAL, TIMER_VECTOR);
    assert_false(v->run.composed.interrupt_window);
}

// D5.
static void an_interrupt_waits_until_blocking_by_sti_is_over(void **state)
{
    (void)state;
    exits();
    state_set(STATE_BLOCKING, BLOCKING_BY_STI);
    scripted_post(v, TIMER_VECTOR);
    enters();
    had_nothing();
    assert_true(v->run.composed.interrupt_window);
    exits(); // the instruction behind STI, which we carry out
    assert_int_equal(state_get(STATE_BLOCKING), 0);
    enters();
    scripted_exit(v, EXIT_REASON_INTERRUPT_WINDOW); // at once
    enters();
    had(EVENT_EXTERNAL, TIMER_VECTOR);
}

static void the_higher_of_two_interrupts_goes_first(void **state)
{
    (void)state;
    exits();
    scripted_post(v, LOW_VECTOR);
    scripted_post(v, TIMER_VECTOR);
    enters();
    had(EVENT_EXTERNAL, TIMER_VECTOR);
    // The lower one's priority class is below that in service: no window is of use.
    assert_false(v->run.composed.interrupt_window);
    exits();
    vapic_mmio_write(v, GPA(0xfee00000 + APIC_EOI), 4, 0);
    enters();
    had(EVENT_EXTERNAL, LOW_VECTOR);
}

// F8.
static void an_nmi_goes_before_an_interrupt(void **state)
{
    (void)state;
    exits();
    scripted_post(v, TIMER_VECTOR);
    vcpu_send_nmi(v);
    enters();
    had(EVENT_NMI, VECTOR_NMI);
    assert_true(v->run.composed.interrupt_window);
    scripted_exit(v, EXIT_REASON_INTERRUPT_WINDOW);
    enters();
    had(EVENT_EXTERNAL, TIMER_VECTOR);
}

// D7, F8.
static void an_nmi_waits_for_the_end_of_the_one_before(void **state)
{
    (void)state;
    exits();
    vcpu_send_nmi(v);
    enters();
    had(EVENT_NMI, VECTOR_NMI);
    exits();
    vcpu_send_nmi(v);
    enters();
    had_nothing();
    assert_true(v->run.composed.nmi_window);
    state_set(STATE_BLOCKING, 0); // IRET
    scripted_exit(v, EXIT_REASON_NMI_WINDOW);
    enters();
    had(EVENT_NMI, VECTOR_NMI);
    assert_false(v->run.composed.nmi_window);
}

// F8: and of three, two, as a CPU latches one.
static void two_nmis_before_one_entry_are_two(void **state)
{
    (void)state;
    exits();
    for (unsigned i = 0; i < 3; i++)
        vcpu_send_nmi(v);
    enters();
    had(EVENT_NMI, VECTOR_NMI);
    assert_true(v->run.composed.nmi_window);
    state_set(STATE_BLOCKING, 0); // IRET
    scripted_exit(v, EXIT_REASON_NMI_WINDOW);
    enters();
    had(EVENT_NMI, VECTOR_NMI);
    assert_false(v->run.composed.nmi_window);
}

// F8.
static void an_nmi_before_a_reset_is_forgotten(void **state)
{
    (void)state;
    exits();
    vcpu_send_nmi(v);
    __atomic_store_n(&v->run.requests, 0, __ATOMIC_SEQ_CST); // as whoever resets it does
    vcpu_reset(v);
    vcpu_send_nmi(v);
    enters();
    had(EVENT_NMI, VECTOR_NMI);
    assert_int_equal(v->events.nmis, 0);
    assert_false(v->run.composed.nmi_window);
}

// D5.
static void a_trap_that_waits_goes_before_nmi_and_interrupt(void **state)
{
    (void)state;
    state_set(STATE_RFLAGS, state_get(STATE_RFLAGS) | RFLAGS_TF);
    exits(); // which is a single step
    scripted_post(v, TIMER_VECTOR);
    vcpu_send_nmi(v);
    enters();
    had_nothing();
    assert_int_equal(state_get(STATE_PENDING_DEBUG), DR6_BS);
    assert_true(v->run.composed.nmi_window && v->run.composed.interrupt_window);
    state_set(STATE_PENDING_DEBUG, 0); // it has been delivered
    state_set(STATE_RFLAGS, state_get(STATE_RFLAGS) & ~RFLAGS_TF);
    scripted_exit(v, EXIT_REASON_NMI_WINDOW);
    enters();
    had(EVENT_NMI, VECTOR_NMI);
}

// D5: SDM 27.3.1.5.
static void a_debug_exception_behind_mov_ss_has_bs_as_tf_says(void **state)
{
    (void)state;
    exits();
    state_set(STATE_RFLAGS, state_get(STATE_RFLAGS) | RFLAGS_TF);
    state_set(STATE_BLOCKING, BLOCKING_BY_MOV_SS);
    vcpu_inject_exception(v, VECTOR_DB, false, 0, 0);
    enters();
    had(EVENT_HARDWARE_EXCEPTION, VECTOR_DB);
    assert_int_equal(state_get(STATE_PENDING_DEBUG), DR6_BS);
}

// IN of a byte, which exits.
static void reads_port(u16 port)
{
    v->run.exit.length = 2;
    v->run.exit.port = (struct exit_port){.port = port, .size = 1, .in = true};
    scripted_exit(v, EXIT_REASON_IO_INSTRUCTION);
}

#define DR7_PORT_IN_DR1 (DR7_FIXED | BIT(2) | BIT(21)) // L1, R/W1 = 10

// D5, D9, A6.
static void a_port_that_meets_a_breakpoint_is_a_trap_that_waits(void **state)
{
    (void)state;
    write_dr1(0x60);
    state_set(STATE_DR7, DR7_PORT_IN_DR1);
    reads_port(0x60);
    assert_int_equal(state_get(STATE_PENDING_DEBUG), 0); // R/W = 10 is a port's with CR4.DE alone
    state_set(STATE_CR4, CR4_DE);
    reads_port(0x61);
    assert_int_equal(state_get(STATE_PENDING_DEBUG), 0);
    scripted_post(v, TIMER_VECTOR);
    reads_port(0x60);
    assert_int_equal(state_get(STATE_PENDING_DEBUG), DR6_ENABLED | BIT(1));
    enters();
    had_nothing(); // the trap goes first
    assert_true(v->run.composed.interrupt_window);
}

// D5, D9: both are one trap.
static void a_single_step_over_such_a_port_is_in_the_same_trap(void **state)
{
    (void)state;
    write_dr1(0x60);
    state_set(STATE_DR7, DR7_PORT_IN_DR1);
    state_set(STATE_CR4, CR4_DE);
    state_set(STATE_RFLAGS, state_get(STATE_RFLAGS) | RFLAGS_TF);
    reads_port(0x60);
    assert_int_equal(state_get(STATE_PENDING_DEBUG), DR6_ENABLED | DR6_BS | BIT(1));
}

// D9, H7.
static void the_debuggers_registers_see_it_in_the_place_of_the_guests(void **state)
{
    (void)state;
    write_dr1(0x60);
    state_set(STATE_DR7, DR7_PORT_IN_DR1);
    state_set(STATE_CR4, CR4_DE);
    u64 dr[4] = {[2] = 0x61};
    vcpu_set_breakpoint_registers(v, dr, DR7_FIXED | BIT(5) | BIT(25)); // G2, R/W2 = 10
    reads_port(0x60);
    assert_int_equal(state_get(STATE_PENDING_DEBUG), 0);
    reads_port(0x61);
    assert_int_equal(state_get(STATE_PENDING_DEBUG), DR6_ENABLED | BIT(2));
    v->run.exit.debug_hits = BIT(2); // as the CPU reports it at the next entry
    causes(VECTOR_DB, 0);
    assert_int_equal(vm->hits, BIT(2));
    assert_true(vcpu_is_held(v));
}

// D3.
static void an_exception_goes_before_an_interrupt_which_waits(void **state)
{
    (void)state;
    exits();
    scripted_post(v, TIMER_VECTOR);
    vcpu_raise_gp(v, 0x18);
    enters();
    had(EVENT_HARDWARE_EXCEPTION, VECTOR_GP);
    assert_int_equal(v->run.had.error, 0x18);
    assert_true(v->run.composed.interrupt_window);
    assert_true(state_get(STATE_RFLAGS) & RFLAGS_RF);
}

// D3.
static void real_mode_has_no_error_codes(void **state)
{
    (void)state;
    exits();
    state_set(STATE_CR0, CR0_ET);
    vcpu_raise_gp(v, 0x18);
    enters();
    had(EVENT_HARDWARE_EXCEPTION, VECTOR_GP);
    assert_int_equal(v->run.had.info & EVENT_HAS_ERROR, 0);
}

// D4.
static void an_event_whose_delivery_an_exit_interrupted_is_injected_again(void **state)
{
    (void)state;
    delivering(EVENT_HARDWARE_EXCEPTION, VECTOR_PF, 5);
    host_nmi();
    enters();
    had(EVENT_HARDWARE_EXCEPTION, VECTOR_PF);
    assert_int_equal(v->run.had.error, 5);
}

// D3, D4.
static void a_software_interrupt_is_injected_again_with_its_length(void **state)
{
    (void)state;
    delivering(EVENT_SOFTWARE_INTERRUPT, 0x80, 0);
    v->run.exit.length = 2;
    host_nmi();
    enters();
    had(EVENT_SOFTWARE_INTERRUPT, 0x80);
    assert_int_equal(v->run.had.length, 2);
}

// D4, F8.
static void an_nmi_that_is_delivered_again_begins_with_no_blocking(void **state)
{
    (void)state;
    exits();
    vcpu_send_nmi(v);
    enters();
    delivering(EVENT_NMI, VECTOR_NMI, 0);
    host_nmi();
    enters(); // which fails the test if blocking by NMI is still on
    had(EVENT_NMI, VECTOR_NMI);
}

// D4.
static void two_contributory_exceptions_are_a_double_fault(void **state)
{
    (void)state;
    delivering(EVENT_HARDWARE_EXCEPTION, VECTOR_GP, 0x10);
    causes(VECTOR_TS, 0x20);
    enters();
    had(EVENT_HARDWARE_EXCEPTION, VECTOR_DF);
    assert_true(v->run.had.info & EVENT_HAS_ERROR);
    assert_int_equal(v->run.had.error, 0);
    assert_int_equal(vm->triple_faults, 0);
}

// D4.
static void an_exception_in_a_double_fault_is_a_triple_fault(void **state)
{
    (void)state;
    delivering(EVENT_HARDWARE_EXCEPTION, VECTOR_DF, 0);
    causes(VECTOR_GP, 0);
    assert_int_equal(vm->triple_faults, 1);
}

// D4.
static void a_page_fault_while_a_general_protection_is_delivered_comes_alone(void **state)
{
    (void)state;
    delivering(EVENT_HARDWARE_EXCEPTION, VECTOR_GP, 0x10);
    v->run.exit.address = 0x5000;
    causes(VECTOR_PF, 2);
    enters();
    had(EVENT_HARDWARE_EXCEPTION, VECTOR_PF);
    assert_int_equal(v->run.had.error, 2);
    assert_int_equal(v->switched.cr2, 0x5000);
}

// D4.
static void an_interrupt_that_an_exception_interrupted_comes_after_it(void **state)
{
    (void)state;
    delivering(EVENT_EXTERNAL, TIMER_VECTOR, 0);
    causes(VECTOR_GP, 0x10);
    enters();
    had(EVENT_HARDWARE_EXCEPTION, VECTOR_GP);
    assert_true(v->run.composed.interrupt_window);
    scripted_exit(v, EXIT_REASON_INTERRUPT_WINDOW);
    enters();
    had(EVENT_EXTERNAL, TIMER_VECTOR);
}

// H8.
static void an_interrupt_put_off_for_a_step_comes_after_it(void **state)
{
    (void)state;
    delivering(EVENT_EXTERNAL, TIMER_VECTOR, 0);
    host_nmi(); // whereupon the debugger steps the guest
    vcpu_set_single_step(v, true, true);
    vcpu_compose(v);
    enters();
    had_nothing();
    assert_true(v->run.composed.step);
    assert_false(v->run.composed.interrupt_window); // it would open before the step
    scripted_exit(v, EXIT_REASON_MONITOR_TRAP_FLAG);
    assert_int_equal(vm->steps, 1);
    vcpu_set_single_step(v, false, false);
    vcpu_compose(v);
    vcpu_note(v, REQUEST_EVENT);
    enters();
    had(EVENT_EXTERNAL, TIMER_VECTOR);
}

static void what_was_prepared_is_taken_back_when_no_entry_follows(void **state)
{
    (void)state;
    exits();
    scripted_post(v, TIMER_VECTOR);
    assert_true(vcpu_requested(v)); // it is in place for the entry
    assert_true(v->events.loaded);
    core_attention(this_core()); // but the core has to look round first, and there is an NMI then
    vcpu_send_nmi(v);
    enters();
    had(EVENT_EXTERNAL, TIMER_VECTOR);
    assert_true(v->run.composed.nmi_window);
    scripted_exit(v, EXIT_REASON_NMI_WINDOW);
    enters();
    had(EVENT_NMI, VECTOR_NMI);
}

// A1.
static void hlt_ends_with_an_interrupt(void **state)
{
    (void)state;
    v->run.exit.length = 1;
    scripted_exit(v, EXIT_REASON_HLT);
    assert_int_equal(v->state, VCPU_SLEEPING);
    assert_null(scripted_enter());
    scripted_post(v, TIMER_VECTOR);
    enters();
    had(EVENT_EXTERNAL, TIMER_VECTOR);
    assert_int_equal(v->events.wakeups, 1);
}

// A1.
static void hlt_with_interrupts_off_ends_with_an_nmi_alone(void **state)
{
    (void)state;
    set_if(false);
    v->run.exit.length = 1;
    scripted_exit(v, EXIT_REASON_HLT);
    assert_int_equal(vm->halts, 1);
    scripted_post(v, TIMER_VECTOR);
    assert_null(scripted_enter());
    vcpu_send_nmi(v);
    scripted_now += SCRIPTED_HZ; // what woke it for nothing is not looked at again at once
    enters();
    had(EVENT_NMI, VECTOR_NMI);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, one_vcpu, scripted_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_interrupt_is_injected_at_the_next_entry),
        TEST(an_interrupt_waits_for_the_window_while_interrupts_are_off),
        TEST(an_interrupt_waits_until_blocking_by_sti_is_over),
        TEST(the_higher_of_two_interrupts_goes_first),
        TEST(an_nmi_goes_before_an_interrupt),
        TEST(an_nmi_waits_for_the_end_of_the_one_before),
        TEST(two_nmis_before_one_entry_are_two),
        TEST(an_nmi_before_a_reset_is_forgotten),
        TEST(a_trap_that_waits_goes_before_nmi_and_interrupt),
        TEST(a_debug_exception_behind_mov_ss_has_bs_as_tf_says),
        TEST(a_port_that_meets_a_breakpoint_is_a_trap_that_waits),
        TEST(a_single_step_over_such_a_port_is_in_the_same_trap),
        TEST(the_debuggers_registers_see_it_in_the_place_of_the_guests),
        TEST(an_exception_goes_before_an_interrupt_which_waits),
        TEST(real_mode_has_no_error_codes),
        TEST(an_event_whose_delivery_an_exit_interrupted_is_injected_again),
        TEST(a_software_interrupt_is_injected_again_with_its_length),
        TEST(an_nmi_that_is_delivered_again_begins_with_no_blocking),
        TEST(two_contributory_exceptions_are_a_double_fault),
        TEST(an_exception_in_a_double_fault_is_a_triple_fault),
        TEST(a_page_fault_while_a_general_protection_is_delivered_comes_alone),
        TEST(an_interrupt_that_an_exception_interrupted_comes_after_it),
        TEST(an_interrupt_put_off_for_a_step_comes_after_it),
        TEST(what_was_prepared_is_taken_back_when_no_entry_follows),
        TEST(hlt_ends_with_an_interrupt),
        TEST(hlt_with_interrupts_off_ends_with_an_nmi_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
