// SPDX-License-Identifier: MIT
// The exits that items catch, described by exit qualification and instruction information (SDM
// Vol. 3, 28.2).
#include "intercept/intercept_hit.h"

#include "intercept/intercept_internal.h"
#include "vcpu/guest_access.h"
#include "x86/bits.h"
#include "x86/vectors.h"

// Reasons whose instruction has neither operand nor number: what it is, and its name.
static const struct {
    u8 reason, what;
    const char *name;
} plain[] = {
    {EXIT_REASON_HLT, INTERCEPT_HLT, "HLT"},
    {EXIT_REASON_RDTSC, INTERCEPT_RDTSC, "RDTSC"},
    {EXIT_REASON_RDTSCP, INTERCEPT_RDTSCP, "RDTSCP"},
    {EXIT_REASON_RDPMC, INTERCEPT_RDPMC, "RDPMC"},
    {EXIT_REASON_RDRAND, INTERCEPT_RDRAND, "RDRAND"},
    {EXIT_REASON_RDSEED, INTERCEPT_RDSEED, "RDSEED"},
    {EXIT_REASON_MONITOR, INTERCEPT_MONITOR, "MONITOR"},
    {EXIT_REASON_MWAIT, INTERCEPT_MWAIT, "MWAIT"},
    {EXIT_REASON_WBINVD, INTERCEPT_WBINVD, "WBINVD"},
};

u32 hit_kinds(u32 reason)
{
    switch (reason) {
    case EXIT_REASON_EXTERNAL_INTERRUPT:
        return (u32)BIT(INTERCEPT_EXTINT);
    case EXIT_REASON_PAUSE:
        return (u32)(BIT(INTERCEPT_PAUSE) | BIT(INTERCEPT_PLE));
    case EXIT_REASON_IO_INSTRUCTION:
        return (u32)BIT(INTERCEPT_IO);
    case EXIT_REASON_RDMSR:
    case EXIT_REASON_WRMSR:
        return (u32)BIT(INTERCEPT_MSR);
    case EXIT_REASON_CR_ACCESS:
        return (u32)(BIT(INTERCEPT_CR0) | BIT(INTERCEPT_CR3) | BIT(INTERCEPT_CR4) |
                     BIT(INTERCEPT_CR8));
    case EXIT_REASON_MOV_DR:
        return (u32)BIT(INTERCEPT_DR);
    case EXIT_REASON_GDTR_IDTR_ACCESS:
    case EXIT_REASON_LDTR_TR_ACCESS:
        return (u32)BIT(INTERCEPT_DESC);
    case EXIT_REASON_INVLPG:
        return (u32)BIT(INTERCEPT_INVLPG);
    case EXIT_REASON_XSETBV:
        return (u32)BIT(INTERCEPT_XSETBV);
    case EXIT_REASON_CPUID:
        return (u32)BIT(INTERCEPT_CPUID);
    case EXIT_REASON_EPT_VIOLATION:
        return (u32)BIT(INTERCEPT_MEM);
    default:
        break;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++) {
        if (plain[i].reason == reason)
            return (u32)BIT(plain[i].what);
    }
    return 0;
}

static void set(struct hit *h, enum intercept_what what, const char *name)
{
    h->what = (u8)what;
    h->name = name;
}

static void set_value(struct hit *h, const char *name, u64 value)
{
    h->value_name = name;
    h->value = value;
}

static void set_number(struct hit *h, u64 first, u64 last)
{
    h->numbered = true;
    h->first = first;
    h->last = last;
}

// False: REP with a count of 0, which accesses nothing.
static bool describe_io(struct vcpu *v, struct hit *h)
{
    struct exit_port exit = backend_exit_port();
    if (exit.string && exit.rep) {
        unsigned size = backend_exit_port_string().address_size; // and of the count
        u64 mask = size == 2 ? UINT16_MAX : size == 4 ? UINT32_MAX : UINT64_MAX;
        if ((v->run.gpr[RCX] & mask) == 0)
            return false;
    }
    bool in = exit.in;
    h->string = exit.string;
    h->size = exit.size;
    h->access = in ? INTERCEPT_READ : INTERCEPT_WRITE;
    set(h, INTERCEPT_IO, h->string ? (in ? "INS" : "OUTS") : in ? "IN" : "OUT");
    set_number(h, exit.port, exit.port + h->size - 1u);
    if (!in && !h->string)
        set_value(h, "value", v->run.gpr[RAX] & (BIT(8 * h->size) - 1));
    return true;
}

static void describe_msr(struct vcpu *v, struct hit *h)
{
    bool write = v->run.reason == EXIT_REASON_WRMSR;
    u32 msr = (u32)v->run.gpr[RCX];
    h->access = write ? INTERCEPT_WRITE : INTERCEPT_READ;
    set(h, INTERCEPT_MSR, write ? "WRMSR" : "RDMSR");
    set_number(h, msr, msr);
    if (write)
        set_value(h, "value", v->run.gpr[RDX] << 32 | (u32)v->run.gpr[RAX]);
}

static u64 written_gpr(struct vcpu *v, unsigned gpr)
{
    u64 value = vcpu_get_gpr(v, gpr);
    return guest_code_size() == CODE_64 ? value : (u32)value;
}

static bool describe_cr(struct vcpu *v, struct hit *h)
{
    static const char *const names[2][9] = {
        [CR_TO] = {"MOV to CR0", NULL, NULL, "MOV to CR3", "MOV to CR4", NULL, NULL, NULL,
                   "MOV to CR8"},
        [CR_FROM] = {NULL, NULL, NULL, "MOV from CR3", NULL, NULL, NULL, NULL, "MOV from CR8"}};
    static const u8 kinds[9] = {
        [0] = INTERCEPT_CR0, [3] = INTERCEPT_CR3, [4] = INTERCEPT_CR4, [8] = INTERCEPT_CR8};
    struct exit_cr exit = backend_exit_cr();
    unsigned cr = exit.number, type = exit.access;
    if (type >= CR_CLTS) {
        set(h, INTERCEPT_CR0, type == CR_CLTS ? "CLTS" : "LMSW");
    } else {
        if (cr > 8 || names[type][cr] == NULL)
            return false;
        set(h, (enum intercept_what)kinds[cr], names[type][cr]);
    }
    h->access = type == CR_FROM ? INTERCEPT_READ : INTERCEPT_WRITE;
    if (h->what == INTERCEPT_CR0) {
        set_value(h, "value", cr_written(v, &exit));
        h->changed = h->value ^ backend_cr0();
    } else if (type == CR_TO) {
        set_value(h, "value", cr_written(v, &exit));
        h->changed = cr == 4 ? h->value ^ backend_cr4() : 0;
    }
    return true;
}

static void describe_desc(struct vcpu *v, struct hit *h)
{
    static const char *const names[2][4] = {{"SGDT", "SIDT", "LGDT", "LIDT"},
                                            {"SLDT", "STR", "LLDT", "LTR"}};
    unsigned identity = backend_exit_descriptor().which;
    h->access = identity >= 2 ? INTERCEPT_WRITE : INTERCEPT_READ;
    set(h, INTERCEPT_DESC, names[v->run.reason == EXIT_REASON_LDTR_TR_ACCESS][identity]);
}

static void describe_dr(struct vcpu *v, struct hit *h)
{
    struct exit_dr exit = backend_exit_dr();
    bool from = exit.from;
    h->access = from ? INTERCEPT_READ : INTERCEPT_WRITE;
    set(h, INTERCEPT_DR, from ? "MOV from DR" : "MOV to DR");
    set_number(h, exit.number, exit.number);
    if (!from)
        set_value(h, "value", written_gpr(v, exit.gpr));
}

bool hit_describe(struct vcpu *v, struct hit *h)
{
    *h = (struct hit){.rip = state_get(STATE_RIP)};
    switch (v->run.reason) {
    case EXIT_REASON_EXTERNAL_INTERRUPT:
        set(h, INTERCEPT_EXTINT, "external interrupt");
        set_value(h, "vector", EVENT_VECTOR(backend_exit_event().info));
        return true;
    case EXIT_REASON_PAUSE: // of a loop, if PAUSE alone does not exit
        if (backend_catches_pause(&v->run))
            set(h, INTERCEPT_PAUSE, "PAUSE");
        else
            set(h, INTERCEPT_PLE, "PAUSE in a loop");
        return true;
    case EXIT_REASON_IO_INSTRUCTION:
        return describe_io(v, h);
    case EXIT_REASON_RDMSR:
    case EXIT_REASON_WRMSR:
        describe_msr(v, h);
        return true;
    case EXIT_REASON_CR_ACCESS:
        return describe_cr(v, h);
    case EXIT_REASON_MOV_DR:
        describe_dr(v, h);
        return true;
    case EXIT_REASON_GDTR_IDTR_ACCESS:
    case EXIT_REASON_LDTR_TR_ACCESS:
        describe_desc(v, h);
        return true;
    case EXIT_REASON_INVLPG:
        set(h, INTERCEPT_INVLPG, "INVLPG");
        set_value(h, "address", backend_exit_address());
        return true;
    case EXIT_REASON_XSETBV:
        set(h, INTERCEPT_XSETBV, "XSETBV");
        set_value(h, "value", v->run.gpr[RDX] << 32 | (u32)v->run.gpr[RAX]);
        return true;
    case EXIT_REASON_CPUID:
        set(h, INTERCEPT_CPUID, "CPUID");
        set_value(h, "leaf", (u32)v->run.gpr[RAX]);
        return true;
    case EXIT_REASON_EPT_VIOLATION:
        return hit_describe_memory(v, h);
    default:
        break;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++) {
        if (plain[i].reason == v->run.reason) {
            set(h, (enum intercept_what)plain[i].what, plain[i].name);
            return true;
        }
    }
    return false;
}

void hit_describe_exception(struct vcpu *v, struct hit *h)
{
    *h = (struct hit){.rip = state_get(STATE_RIP)};
    set(h, INTERCEPT_EXCEPTION, "exception");
    set_number(h, EVENT_VECTOR(v->events.info), EVENT_VECTOR(v->events.info));
    if (v->events.info & EVENT_HAS_ERROR)
        set_value(h, "error code", v->events.error);
}

void hit_print(const struct hit *h, struct text *t)
{
    text_add(t, "%s", h->name);
    if (h->numbered)
        text_add(t, h->first < 10 ? " %lu" : " 0x%lx", h->first);
    if (h->size != 0)
        text_add(t, ", %u byte%s", h->size, h->size == 1 ? "" : "s");
    if (h->value_name != NULL)
        text_add(t, ", %s 0x%lx", h->value_name, h->value);
}

// ---- in the place of the instruction -----------------------------------------------------------

void hit_deny(struct vcpu *v, const struct hit *h)
{
    u32 undefined = (u32)(BIT(INTERCEPT_PAUSE) | BIT(INTERCEPT_RDRAND) | BIT(INTERCEPT_RDSEED) |
                          BIT(INTERCEPT_MONITOR) | BIT(INTERCEPT_MWAIT));
    if (h->what == INTERCEPT_MEM)
        hit_memory_deny(v, h);
    else if (undefined >> h->what & 1)
        vcpu_raise_ud(v);
    else
        vcpu_raise_gp(v, 0);
}

static void ignore_io(struct vcpu *v, const struct hit *h)
{
    if (h->string) {
        v->intercept.io_ignored = true;
        exit_io(v);
        v->intercept.io_ignored = false;
        return;
    }
    if (h->access == INTERCEPT_READ)
        io_set_rax(v, h->size, 0);
    if (vcpu_breaks())
        vcpu_break_at(v, BREAKPOINT_PORT, h->first, h->size);
    vcpu_skip_instruction(v);
}

// The item's bits stay, the others are written.
static void ignore_cr(struct vcpu *v, const struct hit *h, u64 kept)
{
    bool ok = true;
    if (h->what == INTERCEPT_CR0)
        ok = vcpu_set_cr0(v, (h->value & ~kept) | (backend_cr0() & kept));
    else if (h->what == INTERCEPT_CR4)
        ok = vcpu_set_cr4(v, (h->value & ~kept) | (backend_cr4() & kept));
    else if (h->access == INTERCEPT_READ)
        vcpu_set_gpr(v, backend_exit_cr().gpr, 0);
    if (ok)
        vcpu_skip_instruction(v);
    else
        vcpu_raise_gp(v, 0);
}

// An INT3 or INTO is over, a debug trap is forgotten; one that is like a fault would come again.
static void ignore_exception(struct vcpu *v, const struct hit *h)
{
    bool software = EVENT_TYPE(v->events.info) == EVENT_SOFTWARE_EXCEPTION ||
                    EVENT_TYPE(v->events.info) == EVENT_PRIVILEGED_SOFTWARE_EXCEPTION; // INT1
    v->events.info = 0;
    if (software)
        vcpu_skip_bytes(v, v->events.length);
    else if (h->first == VECTOR_DB)
        state_set(STATE_RFLAGS, state_get(STATE_RFLAGS) | RFLAGS_RF);
    v->events.length = 0;
}

void hit_ignore(struct vcpu *v, const struct hit *h, u64 kept)
{
    bool read = h->access == INTERCEPT_READ;
    switch (h->what) {
    case INTERCEPT_IO:
        ignore_io(v, h);
        return;
    case INTERCEPT_CR0:
    case INTERCEPT_CR3:
    case INTERCEPT_CR4:
    case INTERCEPT_CR8:
        ignore_cr(v, h, kept);
        return;
    case INTERCEPT_EXCEPTION:
        ignore_exception(v, h);
        return;
    case INTERCEPT_MEM:
        hit_memory_ignore(v);
        return;
    case INTERCEPT_DESC:
        if (read && !hit_store_zero(v))
            return;
        break;
    case INTERCEPT_CPUID:
        v->run.gpr[RAX] = v->run.gpr[RBX] = v->run.gpr[RCX] = v->run.gpr[RDX] = 0;
        break;
    case INTERCEPT_RDTSCP:
        v->run.gpr[RCX] = 0;
        v->run.gpr[RAX] = v->run.gpr[RDX] = 0;
        break;
    case INTERCEPT_RDTSC:
    case INTERCEPT_RDPMC:
        v->run.gpr[RAX] = v->run.gpr[RDX] = 0;
        break;
    case INTERCEPT_MSR:
        if (read)
            v->run.gpr[RAX] = v->run.gpr[RDX] = 0;
        break;
    case INTERCEPT_DR:
        if (read)
            vcpu_set_gpr(v, backend_exit_dr().gpr, 0);
        break;
    case INTERCEPT_RDRAND:
    case INTERCEPT_RDSEED: // as if there were no random number at the moment
        random_result(v, 0, false);
        return;
    default:
        break;
    }
    vcpu_skip_instruction(v);
}
