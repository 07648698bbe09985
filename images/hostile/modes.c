// SPDX-License-Identifier: MIT
// On a second CPU, in each mode: instructions that there are not, garbage, tables that lead
// nowhere, and triple faults.
#include "hostile.h"
#include "lib/string.h"
#include "victim.h"

enum { LONG_US = 5000000 };

struct code {
    u8 n, bytes[14];
};

// SDM Vol. 3, 31.3, and others' instructions.
static const struct code absent[] = {
    {4, {0x0f, 0xc7, 0x34, 0x24}},             // VMPTRLD
    {5, {0xf3, 0x0f, 0xc7, 0x34, 0x24}},       // VMXON
    {5, {0x66, 0x0f, 0xc7, 0x34, 0x24}},       // VMCLEAR
    {4, {0x0f, 0xc7, 0x3c, 0x24}},             // VMPTRST
    {3, {0x0f, 0x01, 0xc2}},                   // VMLAUNCH
    {3, {0x0f, 0x01, 0xc3}},                   // VMRESUME
    {3, {0x0f, 0x01, 0xc4}},                   // VMXOFF
    {3, {0x0f, 0x78, 0xc1}},                   // VMREAD
    {3, {0x0f, 0x79, 0xc1}},                   // VMWRITE
    {6, {0x66, 0x0f, 0x38, 0x80, 0x04, 0x24}}, // INVEPT
    {6, {0x66, 0x0f, 0x38, 0x81, 0x04, 0x24}}, // INVVPID
    {3, {0x0f, 0x01, 0xd4}},                   // VMFUNC
    {2, {0x0f, 0x37}},                         // GETSEC
    {3, {0x0f, 0x01, 0xd8}},                   // VMRUN
    {3, {0x0f, 0x01, 0xd9}},                   // VMMCALL
    {3, {0x0f, 0x01, 0xda}},                   // VMLOAD
    {3, {0x0f, 0x01, 0xdb}},                   // VMSAVE
    {3, {0x0f, 0x01, 0xdc}},                   // STGI
    {3, {0x0f, 0x01, 0xdd}},                   // CLGI
    {3, {0x0f, 0x01, 0xdf}},                   // INVLPGA
    {3, {0x0f, 0x01, 0xc8}},                   // MONITOR
    {3, {0x0f, 0x01, 0xc9}},                   // MWAIT
    {2, {0x0f, 0xaa}},                         // RSM
    {2, {0x0f, 0x0b}},                         // UD2
    {3, {0x0f, 0x01, 0xcf}},                   // ENCLS
};

void part_vmx(void)
{
    for (u32 mode = 0; mode < MODES; mode++) {
        victim_prepare(mode, ARRAY_SIZE(absent));
        for (u32 i = 0; i < ARRAY_SIZE(absent); i++)
            victim_put(i, absent[i].bytes, absent[i].n);
        if (!check(victim_run(LONG_US), "%s: the end", victim_mode_names[mode]))
            continue;
        for (u32 i = 0; i < ARRAY_SIZE(absent); i++) {
            const u8 *b = absent[i].bytes;
            u8 vector = victim_param()->vector[i];
            check(vector == VECTOR_UD, "%s: %02x %02x %02x %02x raises %u", victim_mode_names[mode],
                  b[0], b[1], b[2], b[3], vector);
        }
    }
    // VMCALL does what it does everywhere, and CPUID.
    static const struct code given[] = {{3, {0x0f, 0x01, 0xc1}}, {2, {0x0f, 0xa2}}};
    for (u32 mode = 0; mode < MODES; mode++) {
        victim_prepare(mode, ARRAY_SIZE(given));
        for (u32 i = 0; i < ARRAY_SIZE(given); i++)
            victim_put(i, given[i].bytes, given[i].n);
        check(victim_run(LONG_US), "%s: the end", victim_mode_names[mode]);
        for (u32 i = 0; i < ARRAY_SIZE(given); i++)
            check(victim_param()->vector[i] == VECTOR_BP, "%s: %x raises %u",
                  victim_mode_names[mode], given[i].bytes[1], victim_param()->vector[i]);
    }
}

// ---- garbage -----------------------------------------------------------------------------------

static u8 *put32(u8 *p, u32 value)
{
    memcpy(p, &value, 4);
    return p + 4;
}

static u32 odd_msr(void)
{
    static const u32 some[] = {0x10,       0x1b,       0x3a,       0x3b,       0x8b,
                               0x174,      0x175,      0x176,      0x1a0,      0x1d9,
                               0x277,      0x2ff,      0x200,      0x6e0,      0x80b,
                               0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000100,
                               0xc0000101, 0xc0000102, 0xc0000103, 0xda0,      0xd90};
    return random_below(4) != 0 ? some[random_below(ARRAY_SIZE(some))] : (u32)random_odd();
}

// An instruction that somebody has to look after, or the beginning of one. At most 13 bytes.
static void put_odd(u8 *p)
{
    static const u8 one[] = {0xf4, 0xfa, 0xfb, 0xfd, 0xcc, 0xce, 0xf1, 0xcf, 0xcb, 0xc9, 0x9d,
                             0x9c, 0x17, 0x1f, 0x07, 0xec, 0xed, 0xee, 0xef, 0x6c, 0x6d, 0x6e,
                             0x6f, 0xa4, 0xa5, 0xab, 0xad, 0xd7, 0x9b, 0x62, 0x63, 0x90};
    static const u8 two[] = {0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0b,
                             0x20, 0x21, 0x22, 0x22, 0x22, 0x23, 0x23, 0x30, 0x30, 0x31,
                             0x32, 0x33, 0x34, 0x35, 0x77, 0xa1, 0xa2, 0xa9, 0xae, 0xae,
                             0xb2, 0xb4, 0xc7, 0xc7, 0x78, 0x79, 0x38, 0xff};
    u8 *end = p + 13;
    if (random_below(2) == 0) { // a register first
        *p++ = 0xb8 + (u8)random_below(8);
        p = put32(p, random_below(3) == 0 ? odd_msr() : (u32)random_odd());
    }
    switch (random_below(12)) {
    case 0 ... 2:
        *p++ = one[random_below(ARRAY_SIZE(one))];
        break;
    case 3:
        *p++ = random_below(2) == 0 ? 0xf3 : 0x66;
        *p++ = one[random_below(ARRAY_SIZE(one))];
        break;
    case 4:
        *p++ = 0x8e; // a segment register
        break;
    case 5:
        *p++ = 0xcd;
        break;
    case 6:
        *p++ = random_below(2) == 0 ? 0xea : 0xff;
        break;
    case 7: // any
        break;
    case 8:
        *p++ = 0xb9;
        p = put32(p, odd_msr());
        *p++ = 0x0f;
        *p++ = random_below(4) == 0 ? 0x32 : 0x30;
        break;
    default:
        if (random_below(8) == 0)
            *p++ = random_below(2) == 0 ? 0x66 : 0xf0;
        *p++ = 0x0f;
        *p++ = two[random_below(ARRAY_SIZE(two))];
    }
    while (p < end)
        *p++ = (u8)random_next();
}

// Each ends by its last slot, or is lost and ended by an INIT.
static void garbage(u32 mode)
{
    enum { SLOTS = 40, PATIENCE_US = 150 };
    victim_prepare(mode, SLOTS);
    for (u32 i = 0; i < SLOTS; i++) {
        u8 bytes[VICTIM_SLOT];
        memset(bytes, random_below(2) == 0 ? 0xcc : 0x90, sizeof(bytes));
        put_odd(bytes);
        victim_put(i, bytes, sizeof(bytes));
    }
    victim_run(PATIENCE_US);
}

void part_garbage(void)
{
    char name[16] = "";
    (void)option_text("mode", name, sizeof(name));
    u64 rounds = option_number("rounds", 30);
    for (u64 i = 0; i < rounds; i++) {
        for (u32 mode = 0; mode < MODES; mode++) {
            if (name[0] == '\0' || strcmp(name, victim_mode_names[mode]) == 0)
                garbage(mode);
        }
    }
    apic_send(0, ICR_INIT | ICR_ASSERT | ICR_OTHERS);
}

// ---- tables ------------------------------------------------------------------------------------

// Page tables that lead out of memory, to devices, in circles, or have reserved bits, for an access
// beyond the first 2 MiB: always #PF, or it reads ones.
void part_tables(void)
{
    static const u8 read[] = {0xa1, 0x00, 0x00, 0x30, 0x00}; // MOV EAX, [0x300000]
    static const u8 read64[] = {0x8b, 0x04, 0x25, 0x00, 0x00, 0x30, 0x00};
    static const u64 places[] = {0xd0000000, 0xfec00000, 0xfee01000, 0xfffff000,
                                 0x8000000,  0xfed00000, 0xe0000000};
    for (u32 mode = MODE_PAGED; mode <= MODE_COMPAT; mode++) {
        for (unsigned i = 0; i < 40; i++) {
            u64 odd = random_odd() & ~0x200000ul, bits = 1 | (random_next() & 0xe7e);
            u64 entry = i < ARRAY_SIZE(places) ? places[i] | 3 : (odd & 0x8000fffffffff000) | bits;
            victim_prepare(mode, 1);
            if (i == 8)
                entry = (VICTIM_BASE + (mode == MODE_PAGED ? AT_DIR32 : AT_DIR64)) | 3;
            if (mode == MODE_PAGED) // 4 MiB: the second half of the first entry is RAM's table
                ((u32 *)victim_at(AT_TABLE32))[0x300] = (u32)entry;
            else
                ((u64 *)victim_at(AT_DIR64))[1] = entry;
            if (mode == MODE_LONG)
                victim_put(0, read64, sizeof(read64));
            else
                victim_put(0, read, sizeof(read));
            check(victim_run(LONG_US), "%s: the end, %lx", victim_mode_names[mode], entry);
            u8 vector = victim_param()->vector[0];
            check(vector == VECTOR_PF || vector == VECTOR_BP, "%s: %lx: vector %u",
                  victim_mode_names[mode], entry, vector);
            if (i == 9 && mode != MODE_PAGED)
                check(vector == VECTOR_PF, "%s: a table in no memory", victim_mode_names[mode]);
        }
    }
    apic_send(0, ICR_INIT | ICR_ASSERT | ICR_OTHERS);
}

// ---- death -------------------------------------------------------------------------------------

extern const u8 victim_code[], victim_ivt_pointer[], victim_idt32_pointer[], victim_idt64_pointer[];

static void break_limits(void)
{
    memset(victim_at((u32)(victim_ivt_pointer - victim_code)), 0, 2);
    memset(victim_at((u32)(victim_idt32_pointer - victim_code)), 0, 2);
    memset(victim_at((u32)(victim_idt64_pointer - victim_code)), 0, 2);
}

static void break_gates(void)
{
    memset(victim_at(AT_IDT32), 0, 0x800);
    memset(victim_at(AT_IDT64), 0, 0x1000);
}

// A stack beyond what is mapped; in real mode one of a single byte.
static void break_stack(void)
{
    static const u8 real[] = {0xbc, 0x01, 0x00, 0x0f, 0x0b};              // MOV SP, 1; UD2
    static const u8 other[] = {0xbc, 0xf0, 0xff, 0xff, 0xff, 0x0f, 0x0b}; // MOV ESP, FFFFFFF0H
    u64 nowhere = BIT(62);
    memcpy((u8 *)victim_at(AT_TSS64) + 0x24, &nowhere, 8);
    if (victim_param()->mode == MODE_REAL)
        victim_put(0, real, sizeof(real));
    else
        victim_put(0, other, sizeof(other));
}

static void break_cr3(void)
{
    victim_param()->cr3 = 0xd0000000;
}

// The #UD goes to another task.
static void task_gate(void)
{
    u32 *gate = (u32 *)victim_at(AT_IDT32) + 2 * VECTOR_UD;
    gate[0] = SEL_TSS64 << 16; // the other is busy
    gate[1] = 0x8500;
}

// A vector instruction that touches no memory: MOV EAX, 200H; MOV CR4, EAX; MOVUPS XMM0, [nowhere]
static void vector_access(void)
{
    static const u8 code[] = {0xb8, 0x00, 0x02, 0x00, 0x00, 0x0f, 0x22, 0xe0,
                              0x0f, 0x10, 0x05, 0x00, 0x00, 0x00, 0xd0};
    victim_put(0, code, sizeof(code));
}

static const struct {
    const char *name;
    void (*prepare)(void);
} ways[] = {
    {"limits", break_limits}, {"gates", break_gates}, {"stack", break_stack},
    {"cr3", break_cr3},       {"task", task_gate},    {"vector", vector_access},
};

void part_die(void)
{
    static const u8 ud2[] = {0x0f, 0x0b};
    char mode_name[16] = "", way[16] = "";
    (void)option_text("mode", mode_name, sizeof(mode_name));
    (void)option_text("way", way, sizeof(way));
    for (u32 mode = 0; mode < MODES; mode++) {
        if (strcmp(mode_name, victim_mode_names[mode]) != 0)
            continue;
        victim_prepare(mode, 1);
        victim_put(0, ud2, sizeof(ud2));
        for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
            if (strcmp(way, ways[i].name) == 0)
                ways[i].prepare();
        }
        victim_run(LONG_US);
    }
    check(false, "it lives");
}
