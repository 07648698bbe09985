// SPDX-License-Identifier: MIT
// An entry's checks on the current VMCS.
#include "vmx/check.h"

#include "boot/paging.h"
#include "lib/format.h"
#include "vmx/backend.h"

static u64 read_current(enum vmcs_field field)
{
    return vmread(field);
}

// Of pages that we have allocated.
static u32 read_physical(u64 address)
{
    return *(const volatile u32 *)phys_to_virt(HPA(address));
}

static enum error check_current(const struct backend_vcpu *b, void (*check)(struct entry_check *c),
                                struct text *why)
{
    struct entry_check c = {.read = read_current,
                            .read_physical = read_physical,
                            .caps = &vmx_caps,
                            .maxphyaddr = b->maxphyaddr,
                            .vmcs = b->vmcs.v};
    check(&c);
    if (c.rule == NULL)
        return OK;
    return explain(why, ERR_INVALID, "%s = %lx: %s", vmcs_field_name(c.field), c.value, c.rule);
}

enum error backend_check(const struct backend_vcpu *b, struct text *why)
{
    return check_current(b, entry_check, why);
}

enum error backend_check_guest(const struct backend_vcpu *b, struct text *why)
{
    return check_current(b, entry_check_guest, why);
}
