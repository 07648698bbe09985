// SPDX-License-Identifier: MIT
// Bringing up the cores (SDM Vol. 3, 9.4).
#pragma once

#include "smp/core.h"

// Makes the block of the boot core and of every other CPU in the MADT, and sets up the boot core's
// own. Boot core, after paging_init() and acpi_init().
void smp_init(void);

// Starts the other cores by INIT-SIPI-SIPI; each runs entry() when it is set up. Names in the log
// those that do not come up. Returns how many cores are online.
unsigned smp_start(void (*entry)(void));

// Waits until every online core has called this as often as the caller has.
void smp_barrier(void);
