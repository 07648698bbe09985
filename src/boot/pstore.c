// SPDX-License-Identifier: MIT
#include "boot/pstore.h"

#include "lib/string.h"

#define PSTORE_MAGIC 0x7072657972746956ul

// FNV-1a, 64 bits.
static u64 checksum(const struct pstore *p)
{
    const u8 *from = (const u8 *)&p->place, *end = (const u8 *)p->text + p->length;
    u64 sum = 0xcbf29ce484222325;
    while (from < end)
        sum = (sum ^ *from++) * 0x100000001b3;
    return sum;
}

void pstore_seal(struct pstore *p, hpa_t place, const char *text, u64 n)
{
    p->magic = PSTORE_MAGIC;
    p->place = place.v;
    p->length = n;
    memcpy(p->text, text, n);
    p->checksum = checksum(p);
}

bool pstore_is_valid(const struct pstore *p, hpa_t place)
{
    return p->magic == PSTORE_MAGIC && p->place == place.v && p->length <= PSTORE_TEXT &&
           p->checksum == checksum(p);
}
