// SPDX-License-Identifier: MIT
// What a CPU caches of translations for guests, dropped (SDM Vol. 3, 29.4.3). Root mode with VMX
// on; each works on the calling core alone.
#pragma once

#include "ept/ept.h"
#include "lib/types.h"

// Of all views of one space, whatever the VPID, or of all spaces where the CPU cannot do one.
void flush_ept(const struct ept_space *s);
void flush_ept_all(void);

// The linear and combined mappings of one VPID, in all PCIDs.
void flush_vpid(u16 vpid);

// Which kinds of INVEPT and INVVPID the CPU has; set once by vmx.
struct flush_features {
    bool invept_one, invvpid_one, invvpid_all;
};
extern struct flush_features flush_features;
