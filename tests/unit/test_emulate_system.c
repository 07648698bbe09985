// SPDX-License-Identifier: MIT
// Emulated instructions that work on stacks, segments, descriptor tables and the modes of the CPU,
// which a user program cannot try on its own, or not in 16-bit and 32-bit code.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "assembly.h"
#include "x86/emulate_system.h"

// ---- a guest ---------------------------------------------------------------------------------

// Its memory begins at 0, is not paged, and has a descriptor table; one page can be absent.
// Accesses but those to the tables are noted.
#define MEMORY   0x20000
#define GDT      0x1000
#define LDT      0x1800
#define ACCESSES 80

static struct world {
    u8 memory[MEMORY];
    struct {
        u64 at;
        unsigned size;
        bool write;
    } log[ACCESSES];
    unsigned count;
    u64 absent; // a page
    struct segment segment[SEG_COUNT];
    struct descriptor_table table[2];
    u64 cr0;
    unsigned invalidated;
} world;

static enum error translate(void *ctx, gva_t gva, u32 access, gpa_t *gpa, u32 *error_code)
{
    (void)ctx;
    *gpa = GPA(gva.v);
    *error_code = access & WALK_WRITE ? PF_WRITE : 0;
    return gva.v < MEMORY && gva.v >> 12 != world.absent ? OK : ERR_FAULT;
}

static void note(u64 at, unsigned size, bool write)
{
    assert_true(at < MEMORY && size <= MEMORY - at);
    if (at >= GDT && at < GDT + 0x1000)
        return;
    assert_true(world.count < ACCESSES);
    world.log[world.count].at = at;
    world.log[world.count].size = size;
    world.log[world.count++].write = write;
}

static u64 read_memory(void *ctx, gpa_t gpa, unsigned size)
{
    u64 value = 0;
    (void)ctx;
    note(gpa.v, size, false);
    memcpy(&value, world.memory + gpa.v, size);
    return value;
}

static void write_memory(void *ctx, gpa_t gpa, unsigned size, u64 value)
{
    (void)ctx;
    note(gpa.v, size, true);
    memcpy(world.memory + gpa.v, &value, size);
}

static void get_segment(void *ctx, enum segment_name name, struct segment *s)
{
    (void)ctx;
    *s = world.segment[name];
}

static void set_segment(void *ctx, enum segment_name name, const struct segment *s)
{
    (void)ctx;
    world.segment[name] = *s;
}

static void get_table(void *ctx, enum emulate_table which, struct descriptor_table *t)
{
    (void)ctx;
    *t = world.table[which];
}

static void set_table(void *ctx, enum emulate_table which, const struct descriptor_table *t)
{
    (void)ctx;
    world.table[which] = *t;
}

static u64 status_word(void *ctx)
{
    (void)ctx;
    return world.cr0;
}

static bool set_status_word(void *ctx, u64 cr0)
{
    (void)ctx;
    world.cr0 = cr0;
    return !(cr0 & BIT(3)); // TS: refused here
}

static void invalidate(void *ctx)
{
    (void)ctx;
    world.invalidated++;
}

static const struct emulate_ops ops = {
    .translate = translate,
    .read = read_memory,
    .write = write_memory,
    .segment = get_segment,
    .set_segment = set_segment,
    .table = get_table,
    .set_table = set_table,
    .status_word = status_word,
    .set_status_word = set_status_word,
    .invalidate = invalidate,
};

// Selectors of the descriptor table.
enum {
    DATA_0 = 0x08,     // DPL 0
    CODE_0 = 0x10,     // 32-bit
    DATA_3 = 0x18,     // DPL 3
    CODE_3 = 0x20,     // DPL 3
    ABSENT = 0x28,     // data that is not present
    READ_ONLY = 0x30,  // DPL 0
    EXECUTE = 0x38,    // code that cannot be read
    CONFORMING = 0x40, // code of DPL 0
    LDT_SELECTOR = 0x48,
    TSS_SELECTOR = 0x58,
    GATE = 0x68,
    LONG_CODE = 0x70,
    BIG_DATA = 0x78, // with a limit by pages
    END = 0x80,
    IN_LDT = 0x0c, // data
};

static u64 regs[GPR_COUNT];
static struct emulation e;

static u64 descriptor(u64 base, u32 limit, u64 access)
{
    return (limit & 0xffff) | (base & 0xffffff) << 16 | access << 40 | (limit & 0xf0000ull) << 32 |
           (base & 0xff000000) << 32;
}

static void put(u64 at, u64 value, unsigned size)
{
    memcpy(world.memory + at, &value, size);
}

static u64 get(u64 at, unsigned size)
{
    u64 value = 0;
    memcpy(&value, world.memory + at, size);
    return value;
}

static void fill_tables(void)
{
    put(GDT + DATA_0, descriptor(0, 0xfffff, 0xc092), 8);
    put(GDT + CODE_0, descriptor(0, 0xfffff, 0xc09a), 8);
    put(GDT + DATA_3, descriptor(0x2000, 0xffff, 0x40f2), 8);
    put(GDT + CODE_3, descriptor(0, 0xffff, 0x40fa), 8);
    put(GDT + ABSENT, descriptor(0, 0xffff, 0x4012), 8);
    put(GDT + READ_ONLY, descriptor(0, 0xffff, 0x4090), 8);
    put(GDT + EXECUTE, descriptor(0, 0xffff, 0x4098), 8);
    put(GDT + CONFORMING, descriptor(0, 0xffff, 0x409e), 8);
    put(GDT + LDT_SELECTOR, descriptor(LDT, 0xff, 0x82), 8);
    put(GDT + TSS_SELECTOR, descriptor(0x3000, 0x67, 0x89), 8);
    put(GDT + GATE, descriptor(0, 0, 0x8c), 8);
    put(GDT + LONG_CODE, descriptor(0, 0, 0x209a), 8);
    put(GDT + BIG_DATA, descriptor(0, 0x12, 0x8092), 8);
    put(LDT + 8, descriptor(0x4000, 0x123, 0x4092), 8);
    world.table[EMULATE_GDTR] = (struct descriptor_table){GDT, END - 1};
    world.table[EMULATE_IDTR] = (struct descriptor_table){0x123456789abc, 0xfff};
}

static int new_world(void **state)
{
    (void)state;
    memset(&world, 0, sizeof(world));
    world.absent = UINT64_MAX;
    world.cr0 = 0x80050033;
    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        world.segment[n] = (struct segment){DATA_0, UINT32_MAX, 0xc093, 0};
    world.segment[SEG_CS] = (struct segment){CODE_0, UINT32_MAX, 0xc09b, 0};
    world.segment[SEG_LDTR] = (struct segment){LDT_SELECTOR, 0xff, 0x82, LDT};
    world.segment[SEG_TR] = (struct segment){TSS_SELECTOR, 0x67, 0x8b, 0x3000};
    fill_tables();
    memset(regs, 0, sizeof(regs));
    regs[RSP] = 0x10000;
    regs[RBX] = 0x8000; // the operand
    e = (struct emulation){.ops = &ops,
                           .gpr = regs,
                           .rip = 0x5000,
                           .rflags = 2,
                           .cr0 = CR0_PE,
                           .features = UINT32_MAX,
                           .repeats = 32};
    return 0;
}

static enum emulate_status step(enum code_size size, struct code c)
{
    struct instruction i;
    assert_int_equal(decode(c.bytes, c.length, size, &i), OK);
    assert_int_equal(i.length, c.length);
    e.code_size = size;
    if (size == CODE_64)
        e.long_mode = true;
    world.count = 0;
    return emulate(&e, &i);
}

#define STEP(size, text) step(size, ASM(size, text))
#define DO(size, text)   assert_int_equal(STEP(size, text), EMULATE_DONE)

static void expect_access(unsigned n, bool write, u64 at, unsigned size)
{
    assert_true(n < world.count);
    assert_int_equal(world.log[n].write, write);
    assert_int_equal(world.log[n].at, at);
    assert_int_equal(world.log[n].size, size);
}

// It faulted, and nothing has been accessed but the tables.
static void expect_fault(enum emulate_status s, u8 vector, u32 error_code, unsigned accesses)
{
    assert_int_equal(s, EMULATE_FAULT);
    assert_int_equal(e.exception.vector, vector);
    assert_int_equal(e.exception.has_error, vector >= VECTOR_NP);
    assert_int_equal(e.exception.error_code, error_code);
    assert_int_equal(world.count, accesses);
}

#define FAULTS(size, text, vector, error) expect_fault(STEP(size, text), vector, error, 0)

// ---- the stack -------------------------------------------------------------------------------

static void stack_and_operand_are_accessed_in_order(void **state)
{
    (void)state;
    put(0x8000, 0x1122334455667788, 8);
    DO(CODE_64, "push qword ptr [rbx]");
    assert_int_equal(world.count, 2);
    expect_access(0, false, 0x8000, 8);
    expect_access(1, true, 0xfff8, 8);
    assert_int_equal(get(0xfff8, 8), 0x1122334455667788);
    assert_int_equal(regs[RSP], 0xfff8);
    DO(CODE_64, "pop qword ptr [rsp + 0x10]"); // by RSP as it is afterwards
    expect_access(0, false, 0xfff8, 8);
    expect_access(1, true, 0x10010, 8);
    assert_int_equal(regs[RSP], 0x10000);
    DO(CODE_64, "push word ptr [rbx]");
    expect_access(1, true, 0xfffe, 2);
    regs[RSP] = 0x8000;
    DO(CODE_64, "pop rsp");
    assert_int_equal(regs[RSP], 0x1122334455667788);
    // CALL and JMP.
    regs[RSP] = 0x10000;
    put(0x8000, 0x6666, 8);
    u64 back = e.rip;
    DO(CODE_64, "call qword ptr [rbx]");
    expect_access(0, false, 0x8000, 8);
    expect_access(1, true, 0xfff8, 8);
    assert_int_equal(get(0xfff8, 8), back + 2);
    assert_int_equal(e.rip, 0x6666);
    DO(CODE_64, "jmp qword ptr [rbx]");
    assert_int_equal(e.rip, 0x6666);
    // In 32-bit code with a 16-bit stack SP wraps, and the upper half of ESP stays.
    world.segment[SEG_SS].access = 0x93;
    world.segment[SEG_SS].base = 0x3000;
    world.segment[SEG_SS].limit = 0xffff;
    regs[RSP] = 0x77770002;
    put(0x8000, 0x12345678, 4);
    DO(CODE_32, "push word ptr [ebx]");
    expect_access(1, true, 0x3000, 2);
    assert_int_equal(regs[RSP], 0x77770000);
    DO(CODE_32, "push dword ptr [ebx]");
    expect_access(1, true, 0x12ffc, 4);
    assert_int_equal(regs[RSP], 0x7777fffc);
}

// What faults is found out before a device has been read.
static void faults_come_before_accesses(void **state)
{
    (void)state;
    const struct {
        enum code_size size;
        struct code code;
    } both[] = {
#define BOTH(size, text) {size, ASM(size, text)}
        BOTH(CODE_64, "push qword ptr [rbx]"),
        BOTH(CODE_64, "call qword ptr [rbx]"),
        BOTH(CODE_64, "pop qword ptr [rbx]"), // whose stack is tried first
        BOTH(CODE_64, "enter 0, 2"),
        BOTH(CODE_64, "leave"),
        BOTH(CODE_32, "pusha"),
        BOTH(CODE_32, "popa"),
        BOTH(CODE_64, "pushf"),
        BOTH(CODE_64, "popf"),
        BOTH(CODE_64, "ret"),
        BOTH(CODE_64, "retfd"),
        BOTH(CODE_64, "call .+5"),
        BOTH(CODE_64, "push fs"),
        BOTH(CODE_64, "pop fs"),
        BOTH(CODE_64, "push 1"),
#undef BOTH
    };
    world.absent = 0xf;
    for (unsigned n = 0; n < ARRAY_SIZE(both); n++) {
        u64 before[GPR_COUNT];
        regs[RSP] = n < 2 ? 0x10000 : 0xf800;
        regs[RBP] = 0xf000;
        memcpy(before, regs, sizeof(before));
        enum emulate_status s = step(both[n].size, both[n].code);
        expect_fault(s, VECTOR_PF, e.exception.error_code, 0);
        assert_memory_equal(before, regs, sizeof(regs));
        assert_int_equal(e.rip, 0x5000);
    }
    // The second half of an operand in two parts.
    regs[RBX] = 0x0effe;
    FAULTS(CODE_32, "bound eax, qword ptr [ebx]", VECTOR_PF, 0);
    FAULTS(CODE_64, "sgdt [rbx]", VECTOR_PF, PF_WRITE);
    FAULTS(CODE_64, "lgdt [rbx]", VECTOR_PF, 0);
    FAULTS(CODE_32, "lds eax, fword ptr [ebx]", VECTOR_PF, 0);
    FAULTS(CODE_64, "jmp fword ptr [rbx]", VECTOR_PF, 0);
    FAULTS(CODE_64, "cmpxchg8b qword ptr [rbx]", VECTOR_PF, PF_WRITE);
    regs[RAX] = 1;
    FAULTS(CODE_64, "invpcid rax, [rbx]", VECTOR_PF, 0);
    FAULTS(CODE_64, "clflush byte ptr [rbx + 2]", VECTOR_PF, 0);
    DO(CODE_64, "prefetcht0 byte ptr [rbx + 2]");
    assert_int_equal(world.count, 0);
    // A POP whose destination cannot be written leaves RSP as it was.
    regs[RSP] = 0x8000;
    FAULTS(CODE_64, "pop qword ptr [rbx + 2]", VECTOR_PF, PF_WRITE);
    assert_int_equal(regs[RSP], 0x8000);
    // Targets: a CALL has read by then, and pushed nothing.
    put(0x8000, 0x0000800000000000, 8);
    regs[RBX] = 0x8000;
    regs[RSP] = 0x9000;
    expect_fault(STEP(CODE_64, "call qword ptr [rbx]"), VECTOR_GP, 0, 1);
    expect_fault(STEP(CODE_64, "jmp qword ptr [rbx]"), VECTOR_GP, 0, 1);
    regs[RSP] = 0x8000;
    expect_fault(STEP(CODE_64, "ret"), VECTOR_GP, 0, 1);
    world.segment[SEG_CS].limit = 0x7ff;
    put(0x8000, 0x800, 4);
    expect_fault(STEP(CODE_32, "jmp dword ptr [ebx]"), VECTOR_GP, 0, 1);
    put(0x8000, 0x7ff, 4);
    DO(CODE_32, "jmp dword ptr [ebx]");
}

static void frames_are_pushed_and_popped(void **state)
{
    (void)state;
    // 16-bit code: ENTER 10H, 3 and LEAVE.
    e.cr0 = 0;
    for (unsigned n = 0; n < SEG_LDTR; n++)
        world.segment[n] = (struct segment){0, 0xffff, 0x93, 0};
    world.segment[SEG_SS].base = 0x2000;
    regs[RSP] = 0x55554000;
    regs[RBP] = 0x66665000;
    put(0x6ffe, 0xaaaa, 2);
    put(0x6ffc, 0xbbbb, 2);
    DO(CODE_16, "enter 0x10, 3");
    expect_access(0, true, 0x5ffe, 2);
    expect_access(1, false, 0x6ffe, 2);
    expect_access(2, true, 0x5ffc, 2);
    expect_access(3, false, 0x6ffc, 2);
    expect_access(4, true, 0x5ffa, 2);
    expect_access(5, true, 0x5ff8, 2);
    assert_int_equal(world.count, 6);
    assert_int_equal(get(0x5ff8, 8), 0x5000aaaabbbb3ffe);
    assert_int_equal(regs[RBP], 0x66663ffe);
    assert_int_equal(regs[RSP], 0x55553fe8);
    DO(CODE_16, "leave");
    assert_int_equal(regs[RSP], 0x55554000);
    assert_int_equal(regs[RBP], 0x66665000);
    // PUSHA and POPA, which leaves SP out.
    for (unsigned n = 0; n < 8; n++)
        regs[n] = n == RSP ? 0x4000 : 0x1111 * n;
    DO(CODE_16, "pusha");
    assert_int_equal(world.count, 8);
    expect_access(0, true, 0x5ffe, 2);
    expect_access(7, true, 0x5ff0, 2);
    assert_int_equal(get(0x5ff0, 8), 0x4000555566667777); // SP as it was
    for (unsigned n = 0; n < 8; n++)
        regs[n] = n == RSP ? regs[RSP] : 0;
    DO(CODE_16, "popa");
    assert_int_equal(world.count, 7);
    for (unsigned n = 0; n < 8; n++)
        assert_int_equal(regs[n], n == RSP ? 0x4000 : 0x1111 * n);
}

static void popf_changes_what_the_privilege_allows(void **state)
{
    (void)state;
    // CPL 3 may change neither IOPL nor, with an IOPL below, IF; nobody VM or RF.
    put(0x10000, 0x1ffffff, 4);
    e.cpl = 3;
    e.rflags = 0x2;
    DO(CODE_32, "popf");
    assert_int_equal(e.rflags, 0x244dd7);
    regs[RSP] = 0x10000;
    e.rflags = 0x3002;
    DO(CODE_32, "popf");
    assert_int_equal(e.rflags, 0x247fd7);
    regs[RSP] = 0x10000;
    e.cpl = 0;
    e.rflags = 0x2;
    DO(CODE_32, "popf");
    assert_int_equal(e.rflags, 0x247fd7);
    // 16 bits leave the upper half alone.
    put(0x10000, 0, 4);
    regs[RSP] = 0x10000;
    DO(CODE_32, "popfw");
    assert_int_equal(e.rflags, 0x240002);
    assert_int_equal(regs[RSP], 0x10002);
    e.rflags |= RFLAGS_RF;
    DO(CODE_32, "pushfw");
    DO(CODE_32, "pushf");
    assert_int_equal(get(0xfffc, 4), 0x240002);
    e.rflags = RFLAGS_VM | 2;
    assert_int_equal(STEP(CODE_16, "pushf"), EMULATE_UNSUPPORTED);
    assert_int_equal(STEP(CODE_16, "popf"), EMULATE_UNSUPPORTED);
    e.rflags = RFLAGS_VM | 0x3002;
    DO(CODE_16, "pushf");
}

// ---- segments --------------------------------------------------------------------------------

static void limits_and_types_are_checked(void **state)
{
    (void)state;
    struct segment *ds = &world.segment[SEG_DS], *ss = &world.segment[SEG_SS];
    *ds = (struct segment){DATA_0, 0x8003, 0x4093, 0};
    DO(CODE_32, "mov eax, [ebx]");
    FAULTS(CODE_32, "mov eax, [ebx + 1]", VECTOR_GP, 0);
    FAULTS(CODE_32, "push dword ptr [ebx + 1]", VECTOR_GP, 0);
    ds->access = 0x4091; // read only
    DO(CODE_32, "mov eax, [ebx]");
    FAULTS(CODE_32, "add [ebx], eax", VECTOR_GP, 0);
    FAULTS(CODE_32, "mov cs:[ebx], al", VECTOR_GP, 0); // code is not written to
    DO(CODE_32, "mov al, cs:[ebx]");
    world.segment[SEG_CS].access = 0xc099; // nor read, when it may not be
    FAULTS(CODE_32, "mov al, cs:[ebx]", VECTOR_GP, 0);
    ds->access |= SEGMENT_UNUSABLE;
    FAULTS(CODE_32, "mov eax, [ebx]", VECTOR_GP, 0);
    DO(CODE_64, "mov eax, [rbx]"); // there is neither limit nor type in 64-bit mode
    // The stack has an exception of its own, and here it is a segment that grows down.
    *ss = (struct segment){DATA_0, 0x7fff, 0x4097, 0};
    ds->access = 0x4093;
    regs[RSP] = 0x8004;
    DO(CODE_32, "push dword ptr [ebx]");
    FAULTS(CODE_32, "push dword ptr [ebx]", VECTOR_SS, 0);
    regs[RBP] = 0x7fff;
    FAULTS(CODE_32, "mov eax, [ebp]", VECTOR_SS, 0);
    ss->access = 0x97; // without B it ends at 64 KiB
    regs[RBP] = 0xfffd;
    FAULTS(CODE_32, "mov eax, [ebp]", VECTOR_SS, 0);
    DO(CODE_32, "mov ax, [ebp]");
    // In real mode the limit alone counts.
    e.cr0 = 0;
    world.segment[SEG_CS] = (struct segment){0, 0xffff, 0x9b, 0};
    DO(CODE_16, "mov cs:[bx], al");
    regs[RBX] = 0xffff;
    *ds = (struct segment){0, 0xffff, 0x93, 0};
    DO(CODE_16, "mov [bx], al");
    FAULTS(CODE_16, "mov [bx], ax", VECTOR_GP, 0);
}

// MOV to segment register `reg` of a selector in memory.
static enum emulate_status mov_segment(unsigned reg, u16 selector)
{
    u8 bytes[2] = {0x8e, (u8)(3 | reg << 3)};
    put(0x8000, selector, 2);
    return step(e.long_mode ? CODE_64 : CODE_32, (struct code){bytes, 2});
}

static void a_segment_register_loads_its_descriptor(void **state)
{
    (void)state;
    const struct segment *ds = &world.segment[SEG_DS], *ss = &world.segment[SEG_SS];
    assert_int_equal(mov_segment(SEG_DS, DATA_3), EMULATE_DONE);
    assert_int_equal(ds->selector, DATA_3);
    assert_int_equal(ds->base, 0x2000);
    assert_int_equal(ds->limit, 0xffff);
    assert_int_equal(ds->access, 0x40f3);
    assert_int_equal(get(GDT + DATA_3 + 5, 1), 0xf3); // it has been accessed
    assert_false(e.blocks);
    world.segment[SEG_DS].base = 0;
    assert_int_equal(mov_segment(SEG_ES, BIG_DATA), EMULATE_DONE);
    assert_int_equal(world.segment[SEG_ES].limit, 0x12fff);
    assert_int_equal(mov_segment(SEG_FS, IN_LDT), EMULATE_DONE);
    assert_int_equal(world.segment[SEG_FS].base, 0x4000);
    assert_int_equal(mov_segment(SEG_GS, 3), EMULATE_DONE); // null
    assert_int_equal(world.segment[SEG_GS].access, SEGMENT_UNUSABLE);
    assert_int_equal(mov_segment(SEG_SS, DATA_0), EMULATE_DONE);
    assert_true(e.blocks);
    expect_fault(mov_segment(SEG_DS, ABSENT), VECTOR_NP, ABSENT, 1);
    expect_fault(mov_segment(SEG_DS, END), VECTOR_GP, END, 1);
    expect_fault(mov_segment(SEG_DS, EXECUTE), VECTOR_GP, EXECUTE, 1);
    expect_fault(mov_segment(SEG_DS, TSS_SELECTOR), VECTOR_GP, TSS_SELECTOR, 1);
    expect_fault(mov_segment(SEG_DS, DATA_0 | 3), VECTOR_GP, DATA_0, 1); // RPL
    expect_fault(mov_segment(SEG_CS, DATA_0), VECTOR_UD, 0, 0);
    expect_fault(mov_segment(6, DATA_0), VECTOR_UD, 0, 0);
    expect_fault(mov_segment(SEG_SS, ABSENT), VECTOR_SS, ABSENT, 1);
    expect_fault(mov_segment(SEG_SS, READ_ONLY), VECTOR_GP, READ_ONLY, 1);
    expect_fault(mov_segment(SEG_SS, DATA_3), VECTOR_GP, DATA_3, 1);
    expect_fault(mov_segment(SEG_SS, 0), VECTOR_GP, 0, 1);
    assert_int_equal(ss->selector, DATA_0);
    world.segment[SEG_LDTR].access = SEGMENT_UNUSABLE;
    expect_fault(mov_segment(SEG_DS, IN_LDT), VECTOR_GP, IN_LDT, 1);
    e.cpl = 3;
    expect_fault(mov_segment(SEG_DS, DATA_0), VECTOR_GP, DATA_0, 1);
    assert_int_equal(mov_segment(SEG_DS, CONFORMING), EMULATE_DONE);
    // A null SS in 64-bit mode, whose DPL remains the CPL.
    e.cpl = 1;
    e.long_mode = true;
    assert_int_equal(mov_segment(SEG_SS, 1), EMULATE_DONE);
    assert_int_equal(ss->access, SEGMENT_UNUSABLE | 1 << 5);
    expect_fault(mov_segment(SEG_SS, 2), VECTOR_GP, 0, 1);
}

static void far_pointers_and_pops_load_segments(void **state)
{
    (void)state;
    put(0x8000, 0x123456789abc, 8);
    put(0x8004, DATA_0, 2);
    DO(CODE_32, "lds ecx, fword ptr [ebx]");
    expect_access(0, false, 0x8000, 4);
    expect_access(1, false, 0x8004, 2);
    assert_int_equal(regs[RCX], 0x56789abc);
    assert_int_equal(world.segment[SEG_DS].selector, DATA_0);
    put(0x8008, DATA_3, 2);
    regs[RBP] = 1;
    DO(CODE_64, "rex.W lgs ebp, fword ptr [rbx]");
    expect_access(0, false, 0x8000, 8);
    expect_access(1, false, 0x8008, 2);
    assert_int_equal(world.segment[SEG_GS].base, 0x2000);
    put(0x8004, ABSENT, 2);
    e.long_mode = false;
    expect_fault(STEP(CODE_32, "lss ecx, fword ptr [ebx]"), VECTOR_SS, ABSENT, 2);
    put(0x8004, DATA_0, 2);
    DO(CODE_32, "lss ecx, fword ptr [ebx]");
    assert_false(e.blocks); // that is for MOV and POP
    // PUSH of a segment register writes a word where 4 bytes are pushed.
    DO(CODE_32, "push es");
    assert_int_equal(world.count, 1);
    expect_access(0, true, 0xfffc, 2);
    DO(CODE_32, "pop ss");
    assert_true(e.blocks);
    assert_int_equal(regs[RSP], 0x10000);
    DO(CODE_64, "push gs");
    expect_access(0, true, 0xfff8, 8);
    DO(CODE_64, "pop fs");
    assert_int_equal(world.segment[SEG_FS].selector, DATA_3);
    // MOV from one stores a word; real mode takes any selector.
    DO(CODE_64, "rex.W mov [rbx], fs");
    expect_access(0, true, 0x8000, 2);
    e.cr0 = 0;
    e.long_mode = false;
    put(0x8000, 0x1234abcd, 4);
    DO(CODE_16, "les cx, dword ptr [bx]");
    assert_int_equal(world.segment[SEG_ES].base, 0x12340);
    assert_int_equal(world.segment[SEG_ES].access, 0xc093);
    assert_int_equal((u16)regs[RCX], 0xabcd);
}

// LAR, LSL, VERR, VERW: what each says of a selector. -1: it cannot be seen.
static void lar_lsl_verr_and_verw_say_what_can_be_seen(void **state)
{
    (void)state;
    static const struct {
        u16 selector;
        u8 cpl;
        bool wide;
        i64 lar, lsl;
        bool verr, verw;
    } cases[] = {
        {DATA_0, 0, false, 0xcf9200 & 0xf0ff00, UINT32_MAX, true, true},
        {DATA_0, 3, false, -1, -1, false, false},
        {DATA_0 | 1, 0, false, -1, -1, false, false},
        {DATA_3 | 3, 3, false, 0x40f200, 0xffff, true, true},
        {READ_ONLY, 0, false, 0x409000, 0xffff, true, false},
        {EXECUTE, 0, false, 0x409800, 0xffff, false, false},
        {CONFORMING | 3, 3, false, 0x409e00, 0xffff, true, false},
        {ABSENT, 0, false, 0x401200, 0xffff, true, true},
        {LDT_SELECTOR, 0, false, 0x8200, 0xff, false, false},
        {GATE, 0, false, 0x8c00, -1, false, false},
        {TSS_SELECTOR, 0, false, 0x8900, 0x67, false, false},
        {TSS_SELECTOR, 0, true, 0x8900, 0x67, false, false},
        {0, 0, false, -1, -1, false, false},
        {END, 0, false, -1, -1, false, false},
    };
    for (unsigned n = 0; n < ARRAY_SIZE(cases); n++) {
        e.cpl = cases[n].cpl;
        e.long_mode = cases[n].wide;
        put(0x8000, cases[n].selector, 2);
        regs[RCX] = 0x77;
        DO(CODE_32, "lar ecx, word ptr [ebx]");
        expect_access(0, false, 0x8000, 2);
        assert_int_equal(world.count, 1);
        assert_int_equal(regs[RCX], cases[n].lar < 0 ? 0x77 : (u64)cases[n].lar);
        assert_int_equal(!(e.rflags & RFLAGS_ZF), cases[n].lar < 0);
        regs[RCX] = 0x77;
        DO(CODE_32, "lsl ecx, word ptr [ebx]");
        assert_int_equal(regs[RCX], cases[n].lsl < 0 ? 0x77 : (u64)cases[n].lsl);
        assert_int_equal(!(e.rflags & RFLAGS_ZF), cases[n].lsl < 0);
        DO(CODE_32, "verr word ptr [ebx]");
        assert_int_equal((e.rflags & RFLAGS_ZF) != 0, cases[n].verr);
        DO(CODE_32, "verw word ptr [ebx]");
        assert_int_equal((e.rflags & RFLAGS_ZF) != 0, cases[n].verw);
    }
    // ARPL.
    put(0x8000, 0x1231, 2);
    regs[RCX] = 2;
    DO(CODE_32, "arpl word ptr [ebx], cx");
    assert_int_equal(get(0x8000, 2), 0x1232);
    assert_true(e.rflags & RFLAGS_ZF);
    DO(CODE_32, "arpl word ptr [ebx], cx");
    assert_int_equal(world.count, 1);
    assert_false(e.rflags & RFLAGS_ZF);
    // None of them is known in real and virtual-8086 mode.
    e.rflags = RFLAGS_VM | 2;
    FAULTS(CODE_16, "lar cx, word ptr [bx]", VECTOR_UD, 0);
    FAULTS(CODE_16, "arpl word ptr [bx], cx", VECTOR_UD, 0);
    e.rflags = 2;
    e.cr0 = 0;
    FAULTS(CODE_16, "verr word ptr [bx]", VECTOR_UD, 0);
    FAULTS(CODE_16, "sldt word ptr [bx]", VECTOR_UD, 0);
}

static enum emulate_status load_system(bool tr, u16 selector)
{
    put(0x8000, selector, 2);
    if (e.long_mode)
        return tr ? STEP(CODE_64, "ltr word ptr [rbx]") : STEP(CODE_64, "lldt word ptr [rbx]");
    return tr ? STEP(CODE_32, "ltr word ptr [ebx]") : STEP(CODE_32, "lldt word ptr [ebx]");
}

static void ltr_and_lldt_check_their_descriptor(void **state)
{
    (void)state;
    const struct segment *tr = &world.segment[SEG_TR], *ldtr = &world.segment[SEG_LDTR];
    assert_int_equal(load_system(true, TSS_SELECTOR), EMULATE_DONE);
    assert_int_equal(tr->access, 0x8b);
    assert_int_equal(get(GDT + TSS_SELECTOR + 5, 1), 0x8b); // it is busy
    expect_fault(load_system(true, TSS_SELECTOR), VECTOR_GP, TSS_SELECTOR, 1);
    expect_fault(load_system(true, 0), VECTOR_GP, 0, 1);
    expect_fault(load_system(true, DATA_0), VECTOR_GP, DATA_0, 1);
    expect_fault(load_system(true, IN_LDT), VECTOR_GP, IN_LDT, 1);
    expect_fault(load_system(false, TSS_SELECTOR), VECTOR_GP, TSS_SELECTOR, 1);
    assert_int_equal(load_system(false, 0), EMULATE_DONE);
    assert_int_equal(ldtr->access, SEGMENT_UNUSABLE);
    assert_int_equal(load_system(false, LDT_SELECTOR), EMULATE_DONE);
    assert_int_equal(ldtr->base, LDT);
    put(GDT + LDT_SELECTOR + 5, 2, 1);
    expect_fault(load_system(false, LDT_SELECTOR), VECTOR_NP, LDT_SELECTOR, 1);
    // In IA-32e mode these descriptors have 16 bytes.
    put(GDT + LDT_SELECTOR + 5, 0x82, 1);
    put(GDT + LDT_SELECTOR + 8, 0xffff8123, 8);
    e.long_mode = true;
    assert_int_equal(load_system(false, LDT_SELECTOR), EMULATE_DONE);
    assert_int_equal(ldtr->base, 0xffff812300000000 + LDT);
    put(GDT + LDT_SELECTOR + 8, 0x8123, 8); // not canonical
    expect_fault(load_system(false, LDT_SELECTOR), VECTOR_GP, LDT_SELECTOR, 1);
    world.table[EMULATE_GDTR].limit = LDT_SELECTOR + 14;
    put(GDT + LDT_SELECTOR + 8, 0, 8);
    expect_fault(load_system(false, LDT_SELECTOR), VECTOR_GP, LDT_SELECTOR, 1);
    e.cpl = 1;
    expect_fault(load_system(false, 0), VECTOR_GP, 0, 0);
    expect_fault(load_system(true, 0), VECTOR_GP, 0, 0);
    // SLDT and STR store a word, for everybody but with UMIP.
    DO(CODE_64, "rex.W str word ptr [rbx]");
    expect_access(0, true, 0x8000, 2);
    assert_int_equal(get(0x8000, 2), TSS_SELECTOR);
    e.cr4 = CR4_UMIP;
    FAULTS(CODE_64, "sldt word ptr [rbx]", VECTOR_GP, 0);
    FAULTS(CODE_64, "sgdt [rbx]", VECTOR_GP, 0);
    FAULTS(CODE_64, "smsw word ptr [rbx]", VECTOR_GP, 0);
    expect_fault(step(CODE_64, BYTES("\x0f\x00\x33")), VECTOR_UD, 0, 0); // 0F 00 /6 is nothing
}

// ---- tables, CR0, caches ---------------------------------------------------------------------

static void descriptor_tables_are_stored_and_loaded(void **state)
{
    (void)state;
    DO(CODE_64, "sidt [rbx]");
    expect_access(0, true, 0x8000, 2);
    expect_access(1, true, 0x8002, 8);
    assert_int_equal(get(0x8002, 8), 0x123456789abc);
    DO(CODE_32, "sidtw [ebx]"); // 4 bytes, whatever the operand size
    expect_access(1, true, 0x8002, 4);
    put(0x8002, 0xffff800012345678, 8);
    DO(CODE_64, "lidt [rbx]");
    expect_access(0, false, 0x8000, 2);
    expect_access(1, false, 0x8002, 8);
    assert_int_equal(world.table[EMULATE_IDTR].base, 0xffff800012345678);
    assert_int_equal(world.table[EMULATE_IDTR].limit, 0xfff);
    DO(CODE_32, "lgdtd [ebx]");
    assert_int_equal(world.table[EMULATE_GDTR].base, 0x12345678);
    DO(CODE_16, "lgdtw [bx]"); // with an operand of 16 bits 24 count
    assert_int_equal(world.table[EMULATE_GDTR].base, 0x345678);
    put(0x8002, 0x8000000000000000, 8);
    expect_fault(STEP(CODE_64, "lgdt [rbx]"), VECTOR_GP, 0, 2);
    DO(CODE_64, "smsw word ptr [rbx]");
    expect_access(0, true, 0x8000, 2);
    assert_int_equal(get(0x8000, 2), 0x33);
    put(0x8000, 0xfff4, 2);
    DO(CODE_64, "lmsw word ptr [rbx]"); // which cannot clear PE
    assert_int_equal(world.cr0, 0x80050035);
    put(0x8000, 8, 2);
    expect_fault(STEP(CODE_64, "lmsw word ptr [rbx]"), VECTOR_GP, 0, 1);
    DO(CODE_64, "invlpg byte ptr [rbx]");
    assert_int_equal(world.count, 0);
    assert_int_equal(world.invalidated, 1);
    e.cpl = 3;
    FAULTS(CODE_64, "lgdt [rbx]", VECTOR_GP, 0);
    FAULTS(CODE_64, "lmsw word ptr [rbx]", VECTOR_GP, 0);
    FAULTS(CODE_64, "invlpg byte ptr [rbx]", VECTOR_GP, 0);
    DO(CODE_64, "sgdt [rbx]");
}

static void invpcid_checks_its_descriptor(void **state)
{
    (void)state;
    static const struct {
        u64 type, pcid, address, cr4;
        bool ok;
    } cases[] = {
        {0, 0, 0xffff800000000000, 0, true},
        {0, 0, 0x800000000000, 0, false},
        {0, 1, 0, 0, false},
        {1, 0xfff, 0, CR4_PCIDE, true},
        {1, 0x1000, 0, CR4_PCIDE, false},
        {2, 0, 0x800000000000, 0, true},
        {3, 0x1000, 0, CR4_PCIDE, false},
    };
    for (unsigned n = 0; n < ARRAY_SIZE(cases); n++) {
        unsigned before = world.invalidated;
        regs[RCX] = cases[n].type;
        e.cr4 = cases[n].cr4;
        put(0x8000, cases[n].pcid, 8);
        put(0x8008, cases[n].address, 8);
        enum emulate_status s = STEP(CODE_64, "invpcid rcx, [rbx]");
        assert_int_equal(s, cases[n].ok ? EMULATE_DONE : EMULATE_FAULT);
        assert_int_equal(world.count, 2);
        assert_int_equal(world.invalidated - before, cases[n].ok);
    }
    regs[RCX] = 4;
    FAULTS(CODE_64, "invpcid rcx, [rbx]", VECTOR_GP, 0);
    regs[RCX] = 0;
    e.cpl = 3;
    FAULTS(CODE_64, "invpcid rcx, [rbx]", VECTOR_GP, 0);
    e.features &= ~(u32)EMULATE_INVPCID;
    FAULTS(CODE_64, "invpcid rcx, [rbx]", VECTOR_UD, 0);
}

// ---- far branches ----------------------------------------------------------------------------

static enum emulate_status far(struct code c, u16 selector, u32 offset)
{
    put(0x8000, offset, 4);
    put(0x8004, selector, 2);
    return step(CODE_32, c);
}

// Every type of system descriptor (SDM Vol. 3, table 3-2): CALL and JMP go through call gates, in
// legacy mode also through task gates and to available TSSs, which is not carried out here; of all
// others they raise #GP, and so does RET of any.
static void far_branches_lead_through_gates_alone(void **state)
{
    (void)state;
    static const struct {
        enum code_size size;
        bool long_mode;
        u32 leads; // by type
    } modes[] = {
        {CODE_32, false, BIT(1) | BIT(4) | BIT(5) | BIT(9) | BIT(12)},
        {CODE_32, true, BIT(12)},
        {CODE_64, true, BIT(12)},
    };
    regs[RSP] = 0xa000;
    put(0x8004, GATE, 2);
    for (unsigned n = 0; n < ARRAY_SIZE(modes) * 16; n++) {
        enum code_size size = modes[n / 16].size;
        unsigned type = n % 16;
        bool leads = modes[n / 16].leads >> type & 1;
        e.long_mode = modes[n / 16].long_mode;
        put(GDT + GATE + 8, 0, 8); // the upper half
        for (unsigned group = 3; group <= 5; group += 2) {
            const u8 bytes[] = {0xff, (u8)(group << 3 | 3)}; // in each mode
            const struct code branch = {bytes, 2};
            put(GDT + GATE + 5, 0x80 | type, 1);
            enum emulate_status s = step(size, branch);
            if (leads)
                assert_int_equal(s, EMULATE_UNSUPPORTED);
            else
                expect_fault(s, VECTOR_GP, GATE, 2);
            // Absent, and not for this RPL.
            put(GDT + GATE + 5, type, 1);
            expect_fault(step(size, branch), leads ? VECTOR_NP : VECTOR_GP, GATE, 2);
            put(GDT + GATE + 5, 0x80 | type, 1);
            put(0x8004, GATE | 1, 2);
            expect_fault(step(size, branch), VECTOR_GP, GATE, 2);
            put(0x8004, GATE, 2);
        }
        for (unsigned rpl = 0; rpl <= 3; rpl += 3) {
            put(0xa004, GATE | rpl, 4);
            put(0xa008, GATE | rpl, 8);
            expect_fault(step(size, BYTES("\xcb")), VECTOR_GP, GATE, 2); // RET far, in each mode
        }
    }
    // The ring counts as well.
    const struct code jmp = ASM(CODE_32, "jmp fword ptr [ebx]");
    put(GDT + GATE + 5, 0x8c, 1);
    e.long_mode = false;
    e.cpl = 1;
    expect_fault(far(jmp, GATE, 0), VECTOR_GP, GATE, 2);
    put(GDT + GATE + 5, 0xac, 1);
    assert_int_equal(far(jmp, GATE, 0), EMULATE_UNSUPPORTED);
}

// RET to an outer ring is not carried out, but what the processor refuses of it is.
static void a_far_return_outwards_is_checked(void **state)
{
    (void)state;
    regs[RSP] = 0xa000;
    static const struct {
        u16 selector;
        u8 access;
        bool done;
    } to[] = {
        {CODE_3 | 3, 0xfa, true},      {CODE_3 | 3, 0xda, false}, // the DPL is not the new ring
        {CONFORMING | 3, 0x9e, true},  {CODE_3 | 3, 0xf2, false}, // data
        {CONFORMING | 2, 0xfe, false}, {CODE_0 | 3, 0x9a, false},
    };
    for (unsigned n = 0; n < ARRAY_SIZE(to); n++) {
        u16 descriptor_of = to[n].selector & ~3u;
        put(GDT + descriptor_of + 5, to[n].access, 1);
        put(0xa004, to[n].selector, 4);
        if (to[n].done)
            assert_int_equal(STEP(CODE_32, "retf"), EMULATE_UNSUPPORTED);
        else
            expect_fault(STEP(CODE_32, "retf"), VECTOR_GP, descriptor_of, 2);
        put(GDT + descriptor_of + 5, to[n].access & 0x7f, 1);
        expect_fault(STEP(CODE_32, "retf"), to[n].done ? VECTOR_NP : VECTOR_GP, descriptor_of, 2);
    }
}

static void a_far_branch_loads_cs_or_faults(void **state)
{
    (void)state;
    const struct code jmp = ASM(CODE_32, "jmp fword ptr [ebx]"),
                      call = ASM(CODE_32, "call fword ptr [ebx]");
    const struct segment *cs = &world.segment[SEG_CS];
    world.segment[SEG_CS].limit = 0x10;
    assert_int_equal(far(jmp, CODE_0, 0x123456), EMULATE_DONE);
    expect_access(0, false, 0x8000, 4);
    expect_access(1, false, 0x8004, 2);
    assert_int_equal(e.rip, 0x123456);
    assert_int_equal(cs->limit, UINT32_MAX);
    assert_int_equal(cs->access, 0xc09b);
    e.rip = 0x5000;
    assert_int_equal(far(call, CONFORMING, 0x1000), EMULATE_DONE);
    expect_access(2, true, 0xfffc, 4);
    expect_access(3, true, 0xfff8, 4);
    assert_int_equal(get(0xfff8, 8), 0x5002 | (u64)CODE_0 << 32);
    assert_int_equal(cs->selector, CONFORMING);
    DO(CODE_32, "retf 8");
    assert_int_equal(e.rip, 0x5002);
    assert_int_equal(cs->selector, CODE_0);
    assert_int_equal(regs[RSP], 0x10008);
    e.rip = 0x5000;
    expect_fault(far(jmp, 0, 0), VECTOR_GP, 0, 2);
    expect_fault(far(jmp, DATA_0, 0), VECTOR_GP, DATA_0, 2);
    expect_fault(far(jmp, CODE_3, 0), VECTOR_GP, CODE_3, 2);
    expect_fault(far(jmp, CODE_0 | 3, 0), VECTOR_GP, CODE_0, 2);
    expect_fault(far(jmp, CONFORMING, 0x10000), VECTOR_GP, 0, 2);
    put(GDT + CODE_0 + 5, 0x1a, 1);
    expect_fault(far(call, CODE_0, 0), VECTOR_NP, CODE_0, 2);
    regs[RSP] = 0x20; // no stack: nothing changes
    put(GDT + CODE_0 + 5, 0x9a, 1);
    world.absent = 0;
    expect_fault(far(call, CODE_0, 0), VECTOR_PF, PF_WRITE, 2);
    assert_int_equal(get(GDT + CODE_0 + 5, 1), 0x9a);
    // To a user.
    put(0xa000, 0x1000, 4);
    put(0xa004, CODE_3 | 3, 4);
    regs[RSP] = 0xa000;
    assert_int_equal(STEP(CODE_32, "retf"), EMULATE_UNSUPPORTED);
    assert_int_equal(STEP(CODE_32, "iret"), EMULATE_UNSUPPORTED);
    assert_int_equal(e.rip, 0x5000);
    // Into 64-bit mode.
    e.long_mode = true;
    assert_int_equal(far(jmp, LONG_CODE, 0xffff0000), EMULATE_DONE);
    assert_int_equal(e.rip, 0xffff0000);
    put(GDT + LONG_CODE + 6, 0x60, 1); // L and D
    expect_fault(far(jmp, LONG_CODE, 0), VECTOR_GP, LONG_CODE, 2);
    // In real mode.
    e.long_mode = false;
    e.cr0 = 0;
    world.segment[SEG_CS] = (struct segment){0, 0xffff, 0x9b, 0};
    world.segment[SEG_SS] = (struct segment){0, 0xffff, 0x93, 0};
    put(0x8000, 0x1234abcd, 4);
    e.rip = 0x5000;
    DO(CODE_16, "call dword ptr [bx]");
    expect_access(2, true, 0x9ffe, 2);
    expect_access(3, true, 0x9ffc, 2);
    assert_int_equal(e.rip, 0xabcd);
    assert_int_equal(cs->base, 0x12340);
    DO(CODE_16, "retf");
    assert_int_equal(e.rip, 0x5002);
    assert_int_equal(cs->base, 0);
    expect_fault(step(CODE_16, BYTES("\xff\xdb")), VECTOR_UD, 0, 0); // CALL far to a register
}

// ---- other modes, other CPUs -----------------------------------------------------------------

static void an_instruction_needs_its_feature(void **state)
{
    (void)state;
    put(0x8000, 0x100, 4);
    DO(CODE_32, "lzcnt ecx, dword ptr [ebx]");
    assert_int_equal(regs[RCX], 23);
    DO(CODE_32, "andn edx, ecx, dword ptr [ebx]");
    e.features = 0;
    DO(CODE_32, "lzcnt ecx, dword ptr [ebx]"); // is BSR without it
    assert_int_equal(regs[RCX], 8);
    put(0x8000, 0, 4);
    DO(CODE_32, "tzcnt ecx, dword ptr [ebx]"); // and TZCNT BSF
    assert_int_equal(regs[RCX], 8);
    FAULTS(CODE_32, "popcnt ecx, dword ptr [ebx]", VECTOR_UD, 0);
    FAULTS(CODE_32, "movbe ecx, dword ptr [ebx]", VECTOR_UD, 0);
    FAULTS(CODE_32, "crc32 ecx, byte ptr [ebx]", VECTOR_UD, 0);
    FAULTS(CODE_32, "adcx ecx, dword ptr [ebx]", VECTOR_UD, 0);
    FAULTS(CODE_32, "andn edx, ecx, dword ptr [ebx]", VECTOR_UD, 0);
    FAULTS(CODE_32, "rorx ecx, dword ptr [ebx], 5", VECTOR_UD, 0);
    FAULTS(CODE_64, "cmpxchg16b oword ptr [rbx]", VECTOR_UD, 0);
    DO(CODE_64, "lock cmpxchg8b qword ptr [rbx]");
    assert_int_equal(world.count, 2);
    expect_access(0, false, 0x8000, 8);
    expect_access(1, true, 0x8000, 8);
    e.features = UINT32_MAX;
    e.long_mode = false;
    e.rflags = RFLAGS_VM | 2; // VEX is none there
    FAULTS(CODE_16, "andn edx, ecx, dword ptr [bx]", VECTOR_UD, 0);
    // VEX.W and the upper half of vvvv do not count outside 64-bit mode.
    e.rflags = 2;
    regs[RCX] = 0xf0;
    put(0x8000, 0xffffffff000000ff, 8);
    assert_int_equal(step(CODE_32, BYTES("\xc4\xe2\xb0\xf2\x13")),
                     EMULATE_DONE); // ANDN edx, ecx, [ebx]
    expect_access(0, false, 0x8000, 4);
    assert_int_equal(regs[RDX], 0x0f);
    // MOVNTI has 4 bytes in 16-bit code.
    DO(CODE_16, "movnti dword ptr [bx], ecx");
    expect_access(0, true, 0x8000, 4);
}

static void the_edges_of_arithmetic_are_as_on_the_cpu(void **state)
{
    (void)state;
    // The quotient may be the least number, but not minus it.
    put(0x8000, 1, 8);
    regs[RAX] = 0x80000000;
    regs[RDX] = UINT32_MAX;
    DO(CODE_32, "idiv dword ptr [ebx]");
    assert_int_equal(regs[RAX], 0x80000000);
    put(0x8000, UINT64_MAX, 8);
    regs[RDX] = UINT32_MAX;
    expect_fault(STEP(CODE_32, "idiv dword ptr [ebx]"), VECTOR_DE, 0, 1);
    regs[RAX] = BIT(63);
    regs[RDX] = UINT64_MAX;
    expect_fault(STEP(CODE_64, "idiv qword ptr [rbx]"), VECTOR_DE, 0, 1);
    put(0x8000, 0, 8);
    expect_fault(STEP(CODE_64, "div qword ptr [rbx]"), VECTOR_DE, 0, 1);
    // A SHLD of 16 bits by more, as CPUs do it: the first operand comes behind the second.
    put(0x8000, 0x1234, 2);
    regs[RCX] = 20;
    regs[RDX] = 0x5678;
    DO(CODE_32, "shld word ptr [ebx], dx, cl");
    assert_int_equal(get(0x8000, 2), 0x6781);
    // Without a shift there is a write all the same, and no flag changes.
    e.rflags = 0x8d7;
    regs[RCX] = 0x20;
    DO(CODE_32, "shl dword ptr [ebx], cl");
    assert_int_equal(world.count, 2);
    assert_int_equal(e.rflags, 0x8d7);
    // BOUND: both bounds belong to it, and have signs.
    put(0x8000, (u32)-3, 4);
    put(0x8004, 5, 4);
    for (int n = -4; n <= 6; n++) {
        regs[RCX] = (u32)n;
        enum emulate_status s = STEP(CODE_32, "bound ecx, qword ptr [ebx]");
        if (n < -3 || n > 5)
            expect_fault(s, VECTOR_BR, 0, 2);
        else
            assert_int_equal(s, EMULATE_DONE);
    }
    regs[RAX] = 0x1104;
    DO(CODE_32, "xlat byte ptr [ebx]");
    assert_int_equal(regs[RAX], 0x1105);
    expect_access(0, false, 0x8004, 1);
}

// Hints and what writes back cache lines: not even a descriptor is looked at.
static void hints_touch_no_memory(void **state)
{
    (void)state;
    const struct code codes[] = {
        ASM(CODE_64, "prefetchw byte ptr [rbx]"), ASM(CODE_64, "prefetchnta byte ptr [rbx]"),
        ASM(CODE_64, "cldemote byte ptr [rbx]"),  ASM(CODE_64, "nop dword ptr [rbx]"),
        ASM(CODE_64, "clflush byte ptr [rbx]"),   BYTES("\x0f\x1e\x03"), // a NOP without a name
    };
    for (unsigned n = 0; n < ARRAY_SIZE(codes); n++) {
        assert_int_equal(step(CODE_64, codes[n]), EMULATE_DONE);
        assert_int_equal(world.count, 0);
    }
    DO(CODE_64, "clflushopt byte ptr [rbx]");
    DO(CODE_64, "clwb byte ptr [rbx]");
    assert_int_equal(world.count, 0);
    FAULTS(CODE_64, "lock; clflush byte ptr [rbx]", VECTOR_UD, 0);
    assert_int_equal(STEP(CODE_64, "xsaveopt [rbx]"), EMULATE_UNSUPPORTED);
    assert_int_equal(STEP(CODE_64, "ldmxcsr dword ptr [rbx]"), EMULATE_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(stack_and_operand_are_accessed_in_order, new_world),
        cmocka_unit_test_setup(faults_come_before_accesses, new_world),
        cmocka_unit_test_setup(frames_are_pushed_and_popped, new_world),
        cmocka_unit_test_setup(popf_changes_what_the_privilege_allows, new_world),
        cmocka_unit_test_setup(limits_and_types_are_checked, new_world),
        cmocka_unit_test_setup(a_segment_register_loads_its_descriptor, new_world),
        cmocka_unit_test_setup(far_pointers_and_pops_load_segments, new_world),
        cmocka_unit_test_setup(lar_lsl_verr_and_verw_say_what_can_be_seen, new_world),
        cmocka_unit_test_setup(ltr_and_lldt_check_their_descriptor, new_world),
        cmocka_unit_test_setup(descriptor_tables_are_stored_and_loaded, new_world),
        cmocka_unit_test_setup(invpcid_checks_its_descriptor, new_world),
        cmocka_unit_test_setup(far_branches_lead_through_gates_alone, new_world),
        cmocka_unit_test_setup(a_far_return_outwards_is_checked, new_world),
        cmocka_unit_test_setup(a_far_branch_loads_cs_or_faults, new_world),
        cmocka_unit_test_setup(an_instruction_needs_its_feature, new_world),
        cmocka_unit_test_setup(the_edges_of_arithmetic_are_as_on_the_cpu, new_world),
        cmocka_unit_test_setup(hints_touch_no_memory, new_world),
    };
    return cmocka_run_group_tests_name("emulate_system", tests, NULL, NULL);
}
