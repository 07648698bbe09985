// SPDX-License-Identifier: MIT
// An entry's checks on the guest's registers (SDM Vol. 3, 27.3.1.1 to 27.3.1.4).
#include "vmx/check_internal.h"
#include "x86/msr_numbers.h"
#include "x86/regs_check.h"

#define DEBUGCTL_DEFINED 0xffc7ul

static bool is_long(const struct entry_check *c)
{
    return c->controls.entry & ENTRY_IA32E_GUEST;
}

// ---- control registers, debug registers, MSRs (27.3.1.1) ---------------------------------------

static void check_control_registers(struct entry_check *c)
{
    const struct vmx_caps *caps = c->caps;
    u64 cr0 = check_read(c, GUEST_CR0), cr4 = check_read(c, GUEST_CR4);
    u64 free = check_has_secondary(c, SECONDARY_UNRESTRICTED_GUEST) ? (u64)(CR0_PE | CR0_PG) : 0;
    check_require(c, (~cr0 & caps->cr0_fixed0 & ~free) == 0, GUEST_CR0,
                  "bits fixed to 1 must be set");
    check_require(c, (cr0 & ~caps->cr0_fixed1) == 0, GUEST_CR0, "bits fixed to 0 must be clear");
    check_require(c, !(cr0 & CR0_PG) || (cr0 & CR0_PE), GUEST_CR0, "PG needs PE");
    check_require(c, (~cr4 & caps->cr4_fixed0) == 0, GUEST_CR4, "bits fixed to 1 must be set");
    check_require(c, (cr4 & ~caps->cr4_fixed1) == 0, GUEST_CR4, "bits fixed to 0 must be clear");
    check_require(c, !(cr4 & CR4_CET) || (cr0 & CR0_WP), GUEST_CR4, "CET needs CR0.WP");
    if (is_long(c)) {
        check_require(c, cr0 & CR0_PG, GUEST_CR0, "IA-32e mode needs PG");
        check_require(c, cr4 & CR4_PAE, GUEST_CR4, "IA-32e mode needs PAE");
    } else {
        check_require(c, !(cr4 & CR4_PCIDE), GUEST_CR4, "PCIDE needs IA-32e mode");
    }
    check_width(c, GUEST_CR3);
}

static void check_efer(struct entry_check *c)
{
    u64 efer = check_read(c, GUEST_EFER);
    bool lma = efer & EFER_LMA, lme = efer & EFER_LME;
    check_require(c, (efer & ~EFER_DEFINED) == 0, GUEST_EFER, "reserved bits must be clear");
    check_require(c, lma == is_long(c), GUEST_EFER, "LMA must be as the entry control says");
    check_require(c, !(check_read(c, GUEST_CR0) & CR0_PG) || lma == lme, GUEST_EFER,
                  "LMA and LME must be alike when CR0.PG is set");
}

static void check_msrs(struct entry_check *c)
{
    u32 entry = c->controls.entry;
    if (entry & ENTRY_LOAD_DEBUG_CONTROLS) {
        check_require(c, (check_read(c, GUEST_DEBUGCTL) & ~DEBUGCTL_DEFINED) == 0, GUEST_DEBUGCTL,
                      "reserved bits must be clear");
        check_require(c, check_read(c, GUEST_DR7) >> 32 == 0, GUEST_DR7,
                      "bits 63:32 must be clear");
    }
    check_canonical(c, GUEST_SYSENTER_ESP);
    check_canonical(c, GUEST_SYSENTER_EIP);
    if (entry & ENTRY_LOAD_PERF_GLOBAL_CTRL)
        check_require(c, (check_read(c, GUEST_PERF_GLOBAL_CTRL) & ~c->caps->perf_global_ctrl) == 0,
                      GUEST_PERF_GLOBAL_CTRL, "must be of counters that the CPU has");
    if (entry & ENTRY_LOAD_PAT)
        check_require(c, msr_value_ok(MSR_IA32_PAT, check_read(c, GUEST_PAT), 0, 0), GUEST_PAT,
                      "must be memory types");
    if (entry & ENTRY_LOAD_EFER)
        check_efer(c);
}

// ---- segment registers (27.3.1.2) --------------------------------------------------------------

static const enum vmcs_field first_field[] = {[SEGMENT_SELECTOR] = GUEST_ES_SELECTOR,
                                              [SEGMENT_BASE] = GUEST_ES_BASE,
                                              [SEGMENT_LIMIT] = GUEST_ES_LIMIT,
                                              [SEGMENT_ACCESS] = GUEST_ES_ACCESS};

static enum vmcs_field segment_field(enum segment_name n, enum segment_field field)
{
    return first_field[field] + 2 * (unsigned)n;
}

static void read_segment(const struct entry_check *c, enum segment_name n, struct segment *s)
{
    s->selector = (u16)check_read(c, segment_field(n, SEGMENT_SELECTOR));
    s->base = check_read(c, segment_field(n, SEGMENT_BASE));
    s->limit = (u32)check_read(c, segment_field(n, SEGMENT_LIMIT));
    s->access = (u32)check_read(c, segment_field(n, SEGMENT_ACCESS));
}

// What holds besides for a guest that is not unrestricted, which is in protected mode.
static void check_restricted(struct entry_check *c)
{
    struct segment cs, ss;
    read_segment(c, SEG_CS, &cs);
    read_segment(c, SEG_SS, &ss);
    check_require(c, cs.access & SEGMENT_CODE, GUEST_CS_ACCESS,
                  "CS of data needs an unrestricted guest");
    check_require(c, SELECTOR_RPL(ss.selector) == SELECTOR_RPL(cs.selector), GUEST_SS_SELECTOR,
                  "the RPL must be CS's");
    check_require(c, SEGMENT_DPL(ss.access) == SELECTOR_RPL(ss.selector), GUEST_SS_ACCESS,
                  "the DPL must be the selector's RPL");
    for (enum segment_name n = SEG_ES; n <= SEG_GS; n++) {
        struct segment s;
        read_segment(c, n, &s);
        bool conforming = (s.access & 15) > 11;
        if (n != SEG_CS && n != SEG_SS && !(s.access & SEGMENT_UNUSABLE) && !conforming)
            check_require(c, SEGMENT_DPL(s.access) >= SELECTOR_RPL(s.selector),
                          segment_field(n, SEGMENT_ACCESS),
                          "the DPL must not be below the selector's RPL");
    }
}

static void check_segments(struct entry_check *c)
{
    bool v8086 = check_read(c, GUEST_RFLAGS) & RFLAGS_VM;
    struct segment_mode mode = {.v8086 = v8086,
                                .protected = check_read(c, GUEST_CR0) & CR0_PE,
                                .long_mode = is_long(c),
                                .cs_access = (u32)check_read(c, GUEST_CS_ACCESS),
                                .ss_access = (u32)check_read(c, GUEST_SS_ACCESS)};
    for (enum segment_name n = SEG_ES; n < SEG_COUNT; n++) {
        struct segment s;
        struct segment_fault fault;
        read_segment(c, n, &s);
        if (regs_check_segment(n, &s, &mode, &fault) != OK)
            check_require(c, false, segment_field(n, fault.field), fault.rule);
    }
    if (!v8086 && !check_has_secondary(c, SECONDARY_UNRESTRICTED_GUEST))
        check_restricted(c);
}

// ---- descriptor tables, RIP, RFLAGS (27.3.1.3, 27.3.1.4) ---------------------------------------

static void check_tables(struct entry_check *c)
{
    check_canonical(c, GUEST_GDTR_BASE);
    check_canonical(c, GUEST_IDTR_BASE);
    check_require(c, check_read(c, GUEST_GDTR_LIMIT) >> 16 == 0, GUEST_GDTR_LIMIT,
                  "must fit into 16 bits");
    check_require(c, check_read(c, GUEST_IDTR_LIMIT) >> 16 == 0, GUEST_IDTR_LIMIT,
                  "must fit into 16 bits");
}

// RIP need not be canonical: it may be the address after the last one below the gap, where the
// guest's next fetch faults.
static void check_rip(struct entry_check *c)
{
    u64 rip = check_read(c, GUEST_RIP);
    if (is_long(c) && (check_read(c, GUEST_CS_ACCESS) & SEGMENT_LONG))
        check_require(c, rip >> 48 == 0 || rip >> 48 == 0xffff, GUEST_RIP,
                      "bits 63:48 must be alike");
    else
        check_require(c, rip >> 32 == 0, GUEST_RIP, "must fit into 32 bits outside 64-bit code");
}

static void check_rflags(struct entry_check *c)
{
    u64 flags = check_read(c, GUEST_RFLAGS);
    check_require(c, (flags & RFLAGS_RESERVED) == 0, GUEST_RFLAGS, "reserved bits must be clear");
    check_require(c, flags & RFLAGS_FIXED, GUEST_RFLAGS, "bit 1 must be set");
    check_require(c, !(flags & RFLAGS_VM) || !is_long(c), GUEST_RFLAGS,
                  "VM must be clear in IA-32e mode");
    check_require(c, !(flags & RFLAGS_VM) || (check_read(c, GUEST_CR0) & CR0_PE), GUEST_RFLAGS,
                  "VM needs protected mode");
    check_require(c, !check_injects(c, EVENT_EXTERNAL) || (flags & RFLAGS_IF), GUEST_RFLAGS,
                  "IF must be set for an interrupt to be injected");
}

void check_guest_registers(struct entry_check *c)
{
    check_control_registers(c);
    check_msrs(c);
    check_segments(c);
    check_tables(c);
    check_rip(c);
    check_rflags(c);
}
