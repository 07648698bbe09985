// SPDX-License-Identifier: MIT
// A record as it lies in memory over a warm reset.
#pragma once

#include "lib/types.h"

#define KEPT_TEXT 8160 // bytes

struct kept {
    u64 magic;
    u64 checksum; // of all that follows
    u64 place;    // where it was written, hpa
    u64 length;   // of the text, bytes
    char text[KEPT_TEXT];
};

_Static_assert(sizeof(struct kept) == 8192, "two pages");

// Makes it a record of n bytes of text, at most KEPT_TEXT.
void kept_seal(struct kept *k, hpa_t place, const char *text, u64 n);

// Whether it is one, written at that place: its length is good then. Anything may lie there.
bool kept_is_valid(const struct kept *k, hpa_t place);
