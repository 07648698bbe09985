// SPDX-License-Identifier: MIT
#include "gdbstub/regs.h"

#include "gdbstub/memory.h"
#include "gdbstub/reg_table.h"
#include "lib/string.h"

bool layout_wanted(unsigned pid)
{
    struct vcpu_regs regs;

    vcpu_read_regs(target_vcpu(pid, 0), &regs);
    return !in_long_mode(&regs) && target_is_32bit(pid);
}

// A vCPU's state on its way from or to the wire.
struct state {
    struct vcpu *vcpu;
    struct vcpu_regs regs;
    bool fpu_read, regs_changed, fpu_changed;
};

static ALIGNED(64) u8 fpu_area[FPU_STATE_SIZE];

// Of the eight control registers of the x87, the entry's place in the table is the index.
static unsigned vector_index(const struct reg_entry *e, unsigned i)
{
    static const char *const control[] = {"fctrl", "fstat", "ftag",  "fiseg",
                                          "fioff", "foseg", "fooff", "fop"};
    for (unsigned n = 0; e->where == FPU_CONTROL && n < ARRAY_SIZE(control); n++) {
        if (strcmp(e->name, control[n]) == 0)
            return n;
    }
    return i;
}

static void load_fpu(struct state *s)
{
    if (!s->fpu_read)
        vcpu_read_fpu(s->vcpu, fpu_area);
    s->fpu_read = true;
}

static void read_register(struct state *s, const struct reg_entry *e, unsigned i, u8 *out)
{
    u32 selector;

    switch (e->kind) {
    case FIELD:
    case FIELD32:
        memcpy(out, (const u8 *)&s->regs + e->where + 8 * i, e->bytes);
        break;
    case SELECTOR:
        selector = s->regs.seg[e->where].selector;
        memcpy(out, &selector, sizeof(selector));
        break;
    case VECTOR:
        load_fpu(s);
        fpu_read(fpu_area, (enum fpu_register)e->where, vector_index(e, i), out);
        break;
    }
}

// In real and virtual-8086 mode the base follows from the selector; elsewhere the descriptor that
// is loaded stays, until the guest loads the register itself.
static bool write_selector(struct vcpu_regs *regs, unsigned segment, const u8 *in)
{
    u32 selector;

    memcpy(&selector, in, sizeof(selector));
    if (selector > 0xffff)
        return false;
    regs->seg[segment].selector = (u16)selector;
    bool real = (regs->cr0 & BIT(0)) == 0 || (regs->rflags & BIT(17)) != 0;
    if (real && segment <= SEG_GS)
        regs->seg[segment].base = (u64)selector << 4;
    return true;
}

static bool write_register(struct state *s, const struct reg_entry *e, unsigned i, const u8 *in)
{
    u64 value = 0;

    switch (e->kind) {
    case FIELD:
    case FIELD32:
        memcpy(&value, in, e->bytes);
        memcpy((u8 *)&s->regs + e->where + 8 * i, &value, e->kind == FIELD ? 8 : 4);
        break;
    case SELECTOR:
        if (!write_selector(&s->regs, e->where, in))
            return false;
        break;
    case VECTOR:
        load_fpu(s);
        s->fpu_changed = true;
        return fpu_write(fpu_area, (enum fpu_register)e->where, vector_index(e, i), in);
    }
    s->regs_changed = true;
    return true;
}

static enum error store(struct state *s)
{
    enum error e = OK;

    if (s->regs_changed)
        e = vcpu_write_regs(s->vcpu, &s->regs);
    if (e == OK && s->fpu_changed)
        e = vcpu_write_fpu(s->vcpu, fpu_area);
    return e;
}

static bool open(struct state *s)
{
    *s = (struct state){.vcpu = current_vcpu()};
    if (s->vcpu == NULL)
        return false;
    vcpu_read_regs(s->vcpu, &s->regs);
    return true;
}

void packet_g(const char *args)
{
    struct state s;
    u8 value[16];

    (void)args;
    if (!open(&s))
        return;
    reply_start();
    for (const struct reg_entry *e = reg_table(session.general_pid); reg_in_g(e); e++) {
        for (unsigned i = 0; i < e->count; i++) {
            read_register(&s, e, i, value);
            text_hex(&reply, value, e->bytes);
        }
    }
}

void packet_G(const char *args)
{
    struct state s;
    u8 value[16];
    bool ok = true;

    if (!open(&s))
        return;
    for (const struct reg_entry *e = reg_table(session.general_pid);
         ok && *args != '\0' && reg_in_g(e); e++) {
        for (unsigned i = 0; ok && *args != '\0' && i < e->count; i++)
            ok = hex_bytes(&args, value, e->bytes) && write_register(&s, e, i, value);
    }
    if (!ok || *args != '\0')
        reply_error(E_FORMAT, "not the registers that g gives");
    else if (store(&s) != OK)
        reply_error(E_INVALID, "the vCPU cannot be in such a state");
    else
        reply_ok();
}

void packet_p(const char *args)
{
    struct state s;
    u8 value[16];
    unsigned i;
    u64 number;

    if (!hex_number(&args, &number) || *args != '\0') {
        reply_error(E_FORMAT, "malformed register number");
        return;
    }
    if (!open(&s))
        return;
    const struct reg_entry *e = reg_lookup(session.general_pid, number, &i);
    if (e == NULL) {
        reply_error(E_INVALID, "no such register");
        return;
    }
    read_register(&s, e, i, value);
    reply_start();
    text_hex(&reply, value, e->bytes);
}

void packet_P(const char *args)
{
    struct state s;
    u8 value[16] = {0};
    unsigned i;
    u64 number;

    if (!hex_number(&args, &number) || !skip_char(&args, '=')) {
        reply_error(E_FORMAT, "malformed register number");
        return;
    }
    if (!open(&s))
        return;
    const struct reg_entry *e = reg_lookup(session.general_pid, number, &i);
    if (e == NULL)
        reply_error(E_INVALID, "no such register");
    else if (!hex_bytes(&args, value, e->bytes) || *args != '\0')
        reply_error(E_FORMAT, "malformed register value");
    else if (!write_register(&s, e, i, value) || store(&s) != OK)
        reply_error(E_INVALID, "the vCPU cannot be in such a state");
    else
        reply_ok();
}

void expedite(unsigned pid, const struct vcpu_regs *regs, struct text *out)
{
    static const char *const wanted[] = {"rbp", "rsp", "rip", "ebp", "esp", "eip"};
    unsigned number = 0;

    for (const struct reg_entry *e = reg_table(pid); reg_in_g(e); e++) {
        for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++) {
            if (strcmp(e->name, wanted[i]) != 0)
                continue;
            text_add(out, "%02x:", number);
            text_hex(out, (const u8 *)regs + e->where, e->bytes);
            text_add(out, ";");
        }
        number += e->count;
    }
}
