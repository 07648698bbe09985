// SPDX-License-Identifier: MIT
// D2: guest state in no register, and PDPTEs, that a VM entry refuses (SDM Vol. 3, 27.3.1.5,
// 27.3.1.6), each rule with what breaks it.
#include "check_fixture.h"

#define FLAGS   (RFLAGS_FIXED | RFLAGS_IF)
#define NMI     (EVENT_VALID | (u64)EVENT_NMI << 8 | 2)
#define FAULT   (EVENT_VALID | (u64)EVENT_HARDWARE_EXCEPTION << 8)
#define MTF     (EVENT_VALID | (u64)EVENT_OTHER << 8)
#define ENABLED BIT(12)
#define RTM     BIT(16)

// clang-format off
#define ACTIVITY(state) {GUEST_ACTIVITY, ACTIVITY_##state}
#define BLOCKING(bits)  {GUEST_INTERRUPTIBILITY, bits}
#define INFO(event)     {ENTRY_INTERRUPTION_INFO, event}
#define PENDING(bits)   {GUEST_PENDING_DEBUG, bits}
#define LINK(address)   {VMCS_LINK_POINTER, address}

static const struct change pae[] = {
    {ENTRY_CONTROLS, ENTRY & ~(u32)ENTRY_IA32E_GUEST}, {GUEST_EFER, 0}, {GUEST_CS_ACCESS, CODE_32},
    {GUEST_PDPTE0, 0x2001}, {GUEST_PDPTE1, 0x3019}, {GUEST_PDPTE2, 0x1e6}, {0}};

static const struct rule activity[] = {
    {"must be a state that the CPU has", GUEST_ACTIVITY,
     {GUEST_ACTIVITY, 4}, {GUEST_ACTIVITY, 3}},
    {"HLT needs SS's DPL to be 0", GUEST_ACTIVITY, ACTIVITY(HLT), ACTIVITY(ACTIVE), NULL,
     {{GUEST_CS_ACCESS, CODE_64 | 0x60}, {GUEST_SS_ACCESS, DATA | 0x60}}},
    {"must be active behind STI and MOV SS", GUEST_ACTIVITY, BLOCKING(BLOCKING_BY_STI),
     BLOCKING(BLOCKING_BY_NMI), NULL, {ACTIVITY(HLT)}},
    {"must be active behind STI and MOV SS", GUEST_ACTIVITY, BLOCKING(BLOCKING_BY_MOV_SS),
     BLOCKING(0), NULL, {ACTIVITY(SHUTDOWN)}},
    {"must take the event to be injected", GUEST_ACTIVITY,
     INFO(FAULT | VECTOR_UD), INFO(FAULT | VECTOR_DB), NULL, {ACTIVITY(HLT)}},
    {"must take the event to be injected", GUEST_ACTIVITY,
     INFO(FAULT | VECTOR_PF | EVENT_HAS_ERROR), INFO(FAULT | VECTOR_MC), NULL, {ACTIVITY(HLT)}},
    {"must take the event to be injected", GUEST_ACTIVITY,
     INFO(EVENT_VALID | EVENT_SOFTWARE_INTERRUPT << 8 | 0x80), INFO(EVENT_VALID | 0x80), NULL,
     {ACTIVITY(HLT)}},
    {"must take the event to be injected", GUEST_ACTIVITY,
     ACTIVITY(SHUTDOWN), ACTIVITY(HLT), NULL, {INFO(MTF)}},
    {"must take the event to be injected", GUEST_ACTIVITY,
     INFO(FAULT | VECTOR_DB), INFO(FAULT | VECTOR_MC), NULL, {ACTIVITY(SHUTDOWN)}},
    {"must take the event to be injected", GUEST_ACTIVITY,
     INFO(EVENT_VALID | VECTOR_MC), INFO(NMI), NULL, {ACTIVITY(SHUTDOWN)}},
    {"must take the event to be injected", GUEST_ACTIVITY,
     ACTIVITY(WAIT_FOR_SIPI), ACTIVITY(HLT), NULL, {INFO(NMI)}},
};

static const struct rule interruptibility[] = {
    {"reserved bits must be clear", GUEST_INTERRUPTIBILITY, BLOCKING(BIT(5)), BLOCKING(0)},
    {"reserved bits must be clear", GUEST_INTERRUPTIBILITY, BLOCKING(BIT(31)), BLOCKING(0)},
    {"blocking by STI and MOV SS must not both be set", GUEST_INTERRUPTIBILITY,
     BLOCKING(3), BLOCKING(1)},
    {"blocking by STI needs IF", GUEST_INTERRUPTIBILITY,
     {GUEST_RFLAGS, RFLAGS_FIXED}, {GUEST_RFLAGS, FLAGS}, NULL, {BLOCKING(BLOCKING_BY_STI)}},
    {"blocking must be clear for an interrupt to be injected", GUEST_INTERRUPTIBILITY,
     BLOCKING(BLOCKING_BY_STI), BLOCKING(BLOCKING_BY_NMI), NULL, {INFO(EVENT_VALID | 32)}},
    {"blocking must be clear for an interrupt to be injected", GUEST_INTERRUPTIBILITY,
     BLOCKING(BLOCKING_BY_MOV_SS), BLOCKING(0), NULL, {INFO(EVENT_VALID | 32)}},
    {"blocking by STI and MOV SS must be clear for an NMI to be injected", GUEST_INTERRUPTIBILITY,
     BLOCKING(BLOCKING_BY_MOV_SS), BLOCKING(0), NULL, {INFO(NMI)}},
    {"blocking by STI and MOV SS must be clear for an NMI to be injected", GUEST_INTERRUPTIBILITY,
     INFO(NMI), INFO(FAULT | VECTOR_UD), NULL, {BLOCKING(BLOCKING_BY_STI)}},
    {"blocking by NMI must be clear for an NMI to be injected", GUEST_INTERRUPTIBILITY,
     INFO(NMI), INFO(FAULT | VECTOR_UD), NULL, {BLOCKING(BLOCKING_BY_NMI)}},
    {"blocking by NMI must be clear for an NMI to be injected", GUEST_INTERRUPTIBILITY,
     {PIN_BASED_CONTROLS, PIN}, {PIN_BASED_CONTROLS, PIN & ~(u32)PIN_VIRTUAL_NMIS}, NULL,
     {BLOCKING(BLOCKING_BY_NMI), INFO(NMI)}},
    {"blocking by SMI is for SMM alone", GUEST_INTERRUPTIBILITY,
     BLOCKING(BLOCKING_BY_SMI), BLOCKING(BLOCKING_BY_NMI)},
    {"blocking by MOV SS must be clear at an interruption of an enclave", GUEST_INTERRUPTIBILITY,
     BLOCKING(BIT(4) | BLOCKING_BY_MOV_SS), BLOCKING(BIT(4) | BLOCKING_BY_STI)},
};

#define BS_WORDS "BS must be as TF and BTF say, behind STI, MOV SS or HLT"

static const struct rule pending_debug[] = {
    {"reserved bits must be clear", GUEST_PENDING_DEBUG, PENDING(BIT(4)), PENDING(15 | ENABLED)},
    {"reserved bits must be clear", GUEST_PENDING_DEBUG, PENDING(DR6_BD), PENDING(DR6_BS)},
    {"reserved bits must be clear", GUEST_PENDING_DEBUG, PENDING(DR6_BT), PENDING(0)},
    {"reserved bits must be clear", GUEST_PENDING_DEBUG, PENDING(BIT(17)), PENDING(0)},
    {BS_WORDS, GUEST_PENDING_DEBUG, PENDING(DR6_BS), PENDING(0), NULL, {BLOCKING(BLOCKING_BY_STI)}},
    {BS_WORDS, GUEST_PENDING_DEBUG, PENDING(0), PENDING(DR6_BS), NULL,
     {BLOCKING(BLOCKING_BY_MOV_SS), {GUEST_RFLAGS, FLAGS | RFLAGS_TF}}},
    {BS_WORDS, GUEST_PENDING_DEBUG, PENDING(0), PENDING(DR6_BS), NULL,
     {ACTIVITY(HLT), {GUEST_RFLAGS, FLAGS | RFLAGS_TF}}},
    {BS_WORDS, GUEST_PENDING_DEBUG, PENDING(DR6_BS), PENDING(0), NULL,
     {BLOCKING(BLOCKING_BY_STI), {GUEST_RFLAGS, FLAGS | RFLAGS_TF}, {GUEST_DEBUGCTL, DEBUGCTL_BTF}}},
    {BS_WORDS, GUEST_PENDING_DEBUG, BLOCKING(BLOCKING_BY_STI), BLOCKING(0), NULL,
     {{GUEST_RFLAGS, FLAGS | RFLAGS_TF}}},
    {"the CPU has no RTM", GUEST_PENDING_DEBUG, PENDING(RTM | ENABLED), PENDING(ENABLED)},
};

#define RESERVED "reserved bits must be clear"
#define PDPTE_RULES(field)                                              \
    {RESERVED, field, {field, 0x2003}, {field, 0x2019}, pae},           \
    {RESERVED, field, {field, 0x2101}, {field, 0x2e01}, pae},           \
    {WIDE, field, {field, TOO_WIDE | 1}, {field, WIDEST | 1}, pae},     \
    {WIDE, field, {field, TOO_WIDE | 1}, {field, TOO_WIDE}, pae}

static const struct rule pdptes[] = {
    PDPTE_RULES(GUEST_PDPTE0), PDPTE_RULES(GUEST_PDPTE1), PDPTE_RULES(GUEST_PDPTE2),
    PDPTE_RULES(GUEST_PDPTE3),
    {RESERVED, GUEST_PDPTE0, {GUEST_CR4, CR4_PAE | CR4_VMXE}, {GUEST_CR4, CR4_VMXE}, pae,
     {{GUEST_PDPTE0, 7}}},
    {RESERVED, GUEST_PDPTE0, {GUEST_CR0, 0x80010031}, {GUEST_CR0, 0x10031}, pae,
     {{GUEST_PDPTE0, 7}}},
    {RESERVED, GUEST_PDPTE0, {SECONDARY_CONTROLS, SECONDARY},
     {SECONDARY_CONTROLS, SECONDARY & ~(u32)(SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST)}, pae,
     {{GUEST_PDPTE0, 7}}},
};

static const struct rule link_pointer[] = {
    {"must be aligned to 4 KiB", VMCS_LINK_POINTER, LINK(LINKED | 8), LINK(LINKED)},
    {WIDE, VMCS_LINK_POINTER, LINK(BIT(46) | LINKED), LINK(LINKED)},
    {"must not be the VMCS itself", VMCS_LINK_POINTER, LINK(OWN_VMCS), LINK(UINT64_MAX)},
    {"the VMCS there must be a shadow as the control says", VMCS_LINK_POINTER,
     {SECONDARY_CONTROLS, SECONDARY | SECONDARY_VMCS_SHADOWING}, {SECONDARY_CONTROLS, SECONDARY},
     NULL, {LINK(LINKED)}},
};
// clang-format on

static void activity_that_breaks_a_rule_is_named(void **state)
{
    (void)state;
    run_rules(activity, ARRAY_SIZE(activity));
}

static void interruptibility_that_breaks_a_rule_is_named(void **state)
{
    (void)state;
    run_rules(interruptibility, ARRAY_SIZE(interruptibility));
}

static void pending_debug_exceptions_that_break_a_rule_are_named(void **state)
{
    (void)state;
    run_rules(pending_debug, ARRAY_SIZE(pending_debug));
}

static void pdptes_that_break_a_rule_are_named(void **state)
{
    (void)state;
    run_rules(pdptes, ARRAY_SIZE(pdptes));
}

static void a_link_pointer_that_breaks_a_rule_is_named(void **state)
{
    (void)state;
    run_rules(link_pointer, ARRAY_SIZE(link_pointer));
}

static void states_that_the_cpu_has_not_are_named(void **state)
{
    (void)state;
    static const u64 states[] = {ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_FOR_SIPI};
    for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
        good();
        set(GUEST_ACTIVITY, states[i]);
        passes();
        caps.misc &= ~(BIT(6) << i);
        fails(GUEST_ACTIVITY, "must be a state that the CPU has");
        caps.misc = 7 << 6 & ~(BIT(6) << i);
        set(GUEST_ACTIVITY, ACTIVITY_ACTIVE);
        passes();
    }
}

static void enclaves_need_sgx(void **state)
{
    (void)state;
    good();
    set(GUEST_INTERRUPTIBILITY, BIT(4));
    passes();
    caps.allowed1.secondary &= ~(u32)SECONDARY_ENCLS_EXITING;
    fails(GUEST_INTERRUPTIBILITY, "an interruption of an enclave needs SGX");
}

static void a_debug_exception_in_a_transaction_stands_alone(void **state)
{
    (void)state;
    good();
    caps.rtm = true;
    set(GUEST_PENDING_DEBUG, RTM | ENABLED);
    passes();
    set(GUEST_INTERRUPTIBILITY, BLOCKING_BY_STI);
    passes();
    set(GUEST_INTERRUPTIBILITY, BLOCKING_BY_MOV_SS);
    fails(GUEST_PENDING_DEBUG, "RTM must be clear behind MOV SS");
    set(GUEST_INTERRUPTIBILITY, 0);
    set(GUEST_PENDING_DEBUG, RTM);
    fails(GUEST_PENDING_DEBUG, "RTM comes with bit 12 and no other");
    set(GUEST_PENDING_DEBUG, RTM | ENABLED | 1);
    fails(GUEST_PENDING_DEBUG, "RTM comes with bit 12 and no other");
}

static void the_linked_vmcs_is_of_this_cpu_and_a_shadow_when_it_should(void **state)
{
    (void)state;
    good();
    set(VMCS_LINK_POINTER, LINKED);
    passes();
    linked_revision = REVISION + 1;
    fails(VMCS_LINK_POINTER, "the VMCS there must have the CPU's revision");
    linked_revision = REVISION | 1u << 31;
    fails(VMCS_LINK_POINTER, "the VMCS there must be a shadow as the control says");
    set(SECONDARY_CONTROLS, SECONDARY | SECONDARY_VMCS_SHADOWING);
    passes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activity_that_breaks_a_rule_is_named),
        cmocka_unit_test(interruptibility_that_breaks_a_rule_is_named),
        cmocka_unit_test(pending_debug_exceptions_that_break_a_rule_are_named),
        cmocka_unit_test(pdptes_that_break_a_rule_are_named),
        cmocka_unit_test(a_link_pointer_that_breaks_a_rule_is_named),
        cmocka_unit_test(states_that_the_cpu_has_not_are_named),
        cmocka_unit_test(enclaves_need_sgx),
        cmocka_unit_test(a_debug_exception_in_a_transaction_stands_alone),
        cmocka_unit_test(the_linked_vmcs_is_of_this_cpu_and_a_shadow_when_it_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
