// SPDX-License-Identifier: MIT
// The appliance from GRUB's hand-over to the VMMs' main loops: the one place that knows all rooms.
#include "boot/acpi.h"
#include "boot/cmdline.h"
#include "boot/log.h"
#include "boot/memory.h"
#include "boot/multiboot2.h"
#include "boot/paging.h"
#include "boot/panic.h"
#include "boot/power.h"
#include "boot/record.h"
#include "boot/screen.h"
#include "boot/selftest.h"
#include "boot/serial.h"
#include "gdbstub/line.h"
#include "lib/assert.h"
#include "lib/string.h"
#include "smp/apic.h"
#include "smp/descriptors.h"
#include "smp/lost.h"
#include "smp/lost_test.h"
#include "smp/skew.h"
#include "smp/start.h"
#include "smp/time.h"
#include "smp/watchdog.h"
#include "vcpu/cpuid.h"
#include "vcpu/selftest.h"
#include "vcpu/vmm.h"
#include "vm/appliance.h"
#include "vm/console.h"
#include "vm/display.h"
#include "vm/move_test.h"
#include "vmx/backend.h"

void main(u32 magic, hpa_t info);

static enum error acpi_error;
static char acpi_missing[80]; // what, with acpi_error
static enum error backend_error;
static char backend_missing[128]; // why guests cannot be run, with backend_error

// Every core, the boot core last: into VMX operation and, when all are there, into the main loop.
static void core_main(void)
{
    smp_barrier(); // the boot core has found out what VMX there is
    if (backend_error == OK) {
        skew_measure();
        char failure[128];
        if (vmm_init(&TEXT(failure)) != OK)
            log_line("vmx", "this core runs no guests: %s", failure);
    }
    smp_barrier();
    if (this_core()->number == 0)
        return;
    smp_barrier(); // the boot core has made the VMs
    if (this_core()->vmm != NULL) {
        watchdog_start();
        lost_test_start();
        vmm_loop();
    }
    for (;;)
        core_stop();
}

static void log_machine(void)
{
    unsigned leaves;
    unsigned bad = paging_count_writable_executable(&leaves);
    log_line("boot", "Vitrine: %lu MiB of memory, %u boot modules%s", (memory_total_bytes() / MiB),
             boot_info.modules, boot_info.modules_left_out > 0 ? " (more were left out)" : "");
    log_line("boot", "host paging: %u pages, %u of them writable and executable", leaves, bad);
    if (acpi_error != OK)
        log_line("boot", "ACPI: %s", acpi_missing);
}

static void start_vmx(void)
{
    char disable[256], show[16];
    cmdline_value("vmx.disable", disable, sizeof(disable));
    backend_error = backend_probe(disable, &TEXT(backend_missing));
    core_main();
    if (backend_error != OK)
        power_off(backend_missing);
    if (this_core()->vmm == NULL)
        power_off("the boot core cannot enter VMX operation");
    cpuid_init();
    backend_log_features();
    if (cmdline_value("vmx.show", show, sizeof(show)) && strcmp(show, "controls") == 0)
        backend_log_controls();
    lost_test_init();
    backend_selftest();
    vcpu_selftest();
}

// The rest of the boot core's start, on its own stack with a guard page below.
static NORETURN void boot_core_main(void)
{
    time_init();
    log_machine();
    selftest_fault();
    host_irqs_init();
    apic_init();
    smp_start(core_main);

    start_vmx();
    console_init();
    display_init();
    gdb_line_init();
    appliance_start();
    move_test_start();
    console_help();
    smp_barrier();
    lost_init();
    watchdog_start();
    lost_test_start();
    vcpu_selftest_start();
    vmm_loop();
}

void main(u32 magic, hpa_t info)
{
    assert_failed = panic;
    enum error booted = multiboot2_read(magic, info);
    serial_init();
    if (booted != OK)
        power_off("not started by a Multiboot2 loader with a memory map");
    memory_init();
    record_init();
    paging_init();
    screen_init();
    acpi_error = acpi_init(&TEXT(acpi_missing));
    selftest_acpi();
    smp_init();
    // A return address of 0 ends backtraces.
    __asm__ volatile("mov %0, %%rsp; push $0; jmp *%1" ::"r"(this_core()->stack_top),
                     "r"(boot_core_main)
                     : "memory");
    __builtin_unreachable();
}
