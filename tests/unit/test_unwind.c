// SPDX-License-Identifier: MIT
// From a function's registers to its caller's: this program's own calls, the appliance's functions
// and its way into trap_dispatch(), and stacks that are destroyed.
#include <elf.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/unwind.h"

#define PLAIN __attribute__((noinline, no_sanitize("address", "undefined")))

// A file, and its .eh_frame.
struct program {
    u8 *file;
    struct cfi_section cfi;
};

static struct program own, appliance;

static u8 *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long size = ftell(f);
    assert_true(size > 0);
    u8 *data = malloc((size_t)size);
    assert_non_null(data);
    rewind(f);
    assert_int_equal(fread(data, 1, (size_t)size, f), size);
    assert_int_equal(fclose(f), 0);
    return data;
}

static const Elf64_Shdr *find_section(const u8 *file, const char *name)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(file + header->e_shoff);
    const char *names = (const char *)file + sections[header->e_shstrndx].sh_offset;
    for (unsigned i = 0; i < header->e_shnum; i++) {
        if (strcmp(names + sections[i].sh_name, name) == 0)
            return &sections[i];
    }
    fail_msg("no section %s", name);
    return NULL;
}

static void read_program(const char *path, u64 base, struct program *p)
{
    p->file = read_file(path);
    const Elf64_Shdr *s = find_section(p->file, ".eh_frame");
    p->cfi = (struct cfi_section){p->file + s->sh_offset, s->sh_size, base + s->sh_addr};
}

extern const Elf64_Ehdr __ehdr_start; // NOLINT(bugprone-reserved-identifier)

static int setup(void **state)
{
    (void)state;
    read_program("/proc/self/exe", (u64)&__ehdr_start, &own);
    read_program("build/vitrine.elf", 0, &appliance);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(own.file);
    free(appliance.file);
    return 0;
}

// ---- this program's calls -------------------------------------------------------------------

// Where each of the four functions below returns to, the innermost first.
static u64 returns[4];
static struct unwind_frame innermost;

PLAIN static enum error read_own(u64 address, u64 *value)
{
    *value = *(const u64 *)address;
    return OK;
}

PLAIN static void fourth(u64 *sum)
{
    returns[0] = (u64)__builtin_return_address(0);
    unwind_here(&innermost);
    *sum += 1;

    // The callers' frames are still there.
    struct unwind_frame f = innermost;
    for (unsigned i = 0; i < ARRAY_SIZE(returns); i++) {
        assert_int_equal(unwind(&own.cfi, &f, read_own), UNWIND_CALLER);
        if (i > 0) // the innermost's is the first
            assert_int_equal(f.registers[CFI_RIP], returns[i]);
        assert_false(f.exact);
    }
}

// With a frame whose size is not known when it is compiled, so that its CFA is relative to RBP.
PLAIN static u64 third(unsigned n)
{
    returns[1] = (u64)__builtin_return_address(0);
    u64 *room = __builtin_alloca(n * sizeof(u64));
    memset(room, 0, n * sizeof(u64));
    fourth(&room[n / 2]);
    return room[n / 2];
}

// With registers that a caller wants back.
PLAIN static u64 second(u64 a, u64 b, u64 c)
{
    returns[2] = (u64)__builtin_return_address(0);
    u64 kept[3] = {a * 3, b * 5, c * 7};
    __asm__ volatile("" ::: "rbx", "rbp", "r12", "r13", "r14", "r15");
    u64 n = third((unsigned)(kept[0] % 50 + 10));
    return n + kept[0] + kept[1] + kept[2];
}

PLAIN static u64 first(void)
{
    returns[3] = (u64)__builtin_return_address(0);
    return second(1, 2, 3) + 1;
}

static void own_calls_are_found_from_the_innermost_out(void **state)
{
    (void)state;
    assert_int_equal(first(), 1 + 3 + 10 + 21 + 1);
}

// ---- the appliance --------------------------------------------------------------------------

// The value of one of the appliance's symbols.
static u64 symbol(const char *wanted)
{
    const Elf64_Shdr *table = find_section(appliance.file, ".symtab");
    const char *names =
        (const char *)appliance.file + find_section(appliance.file, ".strtab")->sh_offset;
    const Elf64_Sym *symbols = (const Elf64_Sym *)(appliance.file + table->sh_offset);
    for (u64 i = 0; i < table->sh_size / sizeof(*symbols); i++) {
        if (strcmp(names + symbols[i].st_name, wanted) == 0)
            return symbols[i].st_value;
    }
    fail_msg("no symbol %s", wanted);
    return 0;
}

static void each_function_of_the_appliance_has_an_entry_that_is_known(void **state)
{
    (void)state;
    const Elf64_Shdr *table = find_section(appliance.file, ".symtab");
    const char *names =
        (const char *)appliance.file + find_section(appliance.file, ".strtab")->sh_offset;
    const Elf64_Sym *symbols = (const Elf64_Sym *)(appliance.file + table->sh_offset);
    unsigned count = 0;
    struct cfi_row row;
    for (u64 i = 0; i < table->sh_size / sizeof(*symbols); i++) {
        const Elf64_Sym *s = &symbols[i];
        if (ELF64_ST_TYPE(s->st_info) != STT_FUNC)
            continue;
        // At its last byte all instructions have been read.
        if (cfi_find(&appliance.cfi, s->st_value, &row) != CFI_FOUND ||
            cfi_find(&appliance.cfi, s->st_value + s->st_size - 1, &row) != CFI_FOUND)
            fail_msg("%s has none, or one that is not understood", names + s->st_name);
        assert_true(row.cfa_register == CFI_RSP || row.cfa_register == CFI_RBP);
        count++;
    }
    assert_true(count > 500);
}

static u64 stack[256];

// `stack` is at this address; nothing else can be read.
#define STACK 0xffffc00000008000

static enum error read_made(u64 address, u64 *value)
{
    if (address % 8 != 0 || address < STACK || address >= STACK + sizeof(stack))
        return ERR_FAULT;
    *value = stack[(address - STACK) / 8];
    return OK;
}

static struct unwind_frame frame_at(u64 rip, bool exact)
{
    return (struct unwind_frame){.registers = {[CFI_RIP] = rip, [CFI_RSP] = STACK},
                                 .known = BIT(CFI_RIP) | BIT(CFI_RSP),
                                 .exact = exact};
}

// The registers of who was interrupted, as vectors.S leaves them: struct trap_frame.
static void fill_trap_frame(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(stack); i++)
        stack[i] = 0x1000 + i;
    stack[20] = 0xffffc00000000ff0; // RSP, of another stack, further down
}

static void check_interrupted(const struct unwind_frame *f)
{
    // Error code, R15 to R8, RDI, RSI, RBP, RBX, RDX, RCX, RAX, vector, RIP, CS, RFLAGS, RSP, SS.
    static const u8 places[CFI_REGISTERS] = {
        [CFI_R15] = 1,  [CFI_R14] = 2,  [CFI_R13] = 3,  [CFI_R12] = 4,  [CFI_R11] = 5,
        [CFI_R10] = 6,  [CFI_R9] = 7,   [CFI_R8] = 8,   [CFI_RDI] = 9,  [CFI_RSI] = 10,
        [CFI_RBP] = 11, [CFI_RBX] = 12, [CFI_RDX] = 13, [CFI_RCX] = 14, [CFI_RAX] = 15,
        [CFI_RIP] = 17, [CFI_RSP] = 20};
    assert_int_equal(f->known, BIT(CFI_REGISTERS) - 1);
    assert_true(f->exact);
    for (unsigned i = 0; i < CFI_REGISTERS; i++)
        assert_int_equal(f->registers[i], stack[places[i]]);
}

static void behind_an_exceptions_frame_is_the_code_that_it_interrupted(void **state)
{
    (void)state;
    fill_trap_frame();
    u64 dispatch = symbol("dispatch");
    struct unwind_frame f = frame_at(dispatch, true);
    assert_int_equal(unwind(&appliance.cfi, &f, read_made), UNWIND_CALLER);
    check_interrupted(&f);

    // As seen from trap_dispatch(): CLD, two MOVs, AND and the CALL, which RBP is set before.
    f = frame_at(dispatch + 16, false);
    f.registers[CFI_RSP] -= 8;
    f.registers[CFI_RBP] = STACK;
    f.known |= BIT(CFI_RBP);
    assert_int_equal(unwind(&appliance.cfi, &f, read_made), UNWIND_CALLER);
    check_interrupted(&f);
}

static void at_a_vectors_first_instruction_nothing_is_saved_yet(void **state)
{
    (void)state;
    static const u8 vectors[] = {0, 2, 8, 14, 32, 255};
    u64 stubs = symbol("vector_stubs");
    for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
        fill_trap_frame();
        bool has_error_code = vectors[i] == 8 || vectors[i] == 14;
        stack[has_error_code ? 1 : 0] = 0xabcd; // RIP
        stack[has_error_code ? 4 : 3] = 0x5678; // RSP
        struct unwind_frame f = frame_at(stubs + 8 * vectors[i], true);
        assert_int_equal(unwind(&appliance.cfi, &f, read_made), UNWIND_CALLER);
        assert_true(f.exact);
        assert_int_equal(f.registers[CFI_RIP], 0xabcd);
        assert_int_equal(f.registers[CFI_RSP], 0x5678);
    }
}

static void the_main_loops_frame_is_the_same_throughout(void **state)
{
    (void)state;
    fill_trap_frame();
    static const char *const places[] = {"vmx_exit_entry", "prepared", "requested"};
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        struct unwind_frame f = frame_at(symbol(places[i]), true);
        assert_int_equal(unwind(&appliance.cfi, &f, read_made), UNWIND_CALLER);
        assert_int_equal(f.registers[CFI_RIP], stack[3]);
        assert_int_equal(f.registers[CFI_RBP], stack[2]);
        assert_int_equal(f.registers[CFI_RSP], STACK + 32);
        assert_int_equal(f.known & BIT(CFI_RBX), 0); // a guest's, or a vCPU's address
    }
}

static void where_a_core_begins_is_the_end(void **state)
{
    (void)state;
    static const char *const starts[] = {"entry64", "start_core64"};
    for (unsigned i = 0; i < ARRAY_SIZE(starts); i++) {
        struct unwind_frame f = frame_at(symbol(starts[i]), true);
        assert_int_equal(unwind(&appliance.cfi, &f, read_made), UNWIND_OUTERMOST);
        assert_null(unwind_status_text(UNWIND_OUTERMOST));
    }
}

// ---- stacks that are no more ----------------------------------------------------------------

static enum error read_nothing(u64 address, u64 *value)
{
    (void)address;
    (void)value;
    return ERR_FAULT;
}

static void each_end_has_its_reason(void **state)
{
    (void)state;
    struct unwind_frame f = frame_at(0x1234, true), before = f;
    assert_int_equal(unwind(&appliance.cfi, &f, read_made), UNWIND_NO_ENTRY);
    f = before = frame_at(symbol("panic"), true);
    assert_int_equal(unwind(&appliance.cfi, &f, read_nothing), UNWIND_STACK);
    assert_memory_equal(&f, &before, sizeof(f));
    stack[0] = 0;
    assert_int_equal(unwind(&appliance.cfi, &f, read_made), UNWIND_OUTERMOST);
    stack[0] = 0x4321;
    f.registers[CFI_RSP] = STACK - 8;
    assert_int_equal(unwind(&appliance.cfi, &f, read_made), UNWIND_STACK);
    f = before;
    assert_int_equal(unwind(&appliance.cfi, &f, read_made), UNWIND_CALLER);
    assert_int_equal(f.registers[CFI_RIP], 0x4321);
    assert_int_equal(f.registers[CFI_RSP], STACK + 8);

    // RBP is not known where it is the frame's address.
    f = frame_at(symbol("dispatch") + 16, false);
    assert_int_equal(unwind(&appliance.cfi, &f, read_made), UNWIND_LOST);
    for (unsigned status = UNWIND_NO_ENTRY; status <= UNWIND_STACK; status++)
        assert_non_null(unwind_status_text(status));
}

// Return addresses that are functions of the appliance, each time others.
static void a_stack_of_garbage_comes_to_an_end(void **state)
{
    (void)state;
    u64 start = symbol("panic"), seed = 5;
    unsigned longest = 0;
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < ARRAY_SIZE(stack); i++) {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            stack[i] = seed >> 60 == 0 ? seed : start - 0x1000 + (seed >> 33) % 0x2000;
        }
        struct unwind_frame f = frame_at(start, true);
        unsigned n = 0;
        while (n < 1000 && unwind(&appliance.cfi, &f, read_made) == UNWIND_CALLER)
            n++;
        assert_true(n < ARRAY_SIZE(stack)); // each goes up by a word at least
        longest = MAX(longest, n);
    }
    assert_true(longest > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_calls_are_found_from_the_innermost_out),
        cmocka_unit_test(each_function_of_the_appliance_has_an_entry_that_is_known),
        cmocka_unit_test(behind_an_exceptions_frame_is_the_code_that_it_interrupted),
        cmocka_unit_test(at_a_vectors_first_instruction_nothing_is_saved_yet),
        cmocka_unit_test(the_main_loops_frame_is_the_same_throughout),
        cmocka_unit_test(where_a_core_begins_is_the_end),
        cmocka_unit_test(each_end_has_its_reason),
        cmocka_unit_test(a_stack_of_garbage_comes_to_an_end),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
