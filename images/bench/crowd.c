// SPDX-License-Identifier: MIT
// What a switch costs with many vCPUs on one core, spinning or asleep. The vCPUs are those of one
// VM or of several, whose numbers begin at first=N: each VM goes through the phases below by its
// own clock, which all began within a few milliseconds. In a phase the first vCPUs spin and note
// the time, the next sleep with a timer armed, the others sleep until they are called.
#include "bench.h"

struct phase {
    const char *row;
    unsigned spinning, asleep;
};

static const struct phase phases[] = {
    {"vcpu-switch-2", 2, 0},
    {"vcpu-switch-8", 8, 0},
    {"vcpu-switch-32", 32, 0},
    {"vcpu-switch-128", 128, 0},
    {"vcpu-switch-8-asleep", 2, 6},
    {"vcpu-switch-32-asleep", 2, 30},
    {"vcpu-switch-128-asleep", 2, 126},
};

enum { PHASES = ARRAY_SIZE(phases), MAX_SAMPLES = 1024, BEGIN_MS = 3000, SETTLE_MS = 100 };
enum { LEAST_SWITCHES = 40, VECTOR_CALL = 0x63 };

static unsigned first;              // number of this VM's CPU 0 among all
static volatile u32 now_phase;      // from 1
static volatile u64 note[MAX_CPUS]; // when each CPU of this VM last was there
static volatile bool recording;
static u32 samples;
static u32 sample[MAX_SAMPLES]; // ticks from one CPU's last note to another's first

static struct outcome {
    u32 switches;
    u64 ticks;
    struct counts counts;
} outcome[PHASES];

static void record(u64 ticks)
{
    u32 n = __atomic_fetch_add(&samples, 1, __ATOMIC_RELAXED);
    if (n < MAX_SAMPLES)
        sample[n] = (u32)ticks;
}

static u64 last_note_but(unsigned cpu)
{
    u64 last = 0;
    for (unsigned i = 0; i < boot_info.cpus; i++)
        last = i != cpu ? MAX(last, note[i]) : last;
    return last;
}

// Notes the time until phase n is over, which CPU 0 ends at the TSC time `end`.
static void stamp(unsigned cpu, u32 n, u64 end)
{
    u64 last = tsc();
    while (now_phase == n && (cpu != 0 || last < end)) {
        u64 now = tsc();
        // One that comes after another VM's turn finds notes that are long past.
        if (now - last > LONG_GAP && recording && now - last_note_but(cpu) <= LONG_GAP)
            record(now - last_note_but(cpu));
        note[cpu] = last = now;
    }
}

// A timer that is armed, and does not come to its end here: those of a phase are all different.
static void sleep_with_timer(unsigned number, u32 n)
{
    timer_at(rdtsc() + tsc_ms(60000 + number));
    while (now_phase == n)
        halt_once();
    timer_at(0);
}

static void other_cpu(unsigned cpu)
{
    unsigned number = first + cpu;
    timer_init();
    for (u32 done = 0;;) {
        u32 n = now_phase;
        if (n == done) {
            halt_once();
            continue;
        }
        const struct phase *p = &phases[n - 1];
        if (number < p->spinning)
            stamp(cpu, n, 0);
        else if (number < p->spinning + p->asleep)
            sleep_with_timer(number, n);
        done = n;
    }
}

static u64 median(void)
{
    u32 n = MIN(samples, (u32)MAX_SAMPLES);
    for (u32 i = 1; i < n; i++) {
        for (u32 j = i; j > 0 && sample[j - 1] > sample[j]; j--) {
            u32 other = sample[j];
            sample[j] = sample[j - 1];
            sample[j - 1] = other;
        }
    }
    return n != 0 ? sample[n / 2] : 0;
}

// Phase n on CPU 0, until the TSC time `end`. Nothing counts before `settled`: the vCPUs that are
// new have come in by then.
static void conduct(u32 n, u64 settled, u64 end)
{
    const struct phase *p = &phases[n - 1];
    now_phase = n;
    apic_send(0, ICR_OTHERS | ICR_ASSERT | VECTOR_CALL);
    if (first >= p->spinning) {
        sleep_until(end);
        return;
    }
    stamp(0, n, settled);
    samples = 0;
    struct counts before = counts_are_there() ? counts_read() : COUNTS_MAX;
    recording = true;
    stamp(0, n, end);
    recording = false;
    outcome[n - 1].counts = counts_are_there() ? counts_since(before) : before;
    outcome[n - 1].switches = samples;
    outcome[n - 1].ticks = median();
}

// Printing takes its time, and so waits until the last phase is over.
static void print_outcomes(void)
{
    for (u32 i = 0; i < PHASES; i++) {
        const struct outcome *o = &outcome[i];
        if (o->switches < LEAST_SWITCHES / 2) {
            printf("bench: %s: only %u switches were seen\n", phases[i].row, o->switches);
            continue;
        }
        result(phases[i].row, o->ticks - overhead);
        // Of those that are not all this VM's own the number is not known.
        if (counts_are_there() && phases[i].spinning <= boot_info.cpus)
            result_counts(phases[i].row, o->counts, o->switches);
    }
}

void bench_crowd(void)
{
    first = (unsigned)option_number("first", 0);
    interrupt_set_raw(VECTOR_CALL, bench_handler_x2apic);
    if (smp_start(other_cpu) != boot_info.cpus) {
        printf("bench: not all CPUs came up\n");
        return;
    }
    timer_init();
    if (rdtsc() > tsc_ms(BEGIN_MS))
        printf("bench: crowd: late by %lu ticks\n", rdtsc() - tsc_ms(BEGIN_MS));
    sleep_until(tsc_ms(BEGIN_MS));
    u64 ms = BEGIN_MS;
    for (u32 n = 1; n <= PHASES; n++) {
        u64 round = (u64)phases[n - 1].spinning * SLICE_MS;
        u64 settled = ms + SETTLE_MS + round;
        u64 end = settled + MAX(2 * round, (u64)LEAST_SWITCHES * SLICE_MS);
        conduct(n, tsc_ms(settled), tsc_ms(end));
        ms = end + round; // CPU 0 sees the end when it has the core again
    }
    if (first == 0)
        print_outcomes();
}
