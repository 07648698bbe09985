// SPDX-License-Identifier: MIT
// C6: VMX instructions in a guest that is not offered VMX, and those of SMX and SGX.
#include "faults.h"
#include "guest.h"

enum { CPUID1_ECX_VMX = BIT(5) };
enum { MSR_VMX_BASIC = 0x480 };

static u64 region[512] ALIGNED(4096);
static u64 region_address;
static struct {
    u64 low, high;
} descriptor;

#define EXPECT_UD(name, instruction, ...)                                   \
    do {                                                                    \
        int fault_;                                                         \
        TRY(instruction, fault_, ##__VA_ARGS__);                            \
        report(fault_ == VECTOR_UD, "C6: %s gives #UD (%d)", name, fault_); \
    } while (0)

static int set_vmxe(void)
{
    int fault;
    TRY("mov %1, %%cr4", fault, : "r"(read_cr4() | CR4_VMXE) : "memory");
    return fault;
}

void faults_vmx(void)
{
    u64 value;
    region_address = (u64)region;
    report((cpuid(1, 0).ecx & CPUID1_ECX_VMX) == 0, "C6: CPUID offers no VMX");
    EXPECT_UD("VMXON", "vmxon %1", : "m"(region_address) : "memory", "cc");
    EXPECT_UD("VMXOFF", "vmxoff", ::"memory", "cc");
    EXPECT_UD("VMCLEAR", "vmclear %1", : "m"(region_address) : "memory", "cc");
    EXPECT_UD("VMPTRLD", "vmptrld %1", : "m"(region_address) : "memory", "cc");
    EXPECT_UD("VMPTRST", "vmptrst %1", , "+m"(region_address)::"memory", "cc");
    EXPECT_UD("VMREAD", "vmread %2, %1", , "=r"(value) : "r"(0x4402ul) : "memory", "cc");
    EXPECT_UD("VMWRITE", "vmwrite %1, %2", : "r"(0ul), "r"(0x4402ul) : "memory", "cc");
    EXPECT_UD("VMLAUNCH", "vmlaunch", ::"memory", "cc");
    EXPECT_UD("VMRESUME", "vmresume", ::"memory", "cc");
    EXPECT_UD("INVEPT", "invept %1, %2", : "m"(descriptor), "r"(2ul) : "memory", "cc");
    EXPECT_UD("INVVPID", "invvpid %1, %2", : "m"(descriptor), "r"(2ul) : "memory", "cc");
    EXPECT_UD("GETSEC", "getsec", : "a"(0), "b"(0) : "memory", "cc");
    EXPECT_UD("ENCLS", ".byte 0x0f, 0x01, 0xcf", : "a"(0) : "memory", "cc");
    EXPECT_UD("ENCLV", ".byte 0x0f, 0x01, 0xc0", : "a"(0) : "memory", "cc");
    if (option("qemu"))
        return;
    report(rdmsr_try(MSR_VMX_BASIC, &value) == VECTOR_GP, "C6: IA32_VMX_BASIC gives #GP");
    // The MSR may be there for other features; VMX must be off in it, and it must be locked.
    bool absent = rdmsr_try(MSR_IA32_FEATURE_CONTROL, &value) == VECTOR_GP;
    report(absent || (value & 7) == 1, "C6: IA32_FEATURE_CONTROL is absent or locked without VMX");
    report(set_vmxe() == VECTOR_GP, "C6: setting CR4.VMXE gives #GP");
}
