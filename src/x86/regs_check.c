// SPDX-License-Identifier: MIT
#include "x86/regs_check.h"

#include "lib/string.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"
#include "x86/registers.h"

#define XCR0_X87    BIT(0)
#define XCR0_SSE    BIT(1)
#define XCR0_AVX    BIT(2)
#define XCR0_AVX512 (BIT(5) | BIT(6) | BIT(7))

#define ACCESS_RESERVED 0xfffe0f00u

struct check {
    struct text *why;
    enum error error;
};

// Notes the first rule that is broken.
static void require(struct check *c, bool ok, const char *name, u64 value, const char *rule)
{
    if (!ok && c->error == OK)
        c->error = explain(c->why, ERR_INVALID, "%s = %lx: %s", name, value, rule);
}

static bool is_long(const struct vcpu_regs *r)
{
    return (r->efer & EFER_LME) && (r->cr0 & CR0_PG);
}

static bool is_64bit_code(const struct vcpu_regs *r)
{
    return is_long(r) && (r->seg[SEG_CS].access & SEGMENT_LONG);
}

// ---- control registers -------------------------------------------------------------------------

static void check_cr0(struct check *c, const struct vcpu_regs *old, const struct vcpu_regs *r)
{
    u64 cr0 = r->cr0;
    require(c, (cr0 & ~CR0_DEFINED) == 0, "cr0", cr0, "reserved bits must be clear");
    require(c, !(cr0 & CR0_PG) || (cr0 & CR0_PE), "cr0", cr0, "PG needs PE");
    require(c, !(cr0 & CR0_NW) || (cr0 & CR0_CD), "cr0", cr0, "NW needs CD");
    require(c, cr0 & CR0_ET, "cr0", cr0, "ET must be set");
    if ((old->cr0 & CR0_PG) && !(cr0 & CR0_PG)) {
        require(c, !is_64bit_code(old), "cr0", cr0, "PG must stay set in 64-bit code");
        require(c, !(r->cr4 & CR4_PCIDE), "cr0", cr0, "PG must stay set while CR4.PCIDE is");
    }
    require(c, !is_long(r) || (r->cr4 & CR4_PAE), r->cr4 == old->cr4 ? "cr0" : "cr4",
            r->cr4 == old->cr4 ? cr0 : r->cr4, "long mode needs CR4.PAE");
}

// LMA follows LME and CR0.PG by itself.
static void check_efer(struct check *c, const struct vcpu_regs *old, const struct vcpu_regs *r)
{
    u64 changed = r->efer ^ old->efer;
    require(c, (r->efer & ~EFER_DEFINED) == 0, "efer", r->efer, "reserved bits must be clear");
    require(c, !(changed & EFER_LME) || !(old->cr0 & r->cr0 & CR0_PG), "efer", r->efer,
            "LME cannot change while CR0.PG is set");
    require(c, !(changed & EFER_LMA) || !!(r->efer & EFER_LMA) == is_long(r), "efer", r->efer,
            "LMA must be set exactly when LME and CR0.PG are");
}

static void check_control(struct check *c, const struct vcpu_regs *old, const struct vcpu_regs *r,
                          const struct regs_limits *l)
{
    check_cr0(c, old, r);
    check_efer(c, old, r);
    require(c, r->cr3 >> l->maxphyaddr == 0, "cr3", r->cr3, "reserved bits must be clear");
    require(c, (r->cr4 & ~l->cr4) == 0, "cr4", r->cr4, "must be bits that the VM's CPU has");
    require(c, !(r->cr4 & CR4_PCIDE) || is_long(r), "cr4", r->cr4, "PCIDE needs long mode");
    require(c, r->cr8 <= 15, "cr8", r->cr8, "must fit into 4 bits");
    require(c, xcr0_ok(r->xcr0, l->xcr0), "xcr0", r->xcr0,
            "must be states that the VM's CPU has, x87 among them; AVX needs SSE, and AVX-512 "
            "AVX and all of its own parts");
    require(c, r->dr6 >> 32 == 0, "dr6", r->dr6, "bits 63:32 must be clear");
    require(c, r->dr7 >> 32 == 0, "dr7", r->dr7, "bits 63:32 must be clear");
    require(c, canonical(r->kernel_gs_base), "k_gs_base", r->kernel_gs_base, "must be canonical");
}

// ---- segments ----------------------------------------------------------------------------------

static enum error breaks(struct segment_fault *fault, const char *rule)
{
    fault->rule = rule;
    return ERR_INVALID;
}

static enum error check_v8086(const struct segment *s, struct segment_fault *fault)
{
    fault->field = SEGMENT_BASE;
    if (s->base != (u64)s->selector << 4)
        return breaks(fault, "must be the selector * 16 in virtual-8086 mode");
    fault->field = SEGMENT_LIMIT;
    if (s->limit != 0xffff)
        return breaks(fault, "the limit must be ffff in virtual-8086 mode");
    fault->field = SEGMENT_ACCESS;
    return s->access == 0xf3 ? OK
                             : breaks(fault, "the access rights must be f3 in virtual-8086 mode");
}

static enum error check_type(enum segment_name n, unsigned type, bool long_mode,
                             struct segment_fault *fault)
{
    switch (n) {
    case SEG_CS:
        return type == 3 || (type >= 9 && (type & 1))
                   ? OK
                   : breaks(fault, "the type must be that of an accessed code segment");
    case SEG_SS:
        return type == 3 || type == 7
                   ? OK
                   : breaks(fault, "the type must be that of accessed, writable data");
    case SEG_LDTR:
        return type == 2 ? OK : breaks(fault, "the type must be that of an LDT");
    case SEG_TR:
        return type == 11 || (type == 3 && !long_mode)
                   ? OK
                   : breaks(fault, "the type must be that of a busy TSS");
    default:
        return (type & 1) && (!(type & 8) || (type & 2))
                   ? OK
                   : breaks(fault, "the type must be that of an accessed, readable segment");
    }
}

static enum error check_dpl(enum segment_name n, u32 access, const struct segment_mode *mode,
                            struct segment_fault *fault)
{
    unsigned type = access & 15, dpl = SEGMENT_DPL(access), ring = SEGMENT_DPL(mode->ss_access);
    if (n == SEG_CS && (type == 3 || type == 9 || type == 11) && dpl != (type == 3 ? 0 : ring))
        return breaks(fault, "the DPL must be SS's");
    if (n == SEG_CS && type >= 13 && dpl > ring)
        return breaks(fault, "the DPL of conforming code must not be above SS's");
    if (n == SEG_SS && dpl != 0 && ((mode->cs_access & 15) == 3 || !mode->protected))
        return breaks(fault, "the DPL must be 0 in real mode");
    return OK;
}

static enum error check_access(enum segment_name n, const struct segment *s,
                               const struct segment_mode *mode, struct segment_fault *fault)
{
    u32 access = s->access;
    if (n == SEG_TR && (access & SEGMENT_UNUSABLE))
        return breaks(fault, "TR must be usable");
    enum error e = check_type(n, access & 15, mode->long_mode, fault);
    if (e != OK)
        return e;
    if (!!(access & SEGMENT_NOT_SYSTEM) != (n <= SEG_GS))
        return breaks(fault, n <= SEG_GS ? "the S bit must be set" : "the S bit must be clear");
    if (!(access & SEGMENT_PRESENT))
        return breaks(fault, "must be present");
    if ((access & ACCESS_RESERVED) != 0)
        return breaks(fault, "reserved bits must be clear");
    if (n == SEG_CS && mode->long_mode && (access & SEGMENT_LONG) && (access & SEGMENT_BIG))
        return breaks(fault, "L and D must not both be set");
    if ((s->limit & 0xfff) != 0xfff && (access & SEGMENT_GRANULAR))
        return breaks(fault, "G must be clear when bits 11:0 of the limit are not all set");
    if (s->limit >> 20 != 0 && !(access & SEGMENT_GRANULAR))
        return breaks(fault, "G must be set when the limit is above 1 MiB");
    return OK;
}

enum error regs_check_segment(enum segment_name n, const struct segment *s,
                              const struct segment_mode *mode, struct segment_fault *fault)
{
    bool usable = !(s->access & SEGMENT_UNUSABLE) || n == SEG_CS || n == SEG_TR;
    if (mode->v8086 && n <= SEG_GS)
        return check_v8086(s, fault);

    fault->field = SEGMENT_SELECTOR;
    if ((n == SEG_TR || (n == SEG_LDTR && usable)) && (s->selector & SELECTOR_LDT))
        return breaks(fault, "the selector must be of the GDT");
    fault->field = SEGMENT_BASE;
    bool wide = n == SEG_FS || n == SEG_GS || n == SEG_LDTR || n == SEG_TR;
    if (wide && (usable || n != SEG_LDTR) && !canonical(s->base))
        return breaks(fault, "must be canonical");
    if (!wide && (usable || n == SEG_CS) && s->base >> 32 != 0)
        return breaks(fault, "bits 63:32 must be clear");
    fault->field = SEGMENT_ACCESS;
    enum error e = usable ? check_access(n, s, mode, fault) : OK;
    return e == OK ? check_dpl(n, s->access, mode, fault) : e;
}

static void check_segments(struct check *c, const struct vcpu_regs *r)
{
    static const char *const names[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
    struct segment_mode mode = {.v8086 = r->rflags & RFLAGS_VM,
                                .protected = r->cr0 & CR0_PE,
                                .long_mode = is_long(r),
                                .cs_access = r->seg[SEG_CS].access,
                                .ss_access = r->seg[SEG_SS].access};
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        const struct segment *s = &r->seg[n];
        struct segment_fault fault;
        char name[16];
        if (regs_check_segment((enum segment_name)n, s, &mode, &fault) == OK)
            continue;
        // Limit and access rights have no names in gdb.
        bool base = fault.field == SEGMENT_BASE;
        str_format(name, sizeof(name), "%s%s", names[n], base ? "_base" : "");
        require(c, false, name, base ? s->base : s->selector, fault.rule);
    }
}

// ---- all ---------------------------------------------------------------------------------------

static void check_table(struct check *c, const struct descriptor_table *t, const char *base,
                        const char *limit)
{
    require(c, canonical(t->base), base, t->base, "must be canonical");
    require(c, t->limit <= 0xffff, limit, t->limit, "must fit into 16 bits");
}

enum error regs_check(const struct vcpu_regs *old, const struct vcpu_regs *r,
                      const struct regs_limits *l, struct text *why)
{
    struct check c = {.why = why};
    check_control(&c, old, r, l);
    require(&c, (r->rflags & RFLAGS_RESERVED) == 0, "eflags", r->rflags,
            "reserved bits must be clear");
    require(&c, r->rflags & RFLAGS_FIXED, "eflags", r->rflags, "bit 1 must be set");
    require(&c, !(r->rflags & RFLAGS_VM) || ((r->cr0 & CR0_PE) && !is_long(r)), "eflags", r->rflags,
            "VM needs protected mode outside long mode");
    if (is_64bit_code(r))
        require(&c, canonical(r->rip), "rip", r->rip, "must be canonical");
    else
        require(&c, r->rip >> 32 == 0, "rip", r->rip, "must fit into 32 bits outside 64-bit code");
    check_segments(&c, r);
    check_table(&c, &r->gdtr, "gdtr_base", "gdtr_limit");
    check_table(&c, &r->idtr, "idtr_base", "idtr_limit");
    return c.error;
}

enum error regs_check_fpu(const void *area, const struct regs_limits *l, struct text *why)
{
    struct check c = {.why = why};
    u64 header[8], allowed = l->xcr0 != 0 ? l->xcr0 : XCR0_X87 | XCR0_SSE;
    u32 mxcsr;
    memcpy(&mxcsr, (const u8 *)area + 24, sizeof(mxcsr));
    memcpy(header, (const u8 *)area + 512, sizeof(header));
    require(&c, (mxcsr & ~l->mxcsr_mask) == 0, "mxcsr", mxcsr, "reserved bits must be clear");
    require(&c, (header[0] & ~allowed) == 0, "XSTATE_BV", header[0],
            "must be states that the VM's CPU has");
    for (unsigned i = 1; i < ARRAY_SIZE(header); i++)
        require(&c, header[i] == 0, "the XSAVE header", header[i], "must be 0");
    return c.error;
}

bool xcr0_ok(u64 value, u64 allowed)
{
    u64 avx512 = value & XCR0_AVX512;
    return (value & ~(allowed | XCR0_X87)) == 0 && (value & XCR0_X87) &&
           (!(value & XCR0_AVX) || (value & XCR0_SSE)) &&
           (avx512 == 0 || (avx512 == XCR0_AVX512 && (value & XCR0_AVX)));
}

static bool pat_ok(u64 value)
{
    for (unsigned i = 0; i < 64; i += 8) {
        u64 type = value >> i & 0xff;
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

bool msr_value_ok(u32 msr, u64 value, u64 efer, u64 cr0)
{
    switch (msr) {
    case MSR_IA32_SYSENTER_CS:
    case MSR_FMASK:
    case MSR_TSC_AUX:
        return value >> 32 == 0;
    case MSR_IA32_PAT:
        return pat_ok(value);
    case MSR_EFER: // LME cannot change while paging, LMA never
        return (value & ~EFER_DEFINED) == 0 && ((value ^ efer) & EFER_LMA) == 0 &&
               (!(cr0 & CR0_PG) || ((value ^ efer) & EFER_LME) == 0);
    case MSR_STAR:
        return true;
    default:
        return canonical(value);
    }
}

void regs_settle(const struct vcpu_regs *old, const struct vcpu_regs *r, struct interruptibility *i)
{
    bool tf = r->rflags & RFLAGS_TF;
    if (r->rip == old->rip && r->rflags == old->rflags)
        return;
    if (r->rip != old->rip) {
        i->blocking &= ~(u64)(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
        i->pending_debug = 0;
    }
    if (!(r->rflags & RFLAGS_IF))
        i->blocking &= ~(u64)BLOCKING_BY_STI;
    if (!tf)
        i->pending_debug &= ~DR6_BS;
    else if ((i->blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) != 0 || i->halted)
        i->pending_debug |= DR6_BS;
}
