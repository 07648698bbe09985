// SPDX-License-Identifier: MIT
// A VM's board: the devices of a PC and the wires between them. Every function wants the caller to
// hold the VM's lock, and calls back with it held; callbacks must not call the board again.
// `now` is the VM's time in ticks (guest TSC ticks since the VM's start, say), below 2^62; when it
// is less than at an earlier call, the earlier time counts.
#pragma once

#include "lib/types.h"
#include "vdev/acpipm.h"
#include "vdev/bus.h"
#include "vdev/debugport.h"
#include "vdev/fwcfg.h"
#include "vdev/ioapic.h"
#include "vdev/kbc.h"
#include "vdev/pci.h"
#include "vdev/pic.h"
#include "vdev/pit.h"
#include "vdev/rtc.h"
#include "vdev/sysctrl.h"
#include "vdev/uart.h"

#define BOARD_MIN_TSC_HZ 4000000ul

struct board_callbacks {
    void (*intr)(void *ctx, bool level); // the PIC's INT: LINT0 of the first vCPU
    // From the IOAPIC or a PCI function to the local APICs.
    void (*msi)(void *ctx, const struct ioapic_message *m);
    void (*routes)(void *ctx); // board_level_vectors() may give something else; may be NULL
    bool (*transmit)(void *ctx, u8 byte); // COM1 and the debug ports, see vuart_init; may be NULL
    void (*shutdown)(void *ctx);          // ACPI S5
    void (*reset)(void *ctx); // by a port; the caller calls board_reset when it restarts the VM
    void (*exit)(void *ctx, u32 value); // port 0xf4
};

struct board_config {
    u64 tsc_hz;                // at least BOARD_MIN_TSC_HZ
    i64 wall_clock;            // seconds since 1970 at the start
    u64 memory_below_4g;       // bytes of RAM from 0
    u64 memory_above_4g;       // bytes of RAM from 4 GiB
    struct fwcfg_config fwcfg; // vCPU count, command line, images
    u8 host_uarts; // bit n: COMn+1 is the host's, and not the board's affair but for its IRQ
    struct board_callbacks call;
    void *ctx;        // first argument of the callbacks
    struct text *why; // takes a sentence about an error; may be NULL
};

enum board_timer { TIMER_PIT, TIMER_RTC, TIMER_PM, TIMER_COM1, TIMER_COM2, BOARD_TIMERS };

struct board {
    struct pic pic;
    struct acpipm pm;
    u64 now; // the latest time seen
    u64 due[BOARD_TIMERS], first_due;
    bool moved;        // board_deadline() may say something else than when it was last asked
    u64 pit_expired;   // when the PIT last had its say
    u32 pending_ticks; // PIT ticks that the PIC had no room for
    u8 host_uarts;     // as in board_config
    u8 edges;          // bit n: IRQ n is a host device's, which tells of the line's rise only
    struct ioapic ioapic;
    struct pit pit;
    struct rtc rtc;
    struct vuart com1, com2;
    struct fwcfg fwcfg;
    struct pci pci;
    struct sysctrl sysctrl;
    struct kbc kbc;
    struct debugport debug;
    struct bus bus;
    struct board_callbacks call;
    void *ctx;
};

// Puts the board into the state in which firmware hands over: PIC at vectors 0x08 and 0x70 with all
// masked, PIT channel 0 at 18.2 Hz, CMOS filled in. ERR_INVALID: a frequency that is too low. Other
// errors: devices do not fit on the bus together, as bus_add_ports() has it.
enum error board_init(struct board *b, const struct board_config *config, u64 now);

// Puts a PCI function into the slot of a device (1 to 31), before the guest starts. Its reads and
// writes are called with the VM's lock held, as is pci_set_irq(), by which it interrupts. Returns
// as pci_add.
enum error board_add_function(struct board *b, unsigned device, struct pci_function *f,
                              const struct pci_kind *kind, void *ctx);

// The state of board_init() after a reset; the clock, the CMOS RAM and the PM timer go on.
void board_reset(struct board *b, u64 now);

// One port access of 1, 2 or 4 bytes. A read puts its value into *value, all ones where no device
// answers; a write takes it from there. Returns whether a device did answer.
bool board_io(struct board *b, u16 port, unsigned size, bool write, u32 *value, u64 now);

// Is nobody at this port? Without the lock.
static inline bool board_port_absent(const struct board *b, u16 port)
{
    return bus_port_absent(&b->bus, port);
}

// What kernels read most, and nothing follows from reading: the PM timer, and the trigger modes.
// Without the lock. False: board_io() must do it.
static inline bool board_peek(const struct board *b, u16 port, unsigned size, u64 now, u32 *value)
{
    if (port == PM_TMR && size == 4) {
        *value = acpipm_timer(&b->pm, MAX(now, __atomic_load_n(&b->now, __ATOMIC_RELAXED)));
        return true;
    }
    if ((port & ~1) == 0x4d0 && size == 1) {
        *value = __atomic_load_n(&b->pic.chip[port & 1].elcr, __ATOMIC_RELAXED);
        return true;
    }
    return false;
}

// Does no device of the board answer at an address that is no RAM?
static inline bool board_memory_absent(const struct board *b, gpa_t gpa)
{
    return bus_find_memory(&b->bus, gpa)->device == &bus_nobody;
}

// One access of 1, 2, 4 or 8 bytes to guest-physical memory that is no RAM; as board_io.
bool board_mmio(struct board *b, gpa_t gpa, unsigned size, bool write, u64 *value, u64 now);

// The interrupt acknowledge for the PIC's INT. Returns the vector.
u8 board_pic_ack(struct board *b, u64 now);

// Is the PIC's INT up?
static inline bool board_pic_level(const struct board *b)
{
    return b->pic.level;
}

// A local APIC's EOI broadcast for a level-triggered vector.
void board_ioapic_eoi(struct board *b, u8 vector, u64 now);

// The vectors whose EOI the board must hear of: fills all 256 bits.
void board_level_vectors(const struct board *b, u64 bitmap[4]);

// The tick of the next event that the guest could notice without asking, or NEVER. To be asked
// again after every call that leaves b->moved set; clears it.
u64 board_deadline(struct board *b);
void board_expire(struct board *b, u64 now);

// A device of the host has raised its IRQ (3 or 4, of a UART in host_uarts).
void board_host_irq(struct board *b, unsigned irq);

// A byte or a break for COM1. Returns false, with nothing taken, while it has no room.
bool board_receive(struct board *b, u8 byte, u64 now);
bool board_receive_break(struct board *b, u64 now);

// The transmit callback takes more again.
void board_transmit_ready(struct board *b);

void board_power_button(struct board *b);
