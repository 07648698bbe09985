// SPDX-License-Identifier: MIT
// SMBIOS 2.8: as little as gives the machine a name and its firmware a date (kernels take a PC
// whose firmware has none for an old one).
#include "lib/string.h"
#include "vdev/acpi.h"

#define STRUCTURES (SMBIOS_ENTRY + 0x40)

struct entry_point {
    char anchor[4];
    u8 checksum, length, major, minor;
    u16 max_size;
    u8 revision, formatted[5];
    char dmi_anchor[5];
    u8 dmi_checksum;
    u16 table_length;
    u32 table;
    u16 count;
    u8 bcd_revision;
} PACKED;

struct bios_information {
    u8 type, length;
    u16 handle;
    u8 vendor, version;
    u16 segment;
    u8 date, rom_size;
    u64 characteristics;
    u8 extension[2], major, minor, ec_major, ec_minor;
} PACKED;

struct system_information {
    u8 type, length;
    u16 handle;
    u8 manufacturer, product, version, serial, uuid[16], wake_up, sku, family;
} PACKED;

struct end_of_table {
    u8 type, length;
    u16 handle;
    u8 no_strings[2];
} PACKED;

// A structure is followed by its strings, each ended by a zero, and one zero more.
#define BIOS_STRINGS   "Vitrine\0001.0\00001/01/2024\0"
#define SYSTEM_STRINGS "Vitrine\0Vitrine guest\0001.0\0"

struct smbios_table {
    struct bios_information bios;
    char bios_strings[sizeof(BIOS_STRINGS)];
    struct system_information system;
    char system_strings[sizeof(SYSTEM_STRINGS)];
    struct end_of_table end;
} PACKED;

_Static_assert(sizeof(struct entry_point) == 0x1f, "SMBIOS 2.8, 5.2.1");
_Static_assert(sizeof(struct bios_information) == 0x18, "SMBIOS 2.8, 7.1");
_Static_assert(sizeof(struct system_information) == 0x1b, "SMBIOS 2.8, 7.2");

enum error smbios_build(struct guest_memory *m)
{
    static const struct smbios_table table = {
        .bios =
            {
                .type = 0,
                .length = sizeof(struct bios_information),
                .vendor = 1,
                .version = 2,
                .segment = 0xf000,
                .date = 3,
                .characteristics = BIT(3), // none of the others is told
                .extension = {0x01, 0x10}, // ACPI; a virtual machine
                .ec_major = 0xff,
                .ec_minor = 0xff,
            },
        .bios_strings = BIOS_STRINGS,
        .system =
            {
                .type = 1,
                .length = sizeof(struct system_information),
                .handle = 1,
                .manufacturer = 1,
                .product = 2,
                .version = 3,
                .wake_up = 6, // power switch
            },
        .system_strings = SYSTEM_STRINGS,
        .end = {.type = 127, .length = 4, .handle = 2},
    };
    struct entry_point e = {
        .length = sizeof(e),
        .major = 2,
        .minor = 8,
        .max_size = MAX(offsetof(struct smbios_table, system),
                        offsetof(struct smbios_table, end) - offsetof(struct smbios_table, system)),
        .table_length = sizeof(table),
        .table = STRUCTURES,
        .count = 3,
        .bcd_revision = 0x28,
    };
    memcpy(e.anchor, "_SM_", 4);
    memcpy(e.dmi_anchor, "_DMI_", 5);
    e.dmi_checksum =
        table_checksum(e.dmi_anchor, sizeof(e) - offsetof(struct entry_point, dmi_anchor));
    e.checksum = table_checksum(&e, sizeof(e));
    enum error error = guest_write(m, GPA(STRUCTURES), &table, sizeof(table));
    return error != OK ? error : guest_write(m, GPA(SMBIOS_ENTRY), &e, sizeof(e));
}
