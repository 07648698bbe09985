// SPDX-License-Identifier: MIT
// What PCI's own files share.
#pragma once

#include "vdev/pci.h"

#define COMMAND_IO           BIT(0)
#define COMMAND_MEMORY       BIT(1)
#define COMMAND_MASTER       BIT(2)
#define COMMAND_SERR         BIT(8)
#define COMMAND_INTX_DISABLE BIT(10)

// Maps what base addresses and command registers ask for, and takes back what they no longer do.
void pci_map(struct pci *p);

// Is this a size that a base address can have?
bool pci_bar_valid(const struct pci_bar_kind *bar);

// One aligned register of 4 bytes in the function's configuration space; reg: its offset.
u32 pci_config_read(const struct pci_function *f, unsigned reg);
void pci_config_write(struct pci_function *f, unsigned reg, u32 value);

// Makes the function's line what its wish, its command register and MSI say.
void pci_update_line(struct pci_function *f);

// Reads and writes what the function's base addresses map: members of its bus_device.
u64 pci_bar_read(void *ctx, u64 at, unsigned size, u64 now);
void pci_bar_write(void *ctx, u64 at, unsigned size, u64 value, u64 now);
