// SPDX-License-Identifier: MIT
// Memory and ports that the guest was not given, by plain and by string instructions.
#include "hostile.h"

enum { PRESENT = 1, WRITE = 2, PROBES = 200 };
// Linear addresses whose PML4 entry nothing else uses.
#define ALIAS (512 * GiB)

extern u64 pml4[512];
static u64 pdpt[512] ALIGNED(4096), directory[512] ALIGNED(4096), table[512] ALIGNED(4096);
static u8 buffer[2 * 4096] ALIGNED(4096);

// Just past devices, between them, and where others' machines have some.
static const u64 holes[] = {
    0xc0000000, 0xd0000000, 0xe0000000, 0xfebff000, 0xfec01000, 0xfec00ff8, 0xfed00000, 0xfed40000,
    0xfedff000, 0xfee01000, 0xfee00ff8, 0xfef00000, 0xff000000, 0xfffff000, 0xfffffff8,
};

static u64 memory_end(void) // below 4 GiB
{
    u64 end = 0;
    for (unsigned i = 0; i < boot_info.memory_ranges; i++) {
        const struct memory_range *m = &boot_info.memory[i];
        if (m->base < 4 * GiB)
            end = MAX(end, m->base + m->size);
    }
    return ALIGN_UP(end, 2 * MiB);
}

// Page n of ALIAS.
static void map(unsigned n, u64 entry)
{
    pml4[1] = (u64)pdpt | PRESENT | WRITE;
    pdpt[0] = (u64)directory | PRESENT | WRITE;
    directory[0] = (u64)table | PRESENT | WRITE;
    table[n] = entry;
    write_cr3(read_cr3());
}

static void touch(u64 linear, u64 gpa)
{
    u64 value = 0, next = 0;
    int fault = read64_try(linear, &value);
    check(fault == NO_FAULT && value == UINT64_MAX, "read %lx: %d, %lx", gpa, fault, value);
    fault = write64_try(linear, random_next());
    check(fault == NO_FAULT, "write %lx: %d", gpa, fault);
    TRY("lock addl $1, (%1)", fault, : "r"(linear) : "memory", "cc");
    check(fault == NO_FAULT, "add to %lx: %d", gpa, fault);
    TRY("xchgw %w1, (%2)", fault, , "+r"(next) : "r"(linear) : "memory");
    check(fault == NO_FAULT && (u16)next == 0xffff, "xchg %lx: %d, %lx", gpa, fault, next);
    TRY("lock cmpxchgb %b2, (%3)", fault, , "+a"(value) : "r"(next), "r"(linear) : "memory", "cc");
    check(fault == NO_FAULT && value == UINT64_MAX, "cmpxchg %lx: %d, %lx", gpa, fault, value);
    TRY("movzbl (%2), %k1", fault, , "+r"(next) : "r"(linear + 1) : "memory");
    check(fault == NO_FAULT && next == 0xff, "movzx %lx: %d, %lx", gpa, fault, next);
}

// An access of eight bytes of which the first four are RAM.
static void touch_end(u64 end)
{
    u64 value = 0;
    write32(end - 4, 0x12345678);
    int fault = read64_try(end - 4, &value);
    check(fault == NO_FAULT && value == 0xffffffff12345678, "read across the end of RAM: %d, %lx",
          fault, value);
    fault = write64_try(end - 4, 0xaaaaaaaa55555555);
    check(fault == NO_FAULT && read32(end - 4) == 0x55555555, "write across the end of RAM: %d",
          fault);
}

void part_memory(void)
{
    u64 end = memory_end();
    for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
        if (holes[i] % 4096 == 0 || holes[i] == 0xfffffff8)
            touch(holes[i], holes[i]);
        else // a device's last registers
            (void)read32(holes[i]);
    }
    for (unsigned i = 0; i < PROBES; i++) {
        u64 at = (end + random_below(0xfec00000 - end)) & ~7ul;
        touch(at, at);
    }
    touch_end(end);
    // Beyond 4 GiB, up to the widest address that paging structures can hold.
    unsigned width = cpuid(0x80000008, 0).eax & 0xff;
    for (unsigned i = 0; i < PROBES; i++) {
        u64 gpa = (random_next() & (BIT(width) - 1) & ~4095ul) | BIT(32 + i % (width - 32));
        map(0, gpa | PRESENT | WRITE);
        touch(ALIAS + 8 * random_below(511), gpa);
    }
    u64 value;
    map(0, BIT(width) | PRESENT | WRITE);
    if (width < 52)
        check(read64_try(ALIAS, &value) == VECTOR_PF && caught_error == 9, "a reserved bit: %lx",
              caught_error);
}

// Ports at which a write ends this VM.
static bool deadly(u64 port, unsigned size)
{
    static const u16 ends[] = {0x64, 0x92, 0xf4, 0x604, 0x605, 0xcf9};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        if (port <= ends[i] && ends[i] < port + size)
            return true;
    }
    return port >= 0x3f8 && port < 0x400; // what it says its verdicts by
}

void part_ports(void)
{
    u32 sum = 0;
    u64 stride = MAX(option_number("stride", 1), 1ul);
    for (u64 port = 0; port < 0x10000; port += port < 0xd00 ? 1 : stride) {
        u16 p = (u16)port;
        u32 value = (u32)random_odd();
        sum += inb(p) + inw(p) + inl(p);
        if (!deadly(port, 1))
            outb(p, (u8)value);
        if (!deadly(port, 2))
            outw(p, (u16)value);
        if (!deadly(port, 4))
            outl(p, value);
        if (port >= 0xd00)
            check(inb(p) == 0xff, "port %x", p);
    }
    pic_init();
    check(sum != 1, "%x", sum); // it is used
}

// A REP that would go on for longer than anybody waits: an interrupt comes all the same.
static bool cut;

static void on_cut(struct interrupt_frame *f)
{
    f->rcx = 0;
    cut = true;
    apic_eoi();
}

static void endless(u64 to, bool port)
{
    u64 n = BIT(40), from = (u64)buffer;
    cut = false;
    timer_init();
    interrupt_set(VECTOR_TIMER, on_cut);
    timer_at(rdtsc() + tsc_us(500));
    interrupts_on();
    if (port)
        __asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(0x2c8) : "memory");
    else
        __asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(0) : "memory");
    interrupts_off();
    check(cut, "a long REP was cut by an interrupt");
}

void part_strings(void)
{
    u16 port = 0x2c8; // nobody's
    int fault;
    map(0, (u64)buffer | PRESENT | WRITE);
    map(1, 0);
    u64 at = ALIAS + 4096 - 16, n = 32;
    TRY("rep insb", fault, , "+D"(at), "+c"(n) : "d"(port) : "memory");
    check(fault == VECTOR_PF && caught_cr2 == ALIAS + 4096 && n == 16 && at == ALIAS + 4096,
          "INSB over a page's end: %d at %lx, %lu left", fault, caught_cr2, n);
    at = ALIAS + 4096 - 14, n = 8;
    TRY("rep insl", fault, , "+D"(at), "+c"(n) : "d"(port) : "memory");
    check(fault == VECTOR_PF && n == 5, "INSD over a page's end: %d, %lu left", fault, n);
    at = ALIAS + 4096 - 2, n = 1;
    TRY("rep outsl", fault, , "+S"(at), "+c"(n) : "d"(port) : "memory");
    check(fault == VECTOR_PF && n == 1, "OUTSD over a page's end: %d, %lu left", fault, n);
    map(0, (u64)buffer | PRESENT);
    at = ALIAS, n = 4;
    TRY("rep insb", fault, , "+D"(at), "+c"(n) : "d"(port) : "memory");
    check(fault == VECTOR_PF && caught_error == 3 && n == 4, "INSB to what is read-only: %d, %lx",
          fault, caught_error);
    at = BIT(63), n = 4;
    TRY("rep insb", fault, , "+D"(at), "+c"(n) : "d"(port) : "memory");
    check(fault == VECTOR_GP && n == 4, "INSB to no canonical address: %d", fault);

    // From and into memory that is not there, backwards too, and from there to there.
    map(0, (u64)buffer | PRESENT | WRITE);
    map(1, (0xd0000000 + random_below(1 << 16) * 4096) | PRESENT | WRITE);
    at = ALIAS + 4096 - 32, n = 16;
    TRY("rep insl", fault, , "+D"(at), "+c"(n) : "d"(port) : "memory");
    check(fault == NO_FAULT && n == 0, "INSD into a hole: %d, %lu left", fault, n);
    at = ALIAS + 4096 + 60, n = 100;
    TRY("std; rep outsw; cld", fault, , "+S"(at), "+c"(n) : "d"(port) : "memory");
    check(fault == NO_FAULT && n == 0, "OUTSW from a hole, backwards: %d, %lu left", fault, n);
    u64 from = ALIAS + 4096 - 100, to = ALIAS + 4096 + 1000;
    n = 3000;
    TRY("rep movsb", fault, , "+S"(from), "+D"(to), "+c"(n)::"memory");
    check(fault == NO_FAULT && n == 0, "MOVSB into a hole: %d, %lu left", fault, n);
    for (unsigned i = 0; i < 50; i++) {
        from = ALIAS + random_below(8100), to = ALIAS + random_below(8100), n = random_below(90);
        TRY("rep cmpsb", fault, , "+S"(from), "+D"(to), "+c"(n)::"memory", "cc");
        check(fault == NO_FAULT, "CMPSB at random: %d", fault);
        to = ALIAS + random_below(8100), n = random_below(90);
        TRY("repne scasb", fault, , "+D"(to), "+c"(n) : "a"(0) : "memory", "cc");
        check(fault == NO_FAULT, "SCASB at random: %d", fault);
        from = ALIAS + random_below(8100), n = random_below(90);
        TRY("rep lodsb", fault, , "+S"(from), "+c"(n)::"memory", "rax");
        check(fault == NO_FAULT, "LODSB at random: %d", fault);
    }
    endless(0xd0000000, false);
    endless(0, true);
    map(0, 0);
    map(1, 0);
}
