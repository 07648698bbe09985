// SPDX-License-Identifier: MIT
#include "vcpu/stats.h"

#include "boot/log.h"
#include "lib/count.h"
#include "lib/format.h"

#define REASONS_PER_LINE 6

#ifdef COUNT_VMX
u64 vmx_counts[COUNTS];
#endif

u64 stats_hypercall(u64 number)
{
#ifdef COUNT_VMX
    if (number - HYPERCALL_COUNT < COUNTS)
        return __atomic_load_n(&vmx_counts[number - HYPERCALL_COUNT], __ATOMIC_RELAXED);
#endif
    (void)number;
    return UINT64_MAX;
}

// The reason with the most exits among those with fewer than `below`, or as many and a higher
// number than `after`.
static unsigned next_reason(const struct vcpu *v, u64 below, unsigned after)
{
    unsigned best = EXIT_REASONS;
    for (unsigned i = 0; i < EXIT_REASONS; i++) {
        bool left = v->run.exits[i] < below || (v->run.exits[i] == below && i > after);
        if (left && v->run.exits[i] > 0 &&
            (best == EXIT_REASONS || v->run.exits[i] > v->run.exits[best]))
            best = i;
    }
    return best;
}

#ifdef COUNT_VMX
// How long v had its core, and what all vCPUs of all VMs have cost so far.
static void log_counts(const struct vcpu *v)
{
    u64 n[COUNTS];
    for (unsigned i = 0; i < COUNTS; i++)
        n[i] = __atomic_load_n(&vmx_counts[i], __ATOMIC_RELAXED);
    log_line("vm", "%s vcpu %u: %lu ticks on its core", v->guest->name, v->index,
             v->schedule.runtime);
    log_line("vm",
             "so far: %lu VMREADs, %lu VMWRITEs, %lu MSR accesses, %lu exits, "
             "%lu ticks in root mode",
             n[COUNT_VMREAD], n[COUNT_VMWRITE], n[COUNT_MSR], n[COUNT_EXIT], n[COUNT_ROOT_TICK]);
}
#endif

void stats_log_exits(const struct vcpu *v)
{
    u64 sum = 0, below = UINT64_MAX;
    for (unsigned i = 0; i < EXIT_REASONS; i++)
        sum += v->run.exits[i];
    char buf[240];
    struct text t = TEXT(buf);
    text_add(&t, "%lu exits", sum);
    unsigned shown = 0;
    for (unsigned i = next_reason(v, below, 0); i != EXIT_REASONS; i = next_reason(v, below, i)) {
        text_add(&t, "%s %s %lu",
                 shown == 0                      ? ":"
                 : shown % REASONS_PER_LINE == 0 ? ""
                                                 : ",",
                 exit_reason_name(i), v->run.exits[i]);
        below = v->run.exits[i];
        shown++;
        if (shown % REASONS_PER_LINE == 0) {
            log_line("vm", "%s vcpu %u: %s", v->guest->name, v->index, buf);
            t = TEXT(buf);
            text_add(&t, "and");
        }
    }
    if (shown == 0 || shown % REASONS_PER_LINE != 0)
        log_line("vm", "%s vcpu %u: %s", v->guest->name, v->index, buf);
    log_line("vm", "%s vcpu %u: interrupts posted %lu, injected %lu; woken %lu, moved %lu",
             v->guest->name, v->index, v->events.interrupts_posted, v->events.injected,
             v->events.wakeups, v->move.count);
#ifdef COUNT_VMX
    log_counts(v);
#endif
}
