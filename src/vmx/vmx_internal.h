// SPDX-License-Identifier: MIT
// What the files of this room share and others do not see.
#pragma once

#include "smp/core.h"
#include "vmx/backend.h"

// entry.S: where a guest exits to.
extern u8 vmx_exit_entry[];

// vmcs_controls.c: no wishes, and all words written. Its VMCS is current.
void vmcs_begin_controls(struct backend_vcpu *b);

// vmcs_setup.c: the part of the host state that differs from core to core.
void vmcs_set_core(const struct core *core) REQUIRES_CORE(core);

// backend.c: the calling core's VMXON region.
struct vmcs *vmx_vmxon_region(void);
