// SPDX-License-Identifier: MIT
// The host's 16550 serial lines: output through a ring that the transmitter's interrupt, or any
// call of serial_pump, drains; input handed to a receiver byte by byte.
#pragma once

#include "lib/lock.h"
#include "lib/ring.h"
#include "lib/types.h"

#define SERIAL_TX_SIZE 131072
#define SERIAL_PORTS   4

struct serial_port {
    u16 base;
    u8 irq; // ISA interrupt
};

extern const struct serial_port serial_ports[SERIAL_PORTS]; // COM1 to COM4

struct serial_line {
    u16 port; // base; 0: there is no such line
    u8 irq;   // ISA interrupt
    bool interrupts;
    u8 ier;    // as in the register
    bool dead; // the transmitter took nothing for so long that nobody waits for it any more
    struct ring tx;
    struct spinlock lock; // the transmitter and the producer's end of the ring
    u64 dropped;          // bytes that found the ring full
    void (*receive)(u8 byte);
    void (*line_break)(void);
};

extern struct serial_line serial_console, serial_debug;

// Sets up the two lines as the boot command line says (`console=comN,BAUD gdb=comN,BAUD`; default
// com1 and com2 at 115200), or as far as that is understood. Boot core.
void serial_init(void);

// Whether a UART answers there. Writes its scratch register only.
bool serial_answers(u16 base);

// Whether there is somebody at the other end: it says so by CTS, DSR or DCD, or the machine is not
// a real one, where nobody draws a line for nothing and few carry these. Any core.
bool serial_is_attended(const struct serial_line *u);

// A line that is nobody's any more: no interrupts, DTR and RTS off. What is in the transmitter
// still goes out.
void serial_quiet(u16 base);

// Also stops and empties the FIFOs, and leaves nothing pending: as after a reset, the divisor
// aside.
void serial_reset(u16 base);

// Queues n bytes for output; what finds the ring full waits for it to drain when wait is set, else
// is dropped and counted. Any core.
void serial_write(struct serial_line *u, const void *bytes, size_t n, bool wait);

// Moves queued bytes into the transmitter as far as it takes them, received ones to the receiver.
// The core that owns the lines.
void serial_pump(struct serial_line *u);

// Waits until all queued bytes are out, or the transmitter counts as dead.
void serial_flush(struct serial_line *u);

// From now on the line interrupts (its IRQ is routed): receive and transmit by serial_pump from
// there.
void serial_enable_interrupts(struct serial_line *u);
