// SPDX-License-Identifier: MIT
// All of the runtime, for a guest's own source. See images/README.md.
#pragma once

#include "acpi.h"
#include "apic.h"
#include "boot_info.h"
#include "clock.h"
#include "cpu.h"
#include "interrupt.h"
#include "ioapic.h"
#include "lib/string.h"
#include "lib/types.h"
#include "pic.h"
#include "pit.h"
#include "print.h"
#include "segments.h"
#include "smp.h"

#define NOINLINE __attribute__((noinline))

// The guest itself. Called on the boot CPU in long mode with interrupts off, all interrupt
// sources masked, the local APIC on. What it returns goes to port 0xf4.
int main(void);
