// SPDX-License-Identifier: MIT
// An entry's checks on the current VMCS.
#include "vmx/check.h"

#include "lib/format.h"
#include "vcpu/vcpu_internal.h"

static u64 read_current(enum vmcs_field field)
{
    return vmread(field);
}

// Of pages that we have allocated.
static u32 read_physical(u64 address)
{
    return *(const volatile u32 *)phys_to_virt(HPA(address));
}

static const char *check_current(struct vcpu *v, void (*check)(struct entry_check *c), char *buf,
                                 size_t size)
{
    struct entry_check c = {.read = read_current,
                            .read_physical = read_physical,
                            .caps = &vmx_caps,
                            .maxphyaddr = v->guest->maxphyaddr,
                            .vmcs = v->run.vmcs.v};
    check(&c);
    if (c.rule == NULL)
        return NULL;
    str_format(buf, size, "%s = %lx: %s", vmcs_field_name(c.field), c.value, c.rule);
    return buf;
}

const char *vmcs_check(struct vcpu *v, char *buf, size_t size)
{
    return check_current(v, entry_check, buf, size);
}

const char *vmcs_check_guest(struct vcpu *v, char *buf, size_t size)
{
    return check_current(v, entry_check_guest, buf, size);
}
