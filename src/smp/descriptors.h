// SPDX-License-Identifier: MIT
#pragma once

#include "smp/core.h"

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18

enum { IST_NMI = 1, IST_DOUBLE_FAULT = 2, IST_MACHINE_CHECK = 3 };

// Fills the table of gates that all cores share. Boot core, once.
void idt_init(void);

// Loads the core's own GDT, TSS and GS, and the IDT. The core itself.
void descriptors_load(struct core *c);

u64 idt_base(void);

// Interrupt vectors of the host.
enum {
    VECTOR_TIMER = 0xe0,   // local APIC timer
    VECTOR_CONSOLE = 0xe1, // console UART
    VECTOR_DEBUG = 0xe2,   // debugger's UART
    VECTOR_IRQ3 = 0xe3,    // of devices that VMs have
    VECTOR_IRQ4 = 0xe4,
    VECTOR_WAKE = 0xf0,   // look into your mailbox
    VECTOR_POSTED = 0xf1, // posted-interrupt notification
    VECTOR_SPURIOUS = 0xff,
};

// What to do when an interrupt arrives, in root mode or as an exit from a guest. Any core sets one
// before the interrupt can come.
typedef void irq_handler(void);
void irq_set_handler(u8 vector, irq_handler *handler);

// Runs the handler and signals the end of interrupt to the local APIC.
void irq_dispatch(u8 vector);

// Called from vectors.S.
void trap_dispatch(struct trap_frame *f);

// Run on an NMI in root mode, and for one that made a guest exit (f: NULL).
extern void (*nmi_handler)(const struct trap_frame *f);
