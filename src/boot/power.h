// SPDX-License-Identifier: MIT
#pragma once

#include "lib/types.h"

// Writes "appliance: done: ok", or "done: failed: REASON" when reason is not NULL, waits for the
// log to be out and powers the machine off; after a fault in root mode what the boot option `panic`
// says: `poweroff`, `reboot` (then the line is "starts again: failed: REASON") or `stay`. A reason
// that stands on the screen alone stays there for a while (boot option `hold`). Any core; the
// others must be quiet.
NORETURN void power_off(const char *reason);
