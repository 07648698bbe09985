// SPDX-License-Identifier: MIT
#include "boot/paging.h"

#include "boot/memory.h"
#include "boot/multiboot2.h"
#include "lib/cpu.h"
#include "lib/lock.h"
#include "lib/string.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"

#define SIZE_2M    (2 * MiB)
#define SIZE_1G    GiB
#define IMAGE_FLAG (PTE_P | PTE_G)

// The page attribute table's entry 1 (PWT alone), at reset write-through, which nobody wants, is
// write combining (SDM Vol. 3, 11.12.2).
#define PAT_ENTRY_1    0xff00ul
#define PAT_ENTRY_1_WC 0x0100ul

extern u8 image_start[], image_text_end[], image_rodata_end[], image_end[];
extern u32 boot_has_nx;

static u64 *pml4;
static u64 nx;
static bool has_1g;
static u64 next_stack = STACK_WINDOW, next_mmio = MMIO_WINDOW;
static struct spinlock lock;
static u64 trampoline_pml4[512] ALIGNED(4096);
static u64 trampoline_table[3][512] ALIGNED(4096);

static u64 *table_of(u64 entry)
{
    return phys_to_virt(HPA(entry & PTE_FRAME));
}

static unsigned index_at(u64 va, int level)
{
    return va >> (PAGE_SHIFT + 9 * level) & 511;
}

// The entry that maps va at level (0: 4K, 1: 2M, 2: 1G), making tables on the way. NULL when
// memory for tables runs out.
static u64 *entry_for(u64 va, int level)
{
    u64 *table = pml4;
    for (int l = 3; l > level; l--) {
        u64 *e = &table[index_at(va, l)];
        if (!(*e & PTE_P)) {
            hpa_t page = page_alloc();
            if (page.v == 0)
                return NULL;
            *e = page.v | PTE_P | PTE_W;
        }
        table = table_of(*e);
    }
    return &table[index_at(va, level)];
}

static bool map(u64 va, u64 pa, u64 flags, int level)
{
    u64 *e = entry_for(va, level);
    if (e == NULL)
        return false;
    *e = pa | flags | (level > 0 ? PTE_PS : 0);
    return true;
}

// The direct map leaves no writable alias of the image's text and rodata.
static bool in_protected_image(u64 pa, u64 size)
{
    u64 start = virt_to_phys(image_start).v, end = virt_to_phys(image_rodata_end).v;
    return pa < end && pa + size > start;
}

static void map_direct(u64 pa, u64 end)
{
    u64 rw = PTE_P | PTE_W | PTE_G | nx;
    while (pa < end) {
        u64 va = DIRECT_MAP + pa;
        if (has_1g && pa % SIZE_1G == 0 && end - pa >= SIZE_1G &&
            !in_protected_image(pa, SIZE_1G)) {
            map(va, pa, rw, 2);
            pa += SIZE_1G;
        } else if (!in_protected_image(pa, SIZE_2M)) {
            map(va, pa, rw, 1);
            pa += SIZE_2M;
        } else {
            for (u64 p = pa; p < pa + SIZE_2M; p += PAGE_SIZE)
                map(DIRECT_MAP + p, p, in_protected_image(p, PAGE_SIZE) ? rw & ~PTE_W : rw, 0);
            pa += SIZE_2M;
        }
    }
}

static void map_image(const u8 *start, const u8 *end, u64 flags)
{
    for (u64 va = (u64)start; va < (u64)end; va += PAGE_SIZE)
        map(va, va - IMAGE_BASE + boot_load_offset, flags, 0);
}

void paging_init(void)
{
    nx = boot_has_nx ? PTE_NX : 0;
    has_1g = cpuid(0x80000001, 0).edx & BIT(26);

    pml4 = phys_to_virt(page_alloc());
    map_direct(0, 4 * GiB);
    for (unsigned i = 0; i < boot_info.memory_ranges; i++) {
        const struct memory_range *r = &boot_info.memory[i];
        u64 start = MAX(ALIGN_DOWN(r->start.v, SIZE_2M), 4 * GiB);
        u64 end = ALIGN_UP(r->start.v + r->size, SIZE_2M);
        if (r->type == MEMORY_AVAILABLE && end > start)
            map_direct(start, end);
    }
    map_image(image_start, image_text_end, IMAGE_FLAG);
    map_image(image_text_end, image_rodata_end, IMAGE_FLAG | nx);
    map_image(image_rodata_end, image_end, IMAGE_FLAG | PTE_W | nx);
    paging_enable();
    memory_use_all();
}

void paging_enable(void)
{
    u32 features = cpuid(0, 0).eax >= 7 ? cpuid(7, 0).ebx : 0;
    wrmsr(MSR_IA32_PAT, (rdmsr(MSR_IA32_PAT) & ~PAT_ENTRY_1) | PAT_ENTRY_1_WC);
    if (nx)
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
    write_cr0((read_cr0() | CR0_WP | CR0_NE | CR0_MP) & ~(CR0_CD | CR0_NW | CR0_EM | CR0_TS));
    write_cr3(virt_to_phys(pml4).v);
    u64 cr4 = read_cr4() | CR4_PGE | CR4_PAE;
    if (features & BIT(7))
        cr4 |= CR4_SMEP;
    if (features & BIT(20))
        cr4 |= CR4_SMAP;
    write_cr4(cr4);
}

static volatile void *map_device(hpa_t start, u64 size, u64 type)
{
    u64 first = start.v & PAGE_MASK, end = ALIGN_UP(start.v + size, PAGE_SIZE);
    spin_lock(&lock);
    u64 va = next_mmio;
    bool ok = true;
    for (u64 pa = first; pa < end && ok; pa += PAGE_SIZE, next_mmio += PAGE_SIZE)
        ok = map(next_mmio, pa, PTE_P | PTE_W | PTE_G | type | nx, 0);
    spin_unlock(&lock);
    return ok ? (volatile u8 *)va + (start.v - first) : NULL;
}

volatile void *mmio_map(hpa_t start, u64 size)
{
    return map_device(start, size, PTE_PCD | PTE_PWT);
}

volatile void *mmio_map_combining(hpa_t start, u64 size)
{
    return map_device(start, size, PTE_PWT);
}

void *stack_alloc(u64 size)
{
    spin_lock(&lock);
    next_stack += PAGE_SIZE; // the guard page
    bool ok = true;
    for (u64 done = 0; done < size && ok; done += PAGE_SIZE, next_stack += PAGE_SIZE) {
        hpa_t page = page_alloc();
        ok = page.v != 0 && map(next_stack, page.v, PTE_P | PTE_W | PTE_G | nx, 0);
    }
    void *top = (void *)next_stack;
    spin_unlock(&lock);
    return ok ? top : NULL;
}

u32 paging_trampoline(hpa_t page)
{
    memcpy(trampoline_pml4, pml4, sizeof(trampoline_pml4));
    trampoline_pml4[0] = virt_to_phys(trampoline_table[0]).v | PTE_P;
    trampoline_table[0][0] = virt_to_phys(trampoline_table[1]).v | PTE_P;
    trampoline_table[1][0] = virt_to_phys(trampoline_table[2]).v | PTE_P;
    trampoline_table[2][page.v >> PAGE_SHIFT] = page.v | PTE_P;
    return (u32)virt_to_phys(trampoline_pml4).v;
}

bool paging_maps(u64 va)
{
    const u64 *table = table_of(read_cr3());
    for (int level = 3;; level--) {
        u64 e = table[index_at(va, level)];
        if (!(e & PTE_P) || level == 0 || (e & PTE_PS))
            return e & PTE_P;
        table = table_of(e);
    }
}

struct permissions {
    bool writable, executable;
};

static unsigned count_table(const u64 *table, int level, struct permissions above, unsigned *leaves)
{
    unsigned bad = 0;
    for (unsigned i = 0; i < 512; i++) {
        u64 e = table[i];
        if (!(e & PTE_P))
            continue;
        struct permissions p = {above.writable && (e & PTE_W), above.executable && !(e & PTE_NX)};
        if (level > 0 && !(e & PTE_PS)) {
            bad += count_table(table_of(e), level - 1, p, leaves);
        } else {
            (*leaves)++;
            bad += p.writable && p.executable;
        }
    }
    return bad;
}

unsigned paging_count_writable_executable(unsigned *leaves)
{
    *leaves = 0;
    return count_table(table_of(read_cr3()), 3, (struct permissions){true, true}, leaves);
}
