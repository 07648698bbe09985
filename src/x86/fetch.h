// SPDX-License-Identifier: MIT
// The instruction at a guest's RIP, decoded, with a cache: a driver touches its device from few
// places, and a page walk with decoding costs more than a VM exit.
//
// The cache holds nothing that it does not check: it keeps where the paging-structure entries and
// the bytes lie in the guest's RAM, and reads them again. Pure; a cache belongs to one vCPU and is
// used on that vCPU's core. Zeroes are an empty cache. When the guest's RAM moves it must be
// emptied.
#pragma once

#include "x86/cluster.h"
#include "x86/decode.h"
#include "x86/walk.h"

#define FETCH_CACHE_SIZE 8

struct fetch_entry {
    u64 linear, cr3;
    u32 code_size;
    u32 levels; // entries of table[]; 0: this place is free
    const u64 *table[WALK_LEVELS];
    u64 value[WALK_LEVELS];
    const u8 *code;        // 16 bytes in one page
    u64 bytes[2], mask[2]; // the cluster's, and which of them count
    struct instruction i;
    struct cluster cluster;
};

struct fetch_cache {
    struct fetch_entry entry[FETCH_CACHE_SIZE];
    struct instruction other; // what could not be cached
};

// The instruction at linear address `linear` (CS's base and RIP), or NULL when it is not in the
// cache or no longer valid. Only IA-32e mode's paging is cached. Valid until the next call.
const struct instruction *fetch_cached(const struct fetch_cache *c, gva_t linear, u64 cr3,
                                       enum code_size code_size);

// The cluster that an instruction begins which fetch_cached() gave.
static inline const struct cluster *fetch_cluster(const struct instruction *i)
{
    const u8 *entry = (const u8 *)i - offsetof(struct fetch_entry, i);
    return &((const struct fetch_entry *)(const void *)entry)->cluster;
}

// Reads and decodes the instruction at linear, which the guest has just tried to execute, so that
// no permission is checked, and caches it. OK and *i, valid until the next call; ERR_BUSY: its page
// is not there any more, the guest is to try again; ERR_FORMAT, ERR_INVALID: as decode().
enum error fetch_instruction(struct fetch_cache *c, const struct paging_state *ps,
                             const struct guest_memory *m, gva_t linear, enum code_size code_size,
                             const struct instruction **i);
