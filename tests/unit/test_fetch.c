// SPDX-License-Identifier: MIT
// Fetching a guest's instruction: the cache gives what memory holds now, or nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "assembly.h"
#include "x86/fetch.h"

#define P  1ull
#define RW 2ull

// Tables at 0x1000..0x4fff, code in pages 5 and 6, for linear 0x400000..0x401fff.
static u8 ram[0x8000] ALIGNED(4096);
static const struct guest_memory mem = {.region = {{{0}, sizeof(ram), ram}}, .count = 1};
static struct paging_state ps;
static struct fetch_cache cache;
static const struct instruction *i;

static u64 *entry(u64 gpa)
{
    return (u64 *)(void *)(ram + gpa);
}

static int map(void **state)
{
    (void)state;
    memset(ram, 0, sizeof(ram));
    memset(&cache, 0, sizeof(cache));
    ps = (struct paging_state){
        .cr0 = BIT(31), .cr3 = 0x1000, .cr4 = BIT(5), .efer = BIT(10), .maxphyaddr = 46};
    *entry(0x1000) = 0x2000 | P | RW;
    *entry(0x2000) = 0x3000 | P | RW;
    *entry(0x3010) = 0x4000 | P | RW;
    *entry(0x4000) = 0x5000 | P;
    *entry(0x4008) = 0x6000 | P;
    return 0;
}

static void put(u64 gpa, struct code c)
{
    memcpy(ram + gpa, c.bytes, c.length);
}

#define PUT(gpa, text) put(gpa, ASM(CODE_64, text))
#define NO_INSTRUCTION ".byte 0x0f, 0x04"

static enum error fetch(u64 linear)
{
    i = NULL;
    return fetch_instruction(&cache, &ps, &mem, GVA(linear), CODE_64, &i);
}

static bool cached(u64 linear)
{
    return fetch_cached(&cache, GVA(linear), ps.cr3, CODE_64) != NULL;
}

static void a_hit_needs_the_same_bytes_and_entries(void **state)
{
    (void)state;
    PUT(0x5123, "mov rax, [rbx + 0x04030201]; nop");
    assert_false(cached(0x400123));
    assert_int_equal(fetch(0x400123), OK);
    assert_int_equal(i->length, 7);
    assert_ptr_equal(fetch_cached(&cache, GVA(0x400123), ps.cr3, CODE_64), i);
    // Another address space, address or kind of code is another instruction.
    assert_null(fetch_cached(&cache, GVA(0x400123), ps.cr3 + 1, CODE_64));
    assert_null(fetch_cached(&cache, GVA(0x400123), ps.cr3, CODE_32));
    assert_null(fetch_cached(&cache, GVA(0x400124), ps.cr3, CODE_64));
    // Every byte of it counts, and none behind it.
    for (unsigned n = 0; n < 12; n++) {
        ram[0x5123 + n] ^= 0x10;
        assert_int_equal(cached(0x400123), n >= 7);
        ram[0x5123 + n] ^= 0x10;
    }
    // So does every entry on the way.
    static const u64 entries[] = {0x1000, 0x2000, 0x3010, 0x4000};
    for (unsigned n = 0; n < ARRAY_SIZE(entries); n++) {
        *entry(entries[n]) ^= 0x1000;
        assert_false(cached(0x400123));
        *entry(entries[n]) ^= 0x1000;
        assert_true(cached(0x400123));
    }
    // A place taken by another instruction.
    for (u64 linear = 0x400200; linear < 0x400300; linear++)
        assert_int_equal(fetch(linear), OK);
    assert_false(cached(0x400123));
}

static void every_byte_of_a_long_instruction_counts(void **state)
{
    (void)state;
#define LONG "mov qword ptr [rbx + rcx*4 + 0x04030201], 0x08070605"
    PUT(0x5040, LONG);
    PUT(0x5060, ".byte 0x66, 0x66, 0x66; " LONG);
    assert_int_equal(fetch(0x400040), OK);
    assert_int_equal(i->length, 12);
    assert_true(cached(0x400040));
    ram[0x504b]++;
    assert_false(cached(0x400040));
    assert_int_equal(fetch(0x400060), OK);
    assert_int_equal(i->length, 15);
    assert_true(cached(0x400060));
    ram[0x506f]++;
    assert_true(cached(0x400060));
    ram[0x506e]++;
    assert_false(cached(0x400060));
}

static void an_instruction_across_pages_is_not_cached(void **state)
{
    (void)state;
    PUT(0x5ffd, "mov rax, [rbx + 0x04030201]"); // its pages are neighbours in RAM, too
    PUT(0x5ff1, "mov eax, [rbx]");
    assert_int_equal(fetch(0x400ffd), OK); // the halves are found, and nothing is kept
    assert_int_equal(i->length, 7);
    assert_int_equal(i->memory.displacement, 0x04030201);
    assert_false(cached(0x400ffd));
    assert_int_equal(fetch(0x400ff1), OK);
    assert_int_equal(i->length, 2);
    *entry(0x4008) = 0; // the second page is only needed by the first of them
    assert_int_equal(fetch(0x400ff1), OK);
    assert_int_equal(fetch(0x400ffd), ERR_BUSY);
    *entry(0x4000) = 0;
    assert_int_equal(fetch(0x400ff1), ERR_BUSY);
    *entry(0x4000) = 0x90000 | P; // not RAM
    assert_int_equal(fetch(0x400ff1), ERR_BUSY);
}

static void what_cannot_be_decoded_is_not_cached(void **state)
{
    (void)state;
    memset(ram + 0x5000, 0x66, 20);
    PUT(0x5100, NO_INSTRUCTION);
    assert_int_equal(fetch(0x400000), ERR_FORMAT);
    assert_int_equal(fetch(0x400100), ERR_INVALID);
    assert_false(cached(0x400000));
    assert_false(cached(0x400100));
    // A failure leaves nothing of what was in its place.
    PUT(0x5100, "mov eax, [rbx]");
    assert_int_equal(fetch(0x400100), OK);
    PUT(0x5100, NO_INSTRUCTION);
    assert_int_equal(fetch(0x400100), ERR_INVALID);
    PUT(0x5100, "mov eax, [rbx]");
    assert_false(cached(0x400100));
}

// An instruction is kept together with the cluster that it begins, and both are as memory has them.
static void a_cluster_is_cached_with_its_instruction(void **state)
{
    (void)state;
    PUT(0x5100, "mov [rax], esi; mov eax, [rax + 0x10]; nop");
    assert_int_equal(fetch(0x400100), OK);
    i = fetch_cached(&cache, GVA(0x400100), ps.cr3, CODE_64);
    assert_int_equal(i->length, 2);
    assert_int_equal(fetch_cluster(i)->access, CLUSTER_LOAD);
    for (unsigned n = 0; n < 6; n++) {
        ram[0x5100 + n] ^= 0x10;
        assert_int_equal(cached(0x400100), n >= 5);
        ram[0x5100 + n] ^= 0x10;
    }
    ram[0x5102] = 0xcc; // a breakpoint between them
    assert_int_equal(fetch(0x400100), OK);
    i = fetch_cached(&cache, GVA(0x400100), ps.cr3, CODE_64);
    assert_int_equal(fetch_cluster(i)->access, CLUSTER_NONE);
    // All 16 bytes. as would write the MOV of an immediate value in 5 bytes.
#define FIRST_12 "mov [rax + 0x100], esi; .byte 0xc7, 0xc2; .long 0x04030201; "
    PUT(0x5100, FIRST_12 "nop; mov [rax + 0x10], edx");
    assert_int_equal(fetch(0x400100), OK);
    assert_int_equal(fetch_cluster(fetch_cached(&cache, GVA(0x400100), ps.cr3, CODE_64))->access,
                     CLUSTER_NONE); // a NOP is between
    PUT(0x5100, FIRST_12 "rex; mov [rax + 0x10], edx");
    assert_int_equal(fetch(0x400100), OK);
    assert_int_equal(fetch_cluster(fetch_cached(&cache, GVA(0x400100), ps.cr3, CODE_64))->access,
                     CLUSTER_STORE);
    ram[0x510f] ^= 1;
    assert_false(cached(0x400100));
}

static void without_paging_nothing_is_cached(void **state)
{
    (void)state;
    ps = (struct paging_state){.cr0 = 1};
    put(0x5100, ASM(CODE_16, "mov ax, [bp + di]"));
    assert_int_equal(fetch_instruction(&cache, &ps, &mem, GVA(0x5100), CODE_16, &i), OK);
    assert_int_equal(i->operand_size, 2);
    assert_null(fetch_cached(&cache, GVA(0x5100), 0, CODE_16));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_hit_needs_the_same_bytes_and_entries, map),
        cmocka_unit_test_setup(every_byte_of_a_long_instruction_counts, map),
        cmocka_unit_test_setup(an_instruction_across_pages_is_not_cached, map),
        cmocka_unit_test_setup(what_cannot_be_decoded_is_not_cached, map),
        cmocka_unit_test_setup(a_cluster_is_cached_with_its_instruction, map),
        cmocka_unit_test_setup(without_paging_nothing_is_cached, map),
    };
    return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
