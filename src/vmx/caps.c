// SPDX-License-Identifier: MIT
#include "vmx/caps.h"

#include "boot/log.h"
#include "ept/ept.h"
#include "lib/cpu.h"
#include "lib/format.h"
#include "lib/string.h"
#include "vmx/backend.h"
#include "vmx/flush.h"
#include "x86/msr_numbers.h"

enum {
    MSR_VMX_BASIC = 0x480,
    MSR_VMX_PIN = 0x481,
    MSR_VMX_PRIMARY = 0x482,
    MSR_VMX_EXIT = 0x483,
    MSR_VMX_ENTRY = 0x484,
    MSR_VMX_MISC = 0x485,
    MSR_VMX_CR0_FIXED0 = 0x486,
    MSR_VMX_CR0_FIXED1 = 0x487,
    MSR_VMX_CR4_FIXED0 = 0x488,
    MSR_VMX_CR4_FIXED1 = 0x489,
    MSR_VMX_SECONDARY = 0x48b,
    MSR_VMX_EPT_VPID_CAP = 0x48c,
    MSR_VMX_TRUE_PIN = 0x48d,
    MSR_VMX_TRUE_PRIMARY = 0x48e,
    MSR_VMX_TRUE_EXIT = 0x48f,
    MSR_VMX_TRUE_ENTRY = 0x490,
    MSR_VMX_VMFUNC = 0x491,
    MSR_VMX_TERTIARY = 0x492,
};

#define FEATURE_CONTROL_LOCK     BIT(0)
#define FEATURE_CONTROL_VMX      BIT(2) // outside SMX
#define CPUID_1_ECX_VMX          BIT(5)
#define CPUID_7_EBX_RTM          BIT(11)
#define CPUID_EXT1_EDX_RDTSCP    BIT(27)
#define BASIC_MEMORY_TYPE(basic) ((basic) >> 50 & 15)
#define MEMORY_TYPE_WRITE_BACK   6

struct vmx_caps vmx_caps;

struct control_name {
    const char *name;
    u32 bit;
};

#define NAMED(name, bit) {#name, 1u << (bit)},
static const struct control_name pin_names[] = {PIN_CONTROLS(NAMED)};
static const struct control_name primary_names[] = {PRIMARY_CONTROLS_TABLE(NAMED)};
static const struct control_name secondary_names[] = {SECONDARY_CONTROLS_TABLE(NAMED)};
static const struct control_name exit_names[] = {EXIT_CONTROLS_TABLE(NAMED)};
static const struct control_name entry_names[] = {ENTRY_CONTROLS_TABLE(NAMED)};
#undef NAMED

static const struct control_group {
    const char *name;
    const struct control_name *controls;
    unsigned count;
    size_t offset; // in struct vmx_controls
} groups[] = {
    {"pin-based", pin_names, ARRAY_SIZE(pin_names), offsetof(struct vmx_controls, pin)},
    {"primary", primary_names, ARRAY_SIZE(primary_names), offsetof(struct vmx_controls, primary)},
    {"secondary", secondary_names, ARRAY_SIZE(secondary_names),
     offsetof(struct vmx_controls, secondary)},
    {"exit", exit_names, ARRAY_SIZE(exit_names), offsetof(struct vmx_controls, exit)},
    {"entry", entry_names, ARRAY_SIZE(entry_names), offsetof(struct vmx_controls, entry)},
};

static u32 *word(struct vmx_controls *c, size_t offset)
{
    return (u32 *)(void *)((u8 *)c + offset);
}

u32 vmx_control(u32 wanted, u32 allowed0, u32 allowed1)
{
    return (wanted | allowed0) & allowed1;
}

static void read_allowed(size_t offset, u32 msr)
{
    u64 v = rdmsr(msr);
    *word(&vmx_caps.allowed0, offset) = (u32)v;
    *word(&vmx_caps.allowed1, offset) = (u32)(v >> 32);
}

// Takes the control away whose name has n characters. False: there is no such control.
static bool disable(const char *name, size_t n)
{
    for (unsigned g = 0; g < ARRAY_SIZE(groups); g++) {
        for (unsigned i = 0; i < groups[g].count; i++) {
            const struct control_name *c = &groups[g].controls[i];
            if (strlen(c->name) != n || strncmp(c->name, name, n) != 0)
                continue;
            *word(&vmx_caps.allowed1, groups[g].offset) &=
                ~c->bit | *word(&vmx_caps.allowed0, groups[g].offset);
            log_line("vmx", "%s is treated as absent (vmx.disable)", c->name);
            return true;
        }
    }
    return false;
}

static void disable_listed(const char *list)
{
    for (const char *p = list; *p != '\0'; p += *p == ',') {
        size_t n = 0;
        while (p[n] != '\0' && p[n] != ',')
            n++;
        if (n > 0 && !disable(p, n))
            log_line("vmx", "vmx.disable: there is no control %.*s", (int)n, p);
        p += n;
    }
}

static void choose(void)
{
    static const struct vmx_controls wanted = {
        .pin = PIN_EXTERNAL_INTERRUPT_EXITING | PIN_NMI_EXITING | PIN_VIRTUAL_NMIS |
               PIN_PREEMPTION_TIMER | PIN_POSTED_INTERRUPTS,
        .primary = PRIMARY_TSC_OFFSETTING | PRIMARY_HLT_EXITING | PRIMARY_MWAIT_EXITING |
                   PRIMARY_MONITOR_EXITING | PRIMARY_RDPMC_EXITING | PRIMARY_TPR_SHADOW |
                   PRIMARY_IO_BITMAPS | PRIMARY_MSR_BITMAPS | (u32)PRIMARY_SECONDARY,
        .secondary = SECONDARY_APIC_ACCESSES | SECONDARY_EPT | SECONDARY_RDTSCP | SECONDARY_VPID |
                     SECONDARY_WBINVD_EXITING | SECONDARY_UNRESTRICTED_GUEST |
                     SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPT_DELIVERY |
                     SECONDARY_INVPCID | SECONDARY_PAUSE_LOOP_EXITING | SECONDARY_ENCLS_EXITING |
                     SECONDARY_ENCLV_EXITING,
        .exit = EXIT_SAVE_DEBUG_CONTROLS | EXIT_HOST_64BIT | EXIT_ACKNOWLEDGE_INTERRUPT |
                EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER,
        .entry = ENTRY_LOAD_DEBUG_CONTROLS | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER,
    };
    struct vmx_controls w = wanted;
    for (unsigned g = 0; g < ARRAY_SIZE(groups); g++) {
        size_t o = groups[g].offset;
        *word(&vmx_caps.base, o) =
            vmx_control(*word(&w, o), *word(&vmx_caps.allowed0, o), *word(&vmx_caps.allowed1, o));
    }

    // Of one control hang RDTSCP and RDPID. Where the CPU does not say that it has RDTSCP, a guest
    // is not told of either, and must not read by them what others left in TSC_AUX.
    if (!(cpuid(0x80000001, 0).edx & CPUID_EXT1_EDX_RDTSCP))
        vmx_caps.base.secondary &= ~(u32)SECONDARY_RDTSCP;

    if (!(vmx_caps.base.primary & PRIMARY_TPR_SHADOW))
        vmx_caps.base.primary |= PRIMARY_CR8_LOAD_EXITING | PRIMARY_CR8_STORE_EXITING;

    // Controls that need one another (SDM 27.2.1.1): virtual-interrupt delivery and its relatives
    // are used together, so that there are two cases and not sixteen.
    struct vmx_controls *b = &vmx_caps.base;
    u32 apicv =
        SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPT_DELIVERY | SECONDARY_APIC_ACCESSES;
    bool whole = (b->secondary & apicv) == apicv && (b->primary & PRIMARY_TPR_SHADOW) &&
                 (b->pin & PIN_POSTED_INTERRUPTS);
    if (!whole) {
        b->secondary &= ~apicv;
        b->pin &= ~(u32)PIN_POSTED_INTERRUPTS;
    }
}

static enum error firmware_allows(struct text *why)
{
    if (!(cpuid(1, 0).ecx & CPUID_1_ECX_VMX))
        return explain(why, ERR_UNSUPPORTED, "this CPU has no VMX (CPUID.1:ECX bit 5 is clear)");
    u64 control = rdmsr(MSR_IA32_FEATURE_CONTROL);
    if ((control & FEATURE_CONTROL_LOCK) && !(control & FEATURE_CONTROL_VMX))
        return explain(
            why, ERR_UNSUPPORTED,
            "firmware has locked VMX off (IA32_FEATURE_CONTROL); enable VT-x in its set-up");
    return OK;
}

// Without a way to drop what is cached for a VPID, the processor drops it at each entry and exit:
// then there are no VPIDs.
static void choose_invalidation(void)
{
    struct vmx_caps *c = &vmx_caps;
    bool one = c->ept_vpid & EPT_CAP_INVVPID && c->ept_vpid & EPT_CAP_INVVPID_ONE;
    bool all = c->ept_vpid & EPT_CAP_INVVPID && c->ept_vpid & EPT_CAP_INVVPID_ALL;
    if (!one && !all)
        c->base.secondary &= ~(u32)SECONDARY_VPID;
    bool vpid = c->base.secondary & SECONDARY_VPID;
    flush_features = (struct flush_features){
        .invept_one = c->ept_vpid & EPT_CAP_INVEPT_ONE,
        .invvpid_one = vpid && one,
        .invvpid_all = vpid && all,
    };
}

// What the CPU has beside VMX that the checks of an entry depend on.
static void read_features(void)
{
    u32 leaves = cpuid(0, 0).eax;
    vmx_caps.rtm = leaves >= 7 && (cpuid(7, 0).ebx & CPUID_7_EBX_RTM);
    if (leaves < 0xa)
        return;
    struct cpuid counters = cpuid(0xa, 0); // general ones in EAX 15:8, fixed ones in EDX 4:0
    vmx_caps.perf_global_ctrl = (BIT(counters.eax >> 8 & 31) - 1) | (BIT(counters.edx & 31) - 1)
                                                                        << 32;
}

enum error backend_probe(const char *disable, struct text *why)
{
    enum error e = firmware_allows(why);
    if (e != OK)
        return e;

    struct vmx_caps *c = &vmx_caps;
    c->basic = rdmsr(MSR_VMX_BASIC);
    c->misc = rdmsr(MSR_VMX_MISC);
    c->preemption_shift = c->misc & 31;
    c->true_controls = c->basic & BIT(55);
    read_allowed(offsetof(struct vmx_controls, pin),
                 c->true_controls ? MSR_VMX_TRUE_PIN : MSR_VMX_PIN);
    read_allowed(offsetof(struct vmx_controls, primary),
                 c->true_controls ? MSR_VMX_TRUE_PRIMARY : MSR_VMX_PRIMARY);
    read_allowed(offsetof(struct vmx_controls, exit),
                 c->true_controls ? MSR_VMX_TRUE_EXIT : MSR_VMX_EXIT);
    read_allowed(offsetof(struct vmx_controls, entry),
                 c->true_controls ? MSR_VMX_TRUE_ENTRY : MSR_VMX_ENTRY);
    if (c->allowed1.primary & (u32)PRIMARY_SECONDARY)
        read_allowed(offsetof(struct vmx_controls, secondary), MSR_VMX_SECONDARY);
    c->cr0_fixed0 = rdmsr(MSR_VMX_CR0_FIXED0);
    c->cr0_fixed1 = rdmsr(MSR_VMX_CR0_FIXED1);
    c->cr4_fixed0 = rdmsr(MSR_VMX_CR4_FIXED0);
    c->cr4_fixed1 = rdmsr(MSR_VMX_CR4_FIXED1);
    if (c->allowed1.secondary & (SECONDARY_EPT | SECONDARY_VPID))
        c->ept_vpid = rdmsr(MSR_VMX_EPT_VPID_CAP);
    if (c->allowed1.secondary & SECONDARY_VMFUNC)
        c->vmfunc = rdmsr(MSR_VMX_VMFUNC);
    if (c->allowed1.primary & PRIMARY_TERTIARY)
        c->tertiary = rdmsr(MSR_VMX_TERTIARY);
    read_features();
    disable_listed(disable);
    choose();
    choose_invalidation();

    if (BASIC_MEMORY_TYPE(c->basic) != MEMORY_TYPE_WRITE_BACK)
        return explain(why, ERR_UNSUPPORTED,
                       "VMCS regions need a memory type other than write-back (IA32_VMX_BASIC)");
    if (!(c->base.secondary & SECONDARY_EPT) || !(c->ept_vpid & EPT_CAP_WALK_4) ||
        !(c->ept_vpid & EPT_CAP_WB) || !(c->ept_vpid & EPT_CAP_INVEPT))
        return explain(why, ERR_UNSUPPORTED,
                       "this CPU has no EPT with four levels, write-back tables and INVEPT");
    if (!(c->base.secondary & SECONDARY_UNRESTRICTED_GUEST))
        return explain(why, ERR_UNSUPPORTED, "this CPU has no unrestricted guest mode");
    if (!(c->base.exit & EXIT_LOAD_EFER) || !(c->base.entry & ENTRY_LOAD_EFER) ||
        !(c->base.exit & EXIT_LOAD_PAT))
        return explain(why, ERR_UNSUPPORTED,
                       "this CPU cannot switch IA32_EFER and IA32_PAT on entry and exit");
    if (!(c->base.primary & PRIMARY_MSR_BITMAPS) || !(c->base.primary & PRIMARY_IO_BITMAPS))
        return explain(why, ERR_UNSUPPORTED, "this CPU has no MSR or I/O bitmaps");
    if (!(c->base.pin & PIN_EXTERNAL_INTERRUPT_EXITING) ||
        !(c->base.exit & EXIT_ACKNOWLEDGE_INTERRUPT))
        return explain(why, ERR_UNSUPPORTED,
                       "this CPU cannot exit on interrupts and acknowledge them");
    if (!vmx_has_pin(PIN_NMI_EXITING) || !vmx_has_pin(PIN_VIRTUAL_NMIS) ||
        !(c->allowed1.primary & PRIMARY_NMI_WINDOW) ||
        !(c->allowed1.primary & PRIMARY_INTERRUPT_WINDOW))
        return explain(why, ERR_UNSUPPORTED,
                       "this CPU cannot tell when a guest can take an interrupt or an NMI");
    return OK;
}

void backend_log_controls(void)
{
    for (unsigned g = 0; g < ARRAY_SIZE(groups); g++) {
        char on[200], off[200];
        struct text in_use = TEXT(on), absent = TEXT(off);
        u32 base = *word(&vmx_caps.base, groups[g].offset);
        u32 may = *word(&vmx_caps.allowed1, groups[g].offset);
        on[0] = off[0] = '\0';
        for (unsigned i = 0; i < groups[g].count; i++) {
            const struct control_name *c = &groups[g].controls[i];
            const char *shown = strchr(c->name, '_') + 1;
            if (base & c->bit)
                text_add(&in_use, " %s", shown);
            else if (!(may & c->bit))
                text_add(&absent, " %s", shown);
        }
        log_line("vmx", "%s controls in use:%s", groups[g].name, on);
        if (off[0] != '\0')
            log_line("vmx", "%s controls absent:%s", groups[g].name, off);
    }
}

void backend_log_features(void)
{
    u64 e = vmx_caps.ept_vpid;
    log_line("vmx", "EPT: %s%s%s%spages 4K%s%s; interrupts by %s; slices by %s",
             e & EPT_CAP_EXECUTE_ONLY ? "execute-only, " : "", e & EPT_CAP_AD ? "A/D, " : "",
             e & EPT_CAP_INVEPT_ONE ? "single-context INVEPT, " : "",
             e & EPT_CAP_INVVPID_ONE ? "single-context INVVPID, " : "", e & EPT_CAP_2M ? " 2M" : "",
             e & EPT_CAP_1G ? " 1G" : "",
             vmx_has_pin(PIN_POSTED_INTERRUPTS) ? "posted-interrupt descriptors"
                                                : "injection from the software local APIC",
             vmx_has_pin(PIN_PREEMPTION_TIMER) ? "the preemption timer" : "the local APIC's timer");
}
