// SPDX-License-Identifier: MIT
// The emulator over arbitrary instructions and registers. The input: registers, then the code. The
// guest's memory, descriptor tables too, is a function of its address; some of its pages fault.
// clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc tests/fuzz/fuzz_emulate.c src/x86/decode.c
//       src/x86/alu*.c src/x86/emulate*.c
#include <stdlib.h>
#include <string.h>

#include "x86/emulate_plain.h"
#include "x86/emulate_system.h"

#define REPEATS      16
#define ACCESSES_MAX (REPEATS * 16 + 33 * 16) // ENTER's 32 reads and 33 writes across pages

static unsigned accesses;

static void check(bool condition)
{
    if (!condition)
        abort();
}

static enum error translate(void *ctx, gva_t gva, u32 access, gpa_t *gpa, u32 *error_code)
{
    static const enum error errors[8] = {OK,        OK,          OK,       OK,
                                         ERR_FAULT, ERR_INVALID, ERR_BUSY, ERR_NOT_FOUND};
    (void)ctx;
    access &= ~WALK_SYSTEM;
    check(access == WALK_READ || access == WALK_WRITE);
    *gpa = GPA(gva.v & (BIT(40) - 1));
    *error_code = access;
    return errors[(gva.v >> 12 ^ gva.v >> 17) & 7];
}

static void count(gpa_t gpa, unsigned size)
{
    accesses++;
    check(size == 1 || size == 2 || size == 4 || size == 8);
    check((gpa.v & (PAGE_SIZE - 1)) + size <= PAGE_SIZE);
}

static u64 read_memory(void *ctx, gpa_t gpa, unsigned size)
{
    (void)ctx;
    count(gpa, size);
    return gpa.v * 0x9e3779b97f4a7c15;
}

static void write_memory(void *ctx, gpa_t gpa, unsigned size, u64 value)
{
    (void)ctx;
    count(gpa, size);
    check(size == 8 || value >> (size * 8) == 0);
}

static void segment(void *ctx, enum segment_name name, struct segment *s)
{
    const struct emulation *e = ctx;
    u64 noise = (name + 1) * 0x9e3779b97f4a7c15ull ^ e->cr4;
    check(name <= SEG_TR);
    *s = (struct segment){.selector = (u16)noise,
                          .limit = noise & BIT(40) ? UINT32_MAX : (u32)(noise >> 20),
                          .access = (u32)(noise >> 16) & 0x1f0ff,
                          .base = name * 0x123456789ull};
}

static u32 port_read(void *ctx, u16 port, unsigned size)
{
    (void)ctx;
    return port + size;
}

static void port_write(void *ctx, u16 port, unsigned size, u32 value)
{
    (void)ctx;
    check(port + size > 0 && (size == 4 || value >> (size * 8) == 0));
}

// What is loaded is what a CPU can have.
static void set_segment(void *ctx, enum segment_name name, const struct segment *s)
{
    const struct emulation *e = ctx;
    check(name <= SEG_TR && (s->access & ~0x1f0ffu) == 0);
    check(name < SEG_LDTR || e->cpl == 0);
    if (emulate_is_protected(e) && !(s->access & SEGMENT_UNUSABLE)) {
        check(s->access & SEGMENT_PRESENT);
        check(!(s->access & SEGMENT_NOT_SYSTEM) == (name >= SEG_LDTR));
        check(name >= SEG_LDTR || (s->access & SEGMENT_ACCESSED));
        check(name != SEG_SS || SEGMENT_DPL(s->access) == e->cpl);
        check(name != SEG_CS || SELECTOR_RPL(s->selector) == e->cpl);
    }
}

static void table(void *ctx, enum emulate_table which, struct descriptor_table *t)
{
    const struct emulation *e = ctx;
    *t = (struct descriptor_table){.base = e->cr4 << 12,
                                   .limit = which == EMULATE_GDTR ? 0xfff7 : 7};
}

static void set_table(void *ctx, enum emulate_table which, const struct descriptor_table *t)
{
    const struct emulation *e = ctx;
    (void)which;
    check(e->cpl == 0 && t->limit <= 0xffff && emulate_is_canonical(t->base));
}

static u64 status_word(void *ctx)
{
    const struct emulation *e = ctx;
    return e->cr0;
}

static bool set_status_word(void *ctx, u64 cr0)
{
    const struct emulation *e = ctx;
    check(e->cpl == 0 && ((cr0 ^ e->cr0) & ~0xfull) == 0 && (cr0 & CR0_PE) >= (e->cr0 & CR0_PE));
    return cr0 & 2;
}

static void invalidate(void *ctx)
{
    const struct emulation *e = ctx;
    check(e->cpl == 0);
}

static const struct emulate_ops ops = {
    translate,   read_memory, write_memory, segment,     port_read,       port_write,
    set_segment, table,       set_table,    status_word, set_status_word, invalidate,
};

// RIP is where the instruction ends, or, after a branch, where it may be.
static void check_rip(const struct emulation *e, const struct instruction *i, u64 before)
{
    bool one = i->encoding == ENCODING_LEGACY && i->map == MAP_ONE_BYTE;
    bool branch = one && (i->opcode == 0xff || (i->opcode & 0xf6) == 0xc2 || i->opcode == 0xe8 ||
                          i->opcode == 0x9a || i->opcode == 0xea);
    u64 next = before + i->length;
    if (!branch)
        check(e->rip == (e->code_size == CODE_64 ? next : (u32)next));
    else
        check(emulate_is_canonical(e->rip) || e->rip == next);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const enum code_size sizes[] = {CODE_16, CODE_32, CODE_64};
    struct {
        u64 gpr[GPR_COUNT], rip, rflags;
        struct string_io io;
    } in;
    if (size <= sizeof(in.gpr) + 24)
        return 0;
    memset(&in, 0, sizeof(in));
    memcpy(&in, data, sizeof(in.gpr) + 16);
    const u8 *code = data + sizeof(in.gpr) + 16;
    size -= sizeof(in.gpr) + 16;

    for (unsigned n = 0; n < ARRAY_SIZE(sizes); n++) {
        struct instruction i;
        u64 gpr[GPR_COUNT];
        struct emulation e = {.ops = &ops,
                              .ctx = &e,
                              .code_size = sizes[n],
                              .gpr = gpr,
                              .rip = in.rip,
                              .rflags = in.rflags,
                              .cr0 = in.rflags >> 61 & 1,
                              .cr4 = in.rflags >> 32,
                              .long_mode = sizes[n] == CODE_64 || (in.rflags & BIT(63)),
                              .cpl = in.rflags >> 62 & 1 ? 3 : 0,
                              .features = (u32)(in.rflags >> 40),
                              .repeats = REPEATS};
        memcpy(gpr, in.gpr, sizeof(gpr));
        accesses = 0;
        if (decode(code, (unsigned)size, sizes[n], &i) == OK) {
            enum emulate_status s = emulate(&e, &i);
            check(accesses <= ACCESSES_MAX);
            if (s == EMULATE_DONE)
                check_rip(&e, &i, in.rip);
            else
                check(e.rip == in.rip);
            if (s == EMULATE_UNSUPPORTED)
                check(memcmp(gpr, in.gpr, sizeof(gpr)) == 0 && e.rflags == in.rflags);
            if (s == EMULATE_FAILED)
                check(e.error == ERR_NOT_FOUND);
            memcpy(gpr, in.gpr, sizeof(gpr));
            e.rip = in.rip;
            u64 linear = i.has_memory ? memory_offset(&i, gpr, in.rip) : in.gpr[RAX];
            (void)emulate_plain_mov(&e, &i, GVA(linear), GPA(in.gpr[RAX]), code[0] & 1);
        }
        memcpy(gpr, in.gpr, sizeof(gpr));
        struct string_io io = {.port = (u16)in.rflags,
                               .size = 1u << code[0] % 3,
                               .in = code[1] & 1,
                               .rep = code[1] & 2,
                               .address_size = 2u << code[2] % 3,
                               .instruction_length = 1 + code[3] % 15,
                               .segment = code[4] % 6};
        (void)emulate_string_io(&e, &io);
    }
    return 0;
}
