// SPDX-License-Identifier: MIT
#include "boot/memory.h"

#include "boot/multiboot2.h"
#include "boot/paging.h"
#include "lib/lock.h"
#include "lib/string.h"

#define RANGES_MAX  160
#define PSTORE_SIZE (2 * PAGE_SIZE)

extern u8 image_start[], image_end[];

struct range {
    u64 start, end;
};

static struct range ranges[RANGES_MAX];
static unsigned range_count;
static u64 free_list; // hpa of the first free page; each holds the hpa of the next
static u64 free_pages;
static u64 total;
static u64 low_page, persistent;
static u64 limit = 4 * GiB; // what the boot page tables reach
static struct spinlock lock;

static void add(u64 start, u64 end)
{
    start = ALIGN_UP(start, PAGE_SIZE);
    end = ALIGN_DOWN(end, PAGE_SIZE);
    if (start < end && range_count < RANGES_MAX)
        ranges[range_count++] = (struct range){start, end};
}

static void take_out(u64 start, u64 end)
{
    start = ALIGN_DOWN(start, PAGE_SIZE);
    end = ALIGN_UP(end, PAGE_SIZE);
    unsigned n = range_count;
    for (unsigned i = 0; i < n; i++) {
        struct range *r = &ranges[i];
        if (end <= r->start || start >= r->end)
            continue;
        struct range above = {end, r->end};
        r->end = MAX(r->start, MIN(r->end, start));
        if (above.end > above.start)
            add(above.start, above.end);
    }
}

static void find_low_page(void)
{
    // Page 0 holds the real-mode vectors; the pages below 0x8000 are what firmware uses most.
    for (unsigned i = 0; i < range_count && low_page == 0; i++) {
        u64 page = MAX(ranges[i].start, 0x8000ul);
        if (page < MIN(ranges[i].end, 0x9f000ul))
            low_page = page;
    }
}

// Firmware uses the first MiB and the top of memory, and UEFI's some of the first 32 MiB. GRUB puts
// modules as low as it can, its own things at the top.
static void take_out_persistent(void)
{
    static const u64 places[] = {64 * MiB, 128 * MiB, 256 * MiB, 512 * MiB, GiB};
    for (unsigned p = 0; p < ARRAY_SIZE(places) && persistent == 0; p++) {
        for (unsigned i = 0; i < range_count; i++) {
            if (ranges[i].start <= places[p] && ranges[i].end >= places[p] + PSTORE_SIZE)
                persistent = places[p];
        }
    }
    if (persistent != 0)
        take_out(persistent, persistent + PSTORE_SIZE);
}

void memory_init(void)
{
    for (unsigned i = 0; i < boot_info.memory_ranges; i++) {
        const struct memory_range *r = &boot_info.memory[i];
        u64 end = r->start.v + r->size;
        if (r->type == MEMORY_AVAILABLE) {
            add(r->start.v, MIN(end, 4 * GiB));
            add(MAX(r->start.v, 4 * GiB), end);
        }
    }
    for (unsigned i = 0; i < boot_info.memory_ranges; i++) {
        const struct memory_range *r = &boot_info.memory[i];
        if (r->type != MEMORY_AVAILABLE)
            take_out(r->start.v, r->start.v + r->size);
    }
    take_out(virt_to_phys(image_start).v, virt_to_phys(image_end).v);
    take_out(boot_info.info_start.v, boot_info.info_start.v + boot_info.info_size);
    for (unsigned i = 0; i < boot_info.modules; i++)
        take_out(boot_info.module[i].start.v,
                 boot_info.module[i].start.v + boot_info.module[i].size);
    find_low_page();
    take_out(0, MiB);
    take_out_persistent();
    for (unsigned i = 0; i < range_count; i++)
        total += ranges[i].end - ranges[i].start;
}

hpa_t memory_alloc(u64 size, u64 align)
{
    hpa_t found = HPA(0);
    spin_lock(&lock);
    // From the top of the highest range that has room, so that low memory stays for those who
    // need it low.
    int best = -1;
    for (unsigned i = 0; i < range_count; i++) {
        u64 at = ALIGN_DOWN(ranges[i].end - size, align);
        if (ranges[i].end <= limit && ranges[i].end - ranges[i].start >= size &&
            at >= ranges[i].start && (best < 0 || ranges[i].end > ranges[best].end))
            best = (int)i;
    }
    if (best >= 0) {
        struct range *r = &ranges[best];
        u64 at = ALIGN_DOWN(r->end - size, align);
        u64 end = r->end;
        r->end = at;
        add(at + size, end); // what alignment left over
        found = HPA(at);
    }
    spin_unlock(&lock);
    return found;
}

hpa_t page_alloc(void)
{
    spin_lock(&lock);
    u64 page = free_list;
    if (page != 0) {
        free_list = *(u64 *)phys_to_virt(HPA(page));
        free_pages--;
    }
    spin_unlock(&lock);
    if (page == 0)
        page = memory_alloc(PAGE_SIZE, PAGE_SIZE).v;
    if (page != 0)
        memset(phys_to_virt(HPA(page)), 0, PAGE_SIZE);
    return HPA(page);
}

void page_free(hpa_t page)
{
    spin_lock(&lock);
    *(u64 *)phys_to_virt(page) = free_list;
    free_list = page.v;
    free_pages++;
    spin_unlock(&lock);
}

u64 memory_free_bytes(void)
{
    u64 bytes = 0;
    spin_lock(&lock);
    for (unsigned i = 0; i < range_count; i++)
        bytes += ranges[i].end - ranges[i].start;
    bytes += free_pages * PAGE_SIZE;
    spin_unlock(&lock);
    return bytes;
}

u64 memory_total_bytes(void)
{
    return total;
}

void memory_use_all(void)
{
    limit = UINT64_MAX;
}

hpa_t memory_persistent(void)
{
    return HPA(persistent);
}

hpa_t memory_low_page(void)
{
    return HPA(low_page);
}
