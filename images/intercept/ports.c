// SPDX-License-Identifier: MIT
// A6, A7: IN, OUT, INS, OUTS, with REP, of all sizes, at ports where nothing is and at the PIC's
// mask.
#include "intercept.h"

enum { PORT = 0x2c8, BUFFER = 64, RUN = 5, PIC_INIT_WRITES = 4 };

// The items of which this says the hits. The first is the one that denies or ignores.
static struct {
    u16 first, last;
    unsigned access;
    u64 hits;
} items[] = {
    {PORT, PORT, READ | WRITE, 0},
    {PORT, PORT, READ, 0},
    {PORT, PORT, WRITE, 0},
    {PORT, PORT + 3, READ, 0},
    {PORT, PORT + 3, WRITE, 0},
    {PORT - 1, PORT - 1, READ, 0},
    {PORT + 1, PORT + 1, READ | WRITE, 0},
    {PORT + 4, PORT + 7, READ | WRITE, 0},
    {PORT - 4, PORT + 11, READ | WRITE, 0}, // all of them
};

static u8 buffer[BUFFER + 8] ALIGNED(16);
static bool right;

static bool touches(unsigned item, u16 port, unsigned size, unsigned access)
{
    return port <= items[item].last && port + size > items[item].first &&
           (items[item].access & access) != 0;
}

static enum action count(u16 port, unsigned size, unsigned access, unsigned elements)
{
    enum action a = touches(0, port, size, access) ? action_on(access) : AS_EVER;
    if (a == DENIED && elements > 1)
        elements = 1;
    for (size_t i = 0; i < ARRAY_SIZE(items); i++)
        items[i].hits += touches((unsigned)i, port, size, access) ? elements : 0;
    return a;
}

#define IN(suffix, size)                                                                       \
    do {                                                                                       \
        u64 rax_ = 0x1122334455667788, mask_ = (1ul << 8 * (size)) - 1, kept_ = rax_ & ~mask_; \
        enum action a_ = count(port, size, READ, 1);                                           \
        int fault_;                                                                            \
        TRY("in" suffix, fault_, , "+a"(rax_) : "d"(port) : "memory");                         \
        if ((size) == 4 && fault_ == NO_FAULT)                                                 \
            kept_ = 0;                                                                         \
        u64 want_ = a_ == DENIED ? 0x1122334455667788 & mask_ : a_ == IGNORED ? 0 : mask_;     \
        right &= went(a_, fault_, VECTOR_GP) && rax_ == (kept_ | want_);                       \
    } while (0)

#define OUT(suffix, size)                                                          \
    do {                                                                           \
        enum action a_ = count(port, size, WRITE, 1);                              \
        int fault_;                                                                \
        TRY("out" suffix, fault_, : "a"(0x12345678), "d"(port) : "memory");        \
        right &= went(a_, fault_, VECTOR_GP) && (fault_ < 0 || caught_error == 0); \
    } while (0)

// An INS or OUTS, its RDI or RSI and its RCX afterwards.
static void string_went(enum action a, int fault, u64 from, u64 to, unsigned size, unsigned n,
                        u64 left, bool backwards)
{
    u64 moved = a == DENIED ? 0 : (u64)n * size;
    right &= went(a, fault, VECTOR_GP) && to == (backwards ? from - moved : from + moved);
    right &= left == (a == DENIED ? n : 0);
}

// What INS left: the elements, and nothing beside them.
static void filled(enum action a, unsigned size, unsigned n)
{
    for (unsigned i = 0; i < BUFFER; i++) {
        u8 want = i < size * n && a != DENIED ? a == IGNORED ? 0 : 0xff : 0x5a;
        right &= buffer[8 + i] == want;
    }
    for (unsigned i = 0; i < 8; i++)
        right &= buffer[i] == 0x5a;
}

#define STRING(instruction, size, n, access, reg, df)                                       \
    do {                                                                                    \
        memset(buffer, 0x5a, sizeof(buffer));                                               \
        u64 from_ = (u64)buffer + 8 + ((df) ? (u64)(size) * (n) - (size) : 0), to_ = from_; \
        u64 rcx_ = (n);                                                                     \
        enum action a_ = count(port, size, access, n);                                      \
        int fault_;                                                                         \
        if (df)                                                                             \
            __asm__ volatile("std" ::: "cc");                                               \
        TRY("rep " instruction, fault_, , "+" reg(to_), "+c"(rcx_) : "d"(port) : "memory"); \
        __asm__ volatile("cld" ::: "cc");                                                   \
        if ((n) == 0) {                                                                     \
            a_ = AS_EVER;                                                                   \
            right &= fault_ == NO_FAULT;                                                    \
        }                                                                                   \
        string_went(a_, fault_, from_, to_, size, n, rcx_, df);                             \
        if ((access) == READ)                                                               \
            filled(a_, size, n);                                                            \
    } while (0)

#define ONE(instruction, size, access, reg)                                                     \
    do {                                                                                        \
        memset(buffer, 0x5a, sizeof(buffer));                                                   \
        u64 from_ = (u64)buffer + 8, to_ = from_;                                               \
        enum action a_ = count(port, size, access, 1);                                          \
        int fault_;                                                                             \
        TRY(instruction, fault_, , "+" reg(to_) : "d"(port) : "memory");                        \
        right &= went(a_, fault_, VECTOR_GP) && to_ == (a_ == DENIED ? from_ : from_ + (size)); \
        if ((access) == READ)                                                                   \
            filled(a_, size, 1);                                                                \
    } while (0)

static void at_port(u16 port)
{
    IN("b %%dx, %%al", 1);
    IN("w %%dx, %%ax", 2);
    IN("l %%dx, %%eax", 4);
    OUT("b %%al, %%dx", 1);
    OUT("w %%ax, %%dx", 2);
    OUT("l %%eax, %%dx", 4);
    ONE("insb", 1, READ, "D");
    ONE("insw", 2, READ, "D");
    ONE("insl", 4, READ, "D");
    ONE("outsb", 1, WRITE, "S");
    ONE("outsw", 2, WRITE, "S");
    ONE("outsl", 4, WRITE, "S");
    STRING("insb", 1, RUN, READ, "D", 0);
    STRING("insw", 2, RUN, READ, "D", 0);
    STRING("insl", 4, RUN, READ, "D", 0);
    STRING("outsb", 1, RUN, WRITE, "S", 0);
    STRING("outsw", 2, RUN, WRITE, "S", 0);
    STRING("outsl", 4, RUN, WRITE, "S", 0);
    STRING("insl", 4, RUN, READ, "D", 1);
    STRING("outsw", 2, RUN, WRITE, "S", 1);
    STRING("insb", 1, 0, READ, "D", 0);
    STRING("addr32 insw", 2, RUN, READ, "D", 0);
    STRING("addr32 outsl", 4, RUN, WRITE, "S", 0);
}

// OUTS and INS that come to a page that is not there: the elements before it are done.
static void into_nothing(void)
{
    u64 pointer = ALIAS + 4096 - 3, rcx = 5, other = pointer, other_rcx = 5;
    int fault;
    map_alias(PTE_PRESENT | PTE_WRITE);
    enum action a = count(PORT, 1, WRITE, 3);
    TRY("rep outsb", fault, , "+S"(pointer), "+c"(rcx) : "d"(PORT) : "memory");
    bool ok = a == DENIED ? fault == VECTOR_GP && rcx == 5
                          : fault == VECTOR_PF && caught_cr2 == ALIAS + 4096 && caught_error == 0 &&
                                rcx == 2 && pointer == ALIAS + 4096;
    a = count(PORT, 1, READ, 3);
    TRY("rep insb", fault, , "+D"(other), "+c"(other_rcx) : "d"(PORT) : "memory");
    ok &= a == DENIED ? fault == VECTOR_GP && other_rcx == 5
                      : fault == VECTOR_PF && caught_cr2 == ALIAS + 4096 && caught_error == 2 &&
                            other_rcx == 2 && other == ALIAS + 4096;
    report(ok, "A6: REP OUTS and INS, and a #PF after 3 elements");
}

static const char *access_of(unsigned access)
{
    return access == READ ? ":r" : access == WRITE ? ":w" : "";
}

void part_io(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(items); i++)
        items[i].hits = 0;
    for (u16 port = PORT - 4; port < (u16)(PORT + 9); port++) {
        right = true;
        at_port(port);
        if (port >= PORT - 3 && port <= PORT)
            report(right, "A7: IN, OUT, INS, OUTS at port 0x%x%s", port,
                   action_name(action_on(READ | WRITE)));
        else
            report(right, "A6: IN, OUT, INS, OUTS at port 0x%x", port);
    }
    into_nothing();
    for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
        const char *access = access_of(items[i].access);
        if (items[i].first == items[i].last)
            hits(items[i].hits, "io:0x%x%s", items[i].first, access);
        else
            hits(items[i].hits, "io:0x%x-0x%x%s", items[i].first, items[i].last, access);
    }
}

// A register that keeps what is written. The runtime has written it while it set the PIC up.
void part_pic(void)
{
    static const u8 values[] = {0xfb, 0x55, 0xaa, 0xff};
    u8 back[4] = {0};
    bool ok = true;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        __asm__ volatile("outb %%al, $0x21" ::"a"(values[i]));
        u8 value;
        __asm__ volatile("inb $0x21, %%al" : "=a"(value));
        ok &= value == values[i];
    }
    report(ok, "A7: port 0x21: 4 values written and read back");
    const void *from = values;
    void *to = back;
    u64 n = 4, m = 4;
    __asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(PIC1_DATA) : "memory");
    __asm__ volatile("rep insb" : "+D"(to), "+c"(m) : "d"(PIC1_DATA) : "memory");
    report(n == 0 && m == 0 && back[0] == 0xff && back[3] == 0xff && inb(0xa1) == 0xff,
           "A7: port 0x21: REP OUTSB and INSB; port 0xa1 has its own");
    hits(8, "io:0x21:r");
    hits(8 + PIC_INIT_WRITES, "io:0x21:w");
    hits(16 + PIC_INIT_WRITES, "io:0x21");
    hits(1, "io:0xa1:r");
    hits(PIC_INIT_WRITES, "io:0xa1:w");
}
