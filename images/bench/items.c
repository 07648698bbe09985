// SPDX-License-Identifier: MIT
// What an item of `intercept` costs: `items=WHICH` measures, in a VM that has the items for it
// (ci/bench),
//   caught  what an item names
//   beside  the neighbours of what items name
//   free    the same neighbours, in a VM without items
//   tsc     RDTSC, which an item makes exit wherever this guest measures, too
#include "bench.h"
#include "lib/format.h"

enum { CAUGHT_PORT = 0x80, PORT_BESIDE = 0x4d0 };
enum { WATCHED = 0x800100, IN_ITS_PAGE = 0x800800, IN_THE_NEXT = 0x801800 };

static char which[16];

static const char *row(const char *name)
{
    static char buf[40];
    struct text t = TEXT(buf);
    text_add(&t, "%s-%s", which, name);
    return buf;
}

// A row of this VM's.
#define ITEM(name, operation)              \
    do {                                   \
        if (wanted(row(name)))             \
            MEASURE(row(name), operation); \
    } while (0)

// XOR and MOV: each is a change of the bits.
static inline void toggle_cr0(u64 *cr0, u64 bits)
{
    __asm__ volatile("xor %1, %0; mov %0, %%cr0" : "+r"(*cr0) : "r"(bits) : "cc", "memory");
}

static inline void invlpg(u64 address)
{
    __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory");
}

static inline void read_dr0(void)
{
    u64 value;
    __asm__ volatile("mov %%dr0, %0" : "=r"(value)::"memory");
}

static inline void sidt(void *to)
{
    __asm__ volatile("sidt (%0)" ::"r"(to) : "memory");
}

// UD2 and its handler, which returns behind it.
static inline void ud2(void)
{
    __asm__ volatile("ud2" ::: "memory");
}

static void measure_caught(void)
{
    u64 cr0 = read_cr0(), cr3 = read_cr3();
    u8 idtr[10];
    ITEM("cpuid", cpuid(1, 0));
    ITEM("port", outb(CAUGHT_PORT, 0));
    ITEM("msr", rdmsr(MSR_IA32_MISC_ENABLE));
    ITEM("efer", rdmsr(MSR_EFER));
    ITEM("cr0", toggle_cr0(&cr0, CR0_TS));
    ITEM("cr3", write_cr3(cr3));
    ITEM("invlpg", invlpg(WATCHED));
    ITEM("dr", read_dr0());
    ITEM("desc", sidt(idtr));
    ITEM("exception", ud2());
    ITEM("mem", write32(WATCHED, 0));
    ITEM("mem-page", write32(IN_ITS_PAGE, 0));
}

static void measure_beside(void)
{
    u64 cr0 = read_cr0(), cr3 = read_cr3();
    ITEM("port", inb(PORT_BESIDE));
    ITEM("msr", rdmsr(MSR_EFER));
    ITEM("cr0", toggle_cr0(&cr0, CR0_MP));
    ITEM("cr3", write_cr3(cr3));
    ITEM("exception", ud2());
    ITEM("mem", write32(IN_THE_NEXT, 0));
}

void bench_items(void)
{
    option_text("items", which, sizeof(which));
    interrupt_set_raw(VECTOR_UD, bench_handler_ud2);
    if (strcmp(which, "caught") == 0)
        measure_caught();
    else if (strcmp(which, "tsc") == 0)
        MEASURE("caught-rdtsc", rdtsc());
    else
        measure_beside();
    printf("bench: done\n");
}
