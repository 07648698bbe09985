// SPDX-License-Identifier: MIT
#pragma once

// Does what `test.fault=WHAT` on the boot command line asks for, so that tests see how the
// appliance takes it: `ud` an undefined opcode, `text` a write to its own code, `data` a jump into
// data, `wx` data made executable, `stack` a stack that grows without end, `panic`, `screen` a
// fault while the log is drawn. vmx/selftest.c, smp/skew.c and smp/lost_test.c have more. With
// `,once` behind it: not if the last start left a record. Debug builds only; boot core.
void selftest_fault(void);

// The same for `cpu`: the MADT has one that does not exist. After acpi_init(), before the cores are
// counted.
void selftest_acpi(void);

struct selftest {
    const char *name; // WHAT
    void (*run)(void);
};

// The same for n other tests.
void selftest_run(const struct selftest *tests, unsigned n);

// The one of n tests that is asked for, to be run later; or NULL.
void (*selftest_choose(const struct selftest *tests, unsigned n))(void);

// After all tests: says so when none had that name.
void selftest_end(void);

// Faults that other tests have too, where they call for them: #UD, #DF by a stack that grows
// without end, a panic, #PF of the core that draws the log. Debug builds only; any core.
void undefined_opcode(void);
void overflow_stack(void);
void do_panic(void);
void fault_in_drawing(void);
