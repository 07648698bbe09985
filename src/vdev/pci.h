// SPDX-License-Identifier: MIT
// PCI configuration mechanism #1 (PCI 3.0, 3.2.2.3.2), ports 0xcf8 and 0xcfc, with a host bridge as
// the only device. The caller serializes.
#pragma once

#include "lib/types.h"

struct pci {
    u32 address; // CONFIG_ADDRESS
    u16 command; // the host bridge's command register
    u8 interrupt_line;
};

void pci_init(struct pci *p);

// port: 0xcf8 (only size 4 reaches CONFIG_ADDRESS), 0xcfc to 0xcff. size: 1, 2 or 4 bytes. Absent
// devices read all ones.
u32 pci_read(const struct pci *p, u16 port, unsigned size);
void pci_write(struct pci *p, u16 port, unsigned size, u32 value);
