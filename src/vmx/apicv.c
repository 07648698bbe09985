// SPDX-License-Identifier: MIT
#include "vmx/apicv.h"

#include "smp/descriptors.h"
#include "vmx/vmx_internal.h"

COLD void apicv_setup(hpa_t registers, hpa_t descriptor, hpa_t access_page)
{
    if (apicv_has_tpr()) {
        vmwrite(VIRTUAL_APIC_ADDRESS, registers.v);
        vmwrite(TPR_THRESHOLD, 0);
    }
    if (!apicv_delivers())
        return;
    vmwrite(APIC_ACCESS_ADDRESS, access_page.v);
    vmwrite(POSTED_INTERRUPT_NOTIFICATION_VECTOR, VECTOR_POSTED);
    vmwrite(POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, descriptor.v);
    vmwrite(GUEST_INTERRUPT_STATUS, 0);
}

void apicv_set_accesses(struct backend_vcpu *b, enum apicv_accesses how)
{
    static const u32 control[] = {
        [APICV_ACCESS_PAGE] = SECONDARY_APIC_ACCESSES,
        [APICV_X2APIC] = SECONDARY_X2APIC,
    };
    b->apic_accesses = how == APICV_TRAPPED ? 0 : control[how];
    backend_compose(b);
}

void apicv_set_eoi_exits(const u64 bitmap[4])
{
    for (unsigned i = 0; i < 4; i++)
        vmwrite(EOI_EXIT_BITMAP0 + 2 * i, bitmap[i]);
}
