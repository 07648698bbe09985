// SPDX-License-Identifier: MIT
#pragma once

// Has vCPUs move from core to core without end, each in its turn, if `test.move=MICROSECONDS` on
// the boot command line asks for it: one after each such time. Boot core, when the VMs are made.
void move_test_start(void);
