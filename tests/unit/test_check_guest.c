// SPDX-License-Identifier: MIT
// D2: guests' registers that a VM entry refuses (SDM Vol. 3, 27.3.1.1 to 27.3.1.4), each rule with
// what breaks it.
#include "check_fixture.h"

#define COUNTERS "must be of counters that the CPU has"

#define CR0      0x80010031ul
#define CR4      (CR4_PAE | CR4_VMXE)
#define EFER     (EFER_LMA | EFER_LME)
#define ENTRY_32 (ENTRY & ~(u32)ENTRY_IA32E_GUEST)
#define FLAGS    (RFLAGS_FIXED | RFLAGS_IF)

// clang-format off
// Modes besides 64-bit mode.
static const struct change protected_mode[] = {
    ENTRIES(ENTRY_32), {GUEST_EFER, 0}, {GUEST_CS_ACCESS, CODE_32}, {0}};
static const struct change real_mode[] = {
    ENTRIES(ENTRY_32), {GUEST_CR0, 0x30}, {GUEST_EFER, 0}, {GUEST_CS_ACCESS, 0x93},
    {GUEST_CS_LIMIT, 0xffff}, {0}};
#define V8086_SEGMENT(name)                                            \
    {GUEST_##name##_SELECTOR, 0x1000}, {GUEST_##name##_BASE, 0x10000}, \
    {GUEST_##name##_LIMIT, 0xffff}, {GUEST_##name##_ACCESS, 0xf3}
static const struct change v8086[] = {
    ENTRIES(ENTRY_32), {GUEST_EFER, 0}, {GUEST_RFLAGS, FLAGS | RFLAGS_VM},
    V8086_SEGMENT(ES), V8086_SEGMENT(CS), V8086_SEGMENT(SS), V8086_SEGMENT(DS),
    V8086_SEGMENT(FS), V8086_SEGMENT(GS), {0}};
static const struct change user[] = {{GUEST_CS_ACCESS, CODE_64 | 0x60},
                                     {GUEST_SS_ACCESS, DATA | 0x60},
                                     {GUEST_CS_SELECTOR, 0x33},
                                     {GUEST_SS_SELECTOR, 0x2b},
                                     {0}};
static const struct change restricted[] = {
    {SECONDARY_CONTROLS, SECONDARY & ~(u32)SECONDARY_UNRESTRICTED_GUEST}, {0}};

static const struct rule control_registers_and_msrs[] = {
    {"bits fixed to 1 must be set", GUEST_CR0, {GUEST_CR0, CR0 & ~CR0_NE}, {GUEST_CR0, CR0}},
    {"bits fixed to 1 must be set", GUEST_CR0,
     {SECONDARY_CONTROLS, SECONDARY & ~(u32)SECONDARY_UNRESTRICTED_GUEST},
     {SECONDARY_CONTROLS, SECONDARY}, real_mode},
    {"bits fixed to 0 must be clear", GUEST_CR0, {GUEST_CR0, CR0 | BIT(32)}, {GUEST_CR0, CR0}},
    {"PG needs PE", GUEST_CR0, {GUEST_CR0, CR0 & ~CR0_PE}, {GUEST_CR0, CR0}, protected_mode},
    {"bits fixed to 1 must be set", GUEST_CR4, {GUEST_CR4, CR4_PAE}, {GUEST_CR4, CR4}},
    {"bits fixed to 0 must be clear", GUEST_CR4, {GUEST_CR4, CR4 | CR4_LA57}, {GUEST_CR4, CR4}},
    {"CET needs CR0.WP", GUEST_CR4, {GUEST_CR0, CR0 & ~CR0_WP}, {GUEST_CR0, CR0}, NULL,
     {{GUEST_CR4, CR4 | CR4_CET}}},
    {"IA-32e mode needs PG", GUEST_CR0, {GUEST_CR0, CR0 & ~CR0_PG}, {GUEST_CR0, CR0}},
    {"IA-32e mode needs PAE", GUEST_CR4, {GUEST_CR4, CR4_VMXE}, {GUEST_CR4, CR4}},
    {"PCIDE needs IA-32e mode", GUEST_CR4,
     {GUEST_CR4, CR4 | CR4_PCIDE}, {GUEST_CR4, CR4}, protected_mode},
    {WIDE, GUEST_CR3, {GUEST_CR3, TOO_WIDE}, {GUEST_CR3, WIDEST | 0x18}},
    {"reserved bits must be clear", GUEST_DEBUGCTL,
     {GUEST_DEBUGCTL, BIT(5)}, {GUEST_DEBUGCTL, DEBUGCTL_LBR | DEBUGCTL_BTF}},
    {"reserved bits must be clear", GUEST_DEBUGCTL, {ENTRY_CONTROLS, ENTRY},
     {ENTRY_CONTROLS, ENTRY & ~(u32)ENTRY_LOAD_DEBUG_CONTROLS}, NULL, {{GUEST_DEBUGCTL, BIT(16)}}},
    {"bits 63:32 must be clear", GUEST_DR7, {GUEST_DR7, BIT(32)}, {GUEST_DR7, UINT32_MAX}},
    {"bits 63:32 must be clear", GUEST_DR7, {ENTRY_CONTROLS, ENTRY},
     {ENTRY_CONTROLS, ENTRY & ~(u32)ENTRY_LOAD_DEBUG_CONTROLS}, NULL, {{GUEST_DR7, BIT(32)}}},
    CANONICAL_RULES(GUEST_SYSENTER_ESP),
    CANONICAL_RULES(GUEST_SYSENTER_EIP),
    {COUNTERS, GUEST_PERF_GLOBAL_CTRL,
     {GUEST_PERF_GLOBAL_CTRL, BIT(4)}, {GUEST_PERF_GLOBAL_CTRL, BIT(32)}, NULL,
     {{ENTRY_CONTROLS, ENTRY | ENTRY_LOAD_PERF_GLOBAL_CTRL}}},
    {COUNTERS, GUEST_PERF_GLOBAL_CTRL,
     {ENTRY_CONTROLS, ENTRY | ENTRY_LOAD_PERF_GLOBAL_CTRL}, {ENTRY_CONTROLS, ENTRY}, NULL,
     {{GUEST_PERF_GLOBAL_CTRL, BIT(4)}}},
    {"must be memory types", GUEST_PAT, {GUEST_PAT, 8}, {GUEST_PAT, 7}},
    {"must be memory types", GUEST_PAT, {ENTRY_CONTROLS, ENTRY},
     {ENTRY_CONTROLS, ENTRY & ~(u32)ENTRY_LOAD_PAT}, NULL, {{GUEST_PAT, 2}}},
    {"reserved bits must be clear", GUEST_EFER,
     {GUEST_EFER, EFER | BIT(12)}, {GUEST_EFER, EFER | EFER_NXE | EFER_SCE}},
    {"LMA must be as the entry control says", GUEST_EFER,
     {GUEST_EFER, EFER_LME}, {GUEST_EFER, EFER}},
    {"LMA must be as the entry control says", GUEST_EFER,
     {GUEST_EFER, EFER}, {GUEST_EFER, 0}, protected_mode},
    {"LMA and LME must be alike when CR0.PG is set", GUEST_EFER,
     {GUEST_EFER, EFER_LME}, {GUEST_EFER, 0}, protected_mode},
    {"LMA and LME must be alike when CR0.PG is set", GUEST_EFER,
     {GUEST_CR0, CR0}, {GUEST_CR0, CR0 & ~CR0_PG}, protected_mode, {{GUEST_EFER, EFER_LME}}},
    {"LMA must be as the entry control says", GUEST_EFER, {ENTRY_CONTROLS, ENTRY},
     {ENTRY_CONTROLS, ENTRY & ~(u32)ENTRY_LOAD_EFER}, NULL, {{GUEST_EFER, 0}}},
};

#define SELECTOR_OF_GDT "the selector must be of the GDT"
#define HIGH_BASE       "bits 63:32 must be clear"
#define HIGH_RULE(field) {HIGH_BASE, field, {field, BIT(32)}, {field, BIT(31)}}
#define DATA_TYPE       "the type must be that of an accessed, readable segment"
#define DATA_RULES(field)                                       \
    {DATA_TYPE, field, {field, 0xc092}, {field, 0xc091}},       \
    {DATA_TYPE, field, {field, 0xc099}, {field, 0xc09b}},       \
    {"must be present", field, {field, 0xc013}, {field, BIT(16)}}
#define V8086_RULES(name)                                                                     \
    {"must be the selector * 16 in virtual-8086 mode", GUEST_##name##_BASE,                   \
     {GUEST_##name##_BASE, 0x10010}, {GUEST_##name##_BASE, 0x10000}, v8086},                  \
    {"the limit must be ffff in virtual-8086 mode", GUEST_##name##_LIMIT,                     \
     {GUEST_##name##_LIMIT, 0xfffff}, {GUEST_##name##_LIMIT, 0xffff}, v8086},                 \
    {"the access rights must be f3 in virtual-8086 mode", GUEST_##name##_ACCESS,              \
     {GUEST_##name##_ACCESS, 0x93}, {GUEST_##name##_ACCESS, 0xf3}, v8086}

static const struct rule segments[] = {
    V8086_RULES(ES), V8086_RULES(CS), V8086_RULES(SS), V8086_RULES(DS), V8086_RULES(FS),
    V8086_RULES(GS),
    {SELECTOR_OF_GDT, GUEST_TR_SELECTOR, {GUEST_TR_SELECTOR, 28}, {GUEST_TR_SELECTOR, 24}},
    {SELECTOR_OF_GDT, GUEST_LDTR_SELECTOR, {GUEST_LDTR_SELECTOR, 28}, {GUEST_LDTR_SELECTOR, 24}},
    {SELECTOR_OF_GDT, GUEST_LDTR_SELECTOR,
     {GUEST_LDTR_ACCESS, LDT}, {GUEST_LDTR_ACCESS, BIT(16)}, NULL, {{GUEST_LDTR_SELECTOR, 28}}},
    CANONICAL_RULES(GUEST_FS_BASE), CANONICAL_RULES(GUEST_GS_BASE),
    CANONICAL_RULES(GUEST_LDTR_BASE), CANONICAL_RULES(GUEST_TR_BASE),
    HIGH_RULE(GUEST_CS_BASE), HIGH_RULE(GUEST_SS_BASE), HIGH_RULE(GUEST_DS_BASE),
    HIGH_RULE(GUEST_ES_BASE),
    {HIGH_BASE, GUEST_DS_BASE, {GUEST_DS_ACCESS, DATA}, {GUEST_DS_ACCESS, BIT(16)}, NULL,
     {{GUEST_DS_BASE, BIT(32)}}},
    {"the type must be that of an accessed code segment", GUEST_CS_ACCESS,
     {GUEST_CS_ACCESS, 0xa09a}, {GUEST_CS_ACCESS, 0xa099}},
    {"the type must be that of accessed, writable data", GUEST_SS_ACCESS,
     {GUEST_SS_ACCESS, 0xc091}, {GUEST_SS_ACCESS, 0xc097}},
    DATA_RULES(GUEST_DS_ACCESS), DATA_RULES(GUEST_ES_ACCESS), DATA_RULES(GUEST_FS_ACCESS),
    DATA_RULES(GUEST_GS_ACCESS),
    {"the type must be that of an LDT", GUEST_LDTR_ACCESS,
     {GUEST_LDTR_ACCESS, 0x8b}, {GUEST_LDTR_ACCESS, BIT(16)}},
    {"TR must be usable", GUEST_TR_ACCESS, {GUEST_TR_ACCESS, TSS | BIT(16)}, {GUEST_TR_ACCESS, TSS}},
    {"the type must be that of a busy TSS", GUEST_TR_ACCESS,
     {GUEST_TR_ACCESS, 0x83}, {GUEST_TR_ACCESS, 0x8b}},
    {"the type must be that of a busy TSS", GUEST_TR_ACCESS,
     {GUEST_TR_ACCESS, 0x89}, {GUEST_TR_ACCESS, 0x83}, protected_mode},
    {"the S bit must be set", GUEST_CS_ACCESS, {GUEST_CS_ACCESS, 0xa08b}, {GUEST_CS_ACCESS, CODE_64}},
    {"the S bit must be clear", GUEST_TR_ACCESS, {GUEST_TR_ACCESS, 0x9b}, {GUEST_TR_ACCESS, TSS}},
    {"must be present", GUEST_CS_ACCESS, {GUEST_CS_ACCESS, 0xa01b}, {GUEST_CS_ACCESS, CODE_64}},
    {"must be present", GUEST_LDTR_ACCESS, {GUEST_LDTR_ACCESS, 2}, {GUEST_LDTR_ACCESS, LDT}},
    {"must be present", GUEST_TR_ACCESS, {GUEST_TR_ACCESS, 11}, {GUEST_TR_ACCESS, TSS}},
    {"reserved bits must be clear", GUEST_CS_ACCESS,
     {GUEST_CS_ACCESS, CODE_64 | BIT(8)}, {GUEST_CS_ACCESS, CODE_64 | BIT(12)}},
    {"reserved bits must be clear", GUEST_TR_ACCESS,
     {GUEST_TR_ACCESS, TSS | BIT(17)}, {GUEST_TR_ACCESS, TSS}},
    {"L and D must not both be set", GUEST_CS_ACCESS,
     {GUEST_CS_ACCESS, CODE_64 | BIT(14)}, {GUEST_CS_ACCESS, CODE_32}},
    {"G must be clear when bits 11:0 of the limit are not all set", GUEST_SS_ACCESS,
     {GUEST_SS_LIMIT, 0xfffffffe}, {GUEST_SS_LIMIT, 0xfff}},
    {"G must be set when the limit is above 1 MiB", GUEST_TR_ACCESS,
     {GUEST_TR_LIMIT, 0x100000}, {GUEST_TR_LIMIT, 0xfffff}},
    {"the DPL must be SS's", GUEST_CS_ACCESS, {GUEST_CS_ACCESS, CODE_64},
     {GUEST_CS_ACCESS, CODE_64 | 0x60}, user},
    {"the DPL must be SS's", GUEST_CS_ACCESS,
     {GUEST_CS_ACCESS, 0xf3}, {GUEST_CS_ACCESS, 0x93}, real_mode},
    {"the DPL of conforming code must not be above SS's", GUEST_CS_ACCESS,
     {GUEST_CS_ACCESS, 0xa0bf}, {GUEST_CS_ACCESS, 0xa09f}},
    {"the DPL must be 0 in real mode", GUEST_SS_ACCESS,
     {GUEST_SS_ACCESS, DATA | 0x60}, {GUEST_SS_ACCESS, DATA}, real_mode},
    {"CS of data needs an unrestricted guest", GUEST_CS_ACCESS,
     {GUEST_CS_ACCESS, 0xc093}, {GUEST_CS_ACCESS, CODE_64}, restricted},
    {"the RPL must be CS's", GUEST_SS_SELECTOR,
     {GUEST_CS_SELECTOR, 9}, {GUEST_CS_SELECTOR, 8}, restricted},
    {"the DPL must be the selector's RPL", GUEST_SS_ACCESS,
     {GUEST_SS_ACCESS, DATA}, {GUEST_SS_ACCESS, DATA | 0x20}, restricted,
     {{GUEST_CS_SELECTOR, 9}, {GUEST_SS_SELECTOR, 17}, {GUEST_CS_ACCESS, 0xa09f}}},
    {"the DPL must not be below the selector's RPL", GUEST_FS_ACCESS,
     {GUEST_FS_ACCESS, DATA | 0x40}, {GUEST_FS_ACCESS, DATA | 0x60}, restricted,
     {{GUEST_FS_SELECTOR, 19}}},
    {"the DPL must not be below the selector's RPL", GUEST_ES_ACCESS,
     {GUEST_ES_ACCESS, DATA}, {GUEST_ES_ACCESS, 0xc09f}, restricted, {{GUEST_ES_SELECTOR, 19}}},
};

static const struct rule tables_rip_and_flags[] = {
    CANONICAL_RULES(GUEST_GDTR_BASE),
    CANONICAL_RULES(GUEST_IDTR_BASE),
    {"must fit into 16 bits", GUEST_GDTR_LIMIT,
     {GUEST_GDTR_LIMIT, 0x10000}, {GUEST_GDTR_LIMIT, 0xffff}},
    {"must fit into 16 bits", GUEST_IDTR_LIMIT,
     {GUEST_IDTR_LIMIT, 0x10000}, {GUEST_IDTR_LIMIT, 0xffff}},
    {"bits 63:48 must be alike", GUEST_RIP, {GUEST_RIP, BIT(48)}, {GUEST_RIP, LOWER + 1}},
    {"bits 63:48 must be alike", GUEST_RIP, {GUEST_RIP, BIT(63)}, {GUEST_RIP, UPPER}},
    {"must fit into 32 bits outside 64-bit code", GUEST_RIP,
     {GUEST_RIP, BIT(32)}, {GUEST_RIP, UINT32_MAX}, protected_mode},
    {"must fit into 32 bits outside 64-bit code", GUEST_RIP,
     {GUEST_CS_ACCESS, CODE_32}, {GUEST_CS_ACCESS, CODE_64}, NULL, {{GUEST_RIP, BIT(32)}}},
    {"reserved bits must be clear", GUEST_RFLAGS,
     {GUEST_RFLAGS, FLAGS | BIT(3)}, {GUEST_RFLAGS, FLAGS | RFLAGS_ID}},
    {"reserved bits must be clear", GUEST_RFLAGS,
     {GUEST_RFLAGS, FLAGS | BIT(22)}, {GUEST_RFLAGS, FLAGS}},
    {"bit 1 must be set", GUEST_RFLAGS, {GUEST_RFLAGS, RFLAGS_IF}, {GUEST_RFLAGS, RFLAGS_FIXED}},
    {"VM needs protected mode", GUEST_RFLAGS,
     {GUEST_CR0, CR0 & ~(CR0_PE | CR0_PG)}, {GUEST_CR0, CR0}, v8086},
    {"IF must be set for an interrupt to be injected", GUEST_RFLAGS,
     {GUEST_RFLAGS, RFLAGS_FIXED}, {GUEST_RFLAGS, FLAGS}, NULL,
     {{ENTRY_INTERRUPTION_INFO, EVENT_VALID | 32}}},
    {"IF must be set for an interrupt to be injected", GUEST_RFLAGS,
     {ENTRY_INTERRUPTION_INFO, EVENT_VALID | 32},
     {ENTRY_INTERRUPTION_INFO, EVENT_VALID | EVENT_NMI << 8 | 2}, NULL,
     {{GUEST_RFLAGS, RFLAGS_FIXED}}},
};
// clang-format on

static void control_registers_and_msrs_that_break_a_rule_are_named(void **state)
{
    (void)state;
    run_rules(control_registers_and_msrs, ARRAY_SIZE(control_registers_and_msrs));
}

static void segments_that_break_a_rule_are_named(void **state)
{
    (void)state;
    run_rules(segments, ARRAY_SIZE(segments));
}

static void tables_rip_and_flags_that_break_a_rule_are_named(void **state)
{
    (void)state;
    run_rules(tables_rip_and_flags, ARRAY_SIZE(tables_rip_and_flags));
}

// The segments are virtual-8086's in all else.
static void virtual_8086_mode_is_not_for_long_mode(void **state)
{
    (void)state;
    good();
    apply(v8086, UINT32_MAX);
    passes();
    set(ENTRY_CONTROLS, ENTRY);
    set(GUEST_EFER, EFER);
    fails(GUEST_RFLAGS, "VM must be clear in IA-32e mode");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_registers_and_msrs_that_break_a_rule_are_named),
        cmocka_unit_test(segments_that_break_a_rule_are_named),
        cmocka_unit_test(tables_rip_and_flags_that_break_a_rule_are_named),
        cmocka_unit_test(virtual_8086_mode_is_not_for_long_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
