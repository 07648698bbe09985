// SPDX-License-Identifier: MIT
// D2: events that a VM entry refuses to inject (SDM Vol. 3, 27.2.1.3), each rule with what breaks
// it.
#include "check_fixture.h"

#define EVENT(type, vector) (EVENT_VALID | (type) << 8 | (vector))
#define EXCEPTION(vector)   EVENT(EVENT_HARDWARE_EXCEPTION, vector)

static const struct change real_mode[] = {
    {ENTRY_CONTROLS, ENTRY & ~(u32)ENTRY_IA32E_GUEST},
    {GUEST_CR0, 0x30},
    {GUEST_EFER, 0},
    {GUEST_CS_ACCESS, 0x9b},
    {GUEST_CS_LIMIT, 0xffff},
    {0},
};

// clang-format off
#define INFO(event) {ENTRY_INTERRUPTION_INFO, event}
#define LENGTH(n)   {ENTRY_INSTRUCTION_LENGTH, n}

static const struct rule rules[] = {
    {"the type must be one that the CPU has", ENTRY_INTERRUPTION_INFO,
     INFO(EVENT(1ul, 32)), INFO(EVENT(0ul, 32))},
    {"the vector must be one that the type can have", ENTRY_INTERRUPTION_INFO,
     INFO(EVENT((u64)EVENT_NMI, 3)), INFO(EVENT((u64)EVENT_NMI, 2))},
    {"the vector must be one that the type can have", ENTRY_INTERRUPTION_INFO,
     INFO(EXCEPTION(32)), INFO(EXCEPTION(31))},
    {"the vector must be one that the type can have", ENTRY_INTERRUPTION_INFO,
     INFO(EVENT((u64)EVENT_OTHER, 1)), INFO(EVENT((u64)EVENT_OTHER, 0))},
    {"reserved bits must be clear", ENTRY_INTERRUPTION_INFO,
     INFO(EVENT(0ul, 32) | BIT(12)), INFO(EVENT(0ul, 32))},
    {"reserved bits must be clear", ENTRY_INTERRUPTION_INFO,
     INFO(EVENT(0ul, 32) | BIT(30)), INFO((EVENT(0ul, 32) | BIT(30)) & ~EVENT_VALID)},
    {"an error code is for hardware exceptions alone", ENTRY_INTERRUPTION_INFO,
     INFO(EVENT((u64)EVENT_SOFTWARE_EXCEPTION, 13) | EVENT_HAS_ERROR),
     INFO(EXCEPTION(13) | EVENT_HAS_ERROR), NULL, {LENGTH(1)}},
    {"an error code is for protected mode alone", ENTRY_INTERRUPTION_INFO,
     INFO(EXCEPTION(13) | EVENT_HAS_ERROR), INFO(EXCEPTION(13)), real_mode},
    {"the exception must have no error code", ENTRY_INTERRUPTION_INFO,
     INFO(EXCEPTION(6) | EVENT_HAS_ERROR), INFO(EXCEPTION(6))},
    {"the exception must have no error code", ENTRY_INTERRUPTION_INFO,
     INFO(EXCEPTION(9) | EVENT_HAS_ERROR), INFO(EXCEPTION(9))},
    {"the exception must have an error code", ENTRY_INTERRUPTION_INFO,
     INFO(EXCEPTION(8)), INFO(EXCEPTION(8) | EVENT_HAS_ERROR)},
    {"the exception must have an error code", ENTRY_INTERRUPTION_INFO,
     INFO(EXCEPTION(10)), INFO(EXCEPTION(10) | EVENT_HAS_ERROR)},
    {"the exception must have an error code", ENTRY_INTERRUPTION_INFO,
     INFO(EXCEPTION(14)), INFO(EXCEPTION(14) | EVENT_HAS_ERROR)},
    {"the exception must have an error code", ENTRY_INTERRUPTION_INFO,
     INFO(EXCEPTION(17)), INFO(EXCEPTION(17) | EVENT_HAS_ERROR)},
    {"bits 31:16 must be clear", ENTRY_EXCEPTION_ERROR_CODE,
     {ENTRY_EXCEPTION_ERROR_CODE, 0x10000}, {ENTRY_EXCEPTION_ERROR_CODE, 0xffff}, NULL,
     {INFO(EXCEPTION(14) | EVENT_HAS_ERROR)}},
    {"must not be above 15", ENTRY_INSTRUCTION_LENGTH, LENGTH(16), LENGTH(15), NULL,
     {INFO(EVENT((u64)EVENT_SOFTWARE_INTERRUPT, 0x80))}},
    {"must not be above 15", ENTRY_INSTRUCTION_LENGTH, LENGTH(16), LENGTH(15), NULL,
     {INFO(EVENT((u64)EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, 1))}},
    {"must not be above 15", ENTRY_INSTRUCTION_LENGTH, LENGTH(16), LENGTH(0), NULL,
     {INFO(EVENT((u64)EVENT_SOFTWARE_EXCEPTION, 3))}},
};
// clang-format on

static void events_that_break_a_rule_are_named(void **state)
{
    (void)state;
    run_rules(rules, ARRAY_SIZE(rules));
}

static void fields_of_no_event_and_of_other_events_may_be_anything(void **state)
{
    (void)state;
    good();
    set(ENTRY_EXCEPTION_ERROR_CODE, UINT32_MAX);
    set(ENTRY_INSTRUCTION_LENGTH, 99);
    passes();
    set(ENTRY_INTERRUPTION_INFO, EVENT(0ul, 32));
    passes();
    set(ENTRY_INTERRUPTION_INFO, EXCEPTION(6));
    passes();
}

static void a_pending_monitor_trap_needs_the_flag(void **state)
{
    (void)state;
    good();
    set(ENTRY_INTERRUPTION_INFO, EVENT((u64)EVENT_OTHER, 0));
    passes();
    caps.allowed1.primary &= ~(u32)PRIMARY_MONITOR_TRAP_FLAG;
    fails(ENTRY_INTERRUPTION_INFO, "the type must be one that the CPU has");
}

static void a_newer_cpu_takes_exceptions_with_and_without_error_codes(void **state)
{
    (void)state;
    good();
    caps.basic |= BASIC_ANY_ERROR_CODE;
    set(ENTRY_INTERRUPTION_INFO, EXCEPTION(13));
    passes();
    set(ENTRY_INTERRUPTION_INFO, EXCEPTION(6) | EVENT_HAS_ERROR);
    passes();
    set(ENTRY_INTERRUPTION_INFO, EVENT(0ul, 32) | EVENT_HAS_ERROR);
    fails(ENTRY_INTERRUPTION_INFO, "an error code is for hardware exceptions alone");
}

static void an_older_cpu_takes_no_instruction_of_no_bytes(void **state)
{
    (void)state;
    good();
    set(ENTRY_INTERRUPTION_INFO, EVENT((u64)EVENT_SOFTWARE_EXCEPTION, 3));
    passes();
    caps.misc &= ~MISC_ZERO_LENGTH_INJECTION;
    fails(ENTRY_INSTRUCTION_LENGTH, "must not be 0 on this CPU");
    set(ENTRY_INSTRUCTION_LENGTH, 1);
    passes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_that_break_a_rule_are_named),
        cmocka_unit_test(fields_of_no_event_and_of_other_events_may_be_anything),
        cmocka_unit_test(a_pending_monitor_trap_needs_the_flag),
        cmocka_unit_test(a_newer_cpu_takes_exceptions_with_and_without_error_codes),
        cmocka_unit_test(an_older_cpu_takes_no_instruction_of_no_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
