// SPDX-License-Identifier: MIT
// What the files of the configuration parser share.
#pragma once

#include "lib/format.h"
#include "vm/config.h"

// A piece of the file, not terminated.
struct slice {
    const char *p;
    size_t len;
};

bool slice_is(struct slice s, const char *text);
struct slice slice_trim(struct slice s);

// Takes what stands before the first separator off *rest (all of it when there is none). False
// when nothing was left.
bool slice_next(struct slice *rest, char separator, struct slice *out);

// Reports "key: text" for the file's line, within the limit on reports. vm, when not NULL, is left
// out from now on.
struct reporter {
    struct config *config;
    config_report_fn *fn;
    void *ctx;
};
void config_report(struct reporter *r, struct config_vm *vm, unsigned line, const char *fmt, ...)
    PRINTF(4, 5);

// Tells something that is no error: "key: note: text". Nothing is left out for it.
void config_note(const struct reporter *r, unsigned line, const char *fmt, ...) PRINTF(3, 4);

// A value being read: what it says, and room for the reason why it cannot be.
struct value {
    struct slice s;
    struct text why;
};

// Two of config_vm.devices that no two VMs can have, nor one VM both: COM1 and COM3 share an
// interrupt, COM2 and COM4 another. Bit n stands for COMn+1.
#define DEVICES_BESIDE(n) (BIT(n) | BIT((n) ^ 2))

// Finds a key of a VM's section; VM_KEYS when there is none.
enum config_vm_key config_find_vm_key(struct slice name);

// A key that may be given more than once.
bool config_vm_key_repeats(enum config_vm_key key);

// Sets the key from v->s. An error, with v->why, when the value is not allowed.
enum error config_set_vm_key(struct config_vm *vm, enum config_vm_key key, struct value *v);

// The same for [appliance]. Keys are numbered from 0 to CONFIG_APPLIANCE_KEYS - 1.
#define CONFIG_APPLIANCE_KEYS 1u
const char *config_appliance_key_name(unsigned key);
unsigned config_find_appliance_key(struct slice name);
enum error config_set_appliance_key(struct config *c, unsigned key, struct value *v);

// The known key nearest to a misspelt one, NULL when none is near.
const char *config_nearest_vm_key_name(struct slice name);
const char *config_nearest_appliance_key_name(struct slice name);
