// SPDX-License-Identifier: MIT
// D2: controls that a VM entry refuses (SDM Vol. 3, 27.2.1), each rule with what breaks it.
#include "check_fixture.h"

#define BYTES16 "must be aligned to 16 bytes"
#define AREA    "the area must end within the physical-address width"

#define NO_EPT (SECONDARY & ~(u32)(SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST))

// clang-format off
static const struct rule execution_controls[] = {
    {"reserved bits must be as IA32_VMX_PINBASED_CTLS says", PIN_BASED_CONTROLS,
     PINS(PIN | BIT(8)), PINS(PIN)},
    {"reserved bits must be as IA32_VMX_PINBASED_CTLS says", PIN_BASED_CONTROLS,
     PINS(PIN & ~BIT(1)), PINS(PIN)},
    {"reserved bits must be as IA32_VMX_PROCBASED_CTLS says", PRIMARY_CONTROLS,
     PRIMARIES(PRIMARY & ~BIT(1)), PRIMARIES(PRIMARY)},
    {"reserved bits must be as IA32_VMX_PROCBASED_CTLS2 says", SECONDARY_CONTROLS,
     SECONDARIES(SECONDARY | BIT(31)), SECONDARIES(SECONDARY)},
    {"reserved bits must be as IA32_VMX_PROCBASED_CTLS3 says", TERTIARY_CONTROLS,
     {TERTIARY_CONTROLS, 2}, {TERTIARY_CONTROLS, 1}, NULL,
     {PRIMARIES(PRIMARY | PRIMARY_TERTIARY)}},
    {"must not be above the number in IA32_VMX_MISC", CR3_TARGET_COUNT,
     {CR3_TARGET_COUNT, 5}, {CR3_TARGET_COUNT, 4}},
    PAGE_RULES(IO_BITMAP_A),
    PAGE_RULES(IO_BITMAP_B),
    PAGE_RULES(MSR_BITMAP),
    PAGE_RULES(VMREAD_BITMAP, SECONDARIES(SECONDARY | SECONDARY_VMCS_SHADOWING)),
    PAGE_RULES(VMWRITE_BITMAP, SECONDARIES(SECONDARY | SECONDARY_VMCS_SHADOWING)),
    {"virtual NMIs need NMI exiting", PIN_BASED_CONTROLS,
     PINS(PIN & ~(u32)PIN_NMI_EXITING), PINS(PIN & ~(u32)(PIN_NMI_EXITING | PIN_VIRTUAL_NMIS))},
    {"NMI-window exiting needs virtual NMIs", PRIMARY_CONTROLS,
     PINS(PIN & ~(u32)PIN_VIRTUAL_NMIS), PINS(PIN), NULL,
     {PRIMARIES(PRIMARY | PRIMARY_NMI_WINDOW)}},
    {"must not be 0", VPID, {VPID, 0}, {VPID, 1}},
    {"must not be 0", VPID, {VPID, 0},
     SECONDARIES(SECONDARY & ~(u32)SECONDARY_VPID)},
    {"saving the preemption timer needs the preemption timer", EXIT_CONTROLS,
     PINS(PIN & ~(u32)PIN_PREEMPTION_TIMER), PINS(PIN), NULL,
     {EXITS(EXIT | EXIT_SAVE_PREEMPTION_TIMER)}},
    {"guest-physical addresses of processor trace need IA32_RTIT_CTL loaded", ENTRY_CONTROLS,
     ENTRIES(ENTRY), ENTRIES(ENTRY | BIT(18)), NULL,
     {SECONDARIES(SECONDARY | SECONDARY_PT_GUEST_PHYSICAL), EXITS(EXIT | BIT(25))}},
    {"guest-physical addresses of processor trace need IA32_RTIT_CTL cleared", EXIT_CONTROLS,
     EXITS(EXIT), EXITS(EXIT | BIT(25)), NULL,
     {SECONDARIES(SECONDARY | SECONDARY_PT_GUEST_PHYSICAL), ENTRIES(ENTRY | BIT(18))}},
    {"must not be 0", TSC_MULTIPLIER, {TSC_MULTIPLIER, 0}, {TSC_MULTIPLIER, 1}, NULL,
     {SECONDARIES(SECONDARY | (u32)SECONDARY_TSC_SCALING)}},
};

#define NEEDS_EPT(words, control)                                          \
    {words, SECONDARY_CONTROLS, SECONDARIES((NO_EPT | (control))), SECONDARIES(NO_EPT)}

static const struct rule ept[] = {
    {"the memory type must be one that the CPU has for EPT", EPT_POINTER,
     {EPT_POINTER, 0x1605d}, {EPT_POINTER, 0x1605e}},
    {"the memory type must be one that the CPU has for EPT", EPT_POINTER,
     {EPT_POINTER, 0x16058}, {EPT_POINTER, 0x1605e}},
    {"the levels must be a number that the CPU has for EPT", EPT_POINTER,
     {EPT_POINTER, 0x16056}, {EPT_POINTER, 0x1601e}},
    {"the levels must be a number that the CPU has for EPT", EPT_POINTER,
     {EPT_POINTER, 0x16066}, {EPT_POINTER, 0x1601e}},
    {"the CPU has no supervisor shadow-stack control in EPT", EPT_POINTER,
     {EPT_POINTER, 0x1609e}, {EPT_POINTER, 0x1601e}},
    {"reserved bits must be clear", EPT_POINTER, {EPT_POINTER, 0x1611e}, {EPT_POINTER, 0x1601e}},
    {"reserved bits must be clear", EPT_POINTER, {EPT_POINTER, 0x1681e}, {EPT_POINTER, 0x1601e}},
    {WIDE, EPT_POINTER, {EPT_POINTER, TOO_WIDE | 0x1e}, {EPT_POINTER, WIDEST | 0x1e}},
    NEEDS_EPT("unrestricted guest needs EPT", SECONDARY_UNRESTRICTED_GUEST),
    NEEDS_EPT("page-modification logging needs EPT", SECONDARY_PML),
    NEEDS_EPT("mode-based execute control needs EPT", SECONDARY_MODE_BASED_EXECUTE),
    NEEDS_EPT("sub-page write permissions need EPT", SECONDARY_SUB_PAGE_WRITE),
    NEEDS_EPT("guest-physical addresses of processor trace need EPT", SECONDARY_PT_GUEST_PHYSICAL),
    PAGE_RULES(PML_ADDRESS, SECONDARIES(SECONDARY | SECONDARY_PML)),
    PAGE_RULES(SUB_PAGE_PERMISSION_POINTER, SECONDARIES(SECONDARY | SECONDARY_SUB_PAGE_WRITE)),
    PAGE_RULES(VIRTUALIZATION_EXCEPTION_ADDRESS,
               SECONDARIES(SECONDARY | SECONDARY_EPT_VIOLATION_VE)),
    {"reserved bits must be as IA32_VMX_VMFUNC says", VM_FUNCTION_CONTROLS,
     {VM_FUNCTION_CONTROLS, 2}, {VM_FUNCTION_CONTROLS, 1}, NULL,
     {SECONDARIES(SECONDARY | SECONDARY_VMFUNC)}},
    {"EPTP switching needs EPT", VM_FUNCTION_CONTROLS,
     {VM_FUNCTION_CONTROLS, 1}, {VM_FUNCTION_CONTROLS, 0}, NULL,
     {SECONDARIES(NO_EPT | SECONDARY_VMFUNC)}},
    PAGE_RULES(EPTP_LIST_ADDRESS, SECONDARIES(SECONDARY | SECONDARY_VMFUNC),
               {VM_FUNCTION_CONTROLS, 1}),
};

#define AREA_RULES(count, address)                                                      \
    {BYTES16, address, {address, 0x1008}, {address, 0x1010}, NULL, {{count, 1}}},        \
    {WIDE, address, {address, TOO_WIDE}, {address, WIDEST}, NULL, {{count, 1}}},         \
    {AREA, count, {count, 257}, {count, 256}, NULL, {{address, BIT(46) - 0x1000}}},      \
    {BYTES16, address, {count, 1}, {count, 0}, NULL, {{address, 0x1008}}}

static const struct rule exit_and_entry_controls[] = {
    {"reserved bits must be as IA32_VMX_EXIT_CTLS says", EXIT_CONTROLS,
     EXITS(EXIT & ~BIT(0)), EXITS(EXIT)},
    {"reserved bits must be as IA32_VMX_EXIT_CTLS says", EXIT_CONTROLS,
     EXITS(EXIT | BIT(31)), EXITS(EXIT)},
    AREA_RULES(EXIT_MSR_STORE_COUNT, EXIT_MSR_STORE_ADDRESS),
    AREA_RULES(EXIT_MSR_LOAD_COUNT, EXIT_MSR_LOAD_ADDRESS),
    {"reserved bits must be as IA32_VMX_ENTRY_CTLS says", ENTRY_CONTROLS,
     ENTRIES(ENTRY & ~BIT(0)), ENTRIES(ENTRY)},
    {"reserved bits must be as IA32_VMX_ENTRY_CTLS says", ENTRY_CONTROLS,
     ENTRIES(ENTRY | BIT(31)), ENTRIES(ENTRY)},
    {"entry to SMM is for SMM alone", ENTRY_CONTROLS,
     ENTRIES(ENTRY | ENTRY_TO_SMM), ENTRIES(ENTRY)},
    {"deactivating dual-monitor treatment is for SMM alone", ENTRY_CONTROLS,
     ENTRIES(ENTRY | ENTRY_DEACTIVATE_DUAL_MONITOR), ENTRIES(ENTRY)},
    AREA_RULES(ENTRY_MSR_LOAD_COUNT, ENTRY_MSR_LOAD_ADDRESS),
};
// clang-format on

static void what_vitrine_uses_passes(void **state)
{
    (void)state;
    good();
    passes();
    set(SECONDARY_CONTROLS, (SECONDARY & ~(u32)SECONDARY_APIC_ACCESSES) | SECONDARY_X2APIC);
    passes();
    set(SECONDARY_CONTROLS, SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST);
    set(PIN_BASED_CONTROLS, PIN_INJECTS);
    passes();
}

static void execution_controls_that_break_a_rule_are_named(void **state)
{
    (void)state;
    run_rules(execution_controls, ARRAY_SIZE(execution_controls));
}

static void ept_controls_that_break_a_rule_are_named(void **state)
{
    (void)state;
    run_rules(ept, ARRAY_SIZE(ept));
}

static void exit_and_entry_controls_that_break_a_rule_are_named(void **state)
{
    (void)state;
    run_rules(exit_and_entry_controls, ARRAY_SIZE(exit_and_entry_controls));
}

static void the_cpus_features_decide_on_the_ept_pointer(void **state)
{
    (void)state;
    good();
    caps.ept_vpid &= ~EPT_CAP_AD;
    fails(EPT_POINTER, "the CPU has no accessed and dirty bits in EPT");
    set(EPT_POINTER, 0x1601e);
    passes();
    caps.ept_vpid |= EPT_CAP_UC | EPT_CAP_WALK_5 | EPT_CAP_SHADOW_STACK;
    set(EPT_POINTER, 0x160a0);
    passes();
    caps.ept_vpid &= ~(EPT_CAP_WB | EPT_CAP_WALK_4);
    passes();
    set(EPT_POINTER, 0x16026);
    fails(EPT_POINTER, "the memory type must be one that the CPU has for EPT");
    set(EPT_POINTER, 0x16018);
    fails(EPT_POINTER, "the levels must be a number that the CPU has for EPT");
}

static void a_control_that_the_cpu_has_not_is_named(void **state)
{
    (void)state;
    good();
    caps.allowed1.primary &= ~(u32)PRIMARY_MSR_BITMAPS;
    fails(PRIMARY_CONTROLS, "reserved bits must be as IA32_VMX_PROCBASED_CTLS says");
    set(PRIMARY_CONTROLS, PRIMARY & ~(u32)PRIMARY_MSR_BITMAPS);
    passes();
}

static void controls_that_are_off_ask_nothing_of_their_fields(void **state)
{
    (void)state;
    static const enum vmcs_field fields[] = {
        IO_BITMAP_A,          IO_BITMAP_B,
        MSR_BITMAP,           VIRTUAL_APIC_ADDRESS,
        APIC_ACCESS_ADDRESS,  TPR_THRESHOLD,
        EPT_POINTER,          POSTED_INTERRUPT_DESCRIPTOR_ADDRESS,
        VMREAD_BITMAP,        VMWRITE_BITMAP,
        PML_ADDRESS,          SUB_PAGE_PERMISSION_POINTER,
        VM_FUNCTION_CONTROLS, VIRTUALIZATION_EXCEPTION_ADDRESS,
        TERTIARY_CONTROLS,    EPTP_LIST_ADDRESS};
    good();
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
        set(fields[i], UINT64_MAX);
    set(POSTED_INTERRUPT_NOTIFICATION_VECTOR, 256);
    set(VPID, 0);
    set(TSC_MULTIPLIER, 0);
    set(SECONDARY_CONTROLS, UINT64_MAX);
    set(PIN_BASED_CONTROLS, PIN_INJECTS & ~(u32)PIN_EXTERNAL_INTERRUPT_EXITING);
    set(PRIMARY_CONTROLS, PRIMARY_FIXED);
    passes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_vitrine_uses_passes),
        cmocka_unit_test(execution_controls_that_break_a_rule_are_named),
        cmocka_unit_test(ept_controls_that_break_a_rule_are_named),
        cmocka_unit_test(exit_and_entry_controls_that_break_a_rule_are_named),
        cmocka_unit_test(the_cpus_features_decide_on_the_ept_pointer),
        cmocka_unit_test(a_control_that_the_cpu_has_not_is_named),
        cmocka_unit_test(controls_that_are_off_ask_nothing_of_their_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
