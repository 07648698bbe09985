// SPDX-License-Identifier: MIT
// What a CPU says to registers that are loaded into it: the #GPs of a switch between vCPUs, and the
// checks of a VM entry with unrestricted guest (SDM 27.3.1), written down from the manual once more
// and not taken from what they are to test.
#include "vcpu/debug.h"
#include "x86/regs_check.h"

#define IF_SO(condition, what) \
    do {                       \
        if (condition)         \
            return what;       \
    } while (0)

static bool not_canonical(u64 a)
{
    u64 top = a >> 47; // bits 47 to 63 are alike
    return top != 0 && top != 0x1ffff;
}

static const char *switch_refuses(const struct vcpu_regs *r, const struct regs_limits *l)
{
    IF_SO(not_canonical(r->kernel_gs_base), "#GP: WRMSR of IA32_KERNEL_GS_BASE");
    IF_SO(r->dr6 > 0xffffffff, "#GP: MOV to DR6");
    IF_SO((r->xcr0 & 1) == 0 || (r->xcr0 & 6) == 4 || (r->xcr0 & ~l->xcr0) != 0, "#GP: XSETBV");
    IF_SO(r->cr8 > 15, "#GP: MOV to CR8");
    IF_SO((r->cr0 & 0x60000000) == 0x20000000, "#GP: MOV to CR0, NW without CD");
    return NULL;
}

static const char *controls_refused(const struct vcpu_regs *r, const struct regs_limits *l)
{
    bool pg = r->cr0 >> 31 & 1, lma = r->efer >> 10 & 1, lme = r->efer >> 8 & 1;
    IF_SO(r->cr0 > 0xffffffff, "CR0: bits fixed to 0");
    IF_SO(pg && (r->cr0 & 1) == 0, "CR0: PG without PE");
    IF_SO((r->cr4 & ~l->cr4) != 0, "CR4: bits fixed to 0");
    IF_SO(lma && !(pg && (r->cr4 & 0x20)), "IA-32e mode without PG or PAE");
    IF_SO(!lma && (r->cr4 & 0x20000), "PCIDE outside IA-32e mode");
    IF_SO(r->cr3 >> l->maxphyaddr != 0, "CR3: beyond the physical-address width");
    IF_SO((r->efer & ~0xd01ull) != 0, "EFER: reserved bits");
    IF_SO(pg && lma != lme, "EFER: LMA is not LME");
    IF_SO(!pg && lma, "EFER: LMA without paging");
    IF_SO(r->dr7 > 0xffffffff, "DR7: bits 63:32");
    return NULL;
}

static const char *common_refused(const struct segment *s, bool system)
{
    u32 a = s->access;
    IF_SO((a & 0x10) != (system ? 0 : 0x10), "the S bit");
    IF_SO((a & 0x80) == 0, "not present");
    IF_SO((a & 0xf00) != 0 || a >> 17 != 0, "reserved access rights");
    IF_SO((s->limit & 0xfff) != 0xfff && (a & 0x8000), "G with a limit of bytes");
    IF_SO((s->limit & 0xfff00000) != 0 && !(a & 0x8000), "a limit that needs G");
    return NULL;
}

static const char *code_refused(const struct vcpu_regs *r)
{
    const struct segment *cs = &r->seg[SEG_CS];
    unsigned type = cs->access & 15, dpl = cs->access >> 5 & 3;
    unsigned ss_dpl = r->seg[SEG_SS].access >> 5 & 3;
    IF_SO(cs->base > 0xffffffff, "CS: base");
    switch (type) {
    case 3:
        IF_SO(dpl != 0, "CS: DPL of type 3");
        break;
    case 9:
    case 11:
        IF_SO(dpl != ss_dpl, "CS: DPL");
        break;
    case 13:
    case 15:
        IF_SO(dpl > ss_dpl, "CS: DPL of conforming code");
        break;
    default:
        return "CS: type";
    }
    IF_SO((r->efer & 0x400) && (cs->access & 0x6000) == 0x6000, "CS: L and D");
    return common_refused(cs, false);
}

static const char *data_refused(const struct vcpu_regs *r, unsigned n)
{
    const struct segment *s = &r->seg[n];
    unsigned type = s->access & 15;
    bool usable = (s->access & 0x10000) == 0;
    if (n == SEG_SS)
        IF_SO(((r->seg[SEG_CS].access & 15) == 3 || (r->cr0 & 1) == 0) && (s->access & 0x60) != 0,
              "SS: DPL");
    if (n == SEG_FS || n == SEG_GS)
        IF_SO(not_canonical(s->base), "FS or GS: base");
    if (!usable)
        return NULL;
    if (n == SEG_SS)
        IF_SO(type != 3 && type != 7, "SS: type");
    IF_SO((type & 1) == 0 || ((type & 8) && (type & 2) == 0), "data: type");
    if (n != SEG_FS && n != SEG_GS)
        IF_SO(s->base > 0xffffffff, "data: base");
    return common_refused(s, false);
}

static const char *system_refused(const struct vcpu_regs *r)
{
    const struct segment *tr = &r->seg[SEG_TR], *ldtr = &r->seg[SEG_LDTR];
    unsigned type = tr->access & 15;
    IF_SO(tr->selector & 4 || not_canonical(tr->base) || (tr->access & 0x10000), "TR");
    IF_SO(type != 11 && (type != 3 || (r->efer & 0x400)), "TR: type");
    const char *what = common_refused(tr, true);
    if (what != NULL || (ldtr->access & 0x10000) != 0)
        return what;
    IF_SO(ldtr->selector & 4 || not_canonical(ldtr->base) || (ldtr->access & 15) != 2, "LDTR");
    return common_refused(ldtr, true);
}

static const char *v8086_refused(const struct vcpu_regs *r)
{
    for (unsigned n = SEG_ES; n <= SEG_GS; n++) {
        const struct segment *s = &r->seg[n];
        IF_SO(s->base != s->selector * 16u || s->limit != 0xffff || s->access != 0xf3,
              "virtual-8086");
    }
    return NULL;
}

static const char *segments_refused(const struct vcpu_regs *r)
{
    const char *what = system_refused(r);
    if (what != NULL)
        return what;
    if (r->rflags & 0x20000)
        return v8086_refused(r);
    what = code_refused(r);
    for (unsigned n = SEG_ES; n <= SEG_GS && what == NULL; n++) {
        if (n != SEG_CS)
            what = data_refused(r, n);
    }
    return what;
}

static const char *rest_refused(const struct vcpu_regs *r, const struct interruptibility *i)
{
    bool wide = (r->efer & 0x400) && (r->seg[SEG_CS].access & 0x2000);
    bool sti = i->blocking & 1, mov_ss = i->blocking & 2, tf = r->rflags & 0x100;
    IF_SO(wide ? not_canonical(r->rip) : r->rip > 0xffffffff, "RIP");
    IF_SO((r->rflags & 0xffffffffffc08028) != 0 || (r->rflags & 2) == 0, "RFLAGS");
    IF_SO((r->rflags & 0x20000) && ((r->efer & 0x400) || (r->cr0 & 1) == 0), "RFLAGS.VM");
    IF_SO(not_canonical(r->gdtr.base) || not_canonical(r->idtr.base), "GDTR or IDTR: base");
    IF_SO(r->gdtr.limit > 0xffff || r->idtr.limit > 0xffff, "GDTR or IDTR: limit");
    IF_SO(sti && mov_ss, "blocking by both STI and MOV SS");
    IF_SO(sti && (r->rflags & 0x200) == 0, "blocking by STI with IF clear");
    IF_SO((sti || mov_ss || i->halted) && tf != (i->pending_debug >> 14 & 1), "a pending trap");
    return NULL;
}

// What a CPU would not take of a vCPU's registers; NULL: it takes them.
static const char *cpu_refuses(const struct vcpu_regs *r, const struct interruptibility *i,
                               const struct regs_limits *l)
{
    const char *what = switch_refuses(r, l);
    if (what == NULL)
        what = controls_refused(r, l);
    if (what == NULL)
        what = segments_refused(r);
    return what != NULL ? what : rest_refused(r, i);
}

// The same of vector state: XRSTOR.
static const char *cpu_refuses_fpu(const u8 *area, const struct regs_limits *l)
{
    IF_SO(area[26] != 0 || area[27] != 0 || (area[24] & ~l->mxcsr_mask) != 0, "#GP: MXCSR");
    IF_SO((area[512] & ~l->xcr0) != 0, "#GP: XSTATE_BV");
    for (unsigned n = 513; n < 576; n++)
        IF_SO(area[n] != 0, "#GP: the XSAVE header");
    return NULL;
}
