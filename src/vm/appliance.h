// SPDX-License-Identifier: MIT
// The appliance's VMs: from the boot modules to the end of the last.
#pragma once

#include "lib/types.h"
#include "vm/config.h"

struct vm;

// Reads the configuration, reports its errors, makes the VMs that can be and starts them. Boot
// core, all cores in VMX operation. Returns how many were started.
unsigned appliance_start(void);

// A VM ended for good. Boot core's main loop.
void appliance_vm_ended(struct vm *vm);

// Ends the appliance if all VMs have ended and it is to. The housekeeping core.
void appliance_look(void);

// A boot module by name; config_lookup_fn.
bool appliance_image(void *ctx, const char *name, struct image *out);
