// SPDX-License-Identifier: MIT
// The page at the local APICs' address after a reset, where the CPU virtualizes accesses to it (SDM
// 30.4). An EPT is all vCPUs', and to one whose APIC is not there (in x2APIC mode, disabled, moved)
// the page would be memory. So it is mapped while all that run have theirs there; else nobody has
// it, and accesses are EPT violations, as they are where no page is virtualized.
#include "boot/memory.h"
#include "vm/vm.h"
#include "vmx/caps.h"
#include "vmx/flush.h"
#include "x86/bits.h"

COLD bool apic_page_create(struct vm *vm)
{
    if (!vmx_has_pin(PIN_POSTED_INTERRUPTS))
        return true;
    vm->apic_page = page_alloc();
    gpa_t at = GPA(APIC_BASE_RESET);
    struct ept_space *ept = &vm->guest.ept;
    return vm->apic_page.v != 0 &&
           ept_map(ept, at, vm->apic_page, PAGE_SIZE, EPT_READ | EPT_WRITE) == OK &&
           ept_restrict(ept, at, at, EPT_ALL_VIEWS, 0, &vm->apic_page_withheld) == OK;
}

static bool is_wanted(const struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpus; i++) {
        if (vapic_of(vm->vcpu[i])->place == APIC_ELSEWHERE)
            return false;
    }
    return true;
}

void apic_page_follow(struct vcpu *v, bool here)
{
    struct vm *vm = vm_of(v);
    spin_lock(&vm->lock);
    vapic_of(v)->place = here ? APIC_HERE : APIC_ELSEWHERE;
    bool flush = vm->apic_page_withheld != NULL &&
                 ept_change(&vm->guest.ept, vm->apic_page_withheld, is_wanted(vm) ? 0 : EPT_RWX);
    spin_unlock(&vm->lock);
    if (flush) {
        ept_flush(&vm->guest.ept);
        guest_request_flush(&vm->guest, v);
    }
}
