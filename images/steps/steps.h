// SPDX-License-Identifier: MIT
// Between steps.c and the routines in assembly.
#pragma once

#include "lib/types.h"

// What the debugger wants: not 0 begins it, 0 ends it.
struct orders {
    u64 spin; // with interrupts off
    u64 halt; // with interrupts off
    u64 exit; // with this value
};

struct values {
    u64 xmm3, cr2, fs_base;
};

// Code that may be copied anywhere; returns its number, from 1.
struct routine {
    const u8 *start, *end;
};
extern const struct routine routines[];

void go_through_emulated(void);
void read_ports(void); // into ports_read
void go_through_plain(void);
void go_through_caught(void);
void gate(void);
void read_values(struct values *v);

// Where to stop it.
extern u8 ports_read[4];
void write_watched(u64 value);
u64 read_watched(void);
void spin_deaf(void);
void halt_deaf(void);
void say(u64 round, u64 first, u64 second);
