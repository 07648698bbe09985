// SPDX-License-Identifier: MIT
#pragma once

// Compares every core's TSC with the boot core's and logs how far they are apart: time is the TSC,
// on all cores the same one. Each online core calls it, between two barriers.
void skew_measure(void);
