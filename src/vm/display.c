// SPDX-License-Identifier: MIT
#include "vm/display.h"

#include "boot/log.h"
#include "boot/screen.h"
#include "lib/cpu.h"
#include "smp/time.h"
#include "smp/timer.h"
#include "vcpu/vmm.h"

#define COLLECT_US 10000 // lines that come together are drawn together
#define PIECE_US   100   // how long the core draws at a time,
#define PAUSE_US   1000  // and does other things then

static u32 told;     // public: there is something, and the housekeeping core knows or will
static bool drawing; // the timer is set
static struct timer timer;
static struct core_work work;

static u64 after(u64 us)
{
    return rdtsc() + host_tsc_hz / 1000000 * us;
}

// Any core.
static void changed(void)
{
    if (__atomic_exchange_n(&told, 1, __ATOMIC_SEQ_CST) == 0)
        vmm_work_due(&work);
}

static void draw(struct timer *t)
{
    __atomic_store_n(&told, 0, __ATOMIC_SEQ_CST); // what comes from now on may come too late
    drawing = screen_draw(host_tsc_hz / 1000000 * PIECE_US);
    if (drawing)
        timer_set(t, after(PAUSE_US));
}

static void run(void)
{
    if (!drawing)
        timer_set(&timer, after(COLLECT_US));
    drawing = true;
}

static void take(void)
{
    timer_init(&timer, draw);
    drawing = false;
    screen_take();
}

void display_init(void)
{
    if (!screen_is_there())
        return;
    timer_init(&timer, draw);
    work.run = run;
    work.take = take;
    log_changed = changed;
    vmm_add_work(&work);
}
