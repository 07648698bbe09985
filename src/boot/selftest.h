// SPDX-License-Identifier: MIT
#pragma once

// Does what `test.fault=WHAT` on the boot command line asks for, so that tests see how the
// appliance takes it: `ud` an undefined opcode, `text` a write to its own code, `data` a jump into
// data, `stack` a stack that grows without end, `panic`. Debug builds only.
void selftest_fault(void);
