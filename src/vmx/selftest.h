// SPDX-License-Identifier: MIT
#pragma once

// Lets the VMX instruction fail that `test.fault=` on the boot command line names: `vmread`,
// `vmread-field`, `vmwrite-field`, `vmclear`, `vmptrld`, `invept`, `invvpid`. Debug builds only;
// boot core, in VMX operation, before there is a VM.
void vmx_selftest(void);
