// SPDX-License-Identifier: MIT
// A record as it lies in memory over a warm reset; what does this in Linux is called pstore, too.
#pragma once

#include "lib/types.h"

#define PSTORE_TEXT 8160 // bytes

struct pstore {
    u64 magic;
    u64 checksum; // of all that follows
    u64 place;    // where it was written, hpa
    u64 length;   // of the text, bytes
    char text[PSTORE_TEXT];
};

_Static_assert(sizeof(struct pstore) == 8192, "two pages");

// Makes it a record of n bytes of text, at most PSTORE_TEXT.
void pstore_seal(struct pstore *p, hpa_t place, const char *text, u64 n);

// Whether it is one, written at that place: its length is good then. Anything may lie there.
bool pstore_is_valid(const struct pstore *p, hpa_t place);
