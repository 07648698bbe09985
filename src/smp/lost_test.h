// SPDX-License-Identifier: MIT
#pragma once

// Faults of a core that runs its VMM, by the boot option `test.fault`, `test.core=N` (the boot core
// otherwise) after `test.after=MILLISECONDS` (1000): `core-ud` an undefined opcode, `core-pf` a
// write to nowhere, `core-df` a stack that grows without end, `core-panic`, `core-loop` a loop that
// never ends, `core-held` a fault with a lock held that another core wants, `core-log` one with
// the log's, `core-screen` one while the housekeeping core draws the log, `core-assert` a function
// called on the wrong core. Debug builds only. Boot core, before the others begin.
void lost_test_init(void);

// Begins the wait for it. Every core, before its main loop.
void lost_test_start(void);
