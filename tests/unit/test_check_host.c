// SPDX-License-Identifier: MIT
// D2: host state that a VM entry refuses (SDM Vol. 3, 27.2.2 to 27.2.4), each rule with what breaks
// it.
#include "check_fixture.h"

#define SELECTOR  "RPL and the table's bit must be 0"
#define PAT_WORDS "must be memory types"

#define CR0 0x80010033ul
#define CR4 (CR4_PAE | CR4_VMXE)

// clang-format off
#define SELECTOR_RULES(field)                   \
    {SELECTOR, field, {field, 12}, {field, 8}}, \
    {SELECTOR, field, {field, 11}, {field, 8}}

static const struct rule rules[] = {
    {"bits fixed to 1 must be set", HOST_CR0, {HOST_CR0, CR0 & ~CR0_NE}, {HOST_CR0, CR0}},
    {"bits fixed to 0 must be clear", HOST_CR0, {HOST_CR0, CR0 | BIT(32)}, {HOST_CR0, CR0}},
    {"bits fixed to 1 must be set", HOST_CR4, {HOST_CR4, CR4_PAE}, {HOST_CR4, CR4}},
    {"bits fixed to 0 must be clear", HOST_CR4, {HOST_CR4, CR4 | CR4_LA57}, {HOST_CR4, CR4}},
    {"CET needs CR0.WP", HOST_CR4, {HOST_CR0, CR0 & ~CR0_WP}, {HOST_CR0, CR0}, NULL,
     {{HOST_CR4, CR4 | CR4_CET}}},
    {"bits beyond the physical-address width must be clear", HOST_CR3,
     {HOST_CR3, TOO_WIDE}, {HOST_CR3, WIDEST}},
    CANONICAL_RULES(HOST_SYSENTER_ESP),
    CANONICAL_RULES(HOST_SYSENTER_EIP),
    {"must be of counters that the CPU has", HOST_PERF_GLOBAL_CTRL,
     {HOST_PERF_GLOBAL_CTRL, BIT(35)}, {HOST_PERF_GLOBAL_CTRL, BIT(34) | BIT(3)}, NULL,
     {{EXIT_CONTROLS, EXIT | EXIT_LOAD_PERF_GLOBAL_CTRL}}},
    {"must be of counters that the CPU has", HOST_PERF_GLOBAL_CTRL,
     {EXIT_CONTROLS, EXIT | EXIT_LOAD_PERF_GLOBAL_CTRL}, {EXIT_CONTROLS, EXIT}, NULL,
     {{HOST_PERF_GLOBAL_CTRL, BIT(4)}}},
    {PAT_WORDS, HOST_PAT, {HOST_PAT, PAT - 4}, {HOST_PAT, PAT - 2}},
    {PAT_WORDS, HOST_PAT, {HOST_PAT, PAT | BIT(59)}, {HOST_PAT, PAT}},
    {PAT_WORDS, HOST_PAT, {EXIT_CONTROLS, EXIT}, {EXIT_CONTROLS, EXIT & ~(u32)EXIT_LOAD_PAT}, NULL,
     {{HOST_PAT, 3}}},
    {"reserved bits must be clear", HOST_EFER,
     {HOST_EFER, EFER_LMA | EFER_LME | BIT(1)}, {HOST_EFER, EFER_LMA | EFER_LME | EFER_SCE}},
    {"LMA and LME must be set, the host being in 64-bit mode", HOST_EFER,
     {HOST_EFER, EFER_LME}, {HOST_EFER, EFER_LMA | EFER_LME}},
    {"LMA and LME must be set, the host being in 64-bit mode", HOST_EFER,
     {HOST_EFER, EFER_LMA}, {HOST_EFER, EFER_LMA | EFER_LME}},
    {"LMA and LME must be set, the host being in 64-bit mode", HOST_EFER,
     {EXIT_CONTROLS, EXIT}, {EXIT_CONTROLS, EXIT & ~(u32)EXIT_LOAD_EFER}, NULL, {{HOST_EFER, 0}}},
    SELECTOR_RULES(HOST_ES_SELECTOR),
    SELECTOR_RULES(HOST_CS_SELECTOR),
    SELECTOR_RULES(HOST_SS_SELECTOR),
    SELECTOR_RULES(HOST_DS_SELECTOR),
    SELECTOR_RULES(HOST_FS_SELECTOR),
    SELECTOR_RULES(HOST_GS_SELECTOR),
    SELECTOR_RULES(HOST_TR_SELECTOR),
    {"must not be null", HOST_CS_SELECTOR, {HOST_CS_SELECTOR, 0}, {HOST_CS_SELECTOR, 8}},
    {"must not be null", HOST_TR_SELECTOR, {HOST_TR_SELECTOR, 0}, {HOST_SS_SELECTOR, 0}},
    CANONICAL_RULES(HOST_FS_BASE),
    CANONICAL_RULES(HOST_GS_BASE),
    CANONICAL_RULES(HOST_TR_BASE),
    CANONICAL_RULES(HOST_GDTR_BASE),
    CANONICAL_RULES(HOST_IDTR_BASE),
    {"the host is in 64-bit mode", EXIT_CONTROLS,
     {EXIT_CONTROLS, EXIT & ~(u32)EXIT_HOST_64BIT}, {EXIT_CONTROLS, EXIT}},
    {"64-bit mode needs PAE", HOST_CR4, {HOST_CR4, CR4_VMXE}, {HOST_CR4, CR4}},
    CANONICAL_RULES(HOST_RIP),
};
// clang-format on

static void host_state_that_breaks_a_rule_is_named(void **state)
{
    (void)state;
    run_rules(rules, ARRAY_SIZE(rules));
}

static void guest_state_alone_passes_whatever_the_host_state_is(void **state)
{
    (void)state;
    good();
    set(HOST_CR0, 0);
    set(VIRTUAL_APIC_ADDRESS, 1);
    entry_check_guest(&check);
    assert_null(check.rule);
    set(GUEST_CR3, TOO_WIDE);
    entry_check_guest(&check);
    assert_int_equal(check.field, GUEST_CR3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_state_that_breaks_a_rule_is_named),
        cmocka_unit_test(guest_state_alone_passes_whatever_the_host_state_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
