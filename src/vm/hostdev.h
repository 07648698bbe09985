// SPDX-License-Identifier: MIT
// Devices of the host that a VM is given: serial ports (`devices = com2`). Their registers are the
// guest's own, without exits unless these are asked for (interceptions). Their interrupt is taken
// by the core on which the VM's first vCPU began and raised on the VM's board, from where it goes
// the way of every interrupt: none is lost to a vCPU that sleeps, is queued, was moved or is held
// by the debugger.
#pragma once

#include "vm/config.h"

struct vm;

// Whether COMn+1 can be given to a VM on this machine; config_device_fn. After smp and serial_init.
enum error hostdev_check(unsigned n, struct text *why);

// Gives the VM what its configuration says; its vCPUs are there and have not run. Boot core.
enum error hostdev_give(struct vm *vm, struct text *why);

// The VM is about to start: its devices are as after a reset, and interrupt from now on. Any core.
void hostdev_start(struct vm *vm);

// The VM has ended and its vCPUs are held: its devices are silent until it starts again. Any core.
void hostdev_stop(struct vm *vm);
