// SPDX-License-Identifier: MIT
// The first IOAPIC of the MADT.
#pragma once

#include "lib/types.h"

enum { IOAPIC_ID = 0, IOAPIC_VERSION = 1, IOAPIC_REDIRECTION = 0x10 };
enum { IOAPIC_MASKED = BIT(16), IOAPIC_LEVEL = BIT(15), IOAPIC_LOW = BIT(13) };

// Registers through the index and data windows. Only where acpi.ioapic_address is not 0.
u32 ioapic_read(u8 index);
void ioapic_write(u8 index, u32 value);

// Routes an input to a vector of this CPU, edge and active high unless flags say otherwise.
void ioapic_route(u32 gsi, u8 vector, u32 flags);

void ioapic_mask(u32 gsi);
