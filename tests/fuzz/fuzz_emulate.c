// SPDX-License-Identifier: MIT
// The emulator over arbitrary instructions and registers. The input: registers, then the code. The
// guest's memory is a function of its address; some of its pages fault.
// clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc tests/fuzz/fuzz_emulate.c src/vmx/decode.c
//       src/vmx/alu.c src/vmx/emulate*.c
#include <stdlib.h>
#include <string.h>

#include "ept/walk.h"
#include "vmx/emulate_plain.h"

#define REPEATS 16

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

static u64 segment_base(void *ctx, enum segment_name segment)
{
    const struct emulation *e = ctx;
    check(segment <= SEG_GS && (e->code_size != CODE_64 || segment >= SEG_FS));
    return segment * 0x123456789ull;
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

static const struct emulate_ops ops = {translate,    read_memory, write_memory,
                                       segment_base, port_read,   port_write};

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
                              .repeats = REPEATS};
        memcpy(gpr, in.gpr, sizeof(gpr));
        accesses = 0;
        if (decode(code, (unsigned)size, sizes[n], &i) == OK) {
            enum emulate_status s = emulate(&e, &i);
            check(accesses <= REPEATS * 16);
            if (s == EMULATE_DONE)
                check(e.rip ==
                      (sizes[n] == CODE_64 ? in.rip + i.length : (u32)(in.rip + i.length)));
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
