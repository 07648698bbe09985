// SPDX-License-Identifier: MIT
// A core's and a vCPU's life in VMX operation, and what of guest state has many fields.
#include "vmx/backend.h"

#include "boot/memory.h"
#include "boot/paging.h"
#include "lib/cpu.h"
#include "lib/format.h"
#include "smp/core.h"
#include "vmx/offsets.h"
#include "vmx/vmx_internal.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"

_Static_assert(offsetof(struct backend_vcpu, requests) == VCPU_REQUESTS, "offsets.h");
_Static_assert(offsetof(struct backend_vcpu, launched) == VCPU_LAUNCHED, "offsets.h");
_Static_assert(offsetof(struct backend_vcpu, host_rsp) == VCPU_HOST_RSP, "offsets.h");
_Static_assert(offsetof(struct backend_vcpu, reason) == VCPU_REASON, "offsets.h");
_Static_assert(offsetof(struct backend_vcpu, plain_reasons) == VCPU_PLAIN_REASONS, "offsets.h");
_Static_assert(offsetof(struct backend_vcpu, exits) == VCPU_EXITS, "offsets.h");
_Static_assert(offsetof(struct core, guest_deadline) == CORE_DEADLINE, "offsets.h");
_Static_assert(offsetof(struct core, exit_tsc) == CORE_EXIT_TSC, "offsets.h");
_Static_assert(offsetof(struct core, attention) == CORE_ATTENTION, "offsets.h");
_Static_assert(EXIT_REASON_COUNT == EXIT_REASONS, "offsets.h");
_Static_assert(CAPS_PREEMPTION_SHIFT == offsetof(struct vmx_caps, preemption_shift), "offsets.h");

#define FEATURE_CONTROL_LOCK BIT(0)
#define FEATURE_CONTROL_VMX  BIT(2)
#define CPUID_1_ECX_XSAVE    BIT(26)

// ---- cores -------------------------------------------------------------------------------------

static struct vmcs *vmxon_region[CORES_MAX]; // by the core's number

struct vmcs *vmx_vmxon_region(void)
{
    return vmxon_region[this_core()->number];
}

COLD enum error backend_start_core(struct text *why)
{
    hpa_t region = page_alloc();
    if (region.v == 0)
        return explain(why, ERR_NO_MEMORY, "no memory for the VMXON region");
    struct vmcs *vmxon = phys_to_virt(region);
    vmxon->revision = BASIC_REVISION(vmx_caps.basic);
    vmxon_region[this_core()->number] = vmxon;

    u64 control = rdmsr(MSR_IA32_FEATURE_CONTROL);
    if (!(control & FEATURE_CONTROL_LOCK))
        wrmsr(MSR_IA32_FEATURE_CONTROL, control | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
    else if (!(control & FEATURE_CONTROL_VMX))
        return explain(why, ERR_UNSUPPORTED,
                       "firmware has locked VMX off on this core (IA32_FEATURE_CONTROL)");

    write_cr0((read_cr0() | vmx_caps.cr0_fixed0) & vmx_caps.cr0_fixed1);
    u64 cr4 =
        (read_cr4() | vmx_caps.cr4_fixed0 | CR4_OSFXSR | CR4_OSXMMEXCPT) & vmx_caps.cr4_fixed1;
    write_cr4(cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE ? cr4 | CR4_OSXSAVE : cr4);

    bool failed;
    __asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
    if (failed)
        return explain(why, ERR_UNSUPPORTED, "VMXON: VMfailInvalid");
    flush_ept_all(); // whatever an earlier user of VMX left
    return OK;
}

// ---- vCPUs -------------------------------------------------------------------------------------

static u32 next_vpid = 1;

COLD enum error backend_create(struct backend_vcpu *b)
{
    hpa_t vmcs = page_alloc(), bitmap = page_alloc();
    if (vmcs.v == 0 || bitmap.v == 0)
        return ERR_NO_MEMORY;
    b->vmcs = vmcs;
    b->msr_bitmap = phys_to_virt(bitmap);
    b->vpid = (u16)__atomic_fetch_add(&next_vpid, 1, __ATOMIC_RELAXED);
    struct vmcs *region = phys_to_virt(vmcs);
    region->revision = BASIC_REVISION(vmx_caps.basic);
    return OK;
}

void backend_load(struct backend_vcpu *b, const struct core *core)
{
    ASSERT_CORE(core);
    if (b->loaded) {
        backend_load_again(b);
        return;
    }
    vmclear(b->vmcs); // gives the region its initial launch state
    b->launched = 0;
    b->host_rsp = 0;
    vmptrld(b->vmcs);
    b->loaded = true;
    vmcs_set_core(core);
    flush_vpid(b->vpid);
}

void backend_unload(struct backend_vcpu *b)
{
    if (b->loaded)
        vmclear(b->vmcs);
    b->loaded = false;
    b->launched = 0;
}

// ---- guest state -------------------------------------------------------------------------------

// Encodings of a segment's fields follow the order of enum segment_name.
void state_get_segment(enum segment_name n, struct segment *s)
{
    s->selector = (u16)vmread(GUEST_ES_SELECTOR + 2 * n);
    s->limit = (u32)vmread(GUEST_ES_LIMIT + 2 * n);
    s->access = (u32)vmread(GUEST_ES_ACCESS + 2 * n);
    s->base = vmread(GUEST_ES_BASE + 2 * n);
}

void state_set_segment(enum segment_name n, const struct segment *s)
{
    vmwrite(GUEST_ES_SELECTOR + 2 * n, s->selector);
    vmwrite(GUEST_ES_LIMIT + 2 * n, s->limit);
    vmwrite(GUEST_ES_ACCESS + 2 * n, s->access);
    vmwrite(GUEST_ES_BASE + 2 * n, s->base);
}

void state_get_pdptes(u64 pdpte[4])
{
    for (unsigned i = 0; i < 4; i++)
        pdpte[i] = vmread(GUEST_PDPTE0 + 2 * i);
}

void state_set_pdptes(const u64 pdpte[4])
{
    for (unsigned i = 0; i < 4; i++)
        vmwrite(GUEST_PDPTE0 + 2 * i, pdpte[i]);
}

void backend_describe_exit(const struct backend_vcpu *b, struct text *t)
{
    text_add(t, "%s, qualification %lx, linear %lx, physical %lx", exit_reason_name(b->reason),
             vmread(EXIT_QUALIFICATION), vmread(GUEST_LINEAR_ADDRESS),
             vmread(GUEST_PHYSICAL_ADDRESS));
}

// ---- entries that fail -------------------------------------------------------------------------

// Called from entry.S when VMLAUNCH or VMRESUME itself failed (SDM 31.2).
void vmx_entry_refused(struct vcpu *v, bool invalid);

COLD void vmx_entry_refused(struct vcpu *v, bool invalid)
{
    char rule[160], buf[320];
    u32 error = invalid ? 0 : (u32)vmread(INSTRUCTION_ERROR);
    const struct backend_vcpu *b = (const struct backend_vcpu *)(const void *)v;
    enum error e = backend_check(b, &TEXT(rule));
    str_format(buf, sizeof(buf), "refused: %s: %s",
               invalid ? "VMfailInvalid: no current VMCS" : vmx_error_name(error),
               e != OK ? rule : "our checks find nothing");
    vcpu_entry_failed(v, buf);
}
