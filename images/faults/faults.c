// SPDX-License-Identifier: MIT
// Ways to die and ways to misbehave, one per word of the command line:
//   ud pf             an exception without a handler: registers, then exit value 2
//   triple            a triple fault
//   reset             a reset through port 0xcf9
//   hltoff            HLT with interrupts off
//   exit=N            exit value N
//   flood=N           N lines of 100 characters, as fast as the UART takes them
//   lost=N            N accesses to a port where nothing is; with `memory`, to memory; with
//   `tables`,
//                     by the CPU itself; with `again`, a reset, and so once more
//   port msr vmx mmio what no guest has: answered as hardware would, with verdicts
//   tcg               with vmx: leave out what QEMU's own emulator has not (MSRs) or hangs at
//   (CR4.VMXE)
#include "faults.h"

#include "guest.h"

static void triple_fault(void)
{
    struct {
        u16 limit;
        u64 base;
    } PACKED nothing = {0, 0};
    printf("faults: no IDT, and an exception\n");
    __asm__ volatile("lidt %0; ud2" ::"m"(nothing));
}

static void flood(u64 lines)
{
    static const char filler[] = "................................................................."
                                 ".....................";
    for (u64 i = 0; i < lines; i++)
        printf("flood %07lu %s\n", i, filler);
}

static void page_fault(void)
{
    printf("faults: reading 0x7000000000, which is not mapped\n");
    read32(0x7000000000);
}

static void undefined(void)
{
    printf("faults: UD2\n");
    __asm__ volatile("ud2");
}

static void halt_with_interrupts_off(void)
{
    printf("faults: HLT with interrupts off\n");
    __asm__ volatile("cli; hlt");
    printf("faults: HLT came to an end\n");
}

static void reset(void)
{
    printf("faults: reset through port 0xcf9\n");
    outb(0xcf9, 0x02);
    outb(0xcf9, 0x06);
    delay_us(1000000);
}

static const struct {
    const char *word;
    void (*action)(void);
} ways[] = {
    {"triple", triple_fault}, {"ud", undefined},
    {"pf", page_fault},       {"hltoff", halt_with_interrupts_off},
    {"reset", reset},         {"port", faults_port},
    {"msr", faults_msr},      {"vmx", faults_vmx},
    {"mmio", faults_mmio},
};

int main(void)
{
    u64 value = option_number("exit", 256);
    if (value < 256) {
        printf("faults: exit value %lu\n", value);
        return (int)value;
    }
    u64 lines = option_number("flood", 0);
    if (lines != 0) {
        flood(lines);
        return EXIT_OK;
    }
    u64 accesses = option_number("lost", 0);
    if (accesses != 0) {
        faults_lost(accesses);
        return EXIT_OK;
    }
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        if (option(ways[i].word)) {
            ways[i].action();
            return report_summary();
        }
    }
    printf("faults: the command line names none of triple ud pf hltoff reset port msr vmx mmio "
           "exit=N flood=N lost=N\n");
    return EXIT_FAILED;
}
