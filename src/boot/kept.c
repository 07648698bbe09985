// SPDX-License-Identifier: MIT
#include "boot/kept.h"

#include "lib/string.h"

#define KEPT_MAGIC 0x7072657972746956ul

// FNV-1a, 64 bits.
static u64 checksum(const struct kept *k)
{
    const u8 *from = (const u8 *)&k->place, *end = (const u8 *)k->text + k->length;
    u64 sum = 0xcbf29ce484222325;
    while (from < end)
        sum = (sum ^ *from++) * 0x100000001b3;
    return sum;
}

void kept_seal(struct kept *k, hpa_t place, const char *text, u64 n)
{
    k->magic = KEPT_MAGIC;
    k->place = place.v;
    k->length = n;
    memcpy(k->text, text, n);
    k->checksum = checksum(k);
}

bool kept_is_valid(const struct kept *k, hpa_t place)
{
    return k->magic == KEPT_MAGIC && k->place == place.v && k->length <= KEPT_TEXT &&
           k->checksum == checksum(k);
}
