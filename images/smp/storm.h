// SPDX-License-Identifier: MIT
#pragma once

#include "lib/types.h"

// CPU 0: has all CPUs send `count` interrupts together, and reports. The vector `wake` has a
// handler, and the others go to storm_join after it.
void storm_check(unsigned online, u64 count, u8 wake);

// Any other CPU: takes part if there is a storm.
void storm_join(unsigned cpu);
