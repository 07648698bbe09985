// SPDX-License-Identifier: MIT
// What a loader has told it, and how it was started.
//   by=PROTOCOL  that it is to have been started by: multiboot, multiboot2, pvh
//   mib=N        how much RAM it is to find
//   files=N      how many modules; each holds "content of TEXT", where TEXT is its own text
#include "guest.h"
#include "lib/string.h"

static u8 sum(const void *data, size_t size)
{
    const u8 *bytes = data;
    u8 total = 0;
    for (size_t i = 0; i < size; i++)
        total += bytes[i];
    return total;
}

static void check_protocol(void)
{
    static const char *const names[] = {"none", "multiboot", "multiboot2", "pvh"};
    char by[16] = "";
    option_text("by", by, sizeof(by));
    report(strcmp(by, names[boot_info.protocol]) == 0, "B1: started by %s",
           names[boot_info.protocol]);
    report(boot_info.cs == 8 && boot_info.ds == 0x10 && boot_info.ss == 0x10,
           "B1: the selectors are QEMU's: CS %x, DS %x, SS %x", boot_info.cs, boot_info.ds,
           boot_info.ss);
}

static void check_memory(void)
{
    u64 end = 0;
    bool ascending = boot_info.memory_ranges > 0;
    for (unsigned i = 0; i < boot_info.memory_ranges; i++) {
        ascending &= boot_info.memory[i].base >= end;
        end = boot_info.memory[i].base + boot_info.memory[i].size;
    }
    report(ascending, "B1: %u ranges of memory, ascending", boot_info.memory_ranges);
    u64 mib = option_number("mib", 0);
    report(boot_info.memory_total / MiB == mib - 1, "B1: RAM of %lu KiB, of %lu MiB",
           (u64)(boot_info.memory_total / KiB), mib);
}

// The text has the file's name in front of it where the protocol has one line for both.
static void check_file(unsigned number)
{
    static const char expected[] = "content of ";
    const struct boot_file *f = &boot_info.file[number];
    const char *text = f->text != NULL ? f->text : "";
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == ' ')
            text = p + 1;
    }
    size_t length = sizeof(expected) - 1;
    report(f->size == length + strlen(text) && memcmp(f->data, expected, length) == 0 &&
               memcmp(f->data + length, text, strlen(text)) == 0,
           "B1: module %u, %lu bytes, is %s", number, f->size, text);
}

static void check_tables(void)
{
    if (boot_info.protocol != BOOT_MULTIBOOT)
        report(boot_info.rsdp != NULL && memcmp(boot_info.rsdp, "RSD PTR ", 8) == 0 &&
                   sum(boot_info.rsdp, 20) == 0 && sum(boot_info.rsdp, 36) == 0,
               "B1: it is told of the ACPI tables");
    if (boot_info.protocol == BOOT_MULTIBOOT2)
        report(boot_info.smbios != NULL && memcmp(boot_info.smbios, "_SM_", 4) == 0 &&
                   sum(boot_info.smbios, 0x1f) == 0,
               "B1: it is told of SMBIOS");
}

int main(void)
{
    check_protocol();
    check_memory();
    u64 files = option_number("files", 0);
    report(boot_info.files == files, "B1: %u modules", boot_info.files);
    for (unsigned i = 0; i < boot_info.files; i++)
        check_file(i);
    check_tables();
    return report_summary();
}
