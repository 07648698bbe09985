// SPDX-License-Identifier: MIT
// The local APIC, part by part; each prints its verdicts and leaves
// the APIC in the mode in which it found it, with all masked.
#pragma once

#include "lib/types.h"

void check_modes(void);
void check_lvt(void);
void check_errors(void);
void check_timer(void);
void check_priorities(void);
void check_ioapic(void);
void check_extint(void);
void check_nmi(void);
void check_destinations(void); // the other CPUs are up
void check_startup(void);      // and one of them is taken down and started again

// kept.c: fills what INIT leaves alone, and some that it does not; looks at it; prints verdicts.
void kept_write(void);
void kept_read(void);
void kept_report(void);

// Not verdicts: work whose exits the appliance counts; and counting what should not come.
void do_counted_work(void);
void listen(void);

// How many level-triggered interrupts were ended: what EOIs must cost an exit.
extern unsigned level_eois;

// What happened in what order: vectors by their handlers, and what else is noted.
enum { NOTES = 256 };
extern volatile unsigned notes[NOTES], noted;
void note(unsigned what);

// Whether exactly these were noted, and then none any more.
bool noted_are(unsigned count, const unsigned *wanted);
#define NOTED(...) \
    noted_are(sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned), (const unsigned[]){__VA_ARGS__})

// Handlers: one that notes its vector and ends with EOI; for `count` vectors from `first`.
struct interrupt_frame;
void on_noted(struct interrupt_frame *f);
void note_vectors(u8 first, unsigned count);
void forget_vectors(u8 first, unsigned count);

// Interrupts on for a while.
void take(void);

// Names of the APIC's modes as they stand in verdicts.
const char *mode_name(void);
