// SPDX-License-Identifier: MIT
// A VMCS that an entry takes, and tables of changes to it: for each rule one that breaks it, and
// one beside it that does not.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmx/check.h"
#include "vmx/vmcs_formats.h"
#include "x86/bits.h"
#include "x86/vectors.h"

#define CPU_WIDTH 46
#define TOO_WIDE  (BIT(46) | 0x1000)
#define WIDEST    (BIT(45) | 0x1000)
#define REVISION  0x1234u

// What the VMCS has at first: bits that must be set, and what Vitrine uses where there is all.
#define PIN_FIXED     0x16u
#define PRIMARY_FIXED 0x04006172u
#define EXIT_FIXED    0x00036dfbu
#define ENTRY_FIXED   0x000011fbu

#define PIN                                                                            \
    (PIN_FIXED | PIN_EXTERNAL_INTERRUPT_EXITING | PIN_NMI_EXITING | PIN_VIRTUAL_NMIS | \
     PIN_PREEMPTION_TIMER | PIN_POSTED_INTERRUPTS)
#define PRIMARY                                                                          \
    (PRIMARY_FIXED | PRIMARY_TSC_OFFSETTING | PRIMARY_HLT_EXITING | PRIMARY_TPR_SHADOW | \
     PRIMARY_IO_BITMAPS | PRIMARY_MSR_BITMAPS | (u32)PRIMARY_SECONDARY)
#define SECONDARY                                                                  \
    (SECONDARY_APIC_ACCESSES | SECONDARY_EPT | SECONDARY_RDTSCP | SECONDARY_VPID | \
     SECONDARY_UNRESTRICTED_GUEST | SECONDARY_APIC_REGISTERS |                     \
     SECONDARY_VIRTUAL_INTERRUPT_DELIVERY)
#define EXIT                                                                                \
    (EXIT_FIXED | EXIT_SAVE_DEBUG_CONTROLS | EXIT_HOST_64BIT | EXIT_ACKNOWLEDGE_INTERRUPT | \
     EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER)
#define ENTRY \
    (ENTRY_FIXED | ENTRY_LOAD_DEBUG_CONTROLS | ENTRY_IA32E_GUEST | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)

// Interrupts by injection: neither virtual-interrupt delivery nor what hangs of it.
#define PIN_INJECTS       (PIN & ~(u32)PIN_POSTED_INTERRUPTS)
#define SECONDARY_INJECTS (SECONDARY & ~(u32)SECONDARY_VIRTUAL_INTERRUPT_DELIVERY)

#define CR4_ALL 0xf76ffful
#define PAT     0x0007040600070406ul

#define CODE_64 0xa09bu
#define CODE_32 0xc09bu
#define DATA    0xc093u
#define LDT     0x82u
#define TSS     0x8bu

struct change {
    enum vmcs_field field;
    u64 value;
};

// Each has as many changes as it needs; {0} ends a list.
struct rule {
    const char *words;
    enum vmcs_field field; // which is named
    struct change bad, good;
    const struct change *mode; // first, for both; may be NULL
    struct change with[3];     // then these
};

// clang-format off
#define PINS(bits)        {PIN_BASED_CONTROLS, bits}
#define PRIMARIES(bits)   {PRIMARY_CONTROLS, bits}
#define SECONDARIES(bits) {SECONDARY_CONTROLS, bits}
#define EXITS(bits)       {EXIT_CONTROLS, bits}
#define ENTRIES(bits)     {ENTRY_CONTROLS, bits}

// Rules that many fields have; what follows the field sets controls.
#define PAGE      "must be aligned to 4 KiB"
#define WIDE      "bits beyond the physical-address width must be clear"
#define CANONICAL "must be canonical"
#define PAGE_RULES(field, ...)                                            \
    {PAGE, field, {field, 0x1800}, {field, 0x1000}, NULL, {__VA_ARGS__}}, \
    {WIDE, field, {field, TOO_WIDE}, {field, WIDEST}, NULL, {__VA_ARGS__}}
#define LOWER 0x00007ffffffffffful
#define UPPER 0xffff800000000000ul
#define CANONICAL_RULES(field)                              \
    {CANONICAL, field, {field, LOWER + 1}, {field, LOWER}}, \
    {CANONICAL, field, {field, UPPER - 1}, {field, UPPER}}
// clang-format on

static u64 vmcs[0x6e00];
static struct vmx_caps caps;
static u32 virtual_tpr, linked_revision;
static struct entry_check check;

#define VIRTUAL_APIC 0x13000u
#define LINKED       0x20000u
#define OWN_VMCS     0x21000u

static u64 read_field(enum vmcs_field field)
{
    return vmcs[field];
}

static u32 read_physical(u64 address)
{
    if (address == LINKED)
        return linked_revision;
    assert_int_equal(address, VIRTUAL_APIC + 0x80);
    return virtual_tpr;
}

static void set(enum vmcs_field field, u64 value)
{
    vmcs[field] = value;
}

static void set_segment(unsigned n, u16 selector, u32 limit, u32 access)
{
    set(GUEST_ES_SELECTOR + 2 * n, selector);
    set(GUEST_ES_LIMIT + 2 * n, limit);
    set(GUEST_ES_ACCESS + 2 * n, access);
}

static void good_controls(void)
{
    set(PIN_BASED_CONTROLS, PIN);
    set(PRIMARY_CONTROLS, PRIMARY);
    set(SECONDARY_CONTROLS, SECONDARY);
    set(EXIT_CONTROLS, EXIT);
    set(ENTRY_CONTROLS, ENTRY);
    set(IO_BITMAP_A, 0x10000);
    set(IO_BITMAP_B, 0x11000);
    set(MSR_BITMAP, 0x12000);
    set(VIRTUAL_APIC_ADDRESS, VIRTUAL_APIC);
    set(APIC_ACCESS_ADDRESS, 0x14000);
    set(POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, 0x15040);
    set(POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0xf2);
    set(EPT_POINTER, 0x1605e);
    set(VPID, 1);
}

static void good_host(void)
{
    set(HOST_CR0, 0x80010033);
    set(HOST_CR3, 0x30000);
    set(HOST_CR4, CR4_PAE | CR4_VMXE);
    set(HOST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
    set(HOST_PAT, PAT);
    set(HOST_CS_SELECTOR, 8);
    set(HOST_SS_SELECTOR, 16);
    set(HOST_TR_SELECTOR, 24);
    set(HOST_GS_BASE, 0xffff800000100000);
    set(HOST_RIP, 0xffffffff80001000);
}

static void good_guest(void)
{
    set(GUEST_CR0, 0x80010031);
    set(GUEST_CR3, 0x1000);
    set(GUEST_CR4, CR4_PAE | CR4_VMXE);
    set(GUEST_EFER, EFER_LME | EFER_LMA);
    set(GUEST_PAT, PAT);
    set(GUEST_DR7, 0x400);
    set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
    set(GUEST_RIP, 0x100000);
    for (unsigned n = 0; n < 6; n++)
        set_segment(n, 16, 0xffffffff, DATA);
    set_segment(1, 8, 0xffffffff, CODE_64);
    set_segment(6, 0, 0xffff, LDT);
    set_segment(7, 24, 0xffff, TSS);
    set(VMCS_LINK_POINTER, UINT64_MAX);
}

static void good(void)
{
    memset(vmcs, 0, sizeof(vmcs));
    good_controls();
    good_host();
    good_guest();
    virtual_tpr = 0;
    linked_revision = REVISION;
    caps = (struct vmx_caps){
        .basic = REVISION,
        .misc = 4ul << 16 | 7 << 6 | BIT(30),
        .ept_vpid = EPT_CAP_WALK_4 | EPT_CAP_WB | EPT_CAP_AD,
        .vmfunc = 1,
        .cr0_fixed0 = 0x80000021,
        .cr0_fixed1 = 0xffffffff,
        .cr4_fixed0 = CR4_VMXE,
        .cr4_fixed1 = CR4_ALL,
        .allowed0 = {PIN_FIXED, PRIMARY_FIXED, 0, EXIT_FIXED, ENTRY_FIXED},
        .allowed1 = {PIN_FIXED | 0xff, UINT32_MAX, 0x7fffffff, 0x7fffffff, 0x7fffffff},
        .tertiary = 1,
        .perf_global_ctrl = 0x70000000ful,
    };
    check = (struct entry_check){.read = read_field,
                                 .read_physical = read_physical,
                                 .caps = &caps,
                                 .maxphyaddr = CPU_WIDTH,
                                 .vmcs = OWN_VMCS};
}

static void passes(void)
{
    entry_check(&check);
    if (check.rule != NULL)
        fail_msg("field %x = %lx: %s", check.field, check.value, check.rule);
}

static void fails(enum vmcs_field field, const char *words)
{
    entry_check(&check);
    if (check.rule == NULL)
        fail_msg("field %x passes, but: %s", field, words);
    if (strcmp(check.rule, words) != 0)
        fail_msg("not '%s', but of field %x: %s", words, check.field, check.rule);
    assert_int_equal(check.field, field);
    assert_int_equal(check.value, vmcs[field]);
}

static void apply(const struct change *changes, unsigned count)
{
    for (unsigned i = 0; i < count && (changes[i].field != 0 || changes[i].value != 0); i++)
        set(changes[i].field, changes[i].value);
}

static void try(const struct rule *r, struct change change)
{
    good();
    if (r->mode != NULL)
        apply(r->mode, UINT32_MAX);
    apply(r->with, ARRAY_SIZE(r->with));
    set(change.field, change.value);
}

static void run_rules(const struct rule *rules, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        try(&rules[i], rules[i].bad);
        fails(rules[i].field, rules[i].words);
        try(&rules[i], rules[i].good);
        passes();
    }
}
