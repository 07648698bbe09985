// SPDX-License-Identifier: MIT
// A VM's guest-physical memory (src/ept): what pages have when several withhold something, pages
// that are split and joined, and memory for tables, which may run out anywhere.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/memory.h"
#include "boot/paging.h"
#include "ept/ept.h"

#define RX (EPT_READ | EPT_EXECUTE)
#define RW (EPT_READ | EPT_WRITE)

u64 boot_load_offset;

static unsigned pages, pages_left; // in use; that can be had
static struct ept_space s;
static const struct ept_features all = {.pages_2m = true, .pages_1g = true, .execute_only = true};

hpa_t page_alloc(void)
{
    if (pages_left == 0)
        return HPA(0);
    pages_left--;
    pages++;
    void *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
    memset(page, 0, PAGE_SIZE);
    return virt_to_phys(page);
}

void page_free(hpa_t page)
{
    assert_true(pages > 0);
    pages--;
    pages_left++;
    free(phys_to_virt(page));
}

// Everything is given back: the sanitizer sees what is not.
static void drop(void)
{
    s.restrictions = 0;
    for (unsigned n = 0; n < EPT_VIEWS; n++) {
        if (s.root[n] != NULL)
            ept_view_remove(&s, n);
    }
    assert_int_equal(pages, 0);
}

static int teardown(void **state)
{
    (void)state;
    drop();
    return 0;
}

static void begin(struct ept_features features)
{
    pages_left = 1000;
    assert_int_equal(ept_init(&s, features), OK);
}

// 4 GiB of RAM, and one page that is none.
static void begin_with_memory(struct ept_features features)
{
    begin(features);
    assert_int_equal(ept_map(&s, GPA(0), HPA(8 * GiB), 3 * GiB, EPT_RWX), OK);
    assert_int_equal(ept_map(&s, GPA(4 * GiB), HPA(GiB), GiB, EPT_RWX), OK);
    assert_int_equal(ept_map(&s, GPA(0xfee00000), HPA(0x1000), PAGE_SIZE, RW), OK);
}

static u32 permissions(unsigned view, u64 gpa)
{
    hpa_t hpa;
    u32 p;
    u64 size;
    assert_true(ept_lookup(&s, view, GPA(gpa), &hpa, &p, &size));
    return p;
}

static u64 page_size(unsigned view, u64 gpa)
{
    hpa_t hpa;
    u32 p;
    u64 size;
    assert_true(ept_lookup(&s, view, GPA(gpa), &hpa, &p, &size));
    return size;
}

static u64 host(unsigned view, u64 gpa)
{
    hpa_t hpa;
    u32 p;
    u64 size;
    assert_true(ept_lookup(&s, view, GPA(gpa), &hpa, &p, &size));
    return hpa.v;
}

static struct ept_restriction *restricted(u64 first, u64 last, u32 views, u32 withheld)
{
    struct ept_restriction *r = NULL;
    assert_int_equal(ept_restrict(&s, GPA(first), GPA(last), views, withheld, &r), OK);
    assert_non_null(r);
    return r;
}

static void memory_is_mapped_by_the_largest_pages(void **state)
{
    (void)state;
    begin_with_memory(all);
    assert_int_equal(page_size(0, 0), GiB);
    assert_int_equal(page_size(0, 5 * GiB - 1), GiB);
    assert_int_equal(page_size(0, 0xfee00fff), PAGE_SIZE);
    assert_int_equal(host(0, 0x12345678), 8 * GiB + 0x12345678);
    assert_int_equal(host(0, 4 * GiB + 5), GiB + 5);
    assert_int_equal(host(0, 0xfee00030), 0x1030);
    assert_int_equal(permissions(0, 0xfee00000), RW);
    hpa_t hpa;
    u32 p;
    u64 size;
    assert_false(ept_lookup(&s, 0, GPA(3 * GiB), &hpa, &p, &size));
    assert_false(ept_lookup(&s, 0, GPA(0xfee01000), &hpa, &p, &size));
    assert_int_equal(ept_pointer(&s, 0) & 0xfff, 6 | 3 << 3);
    assert_int_equal(ept_pointer(&s, 1), 0);
    drop();
    begin_with_memory((struct ept_features){.pages_2m = true});
    assert_int_equal(page_size(0, 0), 2 * MiB);
    drop();
    begin((struct ept_features){.pages_1g = true}); // no use without smaller ones to split it into
    assert_int_equal(ept_map(&s, GPA(0), HPA(0), GiB, EPT_RWX), OK);
    assert_int_equal(page_size(0, 2 * MiB), PAGE_SIZE);
    drop();
    // Host memory that does not lie as the guest's does; regions that end anywhere.
    begin(all);
    assert_int_equal(ept_map(&s, GPA(0), HPA(GiB + PAGE_SIZE), 2 * MiB, EPT_RWX), OK);
    assert_int_equal(ept_map(&s, GPA(2 * MiB), HPA(2 * GiB), 2 * MiB + PAGE_SIZE, EPT_RWX), OK);
    assert_int_equal(page_size(0, 0), PAGE_SIZE);
    assert_int_equal(page_size(0, 2 * MiB), 2 * MiB);
    assert_int_equal(page_size(0, 4 * MiB), PAGE_SIZE);
    assert_int_equal(host(0, 2 * MiB - 1), GiB + PAGE_SIZE + 2 * MiB - 1);
}

static void what_cannot_be_mapped_is_refused(void **state)
{
    (void)state;
    begin_with_memory(all);
    unsigned before = pages;
    assert_int_equal(ept_map(&s, GPA(8 * GiB + 1), HPA(0), PAGE_SIZE, EPT_RWX), ERR_INVALID);
    assert_int_equal(ept_map(&s, GPA(8 * GiB), HPA(1), PAGE_SIZE, EPT_RWX), ERR_INVALID);
    assert_int_equal(ept_map(&s, GPA(8 * GiB), HPA(0), 1, EPT_RWX), ERR_INVALID);
    assert_int_equal(ept_map(&s, GPA(8 * GiB), HPA(0), 0, EPT_RWX), ERR_INVALID);
    assert_int_equal(ept_map(&s, GPA(BIT(48) - GiB), HPA(0), 2 * GiB, EPT_RWX), ERR_INVALID);
    assert_int_equal(ept_map(&s, GPA(0 - PAGE_SIZE), HPA(0), PAGE_SIZE, EPT_RWX), ERR_INVALID);
    assert_int_equal(ept_map(&s, GPA(0 - PAGE_SIZE), HPA(0), GiB, EPT_RWX), ERR_INVALID);
    assert_int_equal(ept_map(&s, GPA(5 * GiB - PAGE_SIZE), HPA(0), GiB, EPT_RWX), ERR_INVALID);
    for (u64 n = 3; n < EPT_REGIONS; n++)
        assert_int_equal(ept_map(&s, GPA(n * 8 * GiB), HPA(0), GiB, EPT_RWX), OK);
    assert_int_equal(ept_map(&s, GPA(80 * GiB), HPA(0), GiB, EPT_RWX), ERR_NO_MEMORY);
    assert_int_equal(pages, before);
}

static void a_page_is_split_from_its_neighbours_and_joined_again(void **state)
{
    (void)state;
    begin_with_memory(all);
    unsigned before = pages;
    u64 page = GiB + 5 * MiB;
    struct ept_restriction *r = restricted(page + 8, page + 9, EPT_ALL_VIEWS, EPT_WRITE);
    assert_int_equal(permissions(0, page), RX);
    assert_int_equal(permissions(0, page + 0xfff), RX);
    assert_int_equal(page_size(0, page), PAGE_SIZE);
    assert_int_equal(host(0, page + 3), 8 * GiB + page + 3);
    for (unsigned n = 0; n < 2; n++) {
        u64 neighbour = n == 0 ? page - PAGE_SIZE : page + PAGE_SIZE;
        assert_int_equal(permissions(0, neighbour), EPT_RWX);
        assert_int_equal(host(0, neighbour), 8 * GiB + neighbour);
    }
    assert_int_equal(page_size(0, GiB), 2 * MiB);
    assert_int_equal(host(0, 2 * GiB - 1), 10 * GiB - 1);
    assert_int_equal(page_size(0, 0), GiB);
    assert_int_equal(pages, before + 2);
    ept_unrestrict(&s, r);
    assert_int_equal(permissions(0, page), EPT_RWX);
    assert_int_equal(page_size(0, page), GiB);
    assert_int_equal(host(0, page), 8 * GiB + page);
    assert_int_equal(pages, before);
}

static void joins_what_it_would_map_so(void **state)
{
    (void)state;
    begin_with_memory((struct ept_features){.pages_2m = true});
    ept_unrestrict(&s, restricted(0x5000, 0x5fff, EPT_ALL_VIEWS, EPT_WRITE));
    assert_int_equal(page_size(0, 0x5000), 2 * MiB);
    drop();
    begin((struct ept_features){0});
    assert_int_equal(ept_map(&s, GPA(0), HPA(0), 4 * MiB, EPT_RWX), OK);
    ept_unrestrict(&s, restricted(0x5000, 0x5fff, EPT_ALL_VIEWS, EPT_WRITE));
    assert_int_equal(page_size(0, 0x5000), PAGE_SIZE);
    drop();
    // Not where the host's memory lies otherwise, or ends, or is not all alike.
    begin(all);
    assert_int_equal(ept_map(&s, GPA(0), HPA(GiB + PAGE_SIZE), 2 * MiB, EPT_RWX), OK);
    assert_int_equal(ept_map(&s, GPA(2 * MiB), HPA(0), MiB, EPT_RWX), OK);
    assert_int_equal(ept_map(&s, GPA(3 * MiB), HPA(GiB), MiB, EPT_RWX), OK);
    assert_int_equal(ept_map(&s, GPA(4 * MiB), HPA(4 * MiB), MiB, EPT_RWX), OK);
    assert_int_equal(ept_map(&s, GPA(5 * MiB), HPA(5 * MiB), MiB, RW), OK);
    for (u64 gpa = 0; gpa < 6 * MiB; gpa += 2 * MiB) {
        ept_unrestrict(&s, restricted(gpa, gpa, EPT_ALL_VIEWS, EPT_WRITE));
        assert_int_equal(page_size(0, gpa), PAGE_SIZE);
    }
    assert_int_equal(host(0, PAGE_SIZE), GiB + 2 * PAGE_SIZE);
    assert_int_equal(permissions(0, 5 * MiB), RW);
}

static void what_one_gives_back_others_go_on_withholding(void **state)
{
    (void)state;
    begin_with_memory(all);
    unsigned before = pages;
    struct ept_restriction *debugger = restricted(0x5000, 0x5fff, EPT_ALL_VIEWS, EPT_WRITE);
    struct ept_restriction *writes = restricted(0x5800, 0x6800, EPT_ALL_VIEWS, EPT_WRITE);
    struct ept_restriction *fetches = restricted(0x5000, 0x5000, EPT_ALL_VIEWS, EPT_EXECUTE);
    assert_int_equal(permissions(0, 0x5000), EPT_READ);
    assert_int_equal(permissions(0, 0x6000), RX);
    ept_unrestrict(&s, debugger);
    assert_int_equal(permissions(0, 0x5000), EPT_READ);
    ept_unrestrict(&s, fetches);
    assert_int_equal(permissions(0, 0x5000), RX);
    debugger = restricted(0x5000, 0x5fff, EPT_ALL_VIEWS, EPT_WRITE);
    ept_unrestrict(&s, writes);
    assert_int_equal(permissions(0, 0x5000), RX);
    assert_int_equal(permissions(0, 0x6000), EPT_RWX);
    assert_int_equal(page_size(0, 0x5000), PAGE_SIZE);
    ept_unrestrict(&s, debugger);
    assert_int_equal(permissions(0, 0x5000), EPT_RWX);
    assert_int_equal(pages, before);
}

static void a_change_needs_no_memory(void **state)
{
    (void)state;
    begin_with_memory(all);
    unsigned before = pages;
    struct ept_restriction *a = restricted(0x5000, 0x5fff, EPT_ALL_VIEWS, EPT_WRITE);
    struct ept_restriction *b = restricted(0x7000, 0x7fff, EPT_ALL_VIEWS, EPT_WRITE);
    pages_left = 0;
    assert_false(ept_change(&s, a, 0)); // nobody has to flush for what is given
    assert_int_equal(permissions(0, 0x5000), EPT_RWX);
    assert_int_equal(permissions(0, 0x7000), RX);
    ept_unrestrict(&s, b); // the other one may want its page closed again
    assert_int_equal(page_size(0, 0x5000), PAGE_SIZE);
    assert_int_equal(page_size(0, 0x5000), PAGE_SIZE);
    assert_true(ept_change(&s, a, EPT_WRITE | EPT_EXECUTE));
    assert_int_equal(permissions(0, 0x5000), EPT_READ);
    assert_false(ept_change(&s, a, EPT_WRITE));
    assert_int_equal(permissions(0, 0x5000), RX);
    ept_unrestrict(&s, a);
    assert_int_equal(pages, before);
}

static void what_is_withheld_from_whole_large_pages_splits_none(void **state)
{
    (void)state;
    begin_with_memory(all);
    unsigned before = pages;
    struct ept_restriction *whole = restricted(GiB + 8, 3 * GiB - 9, EPT_ALL_VIEWS, EPT_EXECUTE);
    assert_int_equal(page_size(0, GiB), GiB);
    assert_int_equal(permissions(0, 3 * GiB - 1), RW);
    assert_int_equal(pages, before);
    struct ept_restriction *part = restricted(GiB, GiB + 4 * MiB, EPT_ALL_VIEWS, EPT_WRITE);
    assert_int_equal(page_size(0, GiB), 2 * MiB);
    assert_int_equal(permissions(0, GiB), EPT_READ);
    assert_int_equal(page_size(0, GiB + 4 * MiB), PAGE_SIZE);
    assert_int_equal(permissions(0, GiB + 4 * MiB), EPT_READ);
    assert_int_equal(permissions(0, GiB + 4 * MiB + PAGE_SIZE), RW);
    assert_int_equal(pages, before + 2);
    pages_left = 0;
    ept_unrestrict(&s, whole);
    assert_int_equal(permissions(0, GiB + 4 * MiB), RX);
    assert_int_equal(permissions(0, 2 * GiB), EPT_RWX);
    ept_unrestrict(&s, part);
    assert_int_equal(page_size(0, GiB), GiB);
    assert_int_equal(pages, before);
}

static void halves_of_a_page_end_one_after_the_other(void **state)
{
    (void)state;
    begin_with_memory(all);
    unsigned before = pages;
    struct ept_restriction *low = restricted(0, MiB - 1, EPT_ALL_VIEWS, EPT_WRITE);
    struct ept_restriction *high = restricted(MiB, 2 * MiB - 1, EPT_ALL_VIEWS, EPT_WRITE);
    pages_left = 0; // alike as they are, one of them may end without a page
    ept_unrestrict(&s, low);
    assert_int_equal(permissions(0, 0), EPT_RWX);
    assert_int_equal(permissions(0, MiB), RX);
    ept_unrestrict(&s, high);
    assert_int_equal(pages, before);
}

static void without_reading_there_is_no_writing(void **state)
{
    (void)state;
    begin_with_memory(all);
    struct ept_restriction *r = restricted(0, 0, EPT_ALL_VIEWS, EPT_READ);
    assert_int_equal(permissions(0, 0), EPT_EXECUTE);
    ept_unrestrict(&s, r);
    drop();
    begin_with_memory((struct ept_features){.pages_2m = true});
    r = restricted(0, 0, EPT_ALL_VIEWS, EPT_READ);
    assert_int_equal(permissions(0, 0), 0);
    assert_int_equal(host(0, 5), 8 * GiB + 5); // it is mapped still
    assert_int_equal(permissions(0, PAGE_SIZE), EPT_RWX);
    ept_unrestrict(&s, r);
    assert_int_equal(permissions(0, 0), EPT_RWX);
}

static void where_nothing_is_mapped_nothing_is_withheld(void **state)
{
    (void)state;
    begin_with_memory(all);
    unsigned before = pages;
    struct ept_restriction *r = restricted(3 * GiB - 1, UINT64_MAX, EPT_ALL_VIEWS, EPT_RWX);
    hpa_t hpa;
    u32 p;
    u64 size;
    assert_false(ept_lookup(&s, 0, GPA(3 * GiB), &hpa, &p, &size));
    assert_int_equal(permissions(0, 3 * GiB - 1), 0);
    assert_int_equal(permissions(0, 3 * GiB - PAGE_SIZE - 1), EPT_RWX);
    assert_int_equal(permissions(0, 0xfee00000), 0);
    assert_int_equal(permissions(0, 4 * GiB), 0);
    ept_unrestrict(&s, r);
    assert_int_equal(permissions(0, 0xfee00000), RW);
    assert_int_equal(pages, before);
}

static void a_view_withholds_what_others_do_not(void **state)
{
    (void)state;
    unsigned caught = 0, other = 0;
    begin_with_memory(all);
    unsigned before = pages;
    struct ept_restriction *debugger = restricted(0x5000, 0x5fff, EPT_ALL_VIEWS, EPT_WRITE);
    unsigned with_one = pages;
    assert_int_equal(ept_view_create(&s, &caught), OK);
    assert_int_equal(caught, 1);
    assert_int_not_equal(ept_pointer(&s, 1), ept_pointer(&s, 0));
    assert_int_equal(permissions(1, 0x5000), RX); // as all have it
    assert_int_equal(page_size(1, GiB), GiB);
    assert_int_equal(host(1, 0xfee00004), 0x1004);
    struct ept_restriction *item = restricted(0x5000, 0x6fff, BIT(1), EPT_EXECUTE);
    assert_int_equal(permissions(0, 0x6000), EPT_RWX);
    assert_int_equal(permissions(1, 0x6000), RW);
    assert_int_equal(permissions(1, 0x5000), EPT_READ);
    (void)ept_change(&s, debugger, 0); // in both
    assert_int_equal(permissions(0, 0x5000), EPT_RWX);
    assert_int_equal(permissions(1, 0x5000), RW);
    // A later one does not have what is that one's alone.
    assert_int_equal(ept_view_create(&s, &other), OK);
    assert_int_equal(other, 2);
    assert_int_equal(permissions(2, 0x6000), EPT_RWX);
    ept_view_remove(&s, other);
    ept_unrestrict(&s, item);
    assert_int_equal(permissions(1, 0x6000), EPT_RWX);
    ept_view_remove(&s, caught);
    assert_int_equal(pages, with_one);
    assert_int_equal(ept_pointer(&s, 1), 0);
    ept_unrestrict(&s, debugger);
    assert_int_equal(pages, before);
    // What is mapped later is mapped in each.
    assert_int_equal(ept_view_create(&s, &caught), OK);
    item = restricted(8 * GiB, 8 * GiB, BIT(caught), EPT_WRITE);
    assert_int_equal(ept_map(&s, GPA(8 * GiB), HPA(0), GiB, EPT_RWX), OK);
    assert_int_equal(page_size(0, 8 * GiB), GiB);
    assert_int_equal(permissions(caught, 8 * GiB), RX);
    assert_int_equal(permissions(caught, 8 * GiB + PAGE_SIZE), EPT_RWX);
}

static void no_more_views_than_there_is_room_for(void **state)
{
    (void)state;
    unsigned view;
    begin_with_memory(all);
    for (unsigned n = 1; n < EPT_VIEWS; n++)
        assert_int_equal(ept_view_create(&s, &view), OK);
    assert_int_equal(ept_view_create(&s, &view), ERR_NO_MEMORY);
}

static void no_more_restrictions_than_there_is_room_for(void **state)
{
    (void)state;
    struct ept_restriction *r[EPT_RESTRICTIONS], *one_more;
    begin_with_memory(all);
    for (unsigned n = 0; n < EPT_RESTRICTIONS; n++)
        r[n] = restricted(n * PAGE_SIZE, n * PAGE_SIZE, EPT_ALL_VIEWS, EPT_WRITE);
    assert_int_equal(ept_restrict(&s, GPA(GiB), GPA(GiB), EPT_ALL_VIEWS, EPT_WRITE, &one_more),
                     ERR_NO_MEMORY);
    assert_int_equal(page_size(0, GiB), GiB);
    ept_unrestrict(&s, r[7]);
    assert_ptr_equal(restricted(GiB, GiB, EPT_ALL_VIEWS, EPT_WRITE), r[7]);
    for (unsigned n = 0; n < EPT_RESTRICTIONS; n++)
        ept_unrestrict(&s, r[n]);
    assert_int_equal(page_size(0, 0), GiB);
    assert_int_equal(s.restrictions, 0);
}

// ---- memory for tables runs out ----------------------------------------------------------------

static void nothing_is_half_restricted(void **state)
{
    (void)state;
    unsigned view, needed = 0;
    begin_with_memory(all);
    assert_int_equal(ept_view_create(&s, &view), OK);
    struct ept_restriction *kept = restricted(0x5000, 0x5fff, EPT_ALL_VIEWS, EPT_EXECUTE),
                           *r = NULL;
    unsigned before = pages;
    for (; needed < 100; needed++) {
        pages_left = needed;
        if (ept_restrict(&s, GPA(GiB - PAGE_SIZE), GPA(2 * GiB + 4 * MiB), EPT_ALL_VIEWS, EPT_WRITE,
                         &r) == OK)
            break;
        assert_null(r);
        assert_int_equal(pages, before);
        assert_int_equal(pages_left, needed);
        for (unsigned n = 0; n < 2; n++) {
            assert_int_equal(permissions(n, GiB - PAGE_SIZE), EPT_RWX);
            assert_int_equal(permissions(n, GiB), EPT_RWX);
            assert_int_equal(permissions(n, 0x5000), RW);
            assert_int_equal(page_size(n, GiB), GiB);
            assert_int_equal(page_size(n, 2 * GiB), GiB);
        }
    }
    // In each view a table for the page before 1 GiB (those above it are there for the one that is
    // kept), and two for the page after 2 GiB + 4 MiB.
    assert_int_equal(needed, 6);
    assert_int_equal(permissions(view, GiB - PAGE_SIZE), RX);
    assert_int_equal(permissions(view, 2 * GiB + 4 * MiB), RX);
    ept_unrestrict(&s, r);
    ept_unrestrict(&s, kept);
}

static void nothing_is_half_mapped(void **state)
{
    (void)state;
    unsigned view, needed = 0;
    begin_with_memory(all);
    assert_int_equal(ept_view_create(&s, &view), OK);
    unsigned before = pages;
    hpa_t hpa;
    u32 p;
    u64 size;
    for (; needed < 100; needed++) {
        pages_left = needed;
        if (ept_map(&s, GPA(600 * GiB), HPA(GiB), GiB + 2 * MiB + PAGE_SIZE, EPT_RWX) == OK)
            break;
        assert_int_equal(pages, before);
        assert_false(ept_lookup(&s, 0, GPA(600 * GiB), &hpa, &p, &size));
        assert_false(ept_lookup(&s, view, GPA(600 * GiB), &hpa, &p, &size));
        assert_int_equal(s.regions, 3);
    }
    assert_int_equal(needed, 6); // three levels of tables, in two views
    assert_int_equal(permissions(view, 600 * GiB + GiB + 2 * MiB), EPT_RWX);
}

static void nothing_is_half_a_view(void **state)
{
    (void)state;
    unsigned view = 0, needed = 0;
    begin_with_memory(all);
    unsigned before = pages;
    for (; needed < 100; needed++) {
        pages_left = needed;
        if (ept_view_create(&s, &view) == OK)
            break;
        assert_int_equal(pages, before);
        assert_int_equal(view, 0);
        assert_int_equal(ept_pointer(&s, 1), 0);
    }
    assert_int_equal(needed, before);
    assert_int_equal(permissions(view, 0xfee00000), RW);
}

static void a_space_needs_a_page(void **state)
{
    (void)state;
    pages_left = 0;
    assert_int_equal(ept_init(&s, all), ERR_NO_MEMORY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(memory_is_mapped_by_the_largest_pages),
        TEST(what_cannot_be_mapped_is_refused),
        TEST(a_page_is_split_from_its_neighbours_and_joined_again),
        TEST(joins_what_it_would_map_so),
        TEST(what_one_gives_back_others_go_on_withholding),
        TEST(a_change_needs_no_memory),
        TEST(what_is_withheld_from_whole_large_pages_splits_none),
        TEST(halves_of_a_page_end_one_after_the_other),
        TEST(without_reading_there_is_no_writing),
        TEST(where_nothing_is_mapped_nothing_is_withheld),
        TEST(a_view_withholds_what_others_do_not),
        TEST(no_more_views_than_there_is_room_for),
        TEST(no_more_restrictions_than_there_is_room_for),
        TEST(nothing_is_half_restricted),
        TEST(nothing_is_half_mapped),
        TEST(nothing_is_half_a_view),
        TEST(a_space_needs_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
