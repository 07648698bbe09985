// SPDX-License-Identifier: MIT
// Misbehaviour that the guest survives, each with its verdicts.
#pragma once

void faults_port(void);
void faults_msr(void);
void faults_vmx(void);
void faults_mmio(void);
