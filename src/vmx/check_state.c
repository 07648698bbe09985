// SPDX-License-Identifier: MIT
// An entry's checks on guest state that is in no register, and on PDPTEs (SDM Vol. 3, 27.3.1.5,
// 27.3.1.6).
#include "vmx/check_internal.h"
#include "x86/vectors.h"

#define BLOCKING_RESERVED    (~0x1ful)
#define ENCLAVE_INTERRUPTION BIT(4)
#define BLOCKING_BY_EITHER   (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)

// Pending debug exceptions (SDM 25.4.2), in DR6's places.
#define PENDING_ENABLED BIT(12)
#define PENDING_RTM     BIT(16)
#define PENDING_DEFINED (DR6_HITS | PENDING_ENABLED | DR6_BS | PENDING_RTM)

#define REVISION_SHADOW BIT(31) // of a shadow VMCS

// What may be injected into a CPU that is not active.
static bool wakes(const struct entry_check *c, u64 activity)
{
    unsigned vector = EVENT_VECTOR(c->event);
    bool exception = check_injects(c, EVENT_HARDWARE_EXCEPTION);
    bool machine_check = exception && vector == VECTOR_MC, nmi = check_injects(c, EVENT_NMI);
    switch (activity) {
    case ACTIVITY_HLT:
        return check_injects(c, EVENT_EXTERNAL) || nmi || machine_check ||
               (exception && vector == VECTOR_DB) || check_injects(c, EVENT_OTHER);
    case ACTIVITY_SHUTDOWN:
        return nmi || machine_check;
    default:
        return activity == ACTIVITY_ACTIVE;
    }
}

static void check_activity(struct entry_check *c)
{
    u64 activity = check_read(c, GUEST_ACTIVITY);
    check_require(c,
                  activity == ACTIVITY_ACTIVE ||
                      (activity <= ACTIVITY_WAIT_FOR_SIPI &&
                       (MISC_ACTIVITY(c->caps->misc) >> (activity - 1) & 1)),
                  GUEST_ACTIVITY, "must be a state that the CPU has");
    check_require(c, activity != ACTIVITY_HLT || SEGMENT_DPL(check_read(c, GUEST_SS_ACCESS)) == 0,
                  GUEST_ACTIVITY, "HLT needs SS's DPL to be 0");
    check_require(c,
                  activity == ACTIVITY_ACTIVE ||
                      (check_read(c, GUEST_INTERRUPTIBILITY) & BLOCKING_BY_EITHER) == 0,
                  GUEST_ACTIVITY, "must be active behind STI and MOV SS");
    check_require(c, c->event == 0 || wakes(c, activity), GUEST_ACTIVITY,
                  "must take the event to be injected");
}

static void check_interruptibility(struct entry_check *c)
{
    u64 blocking = check_read(c, GUEST_INTERRUPTIBILITY);
    bool sti = blocking & BLOCKING_BY_STI, mov_ss = blocking & BLOCKING_BY_MOV_SS;
    bool enclave = blocking & ENCLAVE_INTERRUPTION;
    enum vmcs_field field = GUEST_INTERRUPTIBILITY;
    check_require(c, (blocking & BLOCKING_RESERVED) == 0, field, "reserved bits must be clear");
    check_require(c, !sti || !mov_ss, field, "blocking by STI and MOV SS must not both be set");
    check_require(c, !sti || (check_read(c, GUEST_RFLAGS) & RFLAGS_IF), field,
                  "blocking by STI needs IF");
    check_require(c, !check_injects(c, EVENT_EXTERNAL) || (!sti && !mov_ss), field,
                  "blocking must be clear for an interrupt to be injected");
    check_require(c, !check_injects(c, EVENT_NMI) || (!sti && !mov_ss), field,
                  "blocking by STI and MOV SS must be clear for an NMI to be injected");
    check_require(c,
                  !check_injects(c, EVENT_NMI) || !(c->controls.pin & PIN_VIRTUAL_NMIS) ||
                      !(blocking & BLOCKING_BY_NMI),
                  field, "blocking by NMI must be clear for an NMI to be injected");
    check_require(c, !(blocking & BLOCKING_BY_SMI), field, "blocking by SMI is for SMM alone");
    // A CPU has the control exactly when it has SGX.
    check_require(c, !enclave || (c->caps->allowed1.secondary & SECONDARY_ENCLS_EXITING), field,
                  "an interruption of an enclave needs SGX");
    check_require(c, !enclave || !mov_ss, field,
                  "blocking by MOV SS must be clear at an interruption of an enclave");
}

static void check_pending_debug(struct entry_check *c)
{
    u64 pending = check_read(c, GUEST_PENDING_DEBUG);
    u64 blocking = check_read(c, GUEST_INTERRUPTIBILITY);
    bool shadow =
        (blocking & BLOCKING_BY_EITHER) != 0 || check_read(c, GUEST_ACTIVITY) == ACTIVITY_HLT;
    bool traps = (check_read(c, GUEST_RFLAGS) & RFLAGS_TF) &&
                 !(check_read(c, GUEST_DEBUGCTL) & DEBUGCTL_BTF);
    enum vmcs_field field = GUEST_PENDING_DEBUG;
    check_require(c, (pending & ~PENDING_DEFINED) == 0, field, "reserved bits must be clear");
    check_require(c, !shadow || !!(pending & DR6_BS) == traps, field,
                  "BS must be as TF and BTF say, behind STI, MOV SS or HLT");
    if (!(pending & PENDING_RTM))
        return;
    check_require(c, c->caps->rtm, field, "the CPU has no RTM");
    check_require(c, pending == (PENDING_RTM | PENDING_ENABLED), field,
                  "RTM comes with bit 12 and no other");
    check_require(c, !(blocking & BLOCKING_BY_MOV_SS), field, "RTM must be clear behind MOV SS");
}

static void check_link_pointer(struct entry_check *c)
{
    u64 link = check_read(c, VMCS_LINK_POINTER);
    if (link == UINT64_MAX)
        return;
    check_page(c, VMCS_LINK_POINTER);
    check_require(c, link != c->vmcs, VMCS_LINK_POINTER, "must not be the VMCS itself");
    if (c->rule != NULL)
        return;
    u32 revision = c->read_physical(link);
    check_require(c, BASIC_REVISION(revision) == BASIC_REVISION(c->caps->basic), VMCS_LINK_POINTER,
                  "the VMCS there must have the CPU's revision");
    check_require(
        c, !!(revision & REVISION_SHADOW) == check_has_secondary(c, SECONDARY_VMCS_SHADOWING),
        VMCS_LINK_POINTER, "the VMCS there must be a shadow as the control says");
}

// The guest's paging being PAE paging, of which EPT has the PDPTEs in the VMCS.
static void check_pdptes(struct entry_check *c)
{
    if (!(check_read(c, GUEST_CR0) & CR0_PG) || !(check_read(c, GUEST_CR4) & CR4_PAE) ||
        (c->controls.entry & ENTRY_IA32E_GUEST) || !check_has_secondary(c, SECONDARY_EPT))
        return;
    for (unsigned i = 0; i < 4; i++) {
        enum vmcs_field field = GUEST_PDPTE0 + 2 * i;
        u64 pdpte = check_read(c, field);
        check_require(c, !(pdpte & 1) || (pdpte & PDPTE_RESERVED) == 0, field,
                      "reserved bits must be clear");
        if (pdpte & 1)
            check_width(c, field);
    }
}

void check_guest_state(struct entry_check *c)
{
    check_activity(c);
    check_interruptibility(c);
    check_pending_debug(c);
    check_link_pointer(c);
    check_pdptes(c);
}
