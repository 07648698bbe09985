// SPDX-License-Identifier: MIT
#include "pit.h"

#include "cpu.h"

// Control word: channel, low byte then high byte, mode.
enum { CHANNEL0_MODE0 = 0x30, CHANNEL0_MODE2 = 0x34, CHANNEL0_LATCH = 0x00, CHANNEL2_MODE0 = 0xb0 };
enum { GATE2 = BIT(0), SPEAKER = BIT(1), OUT2 = BIT(5) };
enum { MAX_POLLS = 5000000 };

static void load(u16 port, u32 count)
{
    outb(port, (u8)count);
    outb(port, (u8)(count >> 8)); // 65536 is written as 0
}

void pit_periodic(u32 divisor)
{
    outb(PIT_COMMAND, CHANNEL0_MODE2);
    load(PIT_CHANNEL0, divisor);
}

void pit_once(u32 count)
{
    outb(PIT_COMMAND, CHANNEL0_MODE0);
    load(PIT_CHANNEL0, count);
}

void pit_stop(void)
{
    outb(PIT_COMMAND, CHANNEL0_MODE0);
}

u16 pit_count(void)
{
    outb(PIT_COMMAND, CHANNEL0_LATCH);
    u8 low = inb(PIT_CHANNEL0);
    return (u16)(low | inb(PIT_CHANNEL0) << 8);
}

u64 pit_measure(u32 count)
{
    outb(PORT_61, (u8)((inb(PORT_61) & ~SPEAKER) | GATE2));
    outb(PIT_COMMAND, CHANNEL2_MODE0);
    load(PIT_CHANNEL2, count);
    u64 start = rdtsc();
    for (unsigned i = 0; i < MAX_POLLS; i++) {
        if ((inb(PORT_61) & OUT2) != 0)
            return rdtsc() - start;
    }
    return 0;
}
