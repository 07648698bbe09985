// SPDX-License-Identifier: MIT
#include "boot/acpi.h"
#include "boot/log.h"
#include "boot/memory.h"
#include "boot/multiboot2.h"
#include "boot/paging.h"
#include "boot/panic.h"
#include "boot/power.h"
#include "boot/uart.h"
#include "lib/x86.h"
#include "smp/apic.h"
#include "smp/start.h"
#include "smp/time.h"

void main(u32 magic, hpa_t info);

static void core_main(void)
{
    for (;;)
        sti_hlt_cli();
}

void main(u32 magic, hpa_t info)
{
    bool booted = multiboot2_read(magic, info);
    uart_init();
    if (!booted)
        power_off("not started by a Multiboot2 loader with a memory map");
    memory_init();
    paging_init();
    const char *missing = acpi_init();
    smp_init();
    time_init();
    log_line("boot", "Vitrine; %llu MiB of memory, %u modules",
             (unsigned long long)(memory_total_bytes() / MiB), boot_info.modules);
    if (missing != NULL)
        log_line("boot", "ACPI: %s", missing);
    ioapic_init();
    apic_init();
    smp_start(core_main);

    unsigned leaves;
    unsigned bad = paging_count_writable_executable(&leaves);
    log_line("boot", "host paging: %u pages, %u of them writable and executable", leaves, bad);
    power_off("no VMX");
}
