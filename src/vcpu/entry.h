// SPDX-License-Identifier: MIT
// What happens between two stays in the guest.
#pragma once

#include "vcpu/vcpu.h"

// Sees to everything that was requested of v, and to its next event. False: it cannot be entered
// now (it was taken off the core, or waits). Main loop, v loaded.
bool vcpu_prepare(struct vcpu *v);
