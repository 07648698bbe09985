// SPDX-License-Identifier: MIT
// The pair of 8259 interrupt controllers.
#pragma once

#include "lib/types.h"

enum { PIC_VECTOR = 0x20 }; // IRQ n arrives at vector PIC_VECTOR + n
enum { PIC1_COMMAND = 0x20, PIC1_DATA = 0x21, PIC2_COMMAND = 0xa0, PIC2_DATA = 0xa1 };

// ICW1 to ICW4, IRQ n at PIC_VECTOR + n, all masked. Called by the runtime.
void pic_init(void);

// Masks or unmasks IRQ 0 to 15 (and the cascade as needed).
void pic_mask(u8 irq, bool masked);

// A non-specific EOI for this IRQ, on both controllers where it came through both.
void pic_eoi(u8 irq);

// The request (IRR) and in-service (ISR) registers, IRQ 8 to 15 in the high byte.
u16 pic_irr(void);
u16 pic_isr(void);
