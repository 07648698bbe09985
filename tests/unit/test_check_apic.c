// SPDX-License-Identifier: MIT
// D2: controls of APIC virtualization that a VM entry refuses (SDM Vol. 3, 27.2.1.1), each rule
// with what breaks it.
#include "check_fixture.h"

// clang-format off
static const struct rule apic[] = {
    {PAGE, VIRTUAL_APIC_ADDRESS,
     {VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC | 8}, {VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC}},
    {WIDE, VIRTUAL_APIC_ADDRESS, {VIRTUAL_APIC_ADDRESS, TOO_WIDE}, {VIRTUAL_APIC_ADDRESS, WIDEST}},
    {"bits 31:4 must be clear without virtual-interrupt delivery", TPR_THRESHOLD,
     {TPR_THRESHOLD, 0x10}, {TPR_THRESHOLD, 0xf}, NULL,
     {PINS(PIN_INJECTS), SECONDARIES(SECONDARY_INJECTS)}},
    {"must not be above bits 7:4 of the virtual TPR", TPR_THRESHOLD,
     {TPR_THRESHOLD, 1}, {TPR_THRESHOLD, 0}, NULL,
     {PINS(PIN_INJECTS), SECONDARIES(SECONDARY_INJECTS & ~(u32)SECONDARY_APIC_ACCESSES)}},
    {"x2APIC mode needs the TPR shadow", SECONDARY_CONTROLS,
     SECONDARIES(SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST | SECONDARY_X2APIC),
     SECONDARIES(SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST), NULL,
     {PINS(PIN_INJECTS), PRIMARIES(PRIMARY & ~(u32)PRIMARY_TPR_SHADOW)}},
    {"APIC-register virtualization needs the TPR shadow", SECONDARY_CONTROLS,
     SECONDARIES(SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST | SECONDARY_APIC_REGISTERS),
     SECONDARIES(SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST), NULL,
     {PINS(PIN_INJECTS), PRIMARIES(PRIMARY & ~(u32)PRIMARY_TPR_SHADOW)}},
    {"virtual-interrupt delivery needs the TPR shadow", SECONDARY_CONTROLS,
     SECONDARIES(SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST |
                 SECONDARY_VIRTUAL_INTERRUPT_DELIVERY),
     SECONDARIES(SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST), NULL,
     {PINS(PIN_INJECTS), PRIMARIES(PRIMARY & ~(u32)PRIMARY_TPR_SHADOW)}},
    PAGE_RULES(APIC_ACCESS_ADDRESS),
    {"x2APIC mode and APIC accesses exclude one another", SECONDARY_CONTROLS,
     SECONDARIES(SECONDARY | SECONDARY_X2APIC),
     SECONDARIES((SECONDARY & ~(u32)SECONDARY_APIC_ACCESSES) | SECONDARY_X2APIC)},
    {"virtual-interrupt delivery needs external-interrupt exiting", PIN_BASED_CONTROLS,
     PINS(PIN & ~(u32)PIN_EXTERNAL_INTERRUPT_EXITING), PINS(PIN)},
    {"posted interrupts need virtual-interrupt delivery", PIN_BASED_CONTROLS,
     PINS(PIN), PINS(PIN_INJECTS), NULL, {SECONDARIES(SECONDARY_INJECTS)}},
    {"posted interrupts need interrupts to be acknowledged on exit", EXIT_CONTROLS,
     EXITS(EXIT & ~(u32)EXIT_ACKNOWLEDGE_INTERRUPT), EXITS(EXIT)},
    {"must be a vector, 0 to 255", POSTED_INTERRUPT_NOTIFICATION_VECTOR,
     {POSTED_INTERRUPT_NOTIFICATION_VECTOR, 256}, {POSTED_INTERRUPT_NOTIFICATION_VECTOR, 255}},
    {"must be aligned to 64 bytes", POSTED_INTERRUPT_DESCRIPTOR_ADDRESS,
     {POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, 0x15020}, {POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, 0x15080}},
    {WIDE, POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, {POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, TOO_WIDE},
     {POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, WIDEST}},
};
// clang-format on

static void apic_controls_that_break_a_rule_are_named(void **state)
{
    (void)state;
    run_rules(apic, ARRAY_SIZE(apic));
}

static void the_threshold_follows_the_virtual_tpr(void **state)
{
    (void)state;
    good();
    set(PIN_BASED_CONTROLS, PIN_INJECTS);
    set(SECONDARY_CONTROLS, SECONDARY_INJECTS & ~(u32)SECONDARY_APIC_ACCESSES);
    set(TPR_THRESHOLD, 3);
    virtual_tpr = 0x2f;
    fails(TPR_THRESHOLD, "must not be above bits 7:4 of the virtual TPR");
    virtual_tpr = 0x30;
    passes();
}

static void virtual_interrupt_delivery_asks_nothing_of_the_threshold(void **state)
{
    (void)state;
    good();
    set(TPR_THRESHOLD, 0x10);
    passes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(apic_controls_that_break_a_rule_are_named),
        cmocka_unit_test(the_threshold_follows_the_virtual_tpr),
        cmocka_unit_test(virtual_interrupt_delivery_asks_nothing_of_the_threshold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
