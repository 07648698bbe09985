// SPDX-License-Identifier: MIT
// LIBS: -lZydis
// The instruction decoder, against Zydis over random and systematic byte strings in all three code
// sizes, and by hand where a rule of the SDM needs its own witness.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "assembly.h"
#include "x86/decode.h"

#define RANDOM_STRINGS 3000000

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
static unsigned long compared;

static u64 random64(void)
{
    static u64 x = 88172645463325252ull;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

// ---- comparison with Zydis ----------------------------------------------------------------

// Instructions of other makers, which Intel's manual does not know.
static bool foreign(const ZydisDecodedInstruction *z)
{
    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_EXTRQ: // AMD's SSE4A
    case ZYDIS_MNEMONIC_INSERTQ:
    case ZYDIS_MNEMONIC_JKZD: // Xeon Phi's first generation
    case ZYDIS_MNEMONIC_JKNZD:
        return true;
    default: // VIA; and AMD's XOP, whose 8F is POP alone at Intel's
        return z->meta.isa_ext == ZYDIS_ISA_EXT_PADLOCK ||
               z->encoding == ZYDIS_INSTRUCTION_ENCODING_XOP;
    }
}

// Where our operand size is that of Zydis: general-purpose instructions whose operand follows 66
// and REX.W. Zydis says 32 or 64 for some that have one size only.
static bool sized(const ZydisDecodedInstruction *z)
{
    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_INSD: // REX.W does not make them wider, as with IN and OUT
    case ZYDIS_MNEMONIC_OUTSD:
    case ZYDIS_MNEMONIC_XLAT: // a byte
    case ZYDIS_MNEMONIC_ARPL: // a word
    case ZYDIS_MNEMONIC_NOP:  // 0F 1E: no operand is used
    case ZYDIS_MNEMONIC_CMPXCHG8B:
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_INVLPG:
    case ZYDIS_MNEMONIC_LGDT:
    case ZYDIS_MNEMONIC_LIDT:
    case ZYDIS_MNEMONIC_SGDT:
    case ZYDIS_MNEMONIC_SIDT:
        return false;
    case ZYDIS_MNEMONIC_MOVNTI:
    case ZYDIS_MNEMONIC_MOVBE:
    case ZYDIS_MNEMONIC_CRC32:
    case ZYDIS_MNEMONIC_POPCNT:
    case ZYDIS_MNEMONIC_LZCNT:
    case ZYDIS_MNEMONIC_TZCNT:
        return true;
    default:
        return z->meta.isa_ext == ZYDIS_ISA_EXT_BASE || z->meta.isa_ext == ZYDIS_ISA_EXT_LONGMODE;
    }
}

static u8 number(ZydisRegister reg)
{
    bool none =
        reg == ZYDIS_REGISTER_NONE || reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP;
    return none ? NO_REGISTER : (u8)ZydisRegisterGetId(reg);
}

static const char *compare_memory(const struct instruction *i, const ZydisDecodedInstruction *z,
                                  const ZydisDecodedOperand *o)
{
    const struct memory_operand *m = &i->memory;
    if (!i->has_memory)
        return "memory operand missed";
    // With a 4-byte address and REX.B Zydis takes SIB's "no base" (mod 0, base 5) for R13. The
    // CPU does not (SDM Vol. 2, table 2-5; the emulator's test runs it).
    bool no_base = z->raw.modrm.mod == 0 && z->raw.modrm.rm == 4 && z->raw.sib.base == 5;
    if (!(no_base && (i->rex & 1) && i->address_size == 4)) {
        if (number(o->mem.base) != m->base)
            return "base";
        u64 mask = i->address_size == 8 ? UINT64_MAX : BIT(i->address_size * 8) - 1;
        if (((u64)o->mem.disp.value ^ (u64)m->displacement) & mask)
            return "displacement";
    } else if (m->base != NO_REGISTER || m->displacement != z->raw.disp.value) {
        return "SIB without base";
    }
    bool rip = o->mem.base == ZYDIS_REGISTER_RIP || o->mem.base == ZYDIS_REGISTER_EIP;
    if (rip != m->rip_based)
        return "RIP";
    if (number(o->mem.index) != m->index)
        return "index";
    if (m->index != NO_REGISTER && o->mem.scale != m->scale)
        return "scale";
    // CALL and JMP take 3E for NOTRACK as well.
    bool notrack = z->attributes & ZYDIS_ATTRIB_HAS_NOTRACK;
    if (o->mem.type != ZYDIS_MEMOP_TYPE_AGEN && !notrack &&
        o->mem.segment - ZYDIS_REGISTER_ES != m->segment)
        return "segment";
    return NULL;
}

static const char *compare_immediate(const struct instruction *i, const ZydisDecodedInstruction *z)
{
    if (z->raw.imm[0].size != i->immediate_size * 8)
        return "immediate size";
    u64 value = z->raw.imm[0].is_signed ? (u64)z->raw.imm[0].value.s : z->raw.imm[0].value.u;
    u64 mask = i->immediate_size == 8 ? UINT64_MAX : BIT(i->immediate_size * 8) - 1;
    if ((value ^ (u64)i->immediate) & mask)
        return "immediate";
    if (z->raw.imm[1].size != 0 && z->raw.imm[1].value.u != i->immediate2)
        return "second immediate";
    return NULL;
}

// What VEX says of instructions on general registers.
static const char *compare_vex(const struct instruction *i, const ZydisDecodedInstruction *z)
{
    unsigned mask = i->code_size == CODE_64 ? 15 : 7, pp = i->operand_66;
    if (i->repeat != 0)
        pp = i->repeat == 0xf3 ? 2 : 3;
    if (i->map != z->opcode_map || z->opcode != i->opcode)
        return "VEX opcode";
    if (((z->raw.vex.vvvv ^ i->vvvv) & mask) != mask)
        return "vvvv";
    if (z->raw.vex.L != i->vex_l || z->raw.vex.pp != pp)
        return "L or pp";
    // In 16-bit code too an operand has 32 bits (SDM Vol. 2, ANDN); Zydis says 16.
    unsigned width = i->code_size == CODE_16 ? 32 : z->operand_width;
    return width == i->operand_size * 8 ? NULL : "W";
}

// What differs, or NULL.
static const char *compare(const u8 *bytes, unsigned mode)
{
    ZydisDecodedInstruction z;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    struct instruction i;
    ZyanStatus s = ZydisDecoderDecodeFull(&zydis[mode], bytes, 15, &z, op);
    enum error e = decode(bytes, 15, modes[mode].size, &i);
    if (s == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
        return e == ERR_FORMAT || e == ERR_INVALID ? NULL : "longer than 15 bytes";
    // Zydis refuses more: undefined operands, LOCK where it is not allowed, and so on.
    if (!ZYAN_SUCCESS(s) || foreign(&z))
        return NULL;
    compared++;
    if (e != OK)
        return "refused";
    if (i.length != z.length)
        return "length";
    // Whatever is cut short is noticed.
    struct instruction cut;
    if (decode(bytes, i.length - 1u, modes[mode].size, &cut) != ERR_TRUNCATED)
        return "truncation";
    bool legacy = z.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
                  z.encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW;
    if (legacy != (i.encoding == ENCODING_LEGACY))
        return "encoding";
    if (!legacy && z.meta.isa_ext != ZYDIS_ISA_EXT_BMI1 && z.meta.isa_ext != ZYDIS_ISA_EXT_BMI2)
        return NULL;
    const char *difference = legacy ? NULL : compare_vex(&i, &z);
    if (difference != NULL)
        return difference;
    if (z.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && z.opcode != i.opcode)
        return "opcode";
    if (sized(&z) && z.operand_width != i.operand_size * 8)
        return "operand size";
    // MPX ignores 67 in 64-bit mode, ENCLS and its kin have no memory operand of their own.
    if (z.meta.isa_ext != ZYDIS_ISA_EXT_MPX && z.meta.isa_ext != ZYDIS_ISA_EXT_SGX &&
        z.mnemonic != ZYDIS_MNEMONIC_ENCLV && z.address_width != i.address_size * 8)
        return "address size";
    unsigned memories = 0;
    for (unsigned n = 0; n < z.operand_count_visible; n++) {
        if (op[n].type != ZYDIS_OPERAND_TYPE_MEMORY ||
            op[n].encoding == ZYDIS_OPERAND_ENCODING_NONE)
            continue;
        memories++;
        difference = compare_memory(&i, &z, &op[n]);
        if (difference != NULL)
            return difference;
    }
    if (i.has_memory && memories == 0)
        return "memory operand invented";
    // 3DNow!'s opcode is its last byte.
    return z.encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW ? NULL : compare_immediate(&i, &z);
}

static void expect_same(const u8 *bytes, unsigned mode)
{
    const char *difference = compare(bytes, mode);
    if (difference == NULL)
        return;
    print_error("%u-bit code, %s:", modes[mode].size * 8, difference);
    for (unsigned n = 0; n < INSTRUCTION_MAX; n++)
        print_error(" %02x", bytes[n]);
    fail_msg("disagreement with Zydis");
}

static const u8 prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf0};

static void random_bytes_decode_as_by_zydis(void **state)
{
    (void)state;
    for (unsigned n = 0; n < RANDOM_STRINGS; n++) {
        u8 bytes[INSTRUCTION_MAX + 17];
        unsigned mode = (unsigned)(random64() % 3), at = 0;
        // Half of them pure noise, half with prefixes (now and then too many) and an opcode map.
        if (n & 1) {
            unsigned count = (unsigned)(random64() % 8);
            count = count < 5 ? count : random64() % 64 == 0 ? 14 : 0;
            while (at < count) {
                u64 r = random64();
                bool rex = mode == 2 && r % 5 == 0;
                bytes[at++] = rex ? 0x40 | (r >> 32 & 15) : prefixes[(r >> 16) % sizeof(prefixes)];
            }
            u64 r = random64();
            if (r & 1)
                bytes[at++] = 0x0f;
            if ((r & 15) == 1)
                bytes[at++] = r & 16 ? 0x38 : 0x3a;
            if ((r & 31) == 2 && count < 5) { // BMI and its neighbours
                bytes[at++] = 0xc4;
                bytes[at++] = (u8)((r >> 8 & 0xe0) | 2);
                bytes[at++] = (u8)(r >> 16);
                bytes[at++] = (u8)(0xf0 | (r >> 24 & 7));
            }
        }
        u64 noise[2] = {random64(), random64()};
        memcpy(bytes + at, noise, sizeof(noise));
        expect_same(bytes, mode);
    }
    assert_true(compared > RANDOM_STRINGS / 2);
}

// Every opcode of every map with every ModRM byte, with the prefixes that change lengths.
static void every_opcode_decodes_as_by_zydis(void **state)
{
    (void)state;
    static const u8 leads[] = {0, 0x66, 0x67, 0xf2, 0xf3, 0x48, 0x47};
    static const u8 maps[] = {0, 0, 0x38, 0x3a};
    for (unsigned n = 0; n < 3 * ARRAY_SIZE(leads) * 4 * 65536; n++) {
        unsigned mode = n % 3, lead = n / 3 % ARRAY_SIZE(leads);
        unsigned rest = n / 3 / ARRAY_SIZE(leads), map = rest & 3, at = 0;
        u8 bytes[24] = {0};
        if (leads[lead] >= 0x40 && leads[lead] < 0x50 && mode != 2)
            continue;
        if (lead != 0)
            bytes[at++] = leads[lead];
        if (map > 0)
            bytes[at++] = 0x0f;
        if (map > 1)
            bytes[at++] = maps[map];
        bytes[at++] = rest >> 2 & 0xff;
        bytes[at++] = rest >> 10 & 0xff;
        u64 noise = random64();
        memcpy(bytes + at, &noise, 8);
        expect_same(bytes, mode);
    }
}

// ---- by hand --------------------------------------------------------------------------------

static struct instruction get(enum code_size size, struct code c)
{
    struct instruction i;
    assert_int_equal(decode(c.bytes, c.length, size, &i), OK);
    assert_int_equal(i.length, c.length);
    return i;
}

#define GET(size, text) get(size, ASM(size, text))

static void the_last_prefix_counts(void **state)
{
    (void)state;
    // REX before another prefix has no effect; in other modes it is INC or DEC.
    struct instruction i = GET(CODE_64, "rex.W; mov ax, [rax]");
    assert_int_equal(i.rex, 0);
    assert_int_equal(i.operand_size, 2);
    i = GET(CODE_64, "data16 mov rax, [rax]");
    assert_int_equal(i.rex, 0x48);
    assert_int_equal(i.operand_size, 8);
    i = GET(CODE_32, "dec eax");
    assert_int_equal(i.reg, RAX);
    // The last of F2 and F3, the last segment.
    i = GET(CODE_32, "rep; repne; cs; fs; movsb");
    assert_int_equal(i.repeat, 0xf2);
    assert_int_equal(i.segment_override, SEG_FS);
    assert_false(i.has_memory);
    // In 64-bit mode the others are ignored.
    i = GET(CODE_64, "gs; cs; mov eax, [rbp - 0x10]");
    assert_int_equal(i.memory.segment, SEG_GS);
    assert_int_equal(i.memory.base, RBP);
    assert_int_equal(i.memory.displacement, -16);
    i = GET(CODE_64, "cs; mov eax, [rbp - 0x10]");
    assert_int_equal(i.memory.segment, SEG_SS);
}

// With VEX there is no other prefix but for addresses (SDM Vol. 2, 2.3).
static void vex_goes_with_no_other_prefix(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\x66", "\xf2", "\xf3", "\xf0", "\x48"};
    struct instruction i = GET(CODE_64, "andn r9, rbx, qword ptr gs:[ebx]");
    assert_int_equal(i.encoding, ENCODING_VEX);
    assert_int_equal(i.map, MAP_0F38);
    assert_int_equal(i.operand_size, 8);
    assert_int_equal(i.vvvv, RBX);
    assert_int_equal(i.reg, R9);
    assert_int_equal(i.memory.segment, SEG_GS);
    assert_int_equal(i.address_size, 4);
    i = get(CODE_32,
            BYTES("\xc4\xe2\xa3\xf5\x0b")); // PDEP ecx, ebx, [ebx]: W and vvvv's top do not count
    assert_int_equal(i.operand_size, 4);
    assert_int_equal(i.vvvv, RBX);
    assert_int_equal(i.repeat, 0xf2);
    for (unsigned n = 0; n < ARRAY_SIZE(wrong); n++) {
        u8 code[6] = {(u8)wrong[n][0], 0xc4, 0xe2, 0x60, 0xf2, 0x0b};
        assert_int_equal(decode(code, sizeof(code), CODE_64, &i), ERR_INVALID);
    }
}

static void an_instruction_has_at_most_15_bytes(void **state)
{
    (void)state;
    u8 code[16];
    struct instruction i;
    memset(code, 0x66, sizeof(code));
    assert_int_equal(decode(code, 16, CODE_32, &i), ERR_FORMAT);
    assert_int_equal(decode(code, 14, CODE_32, &i), ERR_TRUNCATED);
    assert_int_equal(decode(code, 0, CODE_64, &i), ERR_TRUNCATED);
    code[14] = 0x90;
    assert_int_equal(decode(code, 16, CODE_32, &i), OK);
    assert_int_equal(i.length, 15);
    code[13] = 0x05; // ADD EAX, imm: one byte too many
    assert_int_equal(decode(code, 16, CODE_32, &i), ERR_FORMAT);
    assert_int_equal(decode((const u8 *)"\x06", 1, CODE_64, &i), ERR_INVALID);
    assert_int_equal(decode((const u8 *)"\x06", 1, CODE_32, &i), OK);
    assert_int_equal(decode((const u8 *)"\x0f\x04", 2, CODE_32, &i), ERR_INVALID);
}

static void an_operands_offset_follows_from_its_registers(void **state)
{
    (void)state;
    u64 gpr[GPR_COUNT];
    for (unsigned n = 0; n < GPR_COUNT; n++)
        gpr[n] = 0x1111111100000000ull + (n + 1) * 0x01010101ull * 0x10;
    struct instruction i = GET(CODE_64, "mov eax, [r13 + r15*4 - 16]");
    assert_int_equal(memory_offset(&i, gpr, 0), gpr[R13] + gpr[R15] * 4 - 16);
    assert_int_equal(i.memory.segment, SEG_DS);
    i = GET(CODE_64, "mov eax, [r13d + r15d*4 - 16]");
    assert_int_equal(memory_offset(&i, gpr, 0), (u32)(gpr[R13] + gpr[R15] * 4 - 16));
    i = GET(CODE_64, "test dword ptr [rip - 16], 0x04030201");
    assert_int_equal(memory_offset(&i, gpr, 0xffffffff80000000), 0xffffffff80000000 + 10 - 16);
    assert_int_equal(i.immediate, 0x04030201);
    i = GET(CODE_64, "movabs eax, ds:0x0102030405060708");
    assert_int_equal(memory_offset(&i, gpr, 0), 0x0102030405060708);
    i = GET(CODE_32, "test dword ptr ds:0xfffffff0, 0x04030201"); // the same bytes there
    assert_int_equal(memory_offset(&i, gpr, 0x1000), 0xfffffff0);
    i = GET(CODE_16, "mov al, [bp + si - 128]"); // wraps at 64 KiB
    gpr[RBP] = 0xffff0010;
    gpr[RSI] = 0x20;
    assert_int_equal(memory_offset(&i, gpr, 0), 0xffb0);
    assert_int_equal(i.memory.segment, SEG_SS);
    i = get(CODE_16, BYTES("\x8a\x06\x34\x12")); // MOV al, [1234H] with ModRM, not of A0
    assert_int_equal(memory_offset(&i, gpr, 0), 0x1234);
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
        cmocka_unit_test(random_bytes_decode_as_by_zydis),
        cmocka_unit_test(every_opcode_decodes_as_by_zydis),
        cmocka_unit_test(the_last_prefix_counts),
        cmocka_unit_test(vex_goes_with_no_other_prefix),
        cmocka_unit_test(an_instruction_has_at_most_15_bytes),
        cmocka_unit_test(an_operands_offset_follows_from_its_registers),
    };
    return cmocka_run_group_tests_name("decode", tests, start, NULL);
}
