// SPDX-License-Identifier: MIT
// A VM's RAM as the hypervisor reaches it (x86/guest_memory.c), and that whoever wants to hear of
// writes hears of all that are not a vCPU's own: by the emulator and loaders, and of flags that a
// walk sets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vm/load_internal.h"
#include "x86/bits.h"
#include "x86/guest_memory.h"
#include "x86/walk.h"

#define LOW  (5 * MiB)
#define HIGH 0x100000000ul

static u8 *low, *high;
static struct guest_memory m;

// What was heard: as many writes, the last one, and the memory's byte there before it.
static unsigned begun, ended;
static gpa_t heard;
static u64 heard_len, longest;
static u8 before_it;

static void before(struct guest_watcher *w, gpa_t gpa, u64 len)
{
    assert_ptr_equal(w, m.watcher);
    assert_int_equal(begun, ended); // they do not nest
    begun++;
    heard = gpa;
    heard_len = len;
    longest = MAX(longest, len);
    before_it = *(const u8 *)guest_ptr(&m, gpa, 1);
}

static void after(struct guest_watcher *w, gpa_t gpa, u64 len)
{
    assert_ptr_equal(w, m.watcher);
    ended++;
    assert_int_equal(begun, ended);
    assert_int_equal(gpa.v, heard.v);
    assert_int_equal(len, heard_len);
}

static struct guest_watcher watcher = {before, after};

static int setup(void **state)
{
    (void)state;
    low = calloc(1, LOW);
    high = calloc(1, MiB);
    m = (struct guest_memory){
        .count = 2,
        .region = {{.start = GPA(0), .size = LOW, .host = low},
                   {.start = GPA(HIGH), .size = MiB, .host = high}},
        .watcher = &watcher,
    };
    begun = ended = 0;
    heard_len = longest = 0;
    return low == NULL || high == NULL;
}

static int teardown(void **state)
{
    (void)state;
    free(low);
    free(high);
    return 0;
}

static void what_is_not_all_ram_is_left_alone(void **state)
{
    (void)state;
    u8 two[2] = {1, 2};
    assert_int_equal(guest_write(&m, GPA(LOW - 1), two, 2), ERR_FAULT);
    assert_int_equal(guest_write(&m, GPA(HIGH - 1), two, 2), ERR_FAULT);
    assert_int_equal(guest_write(&m, GPA(UINT64_MAX), two, 2), ERR_FAULT);
    assert_int_equal(guest_write(&m, GPA(0), two, LOW + 1), ERR_FAULT);
    assert_int_equal(guest_clear(&m, GPA(LOW - 1), 2), ERR_FAULT);
    assert_int_equal(guest_read(&m, GPA(HIGH + MiB - 1), two, 2), ERR_FAULT);
    struct guest_write w;
    assert_null(guest_write_begin(&m, GPA(LOW - 1), 2, &w));
    assert_null(guest_ptr(&m, GPA(LOW), 1));
    assert_int_equal(low[LOW - 1], 0);
    assert_int_equal(begun, 0);
    assert_int_equal(guest_write(&m, GPA(LOW - 2), two, 2), OK);
    assert_int_equal(low[LOW - 1], 2);
    assert_int_equal(guest_write(&m, GPA(HIGH), two, 2), OK);
    assert_int_equal(guest_read(&m, GPA(HIGH + 1), two, 1), OK);
    assert_int_equal(two[0], 2);
}

static void a_write_is_heard_before_and_after(void **state)
{
    (void)state;
    low[0x1005] = 7;
    assert_int_equal(guest_write(&m, GPA(0x1005), "xyz", 3), OK);
    assert_int_equal(begun, 1);
    assert_int_equal(ended, 1);
    assert_int_equal(heard.v, 0x1005);
    assert_int_equal(heard_len, 3);
    assert_int_equal(before_it, 7);
    assert_memory_equal(low + 0x1005, "xyz", 3);
    assert_int_equal(guest_clear(&m, GPA(0x1006), 2), OK);
    assert_int_equal(ended, 2);
    assert_int_equal(before_it, 'y');
    assert_int_equal(low[0x1007], 0);
    // One in place, by whatever stores.
    struct guest_write w;
    u8 *p = guest_write_begin(&m, GPA(HIGH + 5), 1, &w);
    assert_ptr_equal(p, high + 5);
    assert_int_equal(begun, 3);
    assert_int_equal(ended, 2);
    *p = 9;
    guest_write_end(&w);
    assert_int_equal(ended, 3);
    // And without anybody who listens, or by who knows.
    *(u8 *)guest_ptr_untracked(&m, GPA(0), 1) = 1;
    m.watcher = NULL;
    assert_int_equal(guest_write(&m, GPA(0), "x", 1), OK);
    assert_int_equal(ended, 3);
    assert_int_equal(low[0], 'x');
}

static void a_watcher_is_not_kept_long(void **state)
{
    (void)state;
    u8 *all = malloc(LOW);
    assert_non_null(all);
    for (u64 i = 0; i < LOW; i++)
        all[i] = (u8)(1 + i % 251);
    assert_int_equal(guest_write(&m, GPA(0), all, LOW), OK);
    assert_memory_equal(low, all, LOW);
    assert_int_equal(ended, 3);
    assert_int_equal(longest, GUEST_WRITE_MOST);
    assert_int_equal(heard.v, 4 * MiB);
    assert_int_equal(heard_len, MiB);
    assert_int_equal(guest_clear(&m, GPA(1), LOW - 2), OK);
    assert_int_equal(ended, 6);
    assert_int_equal(low[0], all[0]);
    assert_int_equal(low[LOW - 1], all[LOW - 1]);
    memset(all, 0, LOW);
    assert_memory_equal(low + 1, all, LOW - 2);
    free(all);
}

static void flags_that_a_walk_sets_are_heard(void **state)
{
    (void)state;
    struct paging_state ps = {.cr0 = CR0_PE | CR0_PG,
                              .cr3 = 0x1000,
                              .cr4 = CR4_PAE,
                              .efer = EFER_LME | EFER_LMA,
                              .maxphyaddr = 40};
    struct walk_result r;
    put64(low + 0x1000, 0x2027); // accessed
    put64(low + 0x2000, 0x3027);
    put64(low + 0x3000, 0x4027);
    put64(low + 0x4008, 0x6007);
    assert_int_equal(guest_walk(&ps, &m, GVA(0x1000), WALK_READ, &r), OK);
    assert_int_equal(begun, 0);
    assert_int_equal(guest_walk(&ps, &m, GVA(0x1000), WALK_WRITE | WALK_SET_AD, &r), OK);
    assert_int_equal(ended, 1);
    assert_int_equal(heard.v, 0x4008);
    assert_int_equal(heard_len, 8);
    assert_int_equal(low[0x4008], 0x67);
    assert_int_equal(guest_write_linear(&ps, &m, GVA(0x1010), "x", 1, WALK_WRITE, NULL), OK);
    assert_int_equal(ended, 2);
    assert_int_equal(heard.v, 0x6010);
    // Outside long mode entries may have four bytes.
    ps = (struct paging_state){.cr0 = CR0_PE | CR0_PG, .cr3 = 0x8000, .maxphyaddr = 40};
    put64(low + 0x8000, 0x9007);
    put64(low + 0x9000, 0xa007);
    assert_int_equal(guest_walk(&ps, &m, GVA(0), WALK_READ | WALK_SET_AD, &r), OK);
    assert_int_equal(ended, 4);
    assert_int_equal(heard.v, 0x9000);
    assert_int_equal(heard_len, 4);
}

static void loaders_are_heard(void **state)
{
    (void)state;
    struct load_failure why;
    struct loader l = {.memory = &m, .why = &why};
    assert_int_equal(load_write(&l, 0x1000, "abc", 3), OK);
    assert_int_equal(ended, 1);
    assert_int_equal(load_clear(&l, 0x1001, 1), OK);
    assert_int_equal(ended, 2);
    assert_int_equal(heard.v, 0x1001);
    assert_memory_equal(low + 0x1000, "a\0c", 3);
    m.region[1].start = GPA(LOW); // one piece that lies in two
    assert_int_equal(load_write(&l, LOW - 1, "abc", 3), OK);
    assert_int_equal(ended, 4);
    assert_int_equal(low[LOW - 1], 'a');
    assert_memory_equal(high, "bc", 2);
    assert_int_equal(load_write(&l, LOW + MiB - 1, "abc", 3), ERR_FAULT);
    ended = begun = 2;
    l.memory = NULL; // only looks
    assert_int_equal(load_write(&l, 0x1000, "abc", 3), OK);
    assert_int_equal(ended, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_all_ram_is_left_alone),
        TEST(a_write_is_heard_before_and_after),
        TEST(a_watcher_is_not_kept_long),
        TEST(flags_that_a_walk_sets_are_heard),
        TEST(loaders_are_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
