// SPDX-License-Identifier: MIT
// I/O instructions and accesses to guest-physical memory that is not RAM: both end in a device.
#include "lib/string.h"
#include "vmx/emulate.h"
#include "vmx/vcpu_internal.h"

// Iterations of a REP in one exit, so that a long one keeps neither interrupts nor others waiting.
#define REPEATS_MAX 256

#define IO_SIZE(q) ((unsigned)((q)&7) + 1)
#define IO_IN      BIT(3)
#define IO_STRING  BIT(4)
#define IO_REP     BIT(5)
#define IO_PORT(q) ((u16)((q) >> 16))
// Instruction information of INS and OUTS (SDM Table 28-9).
#define INFO_ADDRESS_SIZE(i) ((u8)(2u << ((i) >> 7 & 7)))
#define INFO_SEGMENT(i)      ((enum segment_name)((i) >> 15 & 7))
#define CS_L                 BIT(13)
#define CS_D                 BIT(14)

struct device_access {
    struct vcpu *v;
    struct paging_state paging;
};

static enum error translate(void *ctx, gva_t gva, u32 access, gpa_t *gpa, u32 *error_code)
{
    struct device_access *a = ctx;
    struct walk_result r;
    enum error e = guest_walk(&a->paging, &a->v->guest->memory, gva, access | WALK_SET_AD, &r);
    *gpa = r.gpa;
    *error_code = r.error_code;
    return e;
}

static u64 read(void *ctx, gpa_t gpa, unsigned size)
{
    struct device_access *a = ctx;
    u64 value = 0;
    if (guest_read(&a->v->guest->memory, gpa, &value, size) != OK)
        a->v->guest->ops->mmio(a->v, gpa, size, false, &value);
    return value;
}

static void write(void *ctx, gpa_t gpa, unsigned size, u64 value)
{
    struct device_access *a = ctx;
    if (!a->v->guest->ops->write_ram(a->v, gpa, &value, size))
        a->v->guest->ops->mmio(a->v, gpa, size, true, &value);
}

static u64 segment_base(void *ctx, enum segment_name segment)
{
    (void)ctx;
    return vmread(GUEST_ES_BASE + 2 * segment);
}

static u32 port_read(void *ctx, u16 port, unsigned size)
{
    struct device_access *a = ctx;
    u32 value = UINT32_MAX;
    a->v->guest->ops->io(a->v, port, size, false, &value);
    return value;
}

static void port_write(void *ctx, u16 port, unsigned size, u32 value)
{
    struct device_access *a = ctx;
    a->v->guest->ops->io(a->v, port, size, true, &value);
}

static const struct emulate_ops ops = {translate, read, write, segment_base, port_read, port_write};

static enum code_size code_size(void)
{
    u64 access = vmread(GUEST_CS_ACCESS);
    if ((access & CS_L) && (vmread(GUEST_EFER) & EFER_LMA))
        return CODE_64;
    return access & CS_D ? CODE_32 : CODE_16;
}

static void begin(struct vcpu *v, struct emulation *e, struct device_access *a)
{
    a->v = v;
    vcpu_paging_state(v, &a->paging);
    v->gpr[RSP] = vmread(GUEST_RSP);
    *e = (struct emulation){.ops = &ops,
                            .ctx = a,
                            .code_size = code_size(),
                            .gpr = v->gpr,
                            .rip = vmread(GUEST_RIP),
                            .rflags = vmread(GUEST_RFLAGS),
                            .repeats = REPEATS_MAX};
}

static void finish(struct vcpu *v, struct emulation *e, enum emulate_status status,
                   u64 qualification)
{
    u64 before = vmread(GUEST_RIP);
    switch (status) {
    case EMULATE_DONE:
        vmwrite(GUEST_RFLAGS, e->rflags);
        vmwrite(GUEST_RSP, v->gpr[RSP]);
        vcpu_skip_bytes(v, e->rip - before);
        break;
    case EMULATE_AGAIN: // between two iterations
        vmwrite(GUEST_RFLAGS, e->rflags);
        vmwrite(GUEST_RSP, v->gpr[RSP]);
        break;
    case EMULATE_FAULT:
        vmwrite(GUEST_RFLAGS, e->rflags);
        if (e->exception.vector == VECTOR_PF)
            vcpu_raise_pf(v, e->exception.cr2, e->exception.error_code);
        else
            vcpu_raise(v, e->exception.vector, e->exception.has_error, e->exception.error_code);
        break;
    default:
        vcpu_crash(v, "an instruction that we do not emulate touches a device (%s, address %llx)",
                   error_name(e->error), (unsigned long long)qualification);
    }
}

static void string_io(struct vcpu *v, u64 q)
{
    u64 info = vmread(EXIT_INSTRUCTION_INFO);
    struct string_io io = {.port = IO_PORT(q),
                           .size = (u8)IO_SIZE(q),
                           .in = q & IO_IN,
                           .rep = q & IO_REP,
                           .address_size = INFO_ADDRESS_SIZE(info),
                           .instruction_length = (u8)vmread(EXIT_INSTRUCTION_LENGTH),
                           .segment = q & IO_IN ? SEG_ES : INFO_SEGMENT(info)};
    struct device_access a;
    struct emulation e;
    begin(v, &e, &a);
    finish(v, &e, emulate_string_io(&e, &io), io.port);
}

void exit_io(struct vcpu *v)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    if (__builtin_expect(q & IO_STRING, 0)) {
        string_io(v, q);
        return;
    }
    unsigned size = IO_SIZE(q);
    u32 value;
    if (q & IO_IN) {
        value = UINT32_MAX;
        v->guest->ops->io(v, IO_PORT(q), size, false, &value);
        if (size == 4)
            v->gpr[RAX] = value;
        else
            memcpy(&v->gpr[RAX], &value, size);
    } else {
        value = (u32)v->gpr[RAX];
        if (size < 4)
            value &= (1u << 8 * size) - 1;
        v->guest->ops->io(v, IO_PORT(q), size, true, &value);
    }
    vcpu_skip_instruction(v);
}

// Fetches and emulates the instruction that touched gpa.
static void emulate_access(struct vcpu *v, gpa_t gpa)
{
    struct device_access a;
    struct emulation e;
    struct instruction i;
    u8 code[15] = {0};
    begin(v, &e, &a);

    struct walk_fault fault = {0};
    u64 pc = e.rip + (e.code_size == CODE_64 ? 0 : vmread(GUEST_CS_BASE));
    if (e.code_size != CODE_64)
        pc = (u32)pc;
    unsigned have = sizeof(code);
    enum error error =
        guest_read_linear(&a.paging, &v->guest->memory, GVA(pc), code, have, WALK_EXEC, &fault);
    if (error != OK)
        have = (unsigned)(fault.gva.v - pc);
    error = decode(code, MIN(have, (unsigned)sizeof(code)), e.code_size, &i);
    if (error == ERR_INVALID) {
        vcpu_raise_ud(v);
    } else if (error == ERR_FORMAT) {
        vcpu_raise_gp(v, 0);
    } else if (error != OK) {
        vcpu_crash(v, "cannot read the instruction that touches %llx", (unsigned long long)gpa.v);
    } else {
        enum emulate_status status = emulate(&e, &i);
        if (status == EMULATE_UNSUPPORTED)
            vcpu_crash(v,
                       "no emulation for an instruction that touches %llx: %02x %02x %02x %02x "
                       "%02x %02x %02x %02x",
                       (unsigned long long)gpa.v, code[0], code[1], code[2], code[3], code[4],
                       code[5], code[6], code[7]);
        else
            finish(v, &e, status, gpa.v);
    }
}

void exit_ept_violation(struct vcpu *v)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    gpa_t gpa = GPA(vmread(GUEST_PHYSICAL_ADDRESS));
    events_take_back(v);
    if ((q & BIT(12)) && !(v->event & EVENT_VALID)) // an IRET had just ended blocking by NMI
        vmwrite(GUEST_INTERRUPTIBILITY, vmread(GUEST_INTERRUPTIBILITY) | BLOCKING_BY_NMI);

    if (guest_ptr(&v->guest->memory, gpa, 1) != NULL) {
        if (!v->guest->ops->write_protected(v, gpa))
            vcpu_crash(v, "EPT violation in RAM at %llx, qualification %llx",
                       (unsigned long long)gpa.v, (unsigned long long)q);
    } else if ((q & EPT_VIOLATION_LINEAR_VALID) && !(q & EPT_VIOLATION_TRANSLATED)) {
        // A paging structure outside RAM reads as ones: reserved bits are set.
        vcpu_raise_pf(v, vmread(GUEST_LINEAR_ADDRESS),
                      PF_PRESENT | PF_RESERVED | (q & EPT_VIOLATION_WRITE ? PF_WRITE : 0) |
                          (q & EPT_VIOLATION_FETCH ? PF_FETCH : 0));
    } else if (q & EPT_VIOLATION_FETCH) {
        vcpu_raise_ud(v); // code outside RAM reads as ones, an undefined opcode
    } else if (v->event & EVENT_VALID) {
        // A descriptor table or stack outside RAM while an event is delivered.
        vcpu_crash(v, "event %x cannot be delivered: %llx is not RAM", v->event,
                   (unsigned long long)gpa.v);
    } else {
        emulate_access(v, gpa);
    }
}

void exit_apic_access(struct vcpu *v)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    unsigned type = q >> 12 & 15;
    events_take_back(v);
    if (type == 0 || type == 1) // a linear read or write
        emulate_access(v, GPA(v->guest->ops->apic_base(v) + (q & 0xfff)));
    else if (type == 2)
        vcpu_raise_ud(v); // a fetch
    else
        vcpu_crash(v, "APIC access of type %u at offset %llx", type,
                   (unsigned long long)(q & 0xfff));
}
