// SPDX-License-Identifier: MIT
#pragma once

#include "lib/types.h"

// Writes "appliance: done: ok", or "done: failed: REASON" when reason is not NULL, waits for the
// log to be out and powers the machine off. Any core; the others must be quiet.
NORETURN void power_off(const char *reason);
