// SPDX-License-Identifier: MIT
// Instructions on devices: each is run on RAM that holds what the device holds, by the CPU alone,
// and then on the device. Registers, flags, stack and what is left in the operand must be the same.
#include "instructions.h"

#include "devices.h"
#include "guest.h"

#define HOLE 0xd0000000u

// Where an operand can be: a register of 4 bytes that keeps what is written to these bits at least,
// or memory where nothing is, of any size.
struct target {
    const char *name;
    u32 address, mask;
    u32 content; // as it is to begin with
};

struct run run;

static u8 code[32], ram[64], stack[256];
static struct {
    struct run run;
    u8 stack[256];
    u32 left; // in the operand
} outcome[2]; // on RAM, on the device

static bool has(u8 needs)
{
    static const struct {
        u32 leaf;
        u8 reg, bit; // 1 EBX, 2 ECX
    } bits[] = {[BMI1] = {7, 1, 3},           [BMI2] = {7, 1, 8},   [ADX] = {7, 1, 19},
                [MOVBE] = {1, 2, 22},         [SSE42] = {1, 2, 20}, [POPCNT] = {1, 2, 23},
                [LZCNT] = {0x80000001, 2, 5}, [CX16] = {1, 2, 13},  [CLFLUSHOPT] = {7, 1, 23},
                [CLWB] = {7, 1, 24}};
    if (needs == NOTHING)
        return true;
    struct cpuid c = cpuid(bits[needs].leaf, 0);
    return (bits[needs].reg == 1 ? c.ebx : c.ecx) >> bits[needs].bit & 1;
}

static u32 low(const void *p)
{
    return (u32)(u64)p;
}

// The instruction, and the way back after it.
static void prepare_code(const struct instruction_row *row, bool code_64)
{
    static const u8 jump_64[6] = {0xff, 0x25}; // JMP [RIP], and the address follows
    u64 back = (u64)run_return64;
    memcpy(code, row->code, row->length);
    if (code_64) {
        memcpy(code + row->length, jump_64, sizeof(jump_64));
        memcpy(code + row->length + sizeof(jump_64), &back, 8);
    } else {
        u32 distance = low(run_return32) - (low(code) + row->length + 5);
        code[row->length] = 0xe9;
        memcpy(code + row->length + 1, &distance, 4);
    }
    run.entry = low(code);
    run.selector = code_64 ? SEL_CODE64 : SEL_CODE32;
}

static void run_on(const struct instruction_row *row, bool code_64, u32 operand)
{
    for (unsigned n = 0; n < GPR_COUNT; n++)
        run.gpr[n] = 0x1000100 + n * 0x1020304;
    run.gpr[RAX] = 0x01020300; // XLAT's byte is the first
    run.gpr[RCX] = 5;
    run.gpr[RDX] = row->how & DIVIDES ? 0 : 0x13579bdf;
    run.gpr[RSI] = 0x00a50307;
    run.gpr[RBX] = operand;
    run.gpr[RSP] = low(stack + 128);
    run.rflags = 0x8d7; // all arithmetic flags
    memset(stack, 0x5a, sizeof(stack));
    if (row->how & STACK) {
        run.gpr[RBX] = low(stack);
        run.gpr[RSP] = operand + (row->how & PUSHES ? code_64 ? 8 : 4 : 0);
    }
    prepare_code(row, code_64);
    run_code();
}

static void keep(unsigned which, const struct instruction_row *row, u32 operand, u32 left)
{
    outcome[which].run = run;
    memcpy(outcome[which].stack, stack, sizeof(stack));
    outcome[which].left = left;
    // Addresses are as they were beside the operand.
    outcome[which].run.gpr[row->how & STACK ? RSP : RBX] -= operand;
    if ((row->how & STACK) && row->code[0] == '\xc8') // ENTER's frame
        outcome[which].run.gpr[RBP] -= operand;
}

// Whether both outcomes are the same, as far as they are defined.
static bool same(const struct instruction_row *row, const struct target *t, bool code_64)
{
    const struct run *a = &outcome[0].run, *b = &outcome[1].run;
    u64 bits = code_64 ? UINT64_MAX : UINT32_MAX;
    bool ok = ((a->rflags ^ b->rflags) & ~(u64)row->undefined) == 0 &&
              memcmp(outcome[0].stack, outcome[1].stack, sizeof(stack)) == 0;
    for (unsigned n = 0; n < (code_64 ? GPR_COUNT : 8); n++)
        ok &= ((a->gpr[n] ^ b->gpr[n]) & bits) == 0;
    u32 left = row->how & WRITES ? outcome[0].left : t->content;
    ok &= t->mask == 0 ? outcome[1].left == t->content : ((outcome[1].left ^ left) & t->mask) == 0;
    if (!ok)
        printf("devices: %s, %u-bit code, on %s: rcx %lx %lx, rflags %lx %lx, operand %x %x\n",
               row->name, code_64 ? 64u : 32u, t->name, a->gpr[RCX], b->gpr[RCX], a->rflags,
               b->rflags, outcome[0].left, outcome[1].left);
    return ok;
}

static bool applies(const struct instruction_row *row, const struct target *t, bool code_64)
{
    bool hole = t->mask == 0;
    if ((row->how & (code_64 ? ONLY_32 : ONLY_64)) || !has(row->needs))
        return false;
    if (!hole && ((row->how & HOLE_ONLY) || (code_64 && (row->how & NATURAL))))
        return false; // a register has 4 bytes
    if ((row->how & (BRANCH | SELECTOR | FLAGS)) && t->mask != UINT32_MAX)
        return false; // it does not hold one
    return !(row->how & DIVIDES) || t->content != 0;
}

static bool try(const struct instruction_row *row, struct target *t, bool code_64)
{
    if (row->how & BRANCH)
        t->content = low(code) + row->length;
    else if (row->how & (SELECTOR | FLAGS))
        t->content = row->how & SELECTOR ? SEL_DATA : 0x4d5; // CF PF AF ZF SF DF
    for (unsigned n = 0; n < sizeof(ram); n += 4)
        memcpy(ram + n, &t->content, 4);
    run_on(row, code_64, low(ram));
    u32 left;
    memcpy(&left, ram, 4);
    keep(0, row, low(ram), left);
    write32(t->address, t->content);
    run_on(row, code_64, t->address);
    keep(1, row, t->address, read32(t->address));
    return same(row, t, code_64);
}

static void try_all(struct target *t)
{
    u32 content = t->content;
    for (unsigned code_64 = 0; code_64 < 2; code_64++) {
        unsigned tried = 0, failed = 0;
        for (unsigned n = 0; n < instruction_row_count; n++) {
            t->content = content;
            if (!applies(&instruction_rows[n], t, code_64))
                continue;
            tried++;
            failed += !try(&instruction_rows[n], t, code_64);
        }
        report(tried > 20 && failed == 0, "E2: %u instructions on %s as on RAM, %u-bit code", tried,
               t->name, code_64 ? 64 : 32);
    }
}

void check_instructions(void)
{
    struct target hole = {"a hole", HOLE, 0, read32(HOLE)};
    try_all(&hole);
    if (acpi.ioapic_address != 0) {
        // Its first input's destination, behind the data window, and masked.
        ioapic_write(IOAPIC_REDIRECTION, IOAPIC_MASKED);
        ioapic_write(IOAPIC_REDIRECTION + 1, 0);
        struct target ioapic = {"the IOAPIC", acpi.ioapic_address + 0x10, 0xff000000, 0x5a000000};
        try_all(&ioapic);
        ioapic_write(IOAPIC_REDIRECTION + 1, 0);
    }
    if (!apic_is_x2apic()) {
        struct target apic = {"the local APIC", XAPIC_PAGE + APIC_TIMER_INITIAL, UINT32_MAX,
                              0x12345678};
        apic_write(APIC_LVT_TIMER, LVT_MASKED);
        try_all(&apic);
        apic_write(APIC_TIMER_INITIAL, 0);
    }
}
