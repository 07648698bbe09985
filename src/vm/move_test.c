// SPDX-License-Identifier: MIT
// vCPUs that move all the time, for tests: `test.move=MICROSECONDS` on the boot command line.
#include "vm/move_test.h"

#include "boot/cmdline.h"
#include "boot/log.h"
#include "smp/time.h"
#include "vcpu/vmm.h"
#include "vm/vm.h"

#if DEBUG
static struct timer timer;
static struct core_work work;
static u64 period; // ticks
static unsigned next_vm, next_vcpu;

static void due(struct timer *t)
{
    vmm_work_due(&work);
    timer_set(t, rdtsc() + period);
}

// The next vCPU in turn goes to the next core that takes it.
static void move_one(void)
{
    struct vm *vm = vms[next_vm];
    struct vcpu *v = vm->vcpu[next_vcpu];
    if (++next_vcpu == vm->vcpus) {
        next_vcpu = 0;
        next_vm = (next_vm + 1) % vm_count;
    }
    unsigned here = vcpu_core(v)->number;
    for (unsigned i = 1; i < core_count; i++) {
        if (vcpu_move(v, cores[(here + i) % core_count]) != ERR_INVALID)
            return;
    }
}

static void take(void)
{
    timer_init(&timer, due);
    timer_set(&timer, rdtsc() + period);
}

void move_test_start(void)
{
    char value[12];
    u64 microseconds = 0;
    if (!cmdline_value("test.move", value, sizeof(value)))
        return;
    for (const char *p = value; *p >= '0' && *p <= '9'; p++)
        microseconds = microseconds * 10 + (u64)(*p - '0');
    if (microseconds == 0) {
        log_line("boot", "test.move=%s: a number of microseconds is wanted", value);
        return;
    }
    period = host_tsc_hz / 1000000 * microseconds;
    work.run = move_one;
    work.take = take;
    vmm_add_work(&work);
    take();
}
#else
void move_test_start(void) {}
#endif
