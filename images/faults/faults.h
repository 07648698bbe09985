// SPDX-License-Identifier: MIT
// Misbehaviour that the guest survives, each with its verdicts.
#pragma once

#include "lib/types.h"

void faults_port(void);
void faults_msr(void);
void faults_msr_bits(void); // a part of that
void faults_vmx(void);
void faults_mmio(void);

// Without verdicts: the appliance's log has what is to be seen.
void faults_lost(u64 times);
