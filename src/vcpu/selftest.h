// SPDX-License-Identifier: MIT
#pragma once

#include "lib/types.h"

#if DEBUG
extern bool checks_entries; // before every entry
#else
enum { checks_entries = false };
#endif

// Sees whether `test.fault=guest-values` is on the boot command line; the last that looks for a
// test there. With `test.checks=entries` there, the SDM's checks run before every entry, and each
// exit takes the long way to it. Boot core, before there is a VM.
void vcpu_selftest(void);

// Begins with `test.fault=guest-values`: on the boot core each VM has once a register that no CPU
// can have, by the VM's number: 1 DR6, 2 IA32_KERNEL_GS_BASE, 3 IA32_LSTAR, 4 XCR0, 5 MXCSR,
// 6 XSTATE_BV (4 and 6 want XSAVE), 7 RIP; others have none. Debug builds only; boot core,
// before its main loop.
void vcpu_selftest_start(void);
