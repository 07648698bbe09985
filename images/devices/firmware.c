// SPDX-License-Identifier: MIT
// What firmware leaves below 1 MiB: the BIOS data area and the MP table.
#include "devices.h"

#include "guest.h"
#include "lib/string.h"

#define EBDA_SEGMENT 0x40e

static u16 word(u64 at)
{
    return *(const volatile u16 *)at;
}

static bool sums_to_zero(u64 at, u64 size)
{
    u8 sum = 0;
    for (u64 i = 0; i < size; i++)
        sum = (u8)(sum + *(const volatile u8 *)(at + i));
    return sum == 0;
}

// The MP floating pointer in [from, from + size), 0: none.
static u64 find_mp(u64 from, u64 size)
{
    for (u64 at = from; at < from + size; at += 16) {
        if (memcmp((const void *)at, "_MP_", 4) == 0 && sums_to_zero(at, 16))
            return at;
    }
    return 0;
}

static unsigned mp_processors(u64 table)
{
    unsigned count = 0;
    for (u64 at = table + 44; *(const u8 *)at == 0; at += 20)
        count += *(const u8 *)(at + 3) & 1;
    return count;
}

void check_firmware(void)
{
    u64 ebda = (u64)word(EBDA_SEGMENT) << 4;
    report(word(0x413) == 639, "F10: %u KiB of base memory in the BIOS data area", word(0x413));
    report(ebda == 0x9fc00, "F10: the extended BIOS data area is at %lx", ebda);
    report(word(0x400) == 0x3f8, "F10: the first serial port is at %x", word(0x400));
    report(word(0x41a) == word(0x41c), "F10: no key waits");

    u64 mp = find_mp(ebda, KiB);
    if (mp == 0)
        mp = find_mp(0xf0000, 64 * KiB);
    u64 table = mp != 0 ? *(const u32 *)(mp + 4) : 0;
    bool found = table != 0 && memcmp((const void *)table, "PCMP", 4) == 0;
    report(found && sums_to_zero(table, word(table + 4)), "F11: the MP table is at %lx", table);
    if (found)
        report(mp_processors(table) == boot_info.cpus, "F11: it has %u processors",
               mp_processors(table));
}
