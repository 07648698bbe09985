// SPDX-License-Identifier: MIT
// The seam between a virtual CPU (src/vcpu), whatever runs it, and VMX. Rooms above include this
// header alone of src/vmx; another one of the same names, found first, has them run on something
// else, as unit tests do (tests/unit/scripted). What such a one has alike stands in seam.h.
//
// All functions in root mode. Where nothing else is said: on the core that owns the vCPU, its state
// loaded (backend_load), and those without a vCPU work on whatever is loaded there.
#pragma once

#include "smp/core.h"
#include "vmx/apicv.h"
#include "vmx/caps.h"
#include "vmx/exit_info.h"
#include "vmx/exit_reasons.h"
#include "vmx/flush.h"
#include "vmx/seam.h"
#include "vmx/vmcs.h"
#include "x86/registers.h"

struct text;

// ---- the machine -------------------------------------------------------------------------------

// Finds out what this CPU has, and chooses from it. Boot core. ERR_UNSUPPORTED: *why says why
// guests cannot be run here. `disable` is a list of names, separated by commas, of what is to be
// treated as absent (for tests: "vmx.disable=", docs/configuration.md).
enum error backend_probe(const char *disable, struct text *why);

// Logs which way is taken where there are several, in a line; all controls by name, those in use
// and those that the CPU has not. After backend_probe().
void backend_log_features(void);
void backend_log_controls(void);

// Lets the instruction fail that `test.fault=` on the boot command line names: `vmread`,
// `vmread-field`, `vmwrite-field`, `vmclear`, `vmptrld`, `invept`, `invvpid`. Debug builds only;
// boot core, when it can run guests, before there is a VM.
void backend_selftest(void);

// ---- what it exits for -------------------------------------------------------------------------

// Which of `catches` this CPU cannot have: bits of enum catch. Any core.
u32 backend_cannot_catch(u32 catches);

// For the log: which control of this CPU a catch lacks. Any core.
void backend_explain_catch(u32 catches, struct text *t);

// ---- life --------------------------------------------------------------------------------------

// The back end's part of a vCPU: the first of its members.
struct backend_vcpu {
    // Offsets known to entry.S (offsets.h), to `exits`.
    u64 gpr[GPR_COUNT]; // RSP's place is not used: it is in the VMCS
    u32 requests;       // public: any bit has the room above look before the next entry
    u8 launched;        // the VMCS's launch state (SDM 25.1)
    bool loaded;        // the VMCS is active on its core
    u16 vpid;
    u64 host_rsp;      // as in the VMCS
    u32 reason;        // of the present exit
    u32 plain_reasons; // exits with a reason below this are looked at no closer: all or none
    u64 exits[EXIT_REASONS];

    hpa_t vmcs;
    u8 *msr_bitmap; // 4 KiB; the vCPU's own, since the x2APIC's part follows its APIC's mode
    struct backend_wishes wishes;
    struct {
        u32 primary, secondary, free_primary, free_secondary, exceptions;
    } caught;                     // what backend_catch() was told, as controls
    u32 apic_accesses;            // secondary controls (SDM 30.1)
    struct vmx_controls controls; // as in the VMCS
    u32 exception_bitmap;         // the same
    bool has_no_siblings;         // it waits for no other vCPU, who may want its core
    u64 cr4_allowed;              // bits that its VM may set
    u8 maxphyaddr;
};

// The calling core into VMX operation (SDM 24.7): CR0 and CR4 as the fixed bits demand,
// IA32_FEATURE_CONTROL locked with VMX on where firmware left it open.
enum error backend_start_core(struct text *why);

// Allocates what *b points to. ERR_NO_MEMORY. Any core.
enum error backend_create(struct backend_vcpu *b);

// Makes b's state the one that the calling core works on; the first time there with `core`'s own
// part of it. Takes it off (VMCLEAR) so that another core may load it.
void backend_load(struct backend_vcpu *b, const struct core *core) REQUIRES_CORE(core);
void backend_unload(struct backend_vcpu *b);

// The same for one that is loaded on this core and that another has taken the place of.
static inline void backend_load_again(const struct backend_vcpu *b)
{
    vmptrld(b->vmcs);
}

// Its controls and host state from nothing, and guest state as INIT leaves it (SDM Table 10-1);
// backend_reset_more(): what INIT leaves alone, as after RESET.
void backend_reset(struct backend_vcpu *b, const struct backend_vm *vm, const struct core *core)
    REQUIRES_CORE(core);
void backend_reset_more(void);

// Has it exit for these, from the next entry on (backend_compose).
void backend_catch(struct backend_vcpu *b, const struct backend_catches *c);

// Brings the controls in line with all wishes.
void backend_compose(struct backend_vcpu *b);

// Whether it exits at each PAUSE, and not only in loops.
static inline bool backend_catches_pause(const struct backend_vcpu *b)
{
    return b->controls.primary & PRIMARY_PAUSE_EXITING;
}

// ---- what the CPU has ---------------------------------------------------------------------------

// The guest may use RDTSCP and RDPID, INVPCID; bits of CR4 that may be set in VMX operation; the
// preemption timer counts, so that no other timer has to tell of the core's deadline.
static inline bool backend_has_rdtscp(void)
{
    return vmx_has_secondary(SECONDARY_RDTSCP);
}
static inline bool backend_has_invpcid(void)
{
    return vmx_has_secondary(SECONDARY_INVPCID);
}
static inline u64 backend_cr4_possible(void)
{
    return vmx_caps.cr4_fixed1;
}
// Pages of guest-physical memory of 2 MiB, 1 GiB; such as can be executed and not read.
static inline bool backend_pages_2m(void)
{
    return vmx_caps.ept_vpid & EPT_CAP_2M;
}
static inline bool backend_pages_1g(void)
{
    return vmx_caps.ept_vpid & EPT_CAP_1G;
}
static inline bool backend_has_execute_only(void)
{
    return vmx_caps.ept_vpid & EPT_CAP_EXECUTE_ONLY;
}
static inline bool backend_counts_down(void)
{
    return vmx_has_pin(PIN_PREEMPTION_TIMER);
}

// ---- guest state -------------------------------------------------------------------------------

enum guest_state {
    STATE_RSP = GUEST_RSP,
    STATE_RIP = GUEST_RIP,
    STATE_RFLAGS = GUEST_RFLAGS,
    STATE_CR0 = GUEST_CR0, // as the CPU has it; as the guest has it: backend_cr0()
    STATE_CR3 = GUEST_CR3,
    STATE_CR4 = GUEST_CR4,
    STATE_DR7 = GUEST_DR7,
    STATE_EFER = GUEST_EFER,
    STATE_PAT = GUEST_PAT,
    STATE_DEBUGCTL = GUEST_DEBUGCTL,
    STATE_SYSENTER_CS = GUEST_SYSENTER_CS,
    STATE_SYSENTER_ESP = GUEST_SYSENTER_ESP,
    STATE_SYSENTER_EIP = GUEST_SYSENTER_EIP,
    STATE_CS_BASE = GUEST_CS_BASE,
    STATE_CS_ACCESS = GUEST_CS_ACCESS,
    STATE_SS_ACCESS = GUEST_SS_ACCESS,
    STATE_TR_ACCESS = GUEST_TR_ACCESS,
    STATE_FS_BASE = GUEST_FS_BASE,
    STATE_GS_BASE = GUEST_GS_BASE,
    STATE_BLOCKING = GUEST_INTERRUPTIBILITY, // SDM Table 25-3
    STATE_PENDING_DEBUG = GUEST_PENDING_DEBUG,
    STATE_ACTIVITY = GUEST_ACTIVITY,
};

static inline u64 state_get(enum guest_state s)
{
    return vmread((enum vmcs_field)s);
}

static inline void state_set(enum guest_state s, u64 value)
{
    vmwrite((enum vmcs_field)s, value);
}

void state_get_segment(enum segment_name n, struct segment *s);
void state_set_segment(enum segment_name n, const struct segment *s);
static inline u64 state_segment_base(enum segment_name n)
{
    return vmread(GUEST_ES_BASE + 2 * n);
}

static inline struct descriptor_table state_get_table(enum state_table t)
{
    return (struct descriptor_table){vmread(GUEST_GDTR_BASE + 2 * t),
                                     (u32)vmread(GUEST_GDTR_LIMIT + 2 * t)};
}
static inline void state_set_table(enum state_table t, struct descriptor_table table)
{
    vmwrite(GUEST_GDTR_BASE + 2 * t, table.base);
    vmwrite(GUEST_GDTR_LIMIT + 2 * t, table.limit);
}

// The four PDPTEs of PAE paging.
void state_get_pdptes(u64 pdpte[4]);
void state_set_pdptes(const u64 pdpte[4]);

// CR0 and CR4 as the guest sees and writes them: the bits that are the host's go to the shadow.
static inline u64 backend_cr0(void)
{
    u64 mask = vmread(CR0_MASK);
    return (vmread(GUEST_CR0) & ~mask) | (vmread(CR0_SHADOW) & mask);
}
static inline u64 backend_cr4(void)
{
    u64 mask = vmread(CR4_MASK);
    return (vmread(GUEST_CR4) & ~mask) | (vmread(CR4_SHADOW) & mask);
}
void backend_set_cr0(u64 value);
void backend_set_cr4(u64 value);

// The guest is in IA-32e mode, or not, at the next entry, as its EFER.LMA says. A guest that goes
// there or leaves by itself has an exit tell the back end (SDM 28.2).
void backend_set_long_mode(struct backend_vcpu *b, bool on);

static inline void backend_set_tsc_offset(u64 offset)
{
    vmwrite(TSC_OFFSET, offset);
}

// eptp: ept_pointer().
static inline void backend_set_ept(u64 eptp)
{
    vmwrite(EPT_POINTER, eptp);
}

// The checks of a VM entry (SDM 27.2, 27.3) on what would be entered now. ERR_INVALID: *why says
// the first field that breaks a rule, its value and the rule. The second looks at guest state alone
// (27.3), for whoever has written some while the rest is not yet prepared.
enum error backend_check(const struct backend_vcpu *b, struct text *why);
enum error backend_check_guest(const struct backend_vcpu *b, struct text *why);

// Adds what is kept of the loaded vCPU in memory, field by field, of the fields whose name has
// `part` in it, upper or lower case.
void backend_describe_state(const char *part, struct text *t);

// Adds for the log what the CPU says of the present exit.
void backend_describe_exit(const struct backend_vcpu *b, struct text *t);

// ---- events ------------------------------------------------------------------------------------

// Has the next entry deliver an event: info as in struct exit_event. error: with EVENT_HAS_ERROR.
// length: of the instruction that is a software event, bytes; else 0.
static inline void backend_inject(u32 info, u32 error, u32 length)
{
    vmwrite(ENTRY_INTERRUPTION_INFO, info);
    if (info & EVENT_HAS_ERROR)
        vmwrite(ENTRY_EXCEPTION_ERROR_CODE, error);
    if (length != 0)
        vmwrite(ENTRY_INSTRUCTION_LENGTH, length);
}

// Takes back what no entry has delivered. False: nothing is left of it; only an entry clears it.
static inline bool backend_take_back(u32 *info, u32 *error, u32 *length)
{
    *info = (u32)vmread(ENTRY_INTERRUPTION_INFO);
    if (!(*info & EVENT_VALID))
        return false;
    vmwrite(ENTRY_INTERRUPTION_INFO, 0);
    *error = (u32)vmread(ENTRY_EXCEPTION_ERROR_CODE);
    *length = (u32)vmread(ENTRY_INSTRUCTION_LENGTH);
    return true;
}

// ---- MSRs (msr_bitmap.c) -----------------------------------------------------------------------

// Makes the vCPU's MSR bitmap: all exit but those that are switched, in the VMCS, or virtualized by
// the processor: of the x2APIC's 800H + n, bit n of `reads` and `writes`.
void msr_bitmap_build(struct backend_vcpu *b, u64 x2apic_reads, u64 x2apic_writes);

// Whether the guest's RDMSR, or its WRMSR, of this MSR exits. Any core.
bool msr_bitmap_catches(const struct backend_vcpu *b, u32 msr, bool write);

// Has MSRs first to last, both included, exit when they are read, written.
void msr_bitmap_catch(struct backend_vcpu *b, u64 first, u64 last, bool read, bool write);
