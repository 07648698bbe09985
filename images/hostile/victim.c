// SPDX-License-Identifier: MIT
#include "victim.h"

#include "hostile.h"
#include "lib/string.h"

extern const u8 victim_code[], victim_code_end[];
extern const u8 victim_stubs16[], victim_stubs32[], victim_stubs64[];

enum { STUB = 8, STUBS = 33, PRESENT_RW = 3, PRESENT = 1, PAGES = 256 };

const char *const victim_mode_names[MODES] = {
    [MODE_REAL] = "real",     [MODE_PROTECTED] = "protected",
    [MODE_V86] = "v86",       [MODE_PAGED] = "paged",
    [MODE_PAE] = "pae",       [MODE_LONG] = "long",
    [MODE_COMPAT] = "compat",
};

static u32 handler(const u8 *stubs, unsigned vector)
{
    return (u32)(stubs - victim_code) + STUB * MIN(vector, STUBS - 1u);
}

static void make_gates(void)
{
    u32 *ivt = victim_at(AT_IVT), *idt32 = victim_at(AT_IDT32);
    u64 *idt64 = victim_at(AT_IDT64);
    for (unsigned v = 0; v < 256; v++) {
        ivt[v] = (VICTIM_BASE >> 4) << 16 | handler(victim_stubs16, v);
        u32 at = VICTIM_BASE + handler(victim_stubs32, v);
        idt32[2 * v] = SEL_CODE32 << 16 | (at & 0xffff);
        idt32[2 * v + 1] = (at & 0xffff0000) | 0xee00; // from virtual-8086 mode, too
        u64 long_at = VICTIM_BASE + handler(victim_stubs64, v);
        // By the first stack of the IST, whatever RSP is.
        idt64[2 * v] = (long_at & 0xffff) | SEL_CODE64 << 16 | 1ul << 32 | 0x8e00ul << 32 |
                       (long_at & 0xffff0000) << 32;
        idt64[2 * v + 1] = 0;
    }
}

static u64 tss_descriptor(u32 base)
{
    return 0x67 | (u64)(base & 0xffffff) << 16 | 0x89ul << 40 | (u64)(base >> 24) << 56;
}

static void make_descriptors(void)
{
    extern const u64 gdt[];
    u64 *to = victim_at(AT_GDT);
    memcpy(to, gdt, SEL_TSS32);
    to[SEL_TSS32 / 8] = tss_descriptor(VICTIM_BASE + AT_TSS32);
    to[SEL_TSS64 / 8] = tss_descriptor(VICTIM_BASE + AT_TSS64);
    to[SEL_TSS64 / 8 + 1] = 0;
    u32 *tss32 = victim_at(AT_TSS32);
    memset(tss32, 0, 0x100);
    tss32[1] = VICTIM_BASE + STACK_TOP; // ESP0, SS0
    tss32[2] = SEL_DATA;
    tss32[25] = 0x68 << 16; // no I/O bitmap
    u8 *tss64 = victim_at(AT_TSS64);
    memset(tss64, 0, 0x100);
    u64 stack = VICTIM_BASE + STACK_TOP;
    memcpy(tss64 + 4, &stack, 8);    // RSP0
    memcpy(tss64 + 0x24, &stack, 8); // IST1
}

// The first MiB only, so that garbage does not reach the first CPU's memory.
static void make_tables(void)
{
    u32 base = VICTIM_BASE;
    u32 *dir32 = victim_at(AT_DIR32), *table32 = victim_at(AT_TABLE32);
    u64 *table64 = victim_at(AT_TABLE64);
    memset(victim_at(AT_DIR32), 0, AT_PDPT64 + 4096 - AT_DIR32);
    memset(table32, 0, 4096);
    memset(table64, 0, 4096);
    for (u32 i = 0; i < PAGES; i++)
        table64[i] = table32[i] = i << PAGE_SHIFT | PRESENT_RW;
    dir32[0] = (base + AT_TABLE32) | PRESENT_RW;
    *(u64 *)victim_at(AT_DIR64) = (base + AT_TABLE64) | PRESENT_RW;
    *(u64 *)victim_at(AT_PDPT) = (base + AT_DIR64) | PRESENT;
    *(u64 *)victim_at(AT_PDPT64) = (base + AT_DIR64) | PRESENT_RW;
    *(u64 *)victim_at(AT_PML4) = (base + AT_PDPT64) | PRESENT_RW;
}

void victim_prepare(u32 mode, u32 slots)
{
    apic_send(0, ICR_INIT | ICR_ASSERT | ICR_OTHERS);
    memcpy(victim_at(0), victim_code, (size_t)(victim_code_end - victim_code));
    make_gates();
    make_descriptors();
    make_tables();
    memset(victim_at(AT_BODY), 0xcc, 0x1000);
    struct victim_param *p = victim_param();
    memset(p, 0, sizeof(*p));
    p->mode = mode;
    p->slots = slots;
    p->cr3 = VICTIM_BASE + (mode == MODE_PAGED ? AT_DIR32 : mode == MODE_PAE ? AT_PDPT : AT_PML4);
    for (u32 i = 0; i < VICTIM_SLOTS_MAX; i++)
        p->vector[i] = 0xff;
}

void victim_put(u32 slot, const u8 *bytes, size_t n)
{
    memcpy((u8 *)victim_at(AT_BODY) + slot * VICTIM_SLOT, bytes, MIN(n, VICTIM_SLOT));
}

bool victim_run(u64 us)
{
    struct victim_param *p = victim_param();
    apic_send(0, ICR_STARTUP | ICR_ASSERT | ICR_OTHERS | VICTIM_BASE >> PAGE_SHIFT);
    // It may have to wait for its core.
    if (!check(WAIT_FOR(p->began, 10000), "the second CPU starts"))
        return false;
    u64 end = rdtsc() + tsc_us(us);
    while (!p->done && rdtsc() < end)
        cpu_pause();
    return p->done;
}
