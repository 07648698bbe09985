// SPDX-License-Identifier: MIT
#include "acpi.h"

#include "boot_info.h"
#include "cpu.h"
#include "lib/string.h"

struct rsdp { // ACPI 6.5, 5.2.5.3
    char signature[8];
    u8 checksum;
    char oem[6];
    u8 revision;
    u32 rsdt;
    u32 length;
    u64 xsdt;
} PACKED;

struct table { // 5.2.6
    char signature[4];
    u32 length;
    u8 rest[28];
} PACKED;

// Offsets in the FADT, 5.2.9, and in the MADT, 5.2.12.
enum { FADT_PM1A_CNT_BLK = 64, FADT_PM_TMR_BLK = 76, FADT_FLAGS = 112 };
enum { FADT_TMR_VAL_EXT = BIT(8), MADT_ENTRIES = 44 };
enum { MADT_LOCAL_APIC, MADT_IOAPIC, MADT_OVERRIDE, MADT_LOCAL_X2APIC = 9 };
enum { MADT_ENABLED = 1 };

struct acpi acpi;

static u32 get32(const void *table, u32 offset)
{
    u32 value;
    memcpy(&value, (const u8 *)table + offset, sizeof(value));
    return value;
}

static bool sums_to_zero(const void *data, size_t size)
{
    u8 sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = (u8)(sum + ((const u8 *)data)[i]);
    return sum == 0;
}

static const struct rsdp *find_rsdp(void)
{
    for (u64 at = 0xe0000; at < 0x100000; at += 16) {
        if (memcmp((const void *)at, "RSD PTR ", 8) == 0 && sums_to_zero((const void *)at, 20))
            return (const void *)at;
    }
    u64 ebda = (read32(0x40e) & 0xffff) << 4;
    for (u64 at = ebda; ebda >= 0x80000 && at < ebda + 1024; at += 16) {
        if (memcmp((const void *)at, "RSD PTR ", 8) == 0 && sums_to_zero((const void *)at, 20))
            return (const void *)at;
    }
    return NULL;
}

static void add_cpu(u32 id, u32 flags)
{
    if ((flags & MADT_ENABLED) != 0 && acpi.cpus < ACPI_MAX_CPUS)
        acpi.apic_id[acpi.cpus++] = id;
}

static void read_fadt(const struct table *t)
{
    if (t->length < FADT_FLAGS + 4)
        return;
    acpi.pm1a_control_port = (u16)get32(t, FADT_PM1A_CNT_BLK);
    acpi.pm_timer_port = (u16)get32(t, FADT_PM_TMR_BLK);
    acpi.pm_timer_32bit = (get32(t, FADT_FLAGS) & FADT_TMR_VAL_EXT) != 0;
}

static void read_madt(const struct table *t)
{
    const u8 *bytes = (const u8 *)t;
    for (u32 at = MADT_ENTRIES; at + 2 <= t->length && bytes[at + 1] >= 2; at += bytes[at + 1]) {
        switch (bytes[at]) {
        case MADT_LOCAL_APIC:
            add_cpu(bytes[at + 3], get32(t, at + 4));
            break;
        case MADT_LOCAL_X2APIC:
            add_cpu(get32(t, at + 4), get32(t, at + 8));
            break;
        case MADT_IOAPIC:
            if (acpi.ioapic_address == 0) {
                acpi.ioapic_address = get32(t, at + 4);
                acpi.ioapic_gsi_base = get32(t, at + 8);
            }
            break;
        case MADT_OVERRIDE:
            acpi.isa_gsi[bytes[at + 3] & 15] = get32(t, at + 4);
            break;
        }
    }
}

static void read_table(u64 address)
{
    const struct table *t = (const void *)address;
    // The page tables map 4 GiB.
    if (address == 0 || address >= 4 * GiB || !sums_to_zero(t, t->length))
        return;
    if (memcmp(t->signature, "FACP", 4) == 0)
        read_fadt(t);
    if (memcmp(t->signature, "APIC", 4) == 0)
        read_madt(t);
}

void acpi_init(void)
{
    for (u32 i = 0; i < 16; i++)
        acpi.isa_gsi[i] = i;
    const struct rsdp *rsdp = find_rsdp();
    if (rsdp != NULL) {
        bool wide = rsdp->revision >= 2 && rsdp->xsdt != 0 && rsdp->xsdt < 4 * GiB;
        const struct table *root = (const void *)(wide ? rsdp->xsdt : rsdp->rsdt);
        acpi.found = sums_to_zero(root, root->length);
        u32 step = wide ? 8 : 4;
        for (u32 at = sizeof(*root); acpi.found && at + step <= root->length; at += step)
            read_table(wide ? get32(root, at) | (u64)get32(root, at + 4) << 32 : get32(root, at));
    }
    if (boot_info.cpus == 0)
        boot_info.cpus = MAX(acpi.cpus, 1u);
}
