// SPDX-License-Identifier: MIT
#include "vmx/vmcs.h"

#include "boot/panic.h"
#include "lib/format.h"
#include "lib/string.h"
#include "vmx/backend.h"

static const struct {
    const char *name;
    u32 encoding;
} fields[] = {
#define FIELD(name, encoding) {#name, encoding},
#include "vmx/vmcs_fields.h"
#undef FIELD
};

static const char *const errors[] = {
    [1] = "VMCALL executed in VMX root operation",
    [2] = "VMCLEAR with invalid physical address",
    [3] = "VMCLEAR with VMXON pointer",
    [4] = "VMLAUNCH with non-clear VMCS",
    [5] = "VMRESUME with non-launched VMCS",
    [6] = "VMRESUME after VMXOFF",
    [7] = "VM entry with invalid control field(s)",
    [8] = "VM entry with invalid host-state field(s)",
    [9] = "VMPTRLD with invalid physical address",
    [10] = "VMPTRLD with VMXON pointer",
    [11] = "VMPTRLD with incorrect VMCS revision identifier",
    [12] = "VMREAD/VMWRITE from/to unsupported VMCS component",
    [13] = "VMWRITE to read-only VMCS component",
    [15] = "VMXON executed in VMX root operation",
    [16] = "VM entry with invalid executive-VMCS pointer",
    [17] = "VM entry with non-launched executive VMCS",
    [18] = "VM entry with executive-VMCS pointer not VMXON pointer",
    [19] = "VMCALL with non-clear VMCS",
    [20] = "VMCALL with invalid VM-exit control fields",
    [22] = "VMCALL with incorrect MSEG revision identifier",
    [23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
    [24] = "VMCALL with invalid SMM-monitor features",
    [25] = "VM entry with invalid VM-execution control fields in executive VMCS",
    [26] = "VM entry with events blocked by MOV SS",
    [28] = "invalid operand to INVEPT/INVVPID",
};

const char *vmx_error_name(u32 error)
{
    return error < ARRAY_SIZE(errors) && errors[error] != NULL ? errors[error] : "unknown error";
}

const char *vmcs_field_name(u32 encoding)
{
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        if (fields[i].encoding == encoding)
            return fields[i].name;
    }
    return NULL;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool same_name(const char *a, const char *b)
{
    for (; *a != '\0' && upper(*a) == upper(*b); a++, b++)
        ;
    return *a == '\0' && *b == '\0';
}

bool vmcs_field_by_name(const char *name, u32 *encoding)
{
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        if (same_name(fields[i].name, name)) {
            *encoding = fields[i].encoding;
            return true;
        }
    }
    return false;
}

enum error vmread_safe(u32 encoding, u64 *v)
{
    bool failed;
    count(COUNT_VMREAD);
    __asm__ volatile("vmread %2, %0" : "=r"(*v), "=@ccbe"(failed) : "r"((u64)encoding) : "memory");
    return failed ? ERR_UNSUPPORTED : OK;
}

static bool contains(const char *name, const char *part)
{
    size_t n = strlen(part);
    for (; *name != '\0' || n == 0; name++) {
        size_t i = 0;
        while (i < n && upper(name[i]) == upper(part[i]))
            i++;
        if (i == n)
            return true;
    }
    return false;
}

void backend_describe_state(const char *part, struct text *t)
{
    u64 value;
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        if (contains(fields[i].name, part) && vmread_safe(fields[i].encoding, &value) == OK)
            text_add(t, "%-38s %04x  %lx\n", fields[i].name, fields[i].encoding, value);
    }
}

NORETURN void vmx_instruction_failed(const char *instruction, u64 operand)
{
    u64 error;
    const char *field = vmcs_field_name((u32)operand);
    if (vmread_safe(INSTRUCTION_ERROR, &error) == OK)
        panic("%s %lx (%s) failed: VMfailValid, error %lu: %s", instruction, operand,
              field != NULL ? field : "address", error, vmx_error_name((u32)error));
    panic("%s %lx failed: VMfailInvalid: no current VMCS", instruction, operand);
}

NORETURN void vmread_failed(u64 field)
{
    vmx_instruction_failed("VMREAD", field);
}

NORETURN void vmwrite_failed(u64 field)
{
    vmx_instruction_failed("VMWRITE", field);
}

void vmclear(hpa_t vmcs)
{
    bool failed;
    __asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vmcs.v) : "memory");
    if (failed)
        vmx_instruction_failed("VMCLEAR", vmcs.v);
}

NORETURN void vmptrld_failed(hpa_t vmcs)
{
    vmx_instruction_failed("VMPTRLD", vmcs.v);
}
