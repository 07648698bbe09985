// SPDX-License-Identifier: MIT
#include "smp/lost_test.h"

#if DEBUG
#include "boot/cmdline.h"
#include "boot/log.h"
#include "boot/selftest.h"
#include "lib/cpu.h"
#include "lib/format.h"
#include "lib/lock.h"
#include "lib/string.h"
#include "smp/descriptors.h"
#include "smp/lost.h"
#include "smp/time.h"
#include "smp/timer.h"

static void (*chosen)(void);
static struct timer timers[2]; // of the core that fails, and of one that wants its lock
static u64 core, after = 1000; // number; milliseconds
static struct spinlock lock;

static void write_nowhere(void)
{
    *(volatile u64 *)0x1000 = 0;
}

static void loop(void)
{
    for (;;)
        cpu_relax();
}

static void fault_with_lock(void)
{
    spin_lock(&lock);
    __builtin_trap(); // #UD
}

static void fault_with_log(void)
{
    spin_lock(&log_lock);
    __builtin_trap(); // #UD
}

static NOINLINE void assert_another_core(void)
{
    ASSERT_CORE(lost_next(this_core()));
}

// The report's backtrace goes through the interrupt's frame to this function and its callers.
static void fault_in_interrupt(void)
{
    irq_set_handler(VECTOR_SPURIOUS, undefined_opcode);
    __asm__ volatile("int %0" ::"i"(VECTOR_SPURIOUS) : "memory");
}

static const struct selftest tests[] = {
    {"core-ud", undefined_opcode},
    {"core-pf", write_nowhere},
    {"core-df", overflow_stack},
    {"core-panic", do_panic},
    {"core-loop", loop},
    {"core-held", fault_with_lock},
    {"core-log", fault_with_log},
    {"core-screen", fault_in_drawing},
    {"core-assert", assert_another_core},
    {"core-interrupt", fault_in_interrupt},
};

static u64 number(const char *key, u64 otherwise)
{
    char value[12];
    u64 n;
    bool ok = cmdline_value(key, value, sizeof(value)) && str_number(value, strlen(value), &n);
    return ok ? n : otherwise;
}

static void fail(struct timer *t)
{
    (void)t;
    chosen();
}

static void want_lock(struct timer *t)
{
    (void)t;
    spin_lock(&lock);
    spin_unlock(&lock);
}

void lost_test_init(void)
{
    core = number("test.core", core);
    after = number("test.after", after);
    chosen = selftest_choose(tests, ARRAY_SIZE(tests));
}

void lost_test_start(void)
{
    u64 here = this_core()->number, due = rdtsc() + host_tsc_hz / 1000 * after;
    if (chosen != NULL && here == core) {
        timer_init(&timers[0], fail);
        timer_set(&timers[0], due);
    } else if (chosen == fault_with_lock && here == (core == 0)) {
        timer_init(&timers[1], want_lock);
        timer_set(&timers[1], due + host_tsc_hz / 10);
    }
}
#else
void lost_test_init(void) {}
void lost_test_start(void) {}
#endif
