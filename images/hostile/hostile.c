// SPDX-License-Identifier: MIT
// A guest that does what it should not, to see that it hurts nobody but itself.
//   part=NAME   what it does; below
//   seed=N      of the random numbers, 1 without it
//   passes=N    how often, once without it; 0: for ever
//   stride=N    of `ports`: how many each step goes on, beyond those that are in use
//   mode=NAME rounds=N
//               of `garbage`: one mode alone; how many in each, 30 without it
//   mode=NAME way=NAME
//               of `die`: where and how
//   spin nmispin
//               in place of a part: spins for ever with interrupts off, with NMIs blocked
#include "hostile.h"

#include "lib/format.h"
#include "lib/string.h"

static const struct {
    const char *name;
    void (*run)(void);
} parts[] = {
    {"memory", part_memory},
    {"ports", part_ports},
    {"strings", part_strings},
    {"msrs", part_msrs},
    {"registers", part_registers},
    {"devices", part_devices},
    {"hypercalls", part_hypercalls},
    {"caches", part_caches},
    {"apic", part_apic},
    {"timers", part_timers},
    {"ipis", part_ipis},
    {"wakes", part_wakes},
    {"output", part_output},
    {"vmx", part_vmx},
    {"garbage", part_garbage},
    {"tables", part_tables},
    {"die", part_die},
};

static u64 state;
static u64 checks;

u64 random_next(void) // xorshift64*
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d;
}

u64 random_below(u64 n)
{
    return random_next() % n;
}

u64 random_odd(void)
{
    static const u64 edges[] = {
        0,          1,          0xff,       0x7fff,      0xffff,         0x7fffffff,
        0x80000000, 0xffffffff, 0xfee00000, 0x100000000, 0x7fffffffffff, 0x800000000000,
        INT64_MAX,  BIT(63),    UINT64_MAX,
    };
    u64 r = random_next();
    switch (r >> 60) {
    case 0 ... 3:
        return edges[r % ARRAY_SIZE(edges)];
    case 4 ... 6:
        return BIT(r & 63);
    case 7 ... 8:
        return BIT(r & 63) | BIT(r >> 6 & 63) | BIT(r >> 12 & 63);
    case 9:
        return ~BIT(r & 63);
    case 10 ... 11:
        return r & 0xffff;
    case 12:
        return r & 0xffffffff;
    default:
        return r * 0x9e3779b97f4a7c15;
    }
}

bool check(bool ok, const char *fmt, ...)
{
    checks++;
    if (!ok) {
        char text[200];
        va_list args;
        va_start(args, fmt);
        str_vformat(text, sizeof(text), fmt, args);
        va_end(args);
        report(false, "D10: %s", text);
    }
    return ok;
}

// A level-triggered line that nobody serves interrupts for ever: enough is enough.
enum { ENOUGH = 100 };
static u64 taken;

static void on_interrupt(struct interrupt_frame *f)
{
    if (f->vector < 16)
        return;
    apic_eoi();
    if (++taken >= ENOUGH)
        f->rflags &= ~(u64)RFLAGS_IF;
}

void let_in(void)
{
    taken = 0;
    interrupts_on();
}

// An APIC sends vectors from 16 on. Those of #AC and #CP come without an error code then: their
// entries are #MC's, which has none.
void take_interrupts(void)
{
    extern const u8 interrupt_entries[256][16];
    interrupt_set(2, on_interrupt);
    for (unsigned v = 16; v < 256; v++)
        interrupt_set((u8)v, on_interrupt);
    interrupt_set_raw(17, (void (*)(void))(u64)interrupt_entries[18]);
    interrupt_set_raw(21, (void (*)(void))(u64)interrupt_entries[18]);
}

// With NMIs blocked: for ever inside the handler of one.
static void stay(void)
{
    for (;;)
        __asm__ volatile("");
}

static NORETURN void spin(bool in_nmi)
{
    printf("hostile: spins\n");
    if (in_nmi) {
        interrupt_set_raw(2, stay);
        apic_send(apic_id(), ICR_NMI | ICR_ASSERT);
    }
    for (;;)
        __asm__ volatile("cli; 1: jmp 1b");
}

int main(void)
{
    char name[16] = "";
    (void)option_text("part", name, sizeof(name));
    state = option_number("seed", 1) * 0x9e3779b97f4a7c15 | 1;
    u64 passes = option_number("passes", 1);
    take_interrupts();
    if (option("spin") || option("nmispin"))
        spin(option("nmispin"));
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (strcmp(parts[i].name, name) != 0)
            continue;
        printf("hostile: %s begins\n", name);
        for (u64 n = 0; passes == 0 || n < passes; n++)
            parts[i].run();
        report(true, "D10: %s: %lu passes, %lu answers were right", name, passes, checks);
        return report_summary();
    }
    printf("hostile: there is no part '%s'\n", name);
    return EXIT_FAILED;
}
