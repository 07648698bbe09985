// SPDX-License-Identifier: MIT
#include "boot/ksyms.h"

#define KSYMS_DEPTH 16 // of pairs in pairs: MAX_DEPTH in boot/ksyms.py, which describes the table

extern const u32 ksyms_count;
extern const u8 ksyms_pairs[256][2]; // what a byte of a name stands for, or zeros
extern const u8 ksyms_deltas[];
extern const u8 ksyms_names[];

bool ksyms_find(u64 at, char *name, size_t size, u64 *offset)
{
    u64 wanted = 0, address = 0; // counts from 1
    const u8 *deltas = ksyms_deltas;
    for (; wanted < ksyms_count; wanted++) {
        u64 delta = 0;
        for (unsigned shift = 0; shift < 32; shift += 7) {
            delta |= (u64)(*deltas & 0x7f) << shift;
            if ((*deltas++ & 0x80) == 0)
                break;
        }
        if (address + delta > at)
            break;
        address += delta;
    }
    if (wanted == 0 || size == 0)
        return false;
    *offset = at - address;

    u8 pending[KSYMS_DEPTH + 1] = {0}; // second halves, and the byte to look at
    unsigned depth = 0;
    u64 ended = 0;
    size_t length = 0;
    const u8 *names = ksyms_names;
    while (ended < wanted) {
        u8 byte = depth > 0 ? pending[--depth] : *names++;
        const u8 *pair = ksyms_pairs[byte];
        if (pair[0] != 0 || pair[1] != 0) {
            if (depth > KSYMS_DEPTH - 1)
                return false;
            pending[depth++] = pair[1];
            pending[depth++] = pair[0];
        } else if (byte == 0) {
            ended++;
        } else if (ended == wanted - 1 && length < size - 1) {
            name[length++] = (char)byte;
        }
    }
    name[length] = 0;
    return true;
}
