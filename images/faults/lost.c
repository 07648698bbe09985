// SPDX-License-Identifier: MIT
// A guest that has lost its way: it goes on with ports or memory where nothing is.
#include "faults.h"
#include "guest.h"

enum { CMOS_INDEX = 0x70, CMOS_DATA = 0x71, CMOS_FREE = 0x50, RESET_CONTROL = 0xcf9 };
enum { NO_PORT = 0x2c8, ELEMENTS = 500 };
#define NO_MEMORY 0xfffef000u
#define NO_TABLE  0xd0000000u
#define ALIAS     (512 * GiB) // of which PML4 entry 1 is

extern u64 pml4[512];

static void read_ports(u64 times)
{
    static u8 buffer[ELEMENTS];
    while (times > 0) {
        u64 n = MIN(times, (u64)ELEMENTS);
        void *to = buffer;
        times -= n;
        __asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(NO_PORT) : "memory");
    }
}

static void read_memory(u64 times)
{
    for (; times > 0; times--)
        read32(NO_MEMORY);
}

// Each access is the CPU's, to a page table that is not there.
static void walk_tables(u64 times)
{
    u64 value;
    pml4[1] = NO_TABLE | 3;
    write_cr3(read_cr3());
    for (; times > 0; times--)
        (void)read64_try(ALIAS, &value);
}

// CMOS RAM keeps what is written there over a reset.
static bool is_first_time(void)
{
    outb(CMOS_INDEX, CMOS_FREE);
    bool first = inb(CMOS_DATA) == 0;
    outb(CMOS_DATA, 1);
    return first;
}

void faults_lost(u64 times)
{
    printf("faults: %lu accesses where there is nothing\n", times);
    option("memory")   ? read_memory(times)
    : option("tables") ? walk_tables(times)
                       : read_ports(times);
    if (option("again") && is_first_time()) {
        outb(RESET_CONTROL, 0x02);
        outb(RESET_CONTROL, 0x06);
        delay_us(1000000);
    }
}
