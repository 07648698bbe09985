// SPDX-License-Identifier: MIT
// Data and I/O breakpoints at accesses that we carry out: as for the CPU's own, the debug trap
// comes behind the instruction, by the pending debug exceptions (SDM Vol. 3, 18.2.4, 27.7.3). It
// exits, and exit_exception() finds out whose it is.
#include "lib/cpu.h"
#include "lib/string.h"
#include "vcpu/exits.h"
#include "vcpu/vmm.h"

void vcpu_breakpoints(const struct vcpu *v, struct breakpoint_registers *r)
{
    ASSERT_LOADED(v);
    r->dr7 = state_get(STATE_DR7);
    if (v->debug.registers) {
        memcpy(r->dr, v->debug.dr, sizeof(r->dr));
        return;
    }
    r->dr[0] = read_dr0();
    r->dr[1] = read_dr1();
    r->dr[2] = read_dr2();
    r->dr[3] = read_dr3();
}

void vcpu_break_at(const struct vcpu *v, enum breakpoint_access access, u64 address, unsigned size)
{
    ASSERT_LOADED(v);
    struct breakpoint_registers r;
    if (access == BREAKPOINT_PORT && !(state_get(STATE_CR4) & CR4_DE))
        return;
    vcpu_breakpoints(v, &r);
    vcpu_hits_due(breakpoint_match(&r, access, address, size));
}
