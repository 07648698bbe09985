// SPDX-License-Identifier: MIT
// The page at the local APICs' address after a reset, where the CPU virtualizes accesses to it (SDM
// 30.4). An EPT is all vCPUs', and to one whose APIC is not there (in x2APIC mode, disabled, moved)
// the page would be memory. So it is mapped while all that run have theirs there; else nobody has
// it, and accesses are EPT violations, as they are where no page is virtualized.
#include "boot/memory.h"
#include "boot/paging.h"
#include "lib/string.h"
#include "vcpu/exits.h"
#include "vcpu/vapic.h"
#include "x86/bits.h"

COLD enum error vapic_page_create(struct guest *g)
{
    if (!apicv_delivers())
        return OK;
    struct apic_page *p = &g->apic_page;
    gpa_t at = GPA(APIC_BASE_RESET);
    p->page = page_alloc();
    if (p->page.v == 0)
        return ERR_NO_MEMORY;
    enum error e = ept_map(&g->ept, at, p->page, PAGE_SIZE, EPT_READ | EPT_WRITE);
    return e == OK ? ept_restrict(&g->ept, at, at, EPT_ALL_VIEWS, 0, &p->withheld) : e;
}

static bool is_wanted(const struct guest *g)
{
    for (unsigned i = 0; i < g->vcpu_count; i++) {
        if (vapic_of(g->vcpu[i])->place == APIC_ELSEWHERE)
            return false;
    }
    return true;
}

void vapic_page_follow(struct vcpu *v, bool here)
{
    ASSERT_OWNER(v);
    struct guest *g = v->guest;
    struct apic_page *p = &g->apic_page;
    spin_lock(&p->lock);
    vapic_of(v)->place = here ? APIC_HERE : APIC_ELSEWHERE;
    bool flush =
        p->withheld != NULL && ept_change(&g->ept, p->withheld, is_wanted(g) ? 0 : EPT_RWX);
    spin_unlock(&p->lock);
    if (flush) {
        flush_ept(&g->ept);
        guest_request_flush(g, v);
    }
}
