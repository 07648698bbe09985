// SPDX-License-Identifier: MIT
// Pages whose writes are announced, with several vCPUs on their way over one: vm/watched.c on a
// space of a few pages.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/prctl.h>

#include <cmocka.h>

#include "boot/memory.h"
#include "boot/paging.h"
#include "vm/watched.c"

#define PAGES 8

static struct vm vm;
static struct vcpu vcpu[3];
static struct core core; // the one that all run on
static u8 ram[PAGES * PAGE_SIZE] ALIGNED(PAGE_SIZE);
static unsigned crashes, before, after, flushes, pages_left;
u64 boot_load_offset;

static unsigned number(gpa_t page)
{
    return (unsigned)(page.v / PAGE_SIZE);
}

hpa_t page_alloc(void)
{
    void *page = pages_left > 0 ? aligned_alloc(PAGE_SIZE, PAGE_SIZE) : NULL;
    if (page == NULL)
        return HPA(0);
    pages_left--;
    memset(page, 0, PAGE_SIZE);
    return virt_to_phys(page);
}

void page_free(hpa_t page)
{
    pages_left++;
    free(phys_to_virt(page));
}

void flush_ept(const struct ept_space *s)
{
    assert_ptr_equal(s, &vm.guest.ept);
    flushes++;
}

void guest_request_flush(const struct guest *g, const struct vcpu *but)
{
    for (unsigned i = 0; i < vm.vcpus; i++) {
        if (g->vcpu[i] != but)
            g->vcpu[i]->run.requests |= REQUEST_FLUSH;
    }
}

void step_over(struct vcpu *v, enum step_over what)
{
    v->step.over |= (u8)what;
}

void vcpu_crash(struct vcpu *v, const char *fmt, ...)
{
    (void)v, (void)fmt;
    crashes++;
}

static void written(struct vm *of, gpa_t page, bool is_before)
{
    assert_ptr_equal(of, &vm);
    assert_true(number(page) < PAGES);
    *(is_before ? &before : &after) += 1;
}

static int setup(void **state)
{
    (void)state;
    memset(&vm, 0, sizeof(vm));
    memset(vcpu, 0, sizeof(vcpu));
    memset(ram, 0, sizeof(ram));
    crashes = before = after = flushes = 0;
    pages_left = 100;
    vm.vcpus = ARRAY_SIZE(vcpu);
    vm.guest.vcpu = vm.vcpu;
    for (unsigned i = 0; i < vm.vcpus; i++) {
        vcpu[i].guest = &vm.guest;
        vcpu[i].core = &core;
        vm.vcpu[i] = &vcpu[i];
    }
    vm.guest.memory = (struct guest_memory){
        .count = 1, .region = {{.start = GPA(0), .size = sizeof(ram), .host = ram}}};
    vm_page_written = written;
    return ept_init(&vm.guest.ept, (struct ept_features){0}) != OK ||
           ept_map(&vm.guest.ept, GPA(0), virt_to_phys(ram), sizeof(ram), EPT_RWX) != OK;
}

static int teardown(void **state)
{
    (void)state;
    ept_view_remove(&vm.guest.ept, 0);
    assert_int_equal(pages_left, 100);
    return 0;
}

static gpa_t page(unsigned n)
{
    return GPA(n * PAGE_SIZE);
}

static bool is_open(unsigned n)
{
    hpa_t hpa;
    u32 permissions;
    u64 size;
    assert_true(ept_lookup(&vm.guest.ept, 0, page(n), &hpa, &permissions, &size));
    assert_true(permissions == EPT_RWX || permissions == (EPT_READ | EPT_EXECUTE));
    return permissions == EPT_RWX;
}

static void watch_pages(unsigned from, unsigned to, bool on)
{
    for (unsigned n = from; n <= to; n++)
        assert_int_equal(vm_protect_page(&vm, page(n), on), OK);
}

static void the_last_that_is_done_closes_it(void **state)
{
    (void)state;
    watch_pages(1, 1, true);
    assert_false(is_open(1));
    assert_true(watched_write(&vcpu[0], GPA(PAGE_SIZE + 8)));
    assert_true(is_open(1));
    assert_true(vcpu[0].step.over & STEP_OVER_PAGE);
    // Another has found it closed, and comes when it is open.
    assert_true(watched_write(&vcpu[1], page(1)));
    assert_int_equal(before, 1);
    watched_stepped(&vcpu[0]);
    assert_true(is_open(1));
    assert_int_equal(after, 0);
    watched_stepped(&vcpu[1]);
    assert_false(is_open(1));
    assert_int_equal(after, 1);
    for (unsigned i = 0; i < vm.vcpus; i++)
        assert_true(vcpu[i].run.requests & REQUEST_FLUSH);
    assert_true(watched_write(&vcpu[2], page(1))); // and the next finds it closed
    assert_true(is_open(1));
    assert_int_equal(before, 2);
}

static void a_page_is_noted_once(void **state)
{
    (void)state;
    watch_pages(1, 6, true);
    for (unsigned n = 0; n < 100; n++) { // however often it turns out to be closed
        assert_true(watched_write(&vcpu[0], page(1)));
        assert_true(is_open(1));
        watch_pages(1, 1, false);
        watch_pages(1, 1, true);
    }
    assert_int_equal(vcpu[0].step.pages, 1);
    for (unsigned n = 2; n <= STEP_PAGES; n++)
        assert_true(watched_write(&vcpu[0], page(n)));
    assert_int_equal(crashes, 0);
    assert_true(watched_write(&vcpu[0], page(6))); // more than an instruction can
    assert_int_equal(crashes, 1);
    assert_false(is_open(6));
}

static void what_is_not_watched_is_not_touched(void **state)
{
    (void)state;
    assert_true(watched_write(&vcpu[0], page(2))); // a stale mapping
    assert_int_equal(vcpu[0].step.over, 0);
    assert_int_equal(flushes, 1);
    struct ept_restriction *other;
    assert_int_equal(
        ept_restrict(&vm.guest.ept, page(2), page(2), EPT_ALL_VIEWS, EPT_WRITE, &other), OK);
    assert_false(watched_write(&vcpu[0], page(2)));
    assert_false(watched_write(&vcpu[0], page(PAGES)));
    assert_int_equal(vm_protect_page(&vm, page(PAGES), true), ERR_NOT_FOUND);
    assert_int_equal(vm.watched_count, 0);
    assert_int_equal(before, 0);
}

static void a_watch_may_end_during_a_step(void **state)
{
    (void)state;
    watch_pages(1, 2, true);
    assert_true(watched_write(&vcpu[0], page(1)));
    watch_pages(1, 1, false);
    watched_stepped(&vcpu[0]);
    assert_true(is_open(1)); // and stays so
    assert_int_equal(after, 0);
    // Watched again while one is on its way over it: it opens the page once more.
    assert_true(watched_write(&vcpu[0], page(2)));
    watch_pages(2, 2, false);
    watch_pages(2, 2, true);
    assert_false(is_open(2));
    assert_true(watched_write(&vcpu[0], page(2)));
    assert_true(is_open(2));
    watched_stepped(&vcpu[0]);
    assert_false(is_open(2));
    // One that is reset holds nothing open.
    assert_true(watched_write(&vcpu[0], page(2)));
    assert_true(watched_write(&vcpu[1], page(2)));
    watched_forget(&vcpu[0]);
    watched_stepped(&vcpu[1]);
    assert_false(is_open(2));
}

static void writes_that_we_carry_out_are_announced(void **state)
{
    (void)state;
    watch_pages(1, 1, true);
    const struct guest_memory *m = &vm.guest.memory;
    assert_int_equal(guest_write(m, GPA(PAGE_SIZE + 5), "x", 1), OK);
    assert_int_equal(ram[PAGE_SIZE + 5], 'x');
    assert_int_equal(before, 1);
    assert_int_equal(after, 1);
    assert_true(watched_write(&vcpu[1], page(1))); // open: nothing to announce
    assert_int_equal(guest_write(m, GPA(PAGE_SIZE + 6), "y", 1), OK);
    assert_int_equal(before, 2);
    assert_int_equal(after, 1);
    assert_int_equal(guest_write(m, GPA(sizeof(ram)), "z", 1), ERR_FAULT);
    watched_stepped(&vcpu[1]);
    assert_int_equal(after, 2);
    // Of a range that reaches into several, each that is watched.
    watch_pages(3, 4, true);
    before = after = 0;
    assert_int_equal(guest_clear(m, GPA(2 * PAGE_SIZE), 2 * PAGE_SIZE), OK);
    assert_int_equal(before, 1);
    assert_int_equal(guest_clear(m, GPA(4 * PAGE_SIZE - 1), 2), OK);
    assert_int_equal(before, 3);
    assert_int_equal(guest_clear(m, GPA(5 * PAGE_SIZE), PAGE_SIZE), OK);
    assert_int_equal(guest_clear(m, GPA(0), PAGE_SIZE), OK);
    assert_int_equal(before, 3);
    assert_int_equal(after, 3);
    watch_pages(1, 1, false);
    assert_non_null(m->watcher);
    watch_pages(3, 4, false);
    assert_null(m->watcher); // nobody wants to hear any more
}

static void what_another_withholds_stays_withheld(void **state)
{
    (void)state;
    struct ept_restriction *other;
    watch_pages(1, 1, true);
    assert_int_equal(
        ept_restrict(&vm.guest.ept, page(1), page(1), EPT_ALL_VIEWS, EPT_WRITE, &other), OK);
    assert_true(watched_write(&vcpu[0], page(1)));
    assert_false(is_open(1));
    watched_stepped(&vcpu[0]);
    ept_unrestrict(&vm.guest.ept, other);
    assert_false(is_open(1));
    watch_pages(1, 1, false);
    assert_true(is_open(1));
}

static void a_page_that_cannot_be_closed_stays_open(void **state)
{
    (void)state;
    static struct ept_restriction *others[EPT_RESTRICTIONS];
    for (unsigned i = 0; i < EPT_RESTRICTIONS; i++)
        assert_int_equal(
            ept_restrict(&vm.guest.ept, page(7), page(7), EPT_ALL_VIEWS, EPT_WRITE, &others[i]),
            OK);
    assert_int_equal(vm_protect_page(&vm, page(1), true), ERR_NO_MEMORY);
    assert_true(is_open(1));
    // What vCPUs do not make themselves is announced.
    assert_int_equal(guest_write(&vm.guest.memory, page(1), "x", 1), OK);
    assert_int_equal(before, 1);
    assert_int_equal(after, 1);
    assert_int_equal(vm_protect_page(&vm, page(1), false), OK);
    assert_int_equal(vm.watched_count, 0);
    assert_false(is_open(7));
}

static void no_more_pages_than_there_is_room_for(void **state)
{
    (void)state;
    vm.watched_count = VM_WATCHED_PAGES;
    assert_int_equal(vm_protect_page(&vm, page(1), true), ERR_NO_MEMORY);
    assert_true(is_open(1));
}

int main(void)
{
    // What this_core() looks at; nothing else in a program of this host does.
    core.self = &core;
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, &core) != 0)
        return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_last_that_is_done_closes_it),         TEST(a_page_is_noted_once),
        TEST(what_is_not_watched_is_not_touched),      TEST(a_watch_may_end_during_a_step),
        TEST(writes_that_we_carry_out_are_announced),  TEST(what_another_withholds_stays_withheld),
        TEST(a_page_that_cannot_be_closed_stays_open), TEST(no_more_pages_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
