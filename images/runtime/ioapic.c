// SPDX-License-Identifier: MIT
#include "ioapic.h"

#include "acpi.h"
#include "apic.h"
#include "cpu.h"

enum { INDEX = 0x00, DATA = 0x10 };

u32 ioapic_read(u8 index)
{
    write32(acpi.ioapic_address + INDEX, index);
    return read32(acpi.ioapic_address + DATA);
}

void ioapic_write(u8 index, u32 value)
{
    write32(acpi.ioapic_address + INDEX, index);
    write32(acpi.ioapic_address + DATA, value);
}

static u8 redirection(u32 gsi)
{
    return (u8)(IOAPIC_REDIRECTION + 2 * (gsi - acpi.ioapic_gsi_base));
}

void ioapic_route(u32 gsi, u8 vector, u32 flags)
{
    ioapic_write(redirection(gsi), IOAPIC_MASKED);
    ioapic_write((u8)(redirection(gsi) + 1), apic_id() << 24);
    ioapic_write(redirection(gsi), vector | flags);
}

void ioapic_mask(u32 gsi)
{
    ioapic_write(redirection(gsi), IOAPIC_MASKED);
}
