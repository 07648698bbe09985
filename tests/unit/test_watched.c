// SPDX-License-Identifier: MIT
// Pages whose writes are announced, with several vCPUs on their way over one: vm/watched.c on an
// EPT of a few pages.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "vm/watched.c"

#define PAGES 8

static struct vm vm;
static struct vcpu vcpu[3];
static u32 allowed[PAGES];
static unsigned crashes, before, after;

static unsigned number(gpa_t page)
{
    return (unsigned)(page.v / PAGE_SIZE);
}

bool ept_lookup(const struct ept *e, gpa_t gpa, hpa_t *hpa, u32 *permissions, u64 *page_size)
{
    (void)e;
    if (number(gpa) >= PAGES)
        return false;
    *hpa = HPA(gpa.v);
    *permissions = allowed[number(gpa)];
    *page_size = PAGE_SIZE;
    return true;
}

enum error guest_protect(struct guest *g, gpa_t page, u32 permissions)
{
    (void)g;
    if (number(page) >= PAGES)
        return ERR_NOT_FOUND;
    allowed[number(page)] = permissions;
    return OK;
}

bool ept_join(struct ept *e, gpa_t region)
{
    (void)e, (void)region;
    return false;
}

void guest_flush(const struct guest *g)
{
    (void)g;
}

void step_over(struct vcpu *v, enum step_over what)
{
    v->step.over |= (u8)what;
}

void vcpu_request(struct vcpu *v, u32 request)
{
    v->run.requests |= request;
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
    crashes = before = after = 0;
    vm.vcpus = ARRAY_SIZE(vcpu);
    for (unsigned i = 0; i < vm.vcpus; i++) {
        vcpu[i].guest = &vm.guest;
        vm.vcpu[i] = &vcpu[i];
    }
    for (unsigned i = 0; i < PAGES; i++)
        allowed[i] = EPT_RWX;
    vm_page_written = written;
    return 0;
}

static gpa_t page(unsigned n)
{
    return GPA(n * PAGE_SIZE);
}

static bool is_open(unsigned n)
{
    return allowed[n] == EPT_RWX;
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
}

static void a_page_is_noted_once(void **state)
{
    (void)state;
    watch_pages(1, 6, true);
    for (unsigned n = 0; n < 100; n++) { // however often it turns out to be closed
        assert_true(watched_write(&vcpu[0], page(1)));
        assert_true(is_open(1));
        allowed[1] = CLOSED;
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
    allowed[2] = CLOSED;
    assert_false(watched_write(&vcpu[0], page(2)));
    assert_false(watched_write(&vcpu[0], page(PAGES)));
    assert_int_equal(vm_protect_page(&vm, page(PAGES), true), ERR_NOT_FOUND);
    assert_int_equal(vm.watched_count, 0);
    assert_int_equal(before, 0);
}

static void a_watch_that_ends_during_a_step(void **state)
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

static void writes_that_we_carry_out(void **state)
{
    (void)state;
    static u8 ram[PAGES * PAGE_SIZE];
    vm.guest.memory = (struct guest_memory){
        .count = 1, .region = {{.start = GPA(0), .size = sizeof(ram), .host = ram}}};
    watch_pages(1, 1, true);
    assert_true(watched_write_ram(&vcpu[0], GPA(PAGE_SIZE + 5), "x", 1));
    assert_int_equal(ram[PAGE_SIZE + 5], 'x');
    assert_int_equal(before, 1);
    assert_int_equal(after, 1);
    assert_true(watched_write(&vcpu[1], page(1))); // open: nothing to announce
    assert_true(watched_write_ram(&vcpu[0], GPA(PAGE_SIZE + 6), "y", 1));
    assert_int_equal(before, 2);
    assert_int_equal(after, 1);
    assert_false(watched_write_ram(&vcpu[0], GPA(sizeof(ram)), "z", 1));
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_last_that_is_done_closes_it, setup),
        cmocka_unit_test_setup(a_page_is_noted_once, setup),
        cmocka_unit_test_setup(what_is_not_watched_is_not_touched, setup),
        cmocka_unit_test_setup(a_watch_that_ends_during_a_step, setup),
        cmocka_unit_test_setup(writes_that_we_carry_out, setup),
        cmocka_unit_test_setup(no_more_pages_than_there_is_room_for, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
