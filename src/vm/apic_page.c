// SPDX-License-Identifier: MIT
// The page at the local APICs' address after a reset, where the CPU virtualizes accesses to it (SDM
// 30.4). An EPT is all vCPUs', and to one whose APIC is not there (in x2APIC mode, disabled, moved)
// the page would be memory. So it is mapped while all that run have theirs there; else nobody has
// it, and accesses are EPT violations, as they are where no page is virtualized.
#include "boot/memory.h"
#include "boot/paging.h"
#include "lib/string.h"
#include "vm/vm.h"
#include "vmx/caps.h"
#include "x86/bits.h"

#define PERMISSIONS (EPT_READ | EPT_WRITE)

COLD bool apic_page_create(struct vm *vm)
{
    if (!vmx_has_pin(PIN_POSTED_INTERRUPTS))
        return true;
    vm->apic_page = page_alloc();
    vm->apic_page_mapped = true;
    return vm->apic_page.v != 0 && ept_map(&vm->guest.ept, GPA(APIC_BASE_RESET), vm->apic_page,
                                           PAGE_SIZE, PERMISSIONS) == OK;
}

static bool is_wanted(const struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpus; i++) {
        if (vapic_of(vm->vcpu[i])->place == APIC_ELSEWHERE)
            return false;
    }
    return true;
}

// The leaf of this page is the only one of its table, and only changed here.
void apic_page_follow(struct vcpu *v, bool here)
{
    struct vm *vm = vm_of(v);
    spin_lock(&vm->lock);
    vapic_of(v)->place = here ? APIC_HERE : APIC_ELSEWHERE;
    bool map = is_wanted(vm), change = map != vm->apic_page_mapped;
    if (change)
        guest_protect(&vm->guest, GPA(APIC_BASE_RESET), map ? PERMISSIONS : 0);
    vm->apic_page_mapped = map;
    spin_unlock(&vm->lock);
    if (!change || map)
        return;
    guest_flush(&vm->guest);
    for (unsigned i = 0; i < vm->vcpus; i++) {
        if (vm->vcpu[i] != v)
            vcpu_request(vm->vcpu[i], REQUEST_FLUSH);
    }
}
