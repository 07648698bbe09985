// SPDX-License-Identifier: MIT
#include "vcpu/guest_access.h"

#include "ept/ept.h"
#include "lib/cpu.h"
#include "vcpu/cpuid.h"
#include "vcpu/exits.h"
#include "x86/bits.h"
#include "x86/fetch.h"
#include "x86/vectors.h"

// Iterations of a REP in one exit, so that a long one keeps neither interrupts nor others waiting.
#define REPEATS_MAX 256

static enum error translate(void *ctx, gva_t gva, u32 access, gpa_t *gpa, u32 *error_code)
{
    struct guest_access *a = ctx;
    struct walk_result r;
    enum error e = guest_walk(&a->paging, &a->v->guest->memory, gva, access | WALK_SET_AD, &r);
    *gpa = r.gpa;
    *error_code = r.error_code;
    return e;
}

// Zeroes those bytes of *value that are to be read as 0.
static NOINLINE void ignore_bytes(const struct vcpu *v, gpa_t gpa, u64 *value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        if (v->guest->intercept_ops->is_ignored(v, GPA(gpa.v + i), EPT_READ))
            *value &= ~(0xfful << 8 * i);
    }
}

// Writes those bytes that are not to vanish.
static NOINLINE void write_rest(struct vcpu *v, gpa_t gpa, unsigned size, u64 value)
{
    for (unsigned i = 0; i < size; i++) {
        u8 byte = (u8)(value >> 8 * i);
        if (!v->guest->intercept_ops->is_ignored(v, GPA(gpa.v + i), EPT_WRITE) &&
            guest_write(&v->guest->memory, GPA(gpa.v + i), &byte, 1) != OK)
            vcpu_mmio_write(v, GPA(gpa.v + i), 1, byte);
    }
}

static u64 read(void *ctx, gpa_t gpa, unsigned size)
{
    struct guest_access *a = ctx;
    u64 value = 0;
    if (guest_read(&a->v->guest->memory, gpa, &value, size) != OK)
        value = vcpu_mmio_read(a->v, gpa, size);
    if (a->v->intercept.memory_ignored)
        ignore_bytes(a->v, gpa, &value, size);
    return value;
}

static void write(void *ctx, gpa_t gpa, unsigned size, u64 value)
{
    struct guest_access *a = ctx;
    if (a->v->intercept.memory_ignored)
        write_rest(a->v, gpa, size, value);
    else if (guest_write(&a->v->guest->memory, gpa, &value, size) != OK)
        vcpu_mmio_write(a->v, gpa, size, value);
}

static void segment(void *ctx, enum segment_name name, struct segment *s)
{
    (void)ctx;
    state_get_segment(name, s);
}

static u32 port_read(void *ctx, u16 port, unsigned size)
{
    struct guest_access *a = ctx;
    a->v->intercept.io_elements++;
    return a->v->intercept.io_ignored ? 0 : a->v->guest->devices->port_in(a->v, port, size);
}

static void port_write(void *ctx, u16 port, unsigned size, u32 value)
{
    struct guest_access *a = ctx;
    a->v->intercept.io_elements++;
    if (!a->v->intercept.io_ignored)
        a->v->guest->devices->port_out(a->v, port, size, value);
}

static void set_segment(void *ctx, enum segment_name name, const struct segment *s)
{
    (void)ctx;
    state_set_segment(name, s);
}

static void table(void *ctx, enum emulate_table which, struct descriptor_table *t)
{
    (void)ctx;
    *t = state_get_table((enum state_table)which);
}

static void set_table(void *ctx, enum emulate_table which, const struct descriptor_table *t)
{
    (void)ctx;
    state_set_table((enum state_table)which, *t);
}

static u64 status_word(void *ctx)
{
    (void)ctx;
    return backend_cr0();
}

static bool set_status_word(void *ctx, u64 cr0)
{
    struct guest_access *a = ctx;
    return vcpu_set_cr0(a->v, cr0);
}

static void invalidate(void *ctx)
{
    struct guest_access *a = ctx;
    flush_vpid(a->v->run.vpid);
}

static const struct emulate_ops ops = {
    .translate = translate,
    .read = read,
    .write = write,
    .segment = segment,
    .port_read = port_read,
    .port_write = port_write,
    .set_segment = set_segment,
    .table = table,
    .set_table = set_table,
    .status_word = status_word,
    .set_status_word = set_status_word,
    .invalidate = invalidate,
};

void guest_access_begin(struct vcpu *v, struct emulation *e, struct guest_access *a)
{
    a->v = v;
    vcpu_paging_state(v, &a->paging);
    v->run.gpr[RSP] = state_get(STATE_RSP);
    e->ops = &ops; // one after the other: zeroes for what is not set yet would cost more than these
    e->ctx = a;
    e->code_size = guest_code_size();
    e->gpr = v->run.gpr;
    e->rip = state_get(STATE_RIP);
    a->count = v->run.gpr[RCX];
    e->rflags = a->paging.rflags;
    e->cr0 = a->paging.cr0;
    e->cr4 = a->paging.cr4;
    e->long_mode = a->paging.efer & EFER_LMA;
    e->cpl = (u8)a->paging.cpl;
    e->features = cpuid_info.emulated;
    e->repeats = e->rflags & RFLAGS_TF ? 1 : REPEATS_MAX; // each iteration is trapped
    e->error = OK;
    e->blocks = false;
    e->hits = 0;
    e->breakpoints = NULL;
    if (vcpu_breaks()) {
        vcpu_breakpoints(v, &a->breakpoints);
        e->breakpoints = &a->breakpoints;
    }
}

enum error guest_access_fetch(struct vcpu *v, struct emulation *e, struct guest_access *a,
                              const struct instruction **i)
{
    guest_access_begin(v, e, a);
    u64 pc = e->rip + (e->code_size == CODE_64 ? 0 : state_get(STATE_CS_BASE));
    if (e->code_size != CODE_64)
        pc = (u32)pc;
    *i = fetch_cached(&v->fetch, GVA(pc), a->paging.cr3, e->code_size);
    if (*i != NULL)
        return OK;
    return fetch_instruction(&v->fetch, &a->paging, &v->guest->memory, GVA(pc), e->code_size, i);
}

// Ends the VM, with the bytes of the instruction, which the guest may have changed by now.
static COLD void crash_unsupported(struct vcpu *v, u64 address)
{
    static const char digits[] = "0123456789abcdef";
    char text[3 * INSTRUCTION_MAX + 1] = "";
    u8 code[INSTRUCTION_MAX] = {0};
    struct emulation e;
    struct guest_access a;
    const struct instruction *i;
    unsigned length = guest_access_fetch(v, &e, &a, &i) == OK ? i->length : 0;
    gva_t pc = GVA(e.code_size == CODE_64 ? e.rip : (u32)(e.rip + state_get(STATE_CS_BASE)));
    if (guest_read_linear(&a.paging, &v->guest->memory, pc, code, length, 0, NULL) != OK)
        length = 0;
    for (unsigned n = 0; n < length; n++) {
        text[3 * n] = ' ';
        text[3 * n + 1] = digits[code[n] >> 4];
        text[3 * n + 2] = digits[code[n] & 15];
        text[3 * n + 3] = 0;
    }
    vcpu_crash(v, "no emulation for the instruction%s, which touches %lx", text, address);
}

// After an iteration of a REP that goes on, as after an instruction: debug traps are due, and
// blocking by STI and MOV SS has ended.
static void end_iteration(struct vcpu *v, const struct emulation *e)
{
    state_set(STATE_BLOCKING, state_get(STATE_BLOCKING) & ~(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
    vcpu_step_due(v, e->rflags);
    vcpu_hits_due(e->hits);
}

void guest_access_finish(struct vcpu *v, struct emulation *e, enum emulate_status status,
                         u64 address)
{
    u64 before = state_get(STATE_RIP);
    switch (status) {
    case EMULATE_DONE:
        state_set(STATE_RSP, v->run.gpr[RSP]);
        vcpu_skip_bytes(v, e->rip - before); // by TF as it was before POPF
        vcpu_hits_due(e->hits);
        state_set(STATE_RFLAGS, e->rflags);
        if (e->blocks)
            state_set(STATE_BLOCKING, state_get(STATE_BLOCKING) | BLOCKING_BY_MOV_SS);
        break;
    case EMULATE_AGAIN: // between two iterations, or its page is gone
        if (v->run.gpr[RCX] != ((const struct guest_access *)e->ctx)->count)
            end_iteration(v, e);
        state_set(STATE_RFLAGS, e->rflags);
        state_set(STATE_RSP, v->run.gpr[RSP]);
        break;
    case EMULATE_FAULT:
        state_set(STATE_RFLAGS, e->rflags);
        if (e->exception.vector == VECTOR_PF)
            vcpu_raise_pf(v, e->exception.cr2, e->exception.error_code);
        else
            vcpu_raise(v, e->exception.vector, e->exception.has_error, e->exception.error_code);
        break;
    case EMULATE_UNSUPPORTED:
        crash_unsupported(v, address);
        break;
    case EMULATE_FAILED:
        vcpu_crash(v, "an instruction that touches a device cannot be emulated (%s, address %lx)",
                   error_name(e->error), address);
    }
}
