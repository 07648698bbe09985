// SPDX-License-Identifier: MIT
// A10: control registers, bit by bit, and paging off and on.
#include "intercept.h"

enum { TS = 8, MP = 2, EM = 4, NE = 0x20, WP = 0x10000, AM = 0x40000 };
enum { TSD = 4, DE = 8, PGE = 0x80, PCE = 0x100 };
enum how { MOV, LMSW, LMSW_MEMORY, CLTS };
enum { TRIPS = 3, PAGE_TABLES = 0x800000, WRITE_THROUGH = 8 };

extern const u8 paging32[];
extern u64 pml4[512];

// A bit on which an item may be; the first is that of the item which denies or ignores.
struct bit {
    const char *name;
    u64 bit;
    u64 hits;
};

static struct bit cr0_bits[] = {{"ts", TS, 0},         {"mp", MP, 0},    {"em", EM, 0},
                                {"ne", NE, 0},         {"wp", WP, 0},    {"am", AM, 0},
                                {"em,ts", TS | EM, 0}, {"pg", CR0_PG, 0}};
static struct bit cr4_bits[] = {{"tsd", TSD, 0},           {"de", DE, 0},
                                {"pge", PGE, 0},           {"pce", PCE, 0},
                                {"tsd,pce", TSD | PCE, 0}, {"pae", CR4_PAE, 0}};

// What a write of `value` over `old` leaves, and the hits that it makes.
static u64 left(struct bit *bits, size_t n, u64 *any, u64 old, u64 value)
{
    u64 changed = old ^ value;
    *any += changed != 0;
    for (size_t i = 0; i < n; i++)
        bits[i].hits += (changed & bits[i].bit) != 0;
    enum action a = changed & bits[0].bit ? action_on(WRITE) : AS_EVER;
    return a == DENIED ? old : a == IGNORED ? value ^ (changed & bits[0].bit) : value;
}

static int write_cr0(enum how how, u64 value)
{
    int fault;
    u16 word = (u16)value;
    if (how == MOV)
        TRY("mov %1, %%cr0", fault, : "r"(value) : "memory");
    else if (how == LMSW)
        TRY("lmsw %w1", fault, : "r"(value) : "memory");
    else if (how == LMSW_MEMORY)
        TRY("lmsw %1", fault, : "m"(word) : "memory");
    else
        TRY("clts", fault, ::"memory");
    return fault;
}

static void say(const char *reg, const struct bit *bits, size_t n, u64 any)
{
    for (size_t i = 0; i < n; i++)
        hits(bits[i].hits, "%s:%s", reg, bits[i].name);
    hits(any, "%s", reg);
}

void part_cr0(void)
{
    static const struct {
        enum how how;
        u64 set, clear;
    } writes[] = {
        {MOV, TS, 0},  {MOV, 0, 0},        {CLTS, 0, TS},     {CLTS, 0, TS},
        {LMSW, TS, 0}, {LMSW, 0, 0},       {MOV, MP, TS},     {LMSW_MEMORY, TS | EM, MP},
        {MOV, 0, EM},  {MOV, 0, WP},       {MOV, WP, 0},      {MOV, AM, 0},
        {MOV, TS, AM}, {CLTS, 0, TS},      {MOV, 0, NE},      {MOV, NE, 0},
        {MOV, 0, NE},  {LMSW, MP | TS, 0}, {MOV, 0, MP | TS}, {MOV, 0, TS},
    };
    // On the way to long mode the runtime has set PG and WP.
    for (size_t i = 0; i < ARRAY_SIZE(cr0_bits); i++)
        cr0_bits[i].hits = cr0_bits[i].bit == WP || cr0_bits[i].bit == CR0_PG;
    u64 first = read_cr0(), now = first, any = 1;
    unsigned right = 0;
    for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
        u64 value = (now & ~writes[i].clear) | writes[i].set;
        u64 after = left(cr0_bits, ARRAY_SIZE(cr0_bits), &any, now, value);
        bool denied = (now ^ value) & TS && action_on(WRITE) == DENIED;
        int fault = write_cr0(writes[i].how, value);
        u64 word = 0;
        __asm__ volatile("smsw %0" : "=r"(word));
        bool ok = fault == (denied ? VECTOR_GP : NO_FAULT) && read_cr0() == after &&
                  (u16)word == (u16)after;
        if (!ok)
            printf("write %u of 0x%lx: fault %d, CR0 0x%lx\n", (unsigned)i, value, fault,
                   read_cr0());
        right += ok;
        now = after;
    }
    report(right == ARRAY_SIZE(writes), "A10: CR0 by MOV, LMSW, CLTS, %u times, TS%s", right,
           action_name(action_on(WRITE)));
    // Refused as ever, but a write that would have changed WP.
    u64 value = (now ^ WP) | CR0_NW;
    left(cr0_bits, ARRAY_SIZE(cr0_bits), &any, now, value);
    report(write_cr0(MOV, value) == VECTOR_GP && read_cr0() == now, "A10: CR0.NW without CD: #GP");
    if (now != first) {
        left(cr0_bits, ARRAY_SIZE(cr0_bits), &any, now, first);
        write_cr0(MOV, first);
    }
    say("cr0", cr0_bits, ARRAY_SIZE(cr0_bits), any);
}

void part_pg(void)
{
    u32 off = compatibility_call(paging32, TRIPS);
    report(off == TRIPS && (read_cr0() & CR0_PG) != 0, "A10: paging off and on again, %u times",
           TRIPS);
    hits(1 + 2 * TRIPS, "cr0:pg");
    hits(1, "cr0:wp");
    hits(1 + 2 * TRIPS, "cr0");
}

static int write_cr4(u64 value)
{
    int fault;
    TRY("mov %1, %%cr4", fault, : "r"(value) : "memory");
    return fault;
}

void part_cr4(void)
{
    static const u64 toggles[] = {TSD, 0,        TSD, PCE, TSD | PCE, PCE,
                                  DE,  TSD | DE, PGE, PGE, TSD,       PCE};
    for (size_t i = 0; i < ARRAY_SIZE(cr4_bits); i++)
        cr4_bits[i].hits = cr4_bits[i].bit == CR4_PAE; // set by the runtime
    u64 first = read_cr4(), now = first, any = 1;
    unsigned right = 0;
    for (size_t i = 0; i < ARRAY_SIZE(toggles); i++) {
        u64 value = now ^ toggles[i];
        u64 after = left(cr4_bits, ARRAY_SIZE(cr4_bits), &any, now, value);
        bool denied = toggles[i] & TSD && action_on(WRITE) == DENIED;
        right += write_cr4(value) == (denied ? VECTOR_GP : NO_FAULT) && read_cr4() == after;
        now = after;
    }
    report(right == ARRAY_SIZE(toggles), "A10: %u writes of CR4, TSD%s", right,
           action_name(action_on(WRITE)));
    u64 value = (now ^ PCE) | BIT(62);
    left(cr4_bits, ARRAY_SIZE(cr4_bits), &any, now, value);
    report(write_cr4(value) == VECTOR_GP && read_cr4() == now, "A10: a reserved bit of CR4: #GP");
    if (now != first) {
        left(cr4_bits, ARRAY_SIZE(cr4_bits), &any, now, first);
        write_cr4(first);
    }
    say("cr4", cr4_bits, ARRAY_SIZE(cr4_bits), any);
}

// CR3 gets the addresses of three copies of the PML4, of which an item may leave out two; with an
// item that denies or ignores, the own one is left out.
void part_cr3(void)
{
    static const struct {
        u64 value;
        unsigned times;
    } loads[] = {
        {PAGE_TABLES, 3},
        {PAGE_TABLES + 0x1000, 2},
        {PAGE_TABLES + 0x2000, 4},
        {PAGE_TABLES + WRITE_THROUGH, 1},
    };
    enum action reads = action_on(READ), writes = action_on(WRITE);
    u64 own = (u64)pml4, now = own, value, read_hits = 0, write_hits = 0;
    bool ok = true;
    for (unsigned i = 0; i < 3; i++)
        memcpy((void *)(PAGE_TABLES + i * 0x1000ul), pml4, 4096);
    for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
        for (unsigned n = 0; n < loads[i].times; n++) {
            int fault;
            TRY("mov %1, %%cr3", fault, : "r"(loads[i].value) : "memory");
            ok &= went(writes, fault, VECTOR_GP);
            now = writes == AS_EVER ? loads[i].value : now;
            write_hits++;
            value = 1;
            TRY("mov %%cr3, %1", fault, , "+r"(value)::"memory");
            ok &= went(reads, fault, VECTOR_GP);
            ok &= value == (reads == DENIED ? 1 : reads == IGNORED ? 0 : now);
            read_hits++;
        }
    }
    write_cr3(own);
    write_hits++;
    report(ok, "A10: %lu loads of CR3%s, each read%s", write_hits, action_name(writes),
           action_name(reads));
    hits(read_hits, "cr3:r");
    hits(write_hits + 1, "cr3:w"); // once by the runtime
    hits(write_hits + 1 + read_hits, "cr3");
    hits(1 + 1 + 4 + 1, "cr3:except:0x%x+0x%x:w", PAGE_TABLES, PAGE_TABLES + 0x1000);
    hits(write_hits - 1, "cr3:except:0x%lx:w", own);
}

void part_cr8(void)
{
    enum action reads = action_on(READ), writes = action_on(WRITE);
    u64 now = 0, value;
    bool ok = true;
    int fault;
    for (u64 i = 0; i < 16; i++) {
        TRY("mov %1, %%cr8", fault, : "r"(i) : "memory");
        ok &= went(writes, fault, VECTOR_GP);
        now = writes == AS_EVER ? i : now;
        value = 99;
        TRY("mov %%cr8, %1", fault, , "+r"(value)::"memory");
        ok &= went(reads, fault, VECTOR_GP);
        ok &= value == (reads == DENIED ? 99 : reads == IGNORED ? 0 : now);
    }
    TRY("mov %1, %%cr8", fault, : "r"(16ul) : "memory");
    ok &= fault == (writes == IGNORED ? NO_FAULT : VECTOR_GP);
    TRY("mov %1, %%cr8", fault, : "r"(0ul) : "memory");
    report(ok && went(writes, fault, VECTOR_GP), "A10: 18 writes of CR8%s, 16 reads%s",
           action_name(writes), action_name(reads));
    hits(16, "cr8:r");
    hits(18, "cr8:w");
    hits(34, "cr8");
}
