// SPDX-License-Identifier: MIT
// Instructions that fail, by the boot option `test.fault`, to see how that is reported (SDM 31).
#include "vmx/backend.h"

#if DEBUG
#include "boot/memory.h"
#include "boot/paging.h"
#include "boot/selftest.h"
#include "ept/ept.h"
#include "vmx/vmx_internal.h"

#define NO_FIELD ((enum vmcs_field)0x7ffe)

static void make_current(void)
{
    hpa_t page = page_alloc();
    *(u32 *)phys_to_virt(page) = BASIC_REVISION(vmx_caps.basic);
    vmclear(page);
    vmptrld(page);
}

static void vmread_without_vmcs(void)
{
    vmread(GUEST_RIP);
}

static void vmread_of_nothing(void)
{
    make_current();
    vmread(NO_FIELD);
}

static void vmwrite_of_nothing(void)
{
    make_current();
    vmwrite(NO_FIELD, 0);
}

static void vmclear_misaligned(void)
{
    make_current(); // which has the error number
    vmclear(HPA(0x123));
}

static void vmptrld_of_vmxon_region(void)
{
    make_current();
    vmptrld(virt_to_phys(vmx_vmxon_region()));
}

static void invvpid_of_0(void)
{
    make_current();
    flush_vpid(0);
}

static void invept_of_reserved_bit(void)
{
    static struct ept_space s;
    s.root[0] = phys_to_virt(HPA(0x80));
    make_current();
    flush_ept(&s);
}

void backend_selftest(void)
{
    static const struct selftest tests[] = {
        {"vmread", vmread_without_vmcs},
        {"vmread-field", vmread_of_nothing},
        {"vmwrite-field", vmwrite_of_nothing},
        {"vmclear", vmclear_misaligned},
        {"vmptrld", vmptrld_of_vmxon_region},
        {"invept", invept_of_reserved_bit},
        {"invvpid", invvpid_of_0},
    };
    selftest_run(tests, ARRAY_SIZE(tests));
}
#else
void backend_selftest(void) {}
#endif
