// SPDX-License-Identifier: MIT
#include "boot/ksyms.h"

#include "lib/string.h"

extern const u64 ksyms_count;
extern const u32 ksyms_addresses[];
extern const char ksyms_names[];
extern u8 image_start[], image_text_end[];

const char *ksyms_find(u64 address, u64 *offset)
{
    if (address < (u64)image_start || address >= (u64)image_text_end || ksyms_count == 0)
        return NULL;
    u32 at = (u32)address;
    u64 lo = 0, hi = ksyms_count;
    while (hi - lo > 1) {
        u64 mid = lo + (hi - lo) / 2;
        if (ksyms_addresses[mid] <= at)
            lo = mid;
        else
            hi = mid;
    }
    if (ksyms_addresses[lo] > at)
        return NULL;
    *offset = at - ksyms_addresses[lo];
    const char *name = ksyms_names;
    for (u64 i = 0; i < lo; i++)
        name += strlen(name) + 1;
    return name;
}
