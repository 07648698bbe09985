// SPDX-License-Identifier: MIT
// PCI: configuration mechanism #1 (PCI 3.0, 3.2.2.3.2) at ports 0xcf8 and 0xcfc, and the functions
// behind it, all on bus 0, one a device, with base addresses, an interrupt line and MSI. A host
// bridge is device 0. The caller serializes.
#pragma once

#include "lib/types.h"
#include "vdev/bus.h"

#define PCI_DEVICES 32
#define PCI_BARS    6
#define PCI_LINES   4    // INTA# to INTD# of the bus
#define PCI_CAPS    0x50 // offset of a function's own capabilities

struct pci_bar_kind {
    u32 size; // bytes, a power of two; 0: there is none. At least 16 of memory, 4 to 256 ports
    bool io;
};

// What a kind of function is. It stays as it is, and must stay.
struct pci_kind {
    const char *name; // for people
    u16 vendor, device, subsystem_vendor, subsystem;
    u32 class_revision; // as the register at offset 8: class, subclass, interface, revision
    u8 pin;             // 1 to 4: INTA# to INTD#; 0: it raises no interrupt
    bool msi;           // it can send a message instead, with one vector
    struct pci_bar_kind bar[PCI_BARS];
    const u32 *caps; // its own capabilities from PCI_CAPS on, linked, read-only; NULL: none
    u8 cap_words;    // 4 bytes each
    // Accesses to what a base address maps, as those of a bus_device; offset: bytes from its begin.
    // None reaches beyond its end. NULL where there are no base addresses.
    u64 (*read)(void *ctx, unsigned bar, u64 offset, unsigned size, u64 now);
    void (*write)(void *ctx, unsigned bar, u64 offset, unsigned size, u64 value, u64 now);
    void (*reset)(void *ctx); // the bus is reset, and with it the device; may be NULL
};

struct pci_bar {
    struct pci_function *function; // whose it is
    u32 address;                   // as the guest wrote it, without the bits that are fixed
    u32 mapped;                    // where the bus has it; 0: nowhere
};

struct pci_function {
    const struct pci_kind *kind;
    void *ctx;
    struct pci *pci;
    unsigned device; // number
    struct bus_device on_bus;
    struct pci_bar bar[PCI_BARS];
    u16 command;
    u8 interrupt_line;
    bool asserted; // the device wants an interrupt
    bool on_line;  // and its line says so
    bool msi_enabled;
    u64 msi_address;
    u16 msi_data;
};

// What the board gives.
struct pci_callbacks {
    struct bus *bus;
    void (*intx)(void *ctx, unsigned line, bool level); // of the bus, 0 to 3, at changes
    void (*msi)(void *ctx, u64 address, u16 data);      // SDM 11.11
    void *ctx;
    u8 irq[PCI_LINES]; // what firmware writes to the interrupt line registers
};

struct pci {
    struct pci_callbacks callbacks;
    u32 address;           // CONFIG_ADDRESS
    u32 raised[PCI_LINES]; // devices that assert each line
    struct pci_function *function[PCI_DEVICES];
    struct pci_function bridge;
};

// Starts with the host bridge alone.
void pci_init(struct pci *p, const struct pci_callbacks *callbacks);

// Lets ports 0xcf8 and 0xcfc to 0xcff of the bus answer. Returns as bus_add_ports.
enum error pci_register(struct pci *p, struct text *why);

// The state after power-on of the host bridge and all functions: nothing is mapped, no interrupt.
void pci_reset(struct pci *p);

// Puts a function of the given kind into the slot of a device (1 to 31). f must stay; ctx is given
// to the kind's functions. ERR_BUSY: the slot is taken. ERR_INVALID: no such slot, or a size that a
// base address cannot have.
enum error pci_add(struct pci *p, unsigned device, struct pci_function *f,
                   const struct pci_kind *kind, void *ctx);

// Says whether the function wants an interrupt: drives its line, or, where the guest has enabled
// MSI, sends its message at a rise.
void pci_set_irq(struct pci_function *f, bool level);

// Which lines of the bus functions have their pins at. Bit n: line n.
u32 pci_lines(const struct pci *p);

// port: 0xcf8 (only size 4 reaches CONFIG_ADDRESS), 0xcfc to 0xcff. size: 1, 2 or 4 bytes. Absent
// devices read all ones.
u32 pci_read(const struct pci *p, u16 port, unsigned size);
void pci_write(struct pci *p, u16 port, unsigned size, u32 value);
