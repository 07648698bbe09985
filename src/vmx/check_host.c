// SPDX-License-Identifier: MIT
// An entry's checks on host state (SDM Vol. 3, 27.2.2 to 27.2.4). We are in 64-bit mode.
#include "vmx/check_internal.h"
#include "x86/msr_numbers.h"
#include "x86/regs_check.h"

// SDM 27.2.2.
static void check_control_registers(struct entry_check *c)
{
    const struct vmx_caps *caps = c->caps;
    u64 cr0 = check_read(c, HOST_CR0), cr4 = check_read(c, HOST_CR4);
    check_require(c, (~cr0 & caps->cr0_fixed0) == 0, HOST_CR0, "bits fixed to 1 must be set");
    check_require(c, (cr0 & ~caps->cr0_fixed1) == 0, HOST_CR0, "bits fixed to 0 must be clear");
    check_require(c, (~cr4 & caps->cr4_fixed0) == 0, HOST_CR4, "bits fixed to 1 must be set");
    check_require(c, (cr4 & ~caps->cr4_fixed1) == 0, HOST_CR4, "bits fixed to 0 must be clear");
    check_require(c, !(cr4 & CR4_CET) || (cr0 & CR0_WP), HOST_CR4, "CET needs CR0.WP");
    check_width(c, HOST_CR3);
}

static void check_msrs(struct entry_check *c)
{
    u32 exit = c->controls.exit;
    check_canonical(c, HOST_SYSENTER_ESP);
    check_canonical(c, HOST_SYSENTER_EIP);
    if (exit & EXIT_LOAD_PERF_GLOBAL_CTRL)
        check_require(c, (check_read(c, HOST_PERF_GLOBAL_CTRL) & ~c->caps->perf_global_ctrl) == 0,
                      HOST_PERF_GLOBAL_CTRL, "must be of counters that the CPU has");
    if (exit & EXIT_LOAD_PAT)
        check_require(c, msr_value_ok(MSR_IA32_PAT, check_read(c, HOST_PAT), 0, 0), HOST_PAT,
                      "must be memory types");
    if (exit & EXIT_LOAD_EFER) {
        u64 efer = check_read(c, HOST_EFER);
        check_require(c, (efer & ~EFER_DEFINED) == 0, HOST_EFER, "reserved bits must be clear");
        check_require(c, (efer & EFER_LMA) && (efer & EFER_LME), HOST_EFER,
                      "LMA and LME must be set, the host being in 64-bit mode");
    }
}

// SDM 27.2.3.
static void check_segments(struct entry_check *c)
{
    static const enum vmcs_field selectors[] = {
        HOST_ES_SELECTOR, HOST_CS_SELECTOR, HOST_SS_SELECTOR, HOST_DS_SELECTOR,
        HOST_FS_SELECTOR, HOST_GS_SELECTOR, HOST_TR_SELECTOR};
    static const enum vmcs_field bases[] = {HOST_FS_BASE, HOST_GS_BASE, HOST_TR_BASE,
                                            HOST_GDTR_BASE, HOST_IDTR_BASE};
    for (unsigned i = 0; i < ARRAY_SIZE(selectors); i++)
        check_require(c, (check_read(c, selectors[i]) & 7) == 0, selectors[i],
                      "RPL and the table's bit must be 0");
    check_require(c, check_read(c, HOST_CS_SELECTOR) != 0, HOST_CS_SELECTOR, "must not be null");
    check_require(c, check_read(c, HOST_TR_SELECTOR) != 0, HOST_TR_SELECTOR, "must not be null");
    for (unsigned i = 0; i < ARRAY_SIZE(bases); i++)
        check_canonical(c, bases[i]);
}

// SDM 27.2.4.
static void check_address_space(struct entry_check *c)
{
    check_require(c, c->controls.exit & EXIT_HOST_64BIT, EXIT_CONTROLS,
                  "the host is in 64-bit mode");
    check_require(c, check_read(c, HOST_CR4) & CR4_PAE, HOST_CR4, "64-bit mode needs PAE");
    check_canonical(c, HOST_RIP);
}

void check_host(struct entry_check *c)
{
    check_control_registers(c);
    check_msrs(c);
    check_segments(c);
    check_address_space(c);
}
