// SPDX-License-Identifier: MIT
// The VMCS: fields by name, and the instructions that work on it (SDM Vol. 3, chapters 25 and 31).
// An instruction that fails here is a fault of ours: it is reported by the SDM's name and ends the
// appliance. All in root mode, on the core whose VMCS it is.
#pragma once

#include "lib/count.h"
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
NORETURN void vmread_failed(u64 field);
NORETURN void vmwrite_failed(u64 field);

// Where a failed VMREAD or VMWRITE jumps, its own address pushed as a return address and the field
// in RDI. Not a call that the compiler sees: so functions with no other calls stay leaves.
#define VMX_OR_FAIL(target)                                    \
    "jbe 772f\n"                                               \
    ".pushsection .text.unlikely, \"ax\"\n"                    \
    "772: mov %q[field], %%rdi; push $771b; jmp " #target "\n" \
    ".popsection"

static inline u64 vmread(enum vmcs_field field)
{
    u64 v;
    count(COUNT_VMREAD);
    __asm__ volatile("771: vmread %q[field], %0\n" VMX_OR_FAIL(vmread_failed)
                     : "=r"(v)
                     : [field] "r"((u64)field)
                     : "cc");
    return v;
}

static inline void vmwrite(enum vmcs_field field, u64 v)
{
    count(COUNT_VMWRITE);
    __asm__ volatile("771: vmwrite %0, %q[field]\n" VMX_OR_FAIL(vmwrite_failed)
                     :
                     : "r"(v), [field] "r"((u64)field)
                     : "cc");
}

void vmclear(hpa_t vmcs);
NORETURN void vmptrld_failed(hpa_t vmcs);

static inline void vmptrld(hpa_t vmcs)
{
    bool failed;
    __asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(vmcs.v) : "memory");
    if (__builtin_expect(failed, 0))
        vmptrld_failed(vmcs);
}

// SDM's name of a VM-instruction error (31.4), of a field (NULL: no such field), and a field by its
// name, upper or lower case (false: no such name).
const char *vmx_error_name(u32 error);
const char *vmcs_field_name(u32 encoding);
bool vmcs_field_by_name(const char *name, u32 *encoding);

// Reads a field that this CPU may not have: ERR_UNSUPPORTED.
enum error vmread_safe(u32 encoding, u64 *v);
