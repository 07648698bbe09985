// SPDX-License-Identifier: MIT
// The local APIC, as memory (xAPIC) or as MSRs (x2APIC): SDM volume 3, chapter 11.
#pragma once

#include "lib/types.h"

#define XAPIC_PAGE ((u32)APIC_BASE_RESET)

// Registers by their offset in the xAPIC page; x2APIC's MSR is 0x800 + offset / 16.
enum {
    APIC_ID = 0x20,
    APIC_VERSION = 0x30,
    APIC_TPR = 0x80,
    APIC_PPR = 0xa0,
    APIC_EOI = 0xb0,
    APIC_LDR = 0xd0,
    APIC_DFR = 0xe0,
    APIC_SVR = 0xf0,
    APIC_ISR = 0x100,
    APIC_TMR = 0x180,
    APIC_IRR = 0x200,
    APIC_ESR = 0x280,
    APIC_ICR = 0x300,
    APIC_ICR2 = 0x310,
    APIC_LVT_TIMER = 0x320,
    APIC_LVT_LINT0 = 0x350,
    APIC_LVT_LINT1 = 0x360,
    APIC_LVT_ERROR = 0x370,
    APIC_TIMER_INITIAL = 0x380,
    APIC_TIMER_CURRENT = 0x390,
    APIC_TIMER_DIVIDE = 0x3e0,
    APIC_SELF_IPI = 0x3f0, // x2APIC only
};
enum { LVT_MASKED = BIT(16), LVT_EXTINT = 7 << 8, LVT_NMI = 4 << 8 };
enum { LVT_ONE_SHOT = 0, LVT_PERIODIC = 1 << 17, LVT_TSC_DEADLINE = 2 << 17 };
enum { DIVIDE_BY_1 = 0xb, DIVIDE_BY_16 = 0x3 };
enum { ICR_INIT = 5 << 8, ICR_STARTUP = 6 << 8, ICR_NMI = 4 << 8, ICR_ASSERT = 1 << 14 };
enum { ICR_LOGICAL = 1 << 11, ICR_SELF = 1 << 18, ICR_ALL = 2 << 18, ICR_OTHERS = 3 << 18 };
enum { VECTOR_SPURIOUS = 0xff };

// Turns this CPU's APIC on: x2APIC where there is one (unless the command line has `xapic`), all
// LVT entries masked, spurious vector VECTOR_SPURIOUS, TPR 0. Called by the runtime.
void apic_init(void);

// The CPU has an x2APIC; this CPU's is in x2APIC mode.
bool apic_has_x2apic(void);
bool apic_is_x2apic(void);

// Goes from xAPIC to x2APIC, or back by way of "disabled" as the SDM demands.
void apic_set_x2apic(bool on);

u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 value);
void apic_eoi(void);

// This CPU's APIC ID.
u32 apic_id(void);

// Sends an interrupt command: low half of the ICR, and the destination where it has none by
// shorthand. In xAPIC mode it waits (bounded) until the command is gone.
void apic_send(u32 destination, u32 command);

// Interrupts this CPU with this vector.
void apic_self_ipi(u8 vector);

// One of the 256 bits of ISR, TMR or IRR.
bool apic_bit(u32 reg, u8 vector);
