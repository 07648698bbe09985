// SPDX-License-Identifier: MIT
// What a misspelt key was perhaps meant to be.
#include "lib/string.h"
#include "vm/config_internal.h"

#define KEY_MAX 16 // longer names are near to no key

// Levenshtein's distance: letters to insert, take out or change to make a into b.
static unsigned distance(struct slice a, struct slice b)
{
    unsigned row[KEY_MAX + 1];
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned change = diagonal + (a.p[i - 1] == b.p[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

static void nearer(struct slice name, const char *key, unsigned *best, const char **nearest)
{
    struct slice k = {key, strlen(key)};
    if (name.len > KEY_MAX || k.len > KEY_MAX)
        return;
    unsigned d = distance(name, k);
    if (d < *best && d < k.len) {
        *best = d;
        *nearest = key;
    }
}

const char *config_nearest_vm_key_name(struct slice name)
{
    unsigned best = 3;
    const char *nearest = NULL;
    for (unsigned i = 0; i < VM_KEYS; i++)
        nearer(name, config_vm_key_name((enum config_vm_key)i), &best, &nearest);
    return nearest;
}

const char *config_nearest_appliance_key_name(struct slice name)
{
    unsigned best = 3;
    const char *nearest = NULL;
    for (unsigned i = 0; i < CONFIG_APPLIANCE_KEYS; i++)
        nearer(name, config_appliance_key_name(i), &best, &nearest);
    return nearest;
}
