// SPDX-License-Identifier: MIT
// Call frame information, written by hand: each instruction, what is not known, and what is
// damaged.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/cfi.h"

#define ADDRESS 0x500000 // of the section
#define CODE    0x400000 // of what it is about
#define LENGTH  0x100

// As DWARF 5 numbers them (7.24).
enum {
    ADVANCE = 0x40,
    OFFSET = 0x80,
    RESTORE = 0xc0,
    NOP = 0,
    ADVANCE_1 = 2,
    ADVANCE_2 = 3,
    ADVANCE_4 = 4,
    UNDEFINED = 7,
    SAME_VALUE = 8,
    REMEMBER_STATE = 0xa,
    RESTORE_STATE = 0xb,
    DEF_CFA = 0xc,
    DEF_CFA_REGISTER = 0xd,
    DEF_CFA_OFFSET = 0xe,
    DEF_CFA_EXPRESSION = 0xf,
};

static u8 section[512];
static size_t size, record; // record: where the one begins that is being written

static void bytes(const u8 *from, size_t n)
{
    assert_true(size + n <= sizeof(section));
    memcpy(section + size, from, n);
    size += n;
}

#define BYTES(...) bytes((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static void u32_le(u32 n)
{
    BYTES((u8)n, (u8)(n >> 8), (u8)(n >> 16), (u8)(n >> 24));
}

static void begin_record(void)
{
    record = size;
    u32_le(0);
}

static void end_record(void)
{
    u32 length = (u32)(size - record - 4);
    memcpy(section + record, &length, sizeof(length));
}

// The head of a CIE as GCC writes it: code by 1, data by -8, the return address in register 16,
// pointers by 32 bits from where they stand. `letters`: "zR" or the like.
static size_t begin_cie(const char *letters)
{
    begin_record();
    u32_le(0);
    BYTES(1);
    bytes((const u8 *)letters, strlen(letters) + 1);
    BYTES(1, 0x78, 16, 1, 0x1b);
    return record;
}

static void begin_fde(size_t cie, u32 start, u32 length)
{
    begin_record();
    u32_le((u32)(size - cie));
    u32_le(start - (ADDRESS + (u32)size));
    u32_le(length);
    BYTES(0);
}

// A section of one CIE, in which RSP + 8 is the CFA and the return address just below it, and one
// FDE with these instructions.
static void make(const u8 *program, size_t n)
{
    size = 0;
    size_t cie = begin_cie("zR");
    BYTES(DEF_CFA, CFI_RSP, 8, OFFSET | CFI_RIP, 1);
    end_record();
    begin_fde(cie, CODE, LENGTH);
    bytes(program, n);
    end_record();
}

#define MAKE(...) make((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static struct cfi_row row;

// A copy, just as long, so that the sanitizer sees what is read beside it.
static enum cfi_status find(u64 rip)
{
    u8 *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy + 1, section, size); // no alignment is relied on
    struct cfi_section s = {copy + 1, size, ADDRESS};
    memset(&row, 0xa5, sizeof(row));
    enum cfi_status status = cfi_find(&s, rip, &row);
    free(copy);
    return status;
}

static void check_cfa(u64 rip, unsigned reg, i32 offset)
{
    assert_int_equal(find(rip), CFI_FOUND);
    assert_int_equal(row.cfa_register, reg);
    assert_int_equal(row.cfa_offset, offset);
}

static void check_rule(u64 rip, unsigned reg, enum cfi_rule rule, i32 offset)
{
    assert_int_equal(find(rip), CFI_FOUND);
    assert_int_equal(row.registers[reg].rule, rule);
    if (rule == CFI_AT)
        assert_int_equal(row.registers[reg].offset, offset);
}

// ---- instructions ---------------------------------------------------------------------------

static void what_a_cie_says_holds_in_all_of_a_function(void **state)
{
    (void)state;
    MAKE(NOP);
    for (u64 at = CODE; at < CODE + LENGTH; at++) {
        check_cfa(at, CFI_RSP, 8);
        assert_int_equal(row.registers[CFI_RIP].rule, CFI_AT);
        assert_int_equal(row.registers[CFI_RIP].offset, -8);
        assert_int_equal(row.registers[CFI_RBX].rule, CFI_UNSAID);
        assert_false(row.interrupted);
    }
    assert_int_equal(find(CODE - 1), CFI_NO_ENTRY);
    assert_int_equal(find(CODE + LENGTH), CFI_NO_ENTRY);
    assert_int_equal(find(0), CFI_NO_ENTRY);
    assert_int_equal(find(UINT64_MAX), CFI_NO_ENTRY);
}

static void an_advance_leaves_what_is_before_it_alone(void **state)
{
    (void)state;
    MAKE(ADVANCE | 4, DEF_CFA_OFFSET, 16, ADVANCE_1, 0x80, DEF_CFA_OFFSET, 24, ADVANCE_2, 0x10, 0,
         DEF_CFA_OFFSET, 32, ADVANCE_4, 1, 0, 0, 0, DEF_CFA_OFFSET, 40);
    check_cfa(CODE + 3, CFI_RSP, 8);
    check_cfa(CODE + 4, CFI_RSP, 16);
    check_cfa(CODE + 0x83, CFI_RSP, 16);
    check_cfa(CODE + 0x84, CFI_RSP, 24);
    check_cfa(CODE + 0x93, CFI_RSP, 24);
    check_cfa(CODE + 0x94, CFI_RSP, 32);
    check_cfa(CODE + 0x95, CFI_RSP, 40);
    check_cfa(CODE + LENGTH - 1, CFI_RSP, 40);
}

static void the_cfa_has_a_register_and_an_offset(void **state)
{
    (void)state;
    MAKE(DEF_CFA, CFI_RBP, 0x90, 0x01, ADVANCE | 1, DEF_CFA_REGISTER, CFI_R10, ADVANCE | 1,
         DEF_CFA_OFFSET, 0xff, 0xff, 0x7f);
    check_cfa(CODE, CFI_RBP, 0x90);
    check_cfa(CODE + 1, CFI_R10, 0x90);
    check_cfa(CODE + 2, CFI_R10, 0x1fffff);
}

static void a_register_is_saved_lost_or_as_it_was(void **state)
{
    (void)state;
    MAKE(OFFSET | CFI_RBX, 2, OFFSET | CFI_R15, 0x80, 0x01, ADVANCE | 1, UNDEFINED, CFI_RBX,
         ADVANCE | 1, SAME_VALUE, CFI_RBX, ADVANCE | 1, UNDEFINED, CFI_RIP);
    check_rule(CODE, CFI_RBX, CFI_AT, -16);
    check_rule(CODE, CFI_R15, CFI_AT, -1024);
    check_rule(CODE + 1, CFI_RBX, CFI_UNDEFINED, 0);
    check_rule(CODE + 1, CFI_RIP, CFI_AT, -8);
    check_rule(CODE + 2, CFI_RBX, CFI_SAME, 0);
    check_rule(CODE + 3, CFI_RIP, CFI_UNDEFINED, 0);
    check_rule(CODE + 3, CFI_R15, CFI_AT, -1024);
}

static void restore_gives_back_the_cies_rule(void **state)
{
    (void)state;
    MAKE(OFFSET | CFI_RBX, 2, OFFSET | CFI_RIP, 5, ADVANCE | 1, RESTORE | CFI_RBX, ADVANCE | 1,
         RESTORE | CFI_RIP);
    check_rule(CODE, CFI_RBX, CFI_AT, -16);
    check_rule(CODE + 1, CFI_RBX, CFI_UNSAID, 0);
    check_rule(CODE + 1, CFI_RIP, CFI_AT, -40);
    check_rule(CODE + 2, CFI_RIP, CFI_AT, -8);
}

static void a_state_is_remembered_with_its_cfa(void **state)
{
    (void)state;
    MAKE(OFFSET | CFI_RBX, 2, DEF_CFA_OFFSET, 16, ADVANCE | 1, REMEMBER_STATE, RESTORE | CFI_RBX,
         DEF_CFA_OFFSET, 8, ADVANCE | 1, RESTORE_STATE);
    check_cfa(CODE + 1, CFI_RSP, 8);
    check_rule(CODE + 1, CFI_RBX, CFI_UNSAID, 0);
    check_cfa(CODE + 2, CFI_RSP, 16);
    check_rule(CODE + 2, CFI_RBX, CFI_AT, -16);
}

static void states_are_remembered_in_each_other(void **state)
{
    (void)state;
    MAKE(REMEMBER_STATE, DEF_CFA_OFFSET, 16, REMEMBER_STATE, DEF_CFA_OFFSET, 24, ADVANCE | 1,
         RESTORE_STATE, ADVANCE | 1, RESTORE_STATE);
    check_cfa(CODE, CFI_RSP, 24);
    check_cfa(CODE + 1, CFI_RSP, 16);
    check_cfa(CODE + 2, CFI_RSP, 8);
}

static void no_more_is_remembered_than_there_is_room_for(void **state)
{
    (void)state;
    u8 program[64];
    memset(program, REMEMBER_STATE, sizeof(program));
    make(program, 4);
    assert_int_equal(find(CODE), CFI_FOUND);
    make(program, 5);
    assert_int_equal(find(CODE), CFI_UNKNOWN);
    MAKE(RESTORE_STATE);
    assert_int_equal(find(CODE), CFI_UNKNOWN);
}

// ---- what is not known ----------------------------------------------------------------------

static void any_other_instruction_is_an_error(void **state)
{
    (void)state;
    static const u8 known[] = {
        NOP,        ADVANCE_1, ADVANCE_2,        ADVANCE_4,      UNDEFINED,
        SAME_VALUE, DEF_CFA,   DEF_CFA_REGISTER, DEF_CFA_OFFSET, REMEMBER_STATE};
    for (unsigned op = 0; op < ADVANCE; op++) {
        MAKE((u8)op, 0, 0, 0, 0, 0);
        bool is_known = memchr(known, (int)op, sizeof(known)) != NULL;
        assert_int_equal(find(CODE), is_known ? CFI_FOUND : CFI_UNKNOWN);
    }
}

static void behind_the_place_an_unknown_instruction_does_no_harm(void **state)
{
    (void)state;
    MAKE(ADVANCE | 8, DEF_CFA_EXPRESSION, 0);
    check_cfa(CODE + 7, CFI_RSP, 8);
    assert_int_equal(find(CODE + 8), CFI_UNKNOWN);
}

static void a_register_without_a_place_in_a_row_is_an_error(void **state)
{
    (void)state;
    MAKE(OFFSET | 17, 1);
    assert_int_equal(find(CODE), CFI_UNKNOWN);
    MAKE(RESTORE | 63);
    assert_int_equal(find(CODE), CFI_UNKNOWN);
    MAKE(UNDEFINED, 0xff, 0xff, 0xff, 0xff, 0x7f);
    assert_int_equal(find(CODE), CFI_UNKNOWN);
    MAKE(SAME_VALUE, 17);
    assert_int_equal(find(CODE), CFI_UNKNOWN);
    MAKE(DEF_CFA, 17, 8);
    assert_int_equal(find(CODE), CFI_UNKNOWN);
    MAKE(DEF_CFA_REGISTER, 0x87, 0x02); // 0x107
    assert_int_equal(find(CODE), CFI_UNKNOWN);
}

static void an_offset_beyond_31_bits_is_an_error(void **state)
{
    (void)state;
    MAKE(DEF_CFA_OFFSET, 0x80, 0x80, 0x80, 0x80, 0x08);
    assert_int_equal(find(CODE), CFI_UNKNOWN);
    MAKE(OFFSET | CFI_RBX, 0x80, 0x80, 0x80, 0x80, 0x02); // 2^29, by -8
    assert_int_equal(find(CODE), CFI_UNKNOWN);
    MAKE(OFFSET | CFI_RBX, 0x80, 0x80, 0x80, 0x80, 0x01);
    check_rule(CODE, CFI_RBX, CFI_AT, INT32_MIN);
}

static void an_interrupts_frame_is_told(void **state)
{
    (void)state;
    size = 0;
    size_t cie = begin_cie("zRS");
    BYTES(DEF_CFA, CFI_RSP, 40);
    end_record();
    begin_fde(cie, CODE, LENGTH);
    end_record();
    check_cfa(CODE, CFI_RSP, 40);
    assert_true(row.interrupted);
}

static void a_cie_of_another_form_is_an_error(void **state)
{
    (void)state;
    static const char *const letters[] = {"", "R", "zPR", "zRB", "zRSSSSS", "zRSSSSSSSSSSSSSSSSSS"};
    for (unsigned i = 0; i < ARRAY_SIZE(letters); i++) {
        size = 0;
        size_t cie = begin_cie(letters[i]);
        end_record();
        begin_fde(cie, CODE, LENGTH);
        end_record();
        assert_int_equal(find(CODE), CFI_UNKNOWN);
    }
    // The version, the return address's register, and the form of pointers.
    static const struct {
        u8 at, value;
    } changes[] = {{8, 3}, {14, 15}, {16, 0x03}};
    for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
        MAKE(NOP);
        assert_int_equal(find(CODE), CFI_FOUND);
        section[changes[i].at] = changes[i].value;
        assert_int_equal(find(CODE), CFI_UNKNOWN);
    }
}

static void one_that_cannot_be_read_does_not_hide_another(void **state)
{
    (void)state;
    MAKE(DEF_CFA_OFFSET, 24);
    size_t unknown = begin_cie("zPLR");
    end_record();
    begin_fde(unknown, CODE + 0x1000, LENGTH);
    end_record();
    begin_fde(0, CODE + 0x2000, LENGTH); // of the first CIE again
    BYTES(DEF_CFA_OFFSET, 32);
    end_record();
    check_cfa(CODE, CFI_RSP, 24);
    check_cfa(CODE + 0x2000, CFI_RSP, 32);
    assert_int_equal(find(CODE + 0x1000), CFI_UNKNOWN);
}

// ---- what is damaged ------------------------------------------------------------------------

static void a_section_that_is_cut_off_is_read_to_its_end(void **state)
{
    (void)state;
    MAKE(OFFSET | CFI_RBX, 2, ADVANCE_4, 8, 0, 0, 0, DEF_CFA, CFI_RBP, 0x80, 0x01);
    size_t all = size;
    assert_int_equal(find(CODE), CFI_FOUND);
    for (size = 0; size < all; size++)
        assert_int_not_equal(find(CODE), CFI_FOUND);
}

static void an_instruction_beyond_its_record_is_damage(void **state)
{
    (void)state;
    static const u8 programs[][4] = {
        {OFFSET | CFI_RBX, 0x80}, {ADVANCE_1},      {ADVANCE_2, 1},
        {ADVANCE_4, 1, 0, 0},     {UNDEFINED},      {SAME_VALUE},
        {DEF_CFA, CFI_RSP},       {DEF_CFA_OFFSET}, {DEF_CFA_REGISTER}};
    static const u8 lengths[] = {2, 1, 2, 4, 1, 1, 2, 1, 1};
    for (unsigned i = 0; i < ARRAY_SIZE(programs); i++) {
        make(programs[i], lengths[i]);
        assert_int_equal(find(CODE), CFI_DAMAGED);
        BYTES(0, 0, 0, 0, 0, 0, 0, 0); // also if bytes follow
        assert_int_equal(find(CODE), CFI_DAMAGED);
    }
}

static void a_number_without_end_is_damage(void **state)
{
    (void)state;
    MAKE(DEF_CFA_OFFSET, 0x88, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0);
    assert_int_equal(find(CODE), CFI_DAMAGED);
}

static void a_pointer_to_no_cie_is_damage(void **state)
{
    (void)state;
    MAKE(NOP);
    size_t pointer = record + 4;
    static const u32 wrong[] = {1, 4, 0x1000, 0x7fffffff, 0xffffffff};
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        memcpy(section + pointer, &wrong[i], 4);
        assert_int_equal(find(CODE), CFI_DAMAGED);
    }
}

static void a_record_of_no_length_is_the_end(void **state)
{
    (void)state;
    size = 0;
    u32_le(0);
    size_t cie = begin_cie("zR");
    end_record();
    begin_fde(cie, CODE, LENGTH);
    end_record();
    assert_int_equal(find(CODE), CFI_NO_ENTRY);
}

static u64 next_random(u64 *seed)
{
    *seed = *seed * 6364136223846793005 + 1442695040888963407;
    return *seed >> 33;
}

// The sanitizer ends this where anything outside is read; that it ends by itself is the rest.
static void bytes_at_random_do_no_harm(void **state)
{
    (void)state;
    u64 seed = 13;
    for (unsigned n = 0; n < 100000; n++) {
        MAKE(OFFSET | CFI_RBX, 2, ADVANCE | 4, REMEMBER_STATE, DEF_CFA, CFI_RBP, 0x80, 0x01,
             ADVANCE | 2, RESTORE_STATE, NOP, NOP);
        for (u64 changes = next_random(&seed) % 6; changes > 0; changes--)
            section[next_random(&seed) % size] = (u8)next_random(&seed);
        if (n % 4 == 0) {
            for (size = 0; size < 64; size++)
                section[size] = (u8)next_random(&seed);
        }
        enum cfi_status status = find(CODE + next_random(&seed) % 16);
        assert_true(status <= CFI_DAMAGED);
        assert_true(status != CFI_FOUND || row.cfa_register < CFI_REGISTERS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_cie_says_holds_in_all_of_a_function),
        cmocka_unit_test(an_advance_leaves_what_is_before_it_alone),
        cmocka_unit_test(the_cfa_has_a_register_and_an_offset),
        cmocka_unit_test(a_register_is_saved_lost_or_as_it_was),
        cmocka_unit_test(restore_gives_back_the_cies_rule),
        cmocka_unit_test(a_state_is_remembered_with_its_cfa),
        cmocka_unit_test(states_are_remembered_in_each_other),
        cmocka_unit_test(no_more_is_remembered_than_there_is_room_for),
        cmocka_unit_test(any_other_instruction_is_an_error),
        cmocka_unit_test(behind_the_place_an_unknown_instruction_does_no_harm),
        cmocka_unit_test(a_register_without_a_place_in_a_row_is_an_error),
        cmocka_unit_test(an_offset_beyond_31_bits_is_an_error),
        cmocka_unit_test(an_interrupts_frame_is_told),
        cmocka_unit_test(a_cie_of_another_form_is_an_error),
        cmocka_unit_test(one_that_cannot_be_read_does_not_hide_another),
        cmocka_unit_test(a_section_that_is_cut_off_is_read_to_its_end),
        cmocka_unit_test(an_instruction_beyond_its_record_is_damage),
        cmocka_unit_test(a_number_without_end_is_damage),
        cmocka_unit_test(a_pointer_to_no_cie_is_damage),
        cmocka_unit_test(a_record_of_no_length_is_the_end),
        cmocka_unit_test(bytes_at_random_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
