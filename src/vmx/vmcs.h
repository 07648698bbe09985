// SPDX-License-Identifier: MIT
// The VMCS: fields by name, and the instructions that work on it (SDM Vol. 3, chapters 25 and 31).
// An instruction that fails here is a fault of ours: it is reported by the SDM's name and ends the
// appliance. All in root mode, on the core whose VMCS it is.
#pragma once

#include "lib/types.h"

enum vmcs_field {
#define FIELD(name, encoding) name = (encoding),
#include "vmx/vmcs_fields.h"
#undef FIELD
};

// One region: 4 KiB, beginning with the revision identifier.
struct vmcs {
    u32 revision, abort;
    u8 data[4088];
};
_Static_assert(sizeof(struct vmcs) == 4096, "a VMCS region is a page");

// Reports the failed instruction with VM-instruction error, by name, and panics.
NORETURN void vmx_instruction_failed(const char *instruction, u64 operand);

static inline u64 vmread(enum vmcs_field field)
{
    u64 v;
    __asm__ goto("vmread %1, %0\n\tjbe %l2" : "=r"(v) : "r"((u64)field) : "cc", "memory" : failed);
    return v;
failed:
    vmx_instruction_failed("VMREAD", (u64)field);
}

static inline void vmwrite(enum vmcs_field field, u64 v)
{
    __asm__ goto("vmwrite %0, %1\n\tjbe %l2" ::"r"(v), "r"((u64)field) : "cc", "memory" : failed);
    return;
failed:
    vmx_instruction_failed("VMWRITE", (u64)field);
}

void vmclear(hpa_t vmcs);
void vmptrld(hpa_t vmcs);

// SDM's name of a VM-instruction error (31.4), of a field (NULL: no such field), and a field by its
// name, upper or lower case (false: no such name).
const char *vmx_error_name(u32 error);
const char *vmcs_field_name(u32 encoding);
bool vmcs_field_by_name(const char *name, u32 *encoding);

// Walks the fields in the table's order; returns false past the end.
bool vmcs_field_at(unsigned index, const char **name, u32 *encoding);

// Reads a field that this CPU may not have; false when it has not.
bool vmread_safe(u32 encoding, u64 *v);
