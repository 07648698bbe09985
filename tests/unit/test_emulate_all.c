// SPDX-License-Identifier: MIT
// LIBS: -lZydis
// Every instruction with an operand in memory, explicit or implied, that Zydis knows: it is
// emulated, with the accesses that Zydis names, or it is one of those that x86/emulate.h leaves
// out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "x86/emulate_system.h"

static const struct {
    enum code_size size;
    ZydisMachineMode mode;
    ZydisStackWidth stack;
} modes[] = {
    {CODE_16, ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16},
    {CODE_32, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32},
    {CODE_64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
};
static ZydisDecoder zydis[ARRAY_SIZE(modes)];

// ---- a guest in which nothing fails ----------------------------------------------------------

#define VALUE 0x0808u       // in all of memory: a selector, a divisor, a bound, an address
#define GDT   0x50000000ull // what lies there is not counted

static struct {
    unsigned read, written; // bytes
    u64 descriptor;         // what is read of the GDT
    unsigned mode;
} world;

static enum error translate(void *ctx, gva_t gva, u32 access, gpa_t *gpa, u32 *error_code)
{
    (void)ctx;
    (void)access;
    (void)error_code;
    *gpa = GPA(gva.v);
    return OK;
}

static u64 read_memory(void *ctx, gpa_t gpa, unsigned size)
{
    (void)ctx;
    if (gpa.v >= GDT && gpa.v < GDT + 0x10000)
        return gpa.v == GDT + VALUE ? world.descriptor : 0;
    world.read += size;
    return VALUE;
}

static void write_memory(void *ctx, gpa_t gpa, unsigned size, u64 value)
{
    (void)ctx;
    (void)value;
    if (gpa.v < GDT || gpa.v >= GDT + 0x10000)
        world.written += size;
}

static void segment(void *ctx, enum segment_name name, struct segment *s)
{
    (void)ctx;
    *s = (struct segment){.selector = 8, .limit = UINT32_MAX, .access = 0x8093};
    if (world.mode == CODE_32)
        s->access |= SEGMENT_BIG;
    if (name == SEG_CS)
        s->access = 0x809b;
}

static u32 port_read(void *ctx, u16 port, unsigned size)
{
    (void)ctx;
    return port + size;
}

static void port_write(void *ctx, u16 port, unsigned size, u32 value)
{
    (void)ctx;
    (void)port;
    (void)size;
    (void)value;
}

static void set_segment(void *ctx, enum segment_name name, const struct segment *s)
{
    (void)ctx;
    (void)name;
    (void)s;
}

static void table(void *ctx, enum emulate_table which, struct descriptor_table *t)
{
    (void)ctx;
    (void)which;
    *t = (struct descriptor_table){.base = GDT, .limit = 0xffff};
}

static void set_table(void *ctx, enum emulate_table which, const struct descriptor_table *t)
{
    (void)ctx;
    (void)which;
    (void)t;
}

static u64 status_word(void *ctx)
{
    (void)ctx;
    return CR0_PE;
}

static bool set_status_word(void *ctx, u64 cr0)
{
    (void)ctx;
    return cr0 & CR0_PE;
}

static void invalidate(void *ctx)
{
    (void)ctx;
}

static const struct emulate_ops ops = {
    translate,   read_memory, write_memory, segment,     port_read,       port_write,
    set_segment, table,       set_table,    status_word, set_status_word, invalidate,
};

// A descriptor of access rights, with no base and a limit of 4 GiB or less.
static u64 descriptor_for(const ZydisDecodedInstruction *z)
{
    u64 access = 0x8093;
    if (z->mnemonic == ZYDIS_MNEMONIC_LLDT)
        access = 0x82;
    else if (z->mnemonic == ZYDIS_MNEMONIC_LTR)
        access = 0x89;
    else if (z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        access = 0xc09b;
    return access << 40 | 0xf00000000ffffull;
}

// ---- what Zydis says -------------------------------------------------------------------------

// Other makers' instructions, and those of times past.
static bool foreign(const ZydisDecodedInstruction *z)
{
    return z->meta.isa_ext == ZYDIS_ISA_EXT_PADLOCK || z->meta.isa_ext == ZYDIS_ISA_EXT_KNC ||
           z->encoding == ZYDIS_INSTRUCTION_ENCODING_XOP ||
           z->encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW;
}

static bool works_on_vectors(const ZydisDecodedOperand *o)
{
    if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
        return false;
    switch (ZydisRegisterGetClass(o->reg.value)) {
    case ZYDIS_REGCLASS_X87:
    case ZYDIS_REGCLASS_MMX:
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
    case ZYDIS_REGCLASS_ZMM:
    case ZYDIS_REGCLASS_TMM:
    case ZYDIS_REGCLASS_MASK:
        return true;
    default:
        return o->reg.value >= ZYDIS_REGISTER_MXCSR || o->reg.value == ZYDIS_REGISTER_X87STATUS ||
               o->reg.value == ZYDIS_REGISTER_X87CONTROL || o->reg.value == ZYDIS_REGISTER_X87TAG;
    }
}

// What x86/emulate.h leaves out.
static bool left_out(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *o)
{
    switch (z->meta.isa_ext) {
    case ZYDIS_ISA_EXT_X87:
    case ZYDIS_ISA_EXT_AVX:
    case ZYDIS_ISA_EXT_AMX_TILE:
    case ZYDIS_ISA_EXT_CET:
    case ZYDIS_ISA_EXT_ENQCMD:
    case ZYDIS_ISA_EXT_KEYLOCKER:
    case ZYDIS_ISA_EXT_KEYLOCKER_WIDE:
    case ZYDIS_ISA_EXT_MOVDIR:
    case ZYDIS_ISA_EXT_PT:
    case ZYDIS_ISA_EXT_VTX:
    case ZYDIS_ISA_EXT_XSAVE:
    case ZYDIS_ISA_EXT_XSAVEC:
    case ZYDIS_ISA_EXT_XSAVEOPT:
    case ZYDIS_ISA_EXT_XSAVES:
        return true;
    default:
        break;
    }
    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_STMXCSR:
    case ZYDIS_MNEMONIC_UD0: // they raise #UD and nothing else
    case ZYDIS_MNEMONIC_UD1:
        return true;
    default:
        break;
    }
    if (z->meta.category == ZYDIS_CATEGORY_CONVERT && z->meta.isa_ext != ZYDIS_ISA_EXT_BASE)
        return true; // CVTSD2SI: of a number in memory
    for (unsigned n = 0; n < z->operand_count; n++)
        if (works_on_vectors(&o[n]))
            return true;
    return false;
}

// Bytes that Zydis says are read and written; where the CPU does otherwise, what it does.
struct accesses {
    unsigned read, written;
    bool any; // an operand in memory
};

static struct accesses accesses_of(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *o)
{
    struct accesses a = {0};
    for (unsigned n = 0; n < z->operand_count; n++) {
        if (o[n].type != ZYDIS_OPERAND_TYPE_MEMORY || o[n].mem.type != ZYDIS_MEMOP_TYPE_MEM)
            continue;
        a.any = true;
        a.read += o[n].actions & ZYDIS_OPERAND_ACTION_MASK_READ ? o[n].size / 8 : 0;
        a.written += o[n].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? o[n].size / 8 : 0;
    }
    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_BNDCL: // a NOP without MPX
    case ZYDIS_MNEMONIC_BNDCN:
    case ZYDIS_MNEMONIC_BNDCU:
    case ZYDIS_MNEMONIC_BNDMOV:
    case ZYDIS_MNEMONIC_CLDEMOTE:
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB:
    case ZYDIS_MNEMONIC_INVLPG:
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_PREFETCH:
    case ZYDIS_MNEMONIC_PREFETCHNTA:
    case ZYDIS_MNEMONIC_PREFETCHT0:
    case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2:
    case ZYDIS_MNEMONIC_PREFETCHW:
    case ZYDIS_MNEMONIC_PREFETCHWT1:
        a.read = a.written = 0;
        break;
    case ZYDIS_MNEMONIC_ARPL: // written only where it changes: CX has RPL 1, the others 0
        a.written = o[1].reg.value == ZYDIS_REGISTER_CX ? 2 : 0;
        break;
    case ZYDIS_MNEMONIC_POPA: // SP is left out
    case ZYDIS_MNEMONIC_POPAD:
        a.read -= a.read / 8;
        break;
    case ZYDIS_MNEMONIC_PUSH: // of a segment register
        if (o[0].type == ZYDIS_OPERAND_TYPE_REGISTER && z->operand_width == 32 &&
            ZydisRegisterGetClass(o[0].reg.value) == ZYDIS_REGCLASS_SEGMENT)
            a.written = 2;
        break;
    case ZYDIS_MNEMONIC_ENTER: // of level 8
        a.read = 7 * a.written;
        a.written *= 9;
        break;
    case ZYDIS_MNEMONIC_MOVSXD: // with 66 it is a MOV of 16 bits
        a.read = MIN(a.read, z->operand_width / 8u);
        break;
    default:
        break;
    }
    return a;
}

// ---- the comparison --------------------------------------------------------------------------

static unsigned compared, refused;

// What differs, or NULL.
static const char *compare(const u8 *bytes, unsigned mode)
{
    ZydisDecodedInstruction z;
    ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
    struct instruction i;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&zydis[mode], bytes, INSTRUCTION_MAX, &z, o)) ||
        foreign(&z))
        return NULL;
    struct accesses wanted = accesses_of(&z, o);
    if (!wanted.any)
        return NULL;
    if (decode(bytes, INSTRUCTION_MAX, modes[mode].size, &i) != OK)
        return "is not decoded";
    u64 gpr[GPR_COUNT];
    for (unsigned n = 0; n < GPR_COUNT; n++)
        gpr[n] = VALUE;
    gpr[RAX] = 0x10; // so that no quotient is too large, and CMPXCHG16B's operand is aligned
    gpr[RDX] = 0;
    gpr[RCX] = 1; // repetitions
    struct emulation e = {.ops = &ops,
                          .code_size = modes[mode].size,
                          .gpr = gpr,
                          .rip = 0x1000,
                          .rflags = 2,
                          .cr0 = CR0_PE,
                          .long_mode = modes[mode].size == CODE_64,
                          .features = UINT32_MAX,
                          .repeats = 2};
    memset(&world, 0, sizeof(world));
    world.mode = modes[mode].size;
    world.descriptor = descriptor_for(&z);
    enum emulate_status s = emulate(&e, &i);
    if (left_out(&z, o)) {
        refused++;
        return s == EMULATE_UNSUPPORTED ? NULL : "is emulated";
    }
    compared++;
    if (s == EMULATE_UNSUPPORTED)
        return "is not emulated";
    if (s == EMULATE_FAULT && e.exception.vector == VECTOR_UD)
        return "is undefined";
    if (s != EMULATE_DONE) // CS is not writable, EAX is out of bounds, and the like
        return s == EMULATE_FAULT ? NULL : "does not end";
    if (world.read != wanted.read)
        return "reads otherwise";
    return world.written == wanted.written ? NULL : "writes otherwise";
}

static void expect_same(const u8 *bytes, unsigned mode)
{
    const char *difference = compare(bytes, mode);
    if (difference == NULL)
        return;
    print_error("%u-bit code:", modes[mode].size * 8);
    for (unsigned n = 0; n < 8; n++)
        print_error(" %02x", bytes[n]);
    fail_msg("%s", difference);
}

// The opcode and a ModRM byte with [rAX] after what came before; 8s follow, an immediate.
static void all_of(u8 *bytes, unsigned at, unsigned mode)
{
    for (unsigned n = 0; n < 256 * 8; n++) {
        bytes[at] = (u8)(n >> 3);
        bytes[at + 1] = (u8)((n & 7) << 3);
        expect_same(bytes, mode);
    }
}

static void each_instruction_accesses_what_zydis_says(void **state)
{
    (void)state;
    static const u8 leads[] = {0, 0x66, 0xf2, 0xf3, 0x48};
    for (unsigned n = 0; n < 3 * ARRAY_SIZE(leads) * 4; n++) {
        unsigned mode = n % 3, map = n / 3 % 4, lead = leads[n / 12], at = 0;
        u8 bytes[INSTRUCTION_MAX + 1];
        memset(bytes, 8, sizeof(bytes));
        if (lead == 0x48 && modes[mode].size != CODE_64)
            continue;
        if (lead != 0)
            bytes[at++] = (u8)lead;
        if (map > MAP_ONE_BYTE)
            bytes[at++] = 0x0f;
        if (map > MAP_0F)
            bytes[at++] = map == MAP_0F38 ? 0x38 : 0x3a;
        all_of(bytes, at, mode);
    }
    assert_true(compared > 3000);
    assert_true(refused > 1000);
}

static void so_does_each_with_vex(void **state)
{
    (void)state;
    compared = 0;
    for (unsigned n = 0; n < 3 * 3 * 16; n++) {
        unsigned mode = n % 3, map = 1 + n / 3 % 3, last = n / 9; // W, L, pp
        u8 bytes[INSTRUCTION_MAX + 1];
        memset(bytes, 8, sizeof(bytes));
        bytes[0] = 0xc4;
        bytes[1] = (u8)(0xe0 | map);
        bytes[2] = (u8)((last & 8) << 4 | 0x78 | (last & 7));
        all_of(bytes, 3, mode);
    }
    assert_true(compared > 300);
}

static int start(void **state)
{
    (void)state;
    for (unsigned m = 0; m < ARRAY_SIZE(modes); m++)
        if (!ZYAN_SUCCESS(ZydisDecoderInit(&zydis[m], modes[m].mode, modes[m].stack)))
            return -1;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_instruction_accesses_what_zydis_says),
        cmocka_unit_test(so_does_each_with_vex),
    };
    return cmocka_run_group_tests_name("emulate_all", tests, start, NULL);
}
