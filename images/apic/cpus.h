// SPDX-License-Identifier: MIT
// The other CPUs: they sleep, or spin, until they are given a job.
#pragma once

#include "lib/types.h"
#include "smp.h"

enum { VECTOR_JOB = 0x41, VECTOR_IPI = 0x91 };

extern volatile u64 received[MAX_CPUS], nmis[MAX_CPUS]; // VECTOR_IPI, NMIs, by CPU
extern unsigned online;
extern volatile bool spin; // the others wait for jobs awake

// Starts them, once, with handlers for the three vectors.
void cpus_start(void);

// Gives a CPU something to do, with interrupts off; on_cpu waits for its end.
void give_job(unsigned cpu, void (*job)(void));
bool job_done(unsigned cpu);
void on_cpu(unsigned cpu, void (*job)(void));
