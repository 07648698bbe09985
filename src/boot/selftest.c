// SPDX-License-Identifier: MIT
#include "boot/selftest.h"

#if DEBUG
#include "boot/acpi.h"
#include "boot/cmdline.h"
#include "boot/log.h"
#include "boot/paging.h"
#include "boot/panic.h"
#include "boot/record.h"
#include "boot/screen.h"
#include "lib/cpu.h"
#include "lib/string.h"

static u8 some_data[16];
static bool found; // the test that is asked for

void undefined_opcode(void)
{
    __asm__ volatile("ud2");
}

static void write_text(void)
{
    *(volatile u8 *)(u64)write_text = 0x90;
}

static void execute_data(void)
{
    some_data[0] = 0xc3; // RET
    ((void (*)(void))(u64)some_data)();
}

static __attribute__((noinline)) u64 grow_stack(u64 n) // NOLINT(misc-no-recursion)
{
    volatile u64 room[64];
    room[0] = n;
    return n == UINT64_MAX ? 0 : grow_stack(n + 1) + room[0];
}

void overflow_stack(void)
{
    log_line("boot", "%lu", grow_stack(0));
}

__attribute__((noinline)) void do_panic(void)
{
    panic("asked for by test.fault");
}

void fault_in_drawing(void)
{
    screen_break();
    log_line("boot", "this is not drawn");
}

// Makes a page of data executable, and has the page tables walked.
static void allow_data_to_execute(void)
{
    u64 *table = phys_to_virt(HPA(read_cr3() & PTE_FRAME));
    for (int shift = 39;; shift -= 9) {
        u64 *entry = &table[(u64)some_data >> shift & 511];
        *entry &= ~PTE_NX;
        if (shift == 12 || *entry & PTE_PS)
            break;
        table = phys_to_virt(HPA(*entry & PTE_FRAME));
    }
    unsigned leaves;
    unsigned bad = paging_count_writable_executable(&leaves);
    panic("%u pages are writable and executable", bad);
}

static const struct selftest faults[] = {
    {"ud", undefined_opcode},      {"text", write_text}, {"data", execute_data},
    {"stack", overflow_stack},     {"panic", do_panic},  {"screen", fault_in_drawing},
    {"wx", allow_data_to_execute},
};

static void add_absent_cpu(void)
{
    if (acpi.cpus < ACPI_CPUS_MAX)
        acpi.apic_id[acpi.cpus++] = 300;
}

void selftest_acpi(void)
{
    static const struct selftest tests[] = {{"cpu", add_absent_cpu}};
    selftest_run(tests, ARRAY_SIZE(tests));
}

void (*selftest_choose(const struct selftest *tests, unsigned n))(void)
{
    char what[32];
    if (!cmdline_value("test.fault", what, sizeof(what)))
        return NULL;
    for (char *p = what; *p != '\0'; p++) {
        if (strcmp(p, ",once") == 0) {
            *p = '\0';
            found |= record_was_left();
        }
    }
    if (found)
        return NULL;
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(tests[i].name, what) == 0) {
            found = true;
            return tests[i].run;
        }
    }
    return NULL;
}

void selftest_run(const struct selftest *tests, unsigned n)
{
    void (*run)(void) = selftest_choose(tests, n);
    if (run != NULL)
        run();
}

void selftest_end(void)
{
    char what[16];
    if (!found && cmdline_value("test.fault", what, sizeof(what)))
        log_line("boot", "test.fault=%s: no such test", what);
}

void selftest_fault(void)
{
    selftest_run(faults, ARRAY_SIZE(faults));
}
#else
void selftest_acpi(void) {}
void selftest_fault(void) {}
#endif
