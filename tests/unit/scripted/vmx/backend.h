// SPDX-License-Identifier: MIT
// The seam once more (src/vmx/backend.h has what each function promises), without a VMCS: guest
// state is an array, and what a vCPU is told of an exit is what the test wrote there. So the
// virtual CPU, its scheduler, its events and its moves run as a program.
#pragma once

#include "ept/ept.h"
#include "lib/types.h"
#include "vmx/flush.h"
#include "vmx/seam.h"
#include "x86/registers.h"

struct core;
struct text;

enum guest_state {
    STATE_RSP,
    STATE_RIP,
    STATE_RFLAGS,
    STATE_CR0,
    STATE_CR3,
    STATE_CR4,
    STATE_DR7,
    STATE_EFER,
    STATE_PAT,
    STATE_DEBUGCTL,
    STATE_SYSENTER_CS,
    STATE_SYSENTER_ESP,
    STATE_SYSENTER_EIP,
    STATE_BLOCKING,
    STATE_PENDING_DEBUG,
    STATE_ACTIVITY,
    STATE_WORDS, // so many are words; the others are parts of segments
    STATE_CS_BASE = STATE_WORDS,
    STATE_CS_ACCESS,
    STATE_SS_ACCESS,
    STATE_TR_ACCESS,
    STATE_FS_BASE,
    STATE_GS_BASE,
};

// An event on its way into the guest.
struct scripted_event {
    u32 info, error, length;
};

// What the CPU says of an exit: a test fills in what the exit's kind has.
struct scripted_exit {
    u64 length, address, debug_hits, linear_address;
    struct exit_event event;
    u32 event_error, delivering, delivering_error;
    struct exit_port port;
    struct exit_port_string port_string;
    struct exit_cr cr;
    struct exit_dr dr;
    struct exit_random random;
    struct exit_memory memory;
    struct exit_apic apic;
    u32 apic_write_offset;
    u8 eoi_vector;
    struct exit_descriptor descriptor;
};

struct backend_vcpu {
    // What the room above uses.
    u64 gpr[GPR_COUNT];
    u32 requests;
    bool loaded;
    u16 vpid;
    u32 reason;
    u32 plain_reasons;
    u64 exits[EXIT_REASONS];
    struct backend_wishes wishes;

    const struct core *on; // where it is loaded
    u64 word[STATE_WORDS];
    struct segment segment[SEG_COUNT];
    struct descriptor_table table[2];
    u64 pdpte[4], tsc_offset, eptp;
    struct backend_catches catches;
    struct backend_wishes composed; // the wishes that the next entry follows
    struct scripted_event next;     // what the next entry delivers
    struct scripted_event had;      // what the last one delivered
    struct scripted_exit exit;      // the present one
    enum apicv_accesses accesses;
    u16 interrupt_status;
    u64 eoi_exits[4];
    u32 tpr_threshold;
};

// Whether the CPU delivers virtual interrupts; whether it has a preemption timer.
extern bool scripted_delivers, scripted_counts_down;

// The one that is loaded on the calling core; without one the test fails.
struct backend_vcpu *scripted_loaded(void);

// ---- what it exits for -------------------------------------------------------------------------

u32 backend_cannot_catch(u32 catches);
void backend_explain_catch(u32 catches, struct text *t);
void backend_catch(struct backend_vcpu *b, const struct backend_catches *c);
void backend_compose(struct backend_vcpu *b);

static inline bool backend_catches_pause(const struct backend_vcpu *b)
{
    return b->catches.caught & CATCH_PAUSE;
}

void msr_bitmap_build(struct backend_vcpu *b, u64 x2apic_reads, u64 x2apic_writes);
void msr_bitmap_catch(struct backend_vcpu *b, u64 first, u64 last, bool read, bool write);

// ---- life --------------------------------------------------------------------------------------

enum error backend_start_core(struct text *why);
enum error backend_create(struct backend_vcpu *b);
void backend_load(struct backend_vcpu *b, const struct core *core);
void backend_load_again(struct backend_vcpu *b);
void backend_unload(struct backend_vcpu *b);
void backend_reset(struct backend_vcpu *b, const struct backend_vm *vm, const struct core *core);
void backend_reset_more(void);

// ---- what the CPU has ---------------------------------------------------------------------------

static inline bool backend_has_rdtscp(void)
{
    return false;
}
static inline bool backend_has_invpcid(void)
{
    return false;
}
static inline u64 backend_cr4_possible(void)
{
    return UINT64_MAX;
}
static inline bool backend_pages_2m(void)
{
    return true;
}
static inline bool backend_pages_1g(void)
{
    return true;
}
static inline bool backend_has_execute_only(void)
{
    return true;
}
static inline bool backend_counts_down(void)
{
    return scripted_counts_down;
}

// ---- guest state -------------------------------------------------------------------------------

u64 state_get(enum guest_state s);
void state_set(enum guest_state s, u64 value);
void state_get_segment(enum segment_name n, struct segment *s);
void state_set_segment(enum segment_name n, const struct segment *s);

static inline u64 state_segment_base(enum segment_name n)
{
    return scripted_loaded()->segment[n].base;
}

static inline struct descriptor_table state_get_table(enum state_table t)
{
    return scripted_loaded()->table[t];
}

static inline void state_set_table(enum state_table t, struct descriptor_table table)
{
    scripted_loaded()->table[t] = table;
}

void state_get_pdptes(u64 pdpte[4]);
void state_set_pdptes(const u64 pdpte[4]);

// No bit of CR0 or CR4 is the host's.
static inline u64 backend_cr0(void)
{
    return state_get(STATE_CR0);
}
static inline u64 backend_cr4(void)
{
    return state_get(STATE_CR4);
}
static inline void backend_set_cr0(u64 value)
{
    state_set(STATE_CR0, value);
}
static inline void backend_set_cr4(u64 value)
{
    state_set(STATE_CR4, value);
}
static inline void backend_set_long_mode(struct backend_vcpu *b, bool on)
{
    (void)b;
    (void)on; // state_get(STATE_EFER) says it
}
static inline void backend_set_tsc_offset(u64 offset)
{
    scripted_loaded()->tsc_offset = offset;
}
static inline void backend_set_ept(u64 eptp)
{
    scripted_loaded()->eptp = eptp;
}

enum error backend_check(const struct backend_vcpu *b, struct text *why);
enum error backend_check_guest(const struct backend_vcpu *b, struct text *why);
void backend_describe_exit(const struct backend_vcpu *b, struct text *t);

// ---- events ------------------------------------------------------------------------------------

void backend_inject(u32 info, u32 error, u32 length);
bool backend_take_back(u32 *info, u32 *error, u32 *length);

// ---- the present exit --------------------------------------------------------------------------

#define SCRIPTED_EXIT(type, name)                \
    static inline type backend_exit_##name(void) \
    {                                            \
        return scripted_loaded()->exit.name;     \
    }
SCRIPTED_EXIT(u64, length)
SCRIPTED_EXIT(u64, address)
SCRIPTED_EXIT(u64, debug_hits)
SCRIPTED_EXIT(u64, linear_address)
SCRIPTED_EXIT(struct exit_event, event)
SCRIPTED_EXIT(u32, event_error)
SCRIPTED_EXIT(u32, delivering)
SCRIPTED_EXIT(u32, delivering_error)
SCRIPTED_EXIT(struct exit_port, port)
SCRIPTED_EXIT(struct exit_port_string, port_string)
SCRIPTED_EXIT(struct exit_cr, cr)
SCRIPTED_EXIT(struct exit_dr, dr)
SCRIPTED_EXIT(struct exit_random, random)
SCRIPTED_EXIT(struct exit_memory, memory)
SCRIPTED_EXIT(struct exit_apic, apic)
SCRIPTED_EXIT(u32, apic_write_offset)
SCRIPTED_EXIT(u8, eoi_vector)
SCRIPTED_EXIT(struct exit_descriptor, descriptor)
#undef SCRIPTED_EXIT

// ---- the local APIC ----------------------------------------------------------------------------

static inline bool apicv_delivers(void)
{
    return scripted_delivers;
}
static inline bool apicv_has_tpr(void)
{
    return true;
}
static inline bool apicv_has_x2apic(void)
{
    return true;
}
void apicv_setup(hpa_t registers, hpa_t descriptor, hpa_t access_page);
void apicv_set_accesses(struct backend_vcpu *b, enum apicv_accesses how);
static inline u16 apicv_status(void)
{
    return scripted_loaded()->interrupt_status;
}
static inline void apicv_set_status(u16 status)
{
    scripted_loaded()->interrupt_status = status;
}
void apicv_set_eoi_exits(const u64 bitmap[4]);
static inline void apicv_set_tpr_threshold(u32 threshold)
{
    scripted_loaded()->tpr_threshold = threshold;
}
