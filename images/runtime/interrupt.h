// SPDX-License-Identifier: MIT
// The IDT: exceptions and interrupts of the guest (SDM volume 3, chapter 6).
#pragma once

#include "lib/types.h"

struct interrupt_frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u64 vector, error; // error code, 0 where the vector has none
    u64 rip, cs, rflags, rsp, ss;
};

typedef void (*interrupt_handler)(struct interrupt_frame *frame);

// How often each vector arrived at its handler, on all CPUs together.
extern volatile u64 interrupts[256];

// The error code and CR2 of the last exception that a *_try function caught.
extern volatile u64 caught_error, caught_cr2;

// Fills the IDT and loads it on this CPU. Until interrupt_set, whatever arrives is printed with
// its registers and ends the guest with EXIT_EXCEPTION.
void interrupt_init(void);

// Loads the same IDT on another CPU.
void interrupt_load(void);

// Gives a vector its handler; NULL restores the default. The handler itself does the EOI.
void interrupt_set(u8 vector, interrupt_handler handler);

// Puts an assembly routine into the IDT; it gets the bare frame and ends in IRETQ. NULL restores
// the common entry.
void interrupt_set_raw(u8 vector, void (*entry)(void));
