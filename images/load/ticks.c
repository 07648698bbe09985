// SPDX-License-Identifier: MIT
// A Linux program, `ticks MS`: whether timers are lost. On each CPU a thread counts the expirations
// of a timer of 1 ms until there were as many as told; the clock must say that as many milliseconds
// have passed, neither more nor fewer. Says how late the latest wake-up was, and what it counted.
// Returns 0; 1: counts and clock disagree; 2: it could not be tried.
#define _GNU_SOURCE // for CPU sets
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_CPUS = 64,
    PERIOD = 1000000, // ns
    SECOND = 1000000000,
};

struct count {
    pthread_t thread;
    int cpu;
    uint64_t expirations;
    uint64_t before, after; // periods that had passed ahead of the last read, and behind it
    uint64_t reads, late;   // ns behind an expiration that a wake-up came, the most
    int failed;
};

static struct count counts[MAX_CPUS];
static uint64_t wanted;

static uint64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void *run(void *arg)
{
    struct count *c = arg;
    uint64_t start = clock_now() + PERIOD; // of the first expiration
    struct itimerspec timer = {
        .it_value = {(time_t)(start / SECOND), (long)(start % SECOND)},
        .it_interval = {0, PERIOD},
    };
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);

    // Linux's other processes shall not be what makes a wake-up late.
    c->failed = 1;
    if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}) != 0)
        return NULL;
    if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME, &timer, NULL) != 0)
        return NULL;
    while (c->expirations < wanted) {
        uint64_t news, now, due;
        now = clock_now();
        c->before = now < start ? 0 : (now - start) / PERIOD + 1;
        // The first that this read waits for, or finds.
        due = start + c->expirations * PERIOD;
        if (read(fd, &news, sizeof(news)) != (ssize_t)sizeof(news))
            return NULL;
        now = clock_now();
        c->after = (now - start) / PERIOD + 1;
        c->expirations += news;
        c->reads++;
        if (now - due > c->late)
            c->late = now - due;
        if (c->expirations < c->before || c->expirations > c->after)
            break;
    }
    c->failed = 0;
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    cpu_set_t all, one;
    int count = 0, bad = 0;

    wanted = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000;
    if (sched_getaffinity(0, sizeof(all), &all) != 0)
        return 2;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < MAX_CPUS; cpu++) {
        pthread_attr_t attributes;
        if (!CPU_ISSET(cpu, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        pthread_attr_init(&attributes);
        pthread_attr_setaffinity_np(&attributes, sizeof(one), &one);
        counts[count].cpu = cpu;
        if (pthread_create(&counts[count].thread, &attributes, run, &counts[count]) != 0) {
            perror("ticks: no thread");
            return 2;
        }
        count++;
    }
    for (int i = 0; i < count; i++) {
        struct count *c = &counts[i];
        pthread_join(c->thread, NULL);
        int wrong = c->failed || c->expirations < c->before || c->expirations > c->after;
        printf("ticks: cpu %d: %lu in %lu to %lu ms, %lu reads, latest %lu us%s\n", c->cpu,
               (unsigned long)c->expirations, (unsigned long)c->before, (unsigned long)c->after,
               (unsigned long)c->reads, (unsigned long)(c->late / 1000), wrong ? ", wrong" : "");
        bad += wrong;
    }
    return bad != 0;
}
