// SPDX-License-Identifier: MIT
// What functions demand of a vCPU (lib/assert.h). Whoever asserts it includes vcpu/vmm.h.
#pragma once

#include "lib/assert.h"

// They are called on the core that owns v.
#define REQUIRES_OWNER(v)
#define ASSERT_OWNER(v) ASSERT((v)->core == this_core())

// The same, and v's state is the one that this core works on: it has called vcpu_load(v), and has
// loaded no other since.
#define REQUIRES_LOADED(v)
#define ASSERT_LOADED(v) ASSERT(this_vmm()->current == (v))
