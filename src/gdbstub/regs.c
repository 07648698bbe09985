// SPDX-License-Identifier: MIT
#include "gdbstub/regs.h"

#include "gdbstub/memory.h"
#include "gdbstub/reg_table.h"
#include "gdbstub/segments.h"
#include "lib/string.h"

bool regs_layout_wanted(unsigned pid)
{
    struct vcpu_regs regs;

    vcpu_read_regs(target_vcpu(pid, 0), &regs);
    return !in_long_mode(&regs) && target_is_32bit(pid);
}

// A vCPU's state on its way from or to the wire.
struct state {
    struct vcpu *vcpu;
    u8 *fpu; // an XSAVE area, once fpu_read
    struct vcpu_regs regs;
    struct selectors selectors; // to be loaded
    bool fpu_read, regs_changed, fpu_changed;
    char reason[200];
    struct text why; // not empty: what was written cannot be
};

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
        vcpu_read_fpu(s->vcpu, s->fpu);
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
        fpu_read(s->fpu, (enum fpu_register)e->where, vector_index(e, i), out);
        break;
    }
}

// Notes the first register that cannot have its value.
static void refuse(struct state *s, const struct reg_entry *e, u64 value, const char *rule)
{
    if (s->why.len == 0)
        text_add(&s->why, "%s = %lx: %s", e->name, value, rule);
}

static void write_selector(struct state *s, const struct reg_entry *e, u32 selector)
{
    if (selector > 0xffff)
        refuse(s, e, selector, "must fit into 16 bits");
    s->selectors.value[e->where] = (u16)selector;
    s->selectors.given[e->where] = true;
    s->regs_changed = true;
}

static void write_register(struct state *s, const struct reg_entry *e, unsigned i, const u8 *in)
{
    u64 value = 0;
    char rule[64];

    memcpy(&value, in, MIN(e->bytes, (u8)8));
    switch (e->kind) {
    case FIELD:
    case FIELD32:
        memcpy((u8 *)&s->regs + e->where + 8 * i, &value, e->kind == FIELD ? 8 : 4);
        s->regs_changed = true;
        break;
    case SELECTOR:
        write_selector(s, e, (u32)value);
        break;
    case VECTOR:
        load_fpu(s);
        s->fpu_changed = true;
        if (fpu_write(s->fpu, (enum fpu_register)e->where, vector_index(e, i), in, &TEXT(rule)) !=
            OK)
            refuse(s, e, value, rule);
        break;
    }
}

// Sets the reply: done, or why not.
static void store(struct session *session, unsigned pid, struct state *s)
{
    bool ok = s->why.len == 0;

    if (ok && s->regs_changed)
        ok = segments_load(session, pid, &s->regs, &s->selectors, &s->why) == OK &&
             vcpu_write_regs(s->vcpu, &s->regs, &s->why) == OK;
    if (ok && s->fpu_changed)
        ok = vcpu_write_fpu(s->vcpu, s->fpu, &s->why) == OK;
    if (ok)
        reply_ok(session);
    else
        reply_refused(session, s->why.buf);
}

static void read_state(struct session *session, struct state *s, struct vcpu *v)
{
    *s = (struct state){.vcpu = v, .fpu = session->fpu};
    s->why = TEXT(s->reason);
    vcpu_read_regs(v, &s->regs);
}

void packet_g(struct session *session, const struct packet_args *a)
{
    struct state s;
    u8 value[16];

    read_state(session, &s, a->vcpu);
    reply_start(session);
    for (const struct reg_entry *e = reg_table(session, a->pid); reg_in_g(e); e++) {
        for (unsigned i = 0; i < e->count; i++) {
            read_register(&s, e, i, value);
            text_hex(&session->reply, value, e->bytes);
        }
    }
}

void packet_G(struct session *session, const struct packet_args *a)
{
    struct state s;
    size_t at = 0;
    bool ok = true;

    read_state(session, &s, a->vcpu);
    for (const struct reg_entry *e = reg_table(session, a->pid); ok && reg_in_g(e); e++) {
        for (unsigned i = 0; ok && i < e->count; i++) {
            ok = a->length - at >= e->bytes;
            if (ok)
                write_register(&s, e, i, a->bytes + at);
            at += e->bytes;
        }
    }
    if (!ok || at != a->length)
        reply_error(session, E_FORMAT, "not the registers that g gives");
    else
        store(session, a->pid, &s);
}

// The entry of the register whose number is the first argument, and which of its registers it is.
// NULL, and the reply says so: there is none.
static const struct reg_entry *lookup(struct session *session, const struct packet_args *a,
                                      unsigned *i)
{
    const struct reg_entry *e = reg_lookup(session, a->pid, a->number[0], i);

    if (e == NULL)
        reply_error(session, E_INVALID, "no such register");
    return e;
}

void packet_p(struct session *session, const struct packet_args *a)
{
    struct state s;
    u8 value[16];
    unsigned i;
    const struct reg_entry *e = lookup(session, a, &i);

    if (e == NULL)
        return;
    read_state(session, &s, a->vcpu);
    read_register(&s, e, i, value);
    reply_start(session);
    text_hex(&session->reply, value, e->bytes);
}

void packet_P(struct session *session, const struct packet_args *a)
{
    struct state s;
    unsigned i;
    const struct reg_entry *e = lookup(session, a, &i);

    if (e == NULL)
        return;
    if (a->length != e->bytes) {
        reply_error(session, E_FORMAT, "malformed register value");
        return;
    }
    read_state(session, &s, a->vcpu);
    write_register(&s, e, i, a->bytes);
    store(session, a->pid, &s);
}

enum error write_rip(struct session *session, struct vcpu *v, u64 rip)
{
    struct vcpu_regs regs;
    char reason[200] = "";
    struct text why = TEXT(reason);

    vcpu_read_regs(v, &regs);
    regs.rip = rip;
    enum error e = vcpu_write_regs(v, &regs, &why);
    if (e != OK)
        reply_refused(session, reason);
    return e;
}

void expedite(struct session *session, unsigned pid, const struct vcpu_regs *regs, struct text *out)
{
    static const char *const wanted[] = {"rbp", "rsp", "rip", "ebp", "esp", "eip"};
    unsigned number = 0;

    for (const struct reg_entry *e = reg_table(session, pid); reg_in_g(e); e++) {
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
