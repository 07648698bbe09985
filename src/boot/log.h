// SPDX-License-Identifier: MIT
// The log: lines with time, core and part, in a ring in memory and on the console.
#pragma once

#include "lib/lock.h"
#include "lib/types.h"

#define LOG_RING_SIZE 65536
#define LOG_LINE_MAX  320

// Writes "[ssss.uuuuuu] core N: part: text". Any core; not from an NMI handler.
void log_line(const char *part, const char *fmt, ...) PRINTF(2, 3);

// Where finished lines go (with "\n", n bytes). Set by the console; before that they go straight
// to the console's serial line.
extern void (*log_sink)(const char *line, size_t n);

// Told that the ring has more: the screen. Called on any core, often in the middle of something.
extern void (*log_changed)(void);

// Time in microseconds since start, and the calling core's number. Set by smp; before that both
// are 0.
extern u64 (*log_clock)(void);
extern unsigned (*log_core)(void);

extern struct spinlock log_lock; // of the ring

// For a panic: from now on lines go straight to the serial line and nobody is told, and whoever
// held the log's lock is stopped for good.
void log_take_over(void);

// Copies the last n bytes at most of the ring's text into buf; returns how many.
size_t log_tail(char *buf, size_t n);

// Copies text of the ring into buf, at most n bytes, from *position on, which counts from the first
// byte ever written and is moved on; of what is older than the last `most` bytes, nothing. Returns
// how many.
size_t log_read(u64 *position, u64 most, char *buf, size_t n);
