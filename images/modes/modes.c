// SPDX-License-Identifier: MIT
// B4, E7: a walk through the processor's modes: no paging, 32-bit paging, PAE, long mode,
// real mode, and up again; in each of them memory, a software interrupt and a fault.
//   qemu   leave out pages of 1 GiB, which QEMU's own emulator has whatever CPUID says
#include "modes.h"

#include "guest.h"

enum { VECTOR_TEST = 0x50, PAGE_PRESENT = 1, PAGE_WRITE = 2, PAGE_AD = 0x60, PAGE_LARGE = 0x80 };
enum { FAULT_RESERVED = 9, DELAY_PORT = 0x80 }; // #PF by a reserved bit in a page that is present
// Linear addresses whose PML4 entries, 1 and 2, nothing else uses.
#define ALIAS   (512 * GiB)
#define NOWHERE (1024 * GiB)

extern u64 pml4[512];

static u64 pdpt[512] ALIGNED(4096), directory[512] ALIGNED(4096), table[512] ALIGNED(4096);
static volatile u64 page[512] ALIGNED(4096);

static void report_mode(const char *name, const volatile struct mode_result *r, bool paged)
{
    report(r->memory, "B4: %s: memory", name);
    report(r->interrupt, "B4: %s: INT and IRET", name);
    if (paged) {
        report(r->page_fault, "B4: %s: #PF with CR2 and error code", name);
        report(r->access_bits, "B4: %s: accessed and dirty bits", name);
    }
}

static void on_test(struct interrupt_frame *f)
{
    f->rax = 0x600d;
}

static void map_alias(u64 flags)
{
    pml4[1] = (u64)pdpt | PAGE_PRESENT | PAGE_WRITE;
    pdpt[0] = (u64)directory | PAGE_PRESENT | PAGE_WRITE;
    directory[0] = (u64)table | PAGE_PRESENT | PAGE_WRITE;
    table[0] = (u64)page | flags;
    write_cr3(read_cr3());
}

static void check_long_mode(const char *when)
{
    u64 value;
    map_alias(PAGE_PRESENT | PAGE_WRITE);
    bool ok = write64_try(ALIAS + 8, 0x123456789abcdef0) == NO_FAULT;
    report(ok && page[1] == 0x123456789abcdef0, "B4: long mode%s: memory", when);
    report((table[0] & PAGE_AD) == PAGE_AD, "B4: long mode%s: accessed and dirty bits", when);

    map_alias(PAGE_PRESENT);
    int fault = write64_try(ALIAS + 8, 1);
    report(fault == VECTOR_PF && caught_error == 3 && caught_cr2 == ALIAS + 8,
           "B4: long mode%s: #PF by a write to a read-only page", when);
    fault = read64_try(NOWHERE, &value);
    report(fault == VECTOR_PF && caught_error == 0 && caught_cr2 == NOWHERE,
           "B4: long mode%s: #PF by a read of nothing", when);
    fault = read64_try(BIT(63), &value);
    report(fault == VECTOR_GP, "B4: long mode%s: #GP by a non-canonical address", when);

    u64 rax = 0;
    interrupt_set(VECTOR_TEST, on_test);
    __asm__ volatile("int %1" : "+a"(rax) : "i"(VECTOR_TEST) : "memory");
    report(rax == 0x600d, "B4: long mode%s: INT and IRET", when);
}

// A page of 1 GiB, where CPUID has them, is one for the CPU and for who carries out OUTS in its
// place; elsewhere it has a reserved bit set.
static void check_gigabyte(void)
{
    bool has = (cpuid(0x80000001, 0).edx & BIT(26)) != 0;
    u64 address = ALIAS + (u64)page, value;
    map_alias(PAGE_PRESENT);
    pdpt[0] = PAGE_LARGE | PAGE_WRITE | PAGE_PRESENT;
    write_cr3(read_cr3());
    int wanted = has ? NO_FAULT : VECTOR_PF, fault = read64_try(address, &value);
    report(fault == wanted && (has || caught_error == FAULT_RESERVED), "E8: a page of 1 GiB %s",
           has ? "is there" : "has a reserved bit set");
    TRY("outsb", fault, , "+S"(address) : "d"(DELAY_PORT) : "memory");
    report(fault == wanted && (has || (caught_error == FAULT_RESERVED && caught_cr2 == address)),
           "E8: and for OUTS (%d)", fault);
}

int main(void)
{
    report_mode("unpaged protected mode", &mode_unpaged, false);
    report_mode("32-bit paging", &mode_32bit, true);
    report_mode("PAE paging", &mode_pae, true);
    check_long_mode("");
    if (!option("qemu"))
        check_gigabyte();
    u32 real = real_mode_trip();
    report((real & REAL_INT) != 0, "E7: real mode: INT and IRET");
    report((real & REAL_FAULT) != 0, "E7: real mode: #DE");
    report((real & REAL_SEGMENTS) != 0, "E7: real mode: segments");
    report((real & REAL_CPUID) != 0, "E7: real mode: CPUID");
    report((real & REAL_PORT) != 0, "E7: real mode: IN");
    report((real & REAL_FLAGS) != 0, "E7: real mode: STI and CLI");
    check_long_mode(" again");
    // A write of CR0 that turns caching on or off exits, one that changes paging alone does not.
    // Here long mode is left by one of these, and entered by one of those.
    __asm__ volatile("mov %0, %%cr0" ::"r"(read_cr0() | BIT(30))); // CD
    report(real_mode_trip() == REAL_ALL, "E7: to real mode, and back with caching on again");
    u32 trips = 0;
    while (trips < 100 && real_mode_trip() == REAL_ALL)
        trips++;
    report(trips == 100, "E7: 100 trips to real mode and back (%u)", trips);
    return report_summary();
}
