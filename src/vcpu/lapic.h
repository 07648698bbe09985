// SPDX-License-Identifier: MIT
// A guest's local APIC (SDM Vol. 3, chapter 11), in both ways to have it: with the processor's APIC
// virtualization (chapter 30) and without.
//
// The registers live in one page in the layout of SDM Table 11-1, which the hardware may use as
// virtual-APIC page. In software the page is all there is; with virtual-interrupt delivery the
// processor changes TPR, PPR, IRR and ISR in it while the guest runs, and everything here is
// written so that it may. In x2APIC mode the 64-bit ICR stands at 300H..307H (30.5).
//
// What this APIC is: version 15H, LVT entries timer, thermal, performance, LINT0, LINT1, error (no
// CMCI); the xAPIC ID is read-only (the low byte of the x2APIC ID); no SMM, so SMIs are dropped.
// Interrupts are chosen and acknowledged in one step, so the spurious vector is never delivered.
//
// Who may touch what. Page and struct belong to the core that owns the vCPU: every function is
// for the owner alone, while the vCPU is not in the guest, unless its comment says "any core".
// Other cores touch the posted-interrupt descriptor and the struct's "shared" part by atomic
// operations, and read the TPR. A vCPU moves to another core with both at rest on the old one.
//
// Time: `now` is the guest's TSC at the call, in ticks; it never runs backwards between calls
// except through lapic_tsc_written.
#pragma once

#include "lib/types.h"
#include "vcpu/posted.h"

struct lapic;

// Register offsets in the page (SDM Table 11-1); x2APIC MSR = 800H + offset / 16.
enum lapic_register {
    APIC_ID = 0x020,
    APIC_VERSION = 0x030,
    APIC_TPR = 0x080,
    APIC_APR = 0x090, // reads 0, as does RRR: not in processors since the Pentium 4
    APIC_PPR = 0x0a0,
    APIC_EOI = 0x0b0,
    APIC_RRR = 0x0c0,
    APIC_LDR = 0x0d0,
    APIC_DFR = 0x0e0,
    APIC_SVR = 0x0f0,
    APIC_ISR = 0x100, // 8 registers, 16 bytes apart; TMR and IRR likewise
    APIC_TMR = 0x180,
    APIC_IRR = 0x200,
    APIC_ESR = 0x280,
    APIC_ICR_LOW = 0x300,
    APIC_ICR_HIGH = 0x310,
    APIC_LVT_TIMER = 0x320,
    APIC_LVT_THERMAL = 0x330,
    APIC_LVT_PERFORMANCE = 0x340,
    APIC_LVT_LINT0 = 0x350,
    APIC_LVT_LINT1 = 0x360,
    APIC_LVT_ERROR = 0x370,
    APIC_INITIAL_COUNT = 0x380,
    APIC_CURRENT_COUNT = 0x390,
    APIC_DIVIDE = 0x3e0,
    APIC_SELF_IPI = 0x3f0, // x2APIC only
};

// x2APIC registers (bit n: MSR 800H + n) that may be read without an exit when "APIC-register
// virtualization" is 1 (30.5): those that exist and stand in the page. PPR (MSR 80AH) is right in
// the page only with virtual-interrupt delivery; the caller leaves it out otherwise.
#define LAPIC_X2APIC_PAGE_READS 0x41fd01ffffffa50cul

enum lapic_mode { LAPIC_DISABLED, LAPIC_XAPIC, LAPIC_X2APIC }; // 11.12.1, Table 11-5

enum lapic_delivery { // ICR, LVT, IOAPIC and MSI delivery modes (11.6.1)
    LAPIC_FIXED = 0,
    LAPIC_LOWEST_PRIORITY = 1,
    LAPIC_SMI = 2,
    LAPIC_NMI = 4,
    LAPIC_INIT = 5,
    LAPIC_SIPI = 6,
    LAPIC_EXTINT = 7,
};

enum lapic_shorthand { LAPIC_TO_DEST, LAPIC_TO_SELF, LAPIC_TO_ALL, LAPIC_TO_OTHERS };

#define LAPIC_BROADCAST 0xffffffffu

// The destination field of an IOAPIC entry, an MSI or an xAPIC ICR as 32 bits: FFH is broadcast.
static inline u32 lapic_destination(u8 dest)
{
    return dest == 0xff ? LAPIC_BROADCAST : dest;
}

struct lapic_message {
    const struct lapic *source; // NULL: an IOAPIC or an MSI
    u32 dest;                   // APIC ID or logical ID; LAPIC_BROADCAST: all
    bool logical;
    bool level; // level-triggered; IPIs never are
    u8 vector;
    enum lapic_delivery mode;
    enum lapic_shorthand shorthand;
};

// What the APIC asks of its surroundings, always on the owner's core. Entries may be NULL. `send`
// and `eoi` may call back into this APIC.
struct lapic_ops {
    void (*send)(void *ctx, const struct lapic_message *m); // an IPI for the VM's other APICs, too
    void (*eoi)(void *ctx, u8 vector); // EOI broadcast: a level-triggered vector was served
    void (*nmi)(void *ctx);
    void (*init)(void *ctx); // the receiver calls lapic_reset(l, true) when it takes it
    void (*sipi)(void *ctx, u8 vector);
    void (*extint)(void *ctx); // an ExtINT message: the 8259's vector is wanted
    void (*base)(void *ctx);   // IA32_APIC_BASE changed mode or address: adapt the VMCS
};

struct lapic_config {
    u32 apic_id; // x2APIC ID; in xAPIC mode its low byte shows
    bool bsp;
    bool x2apic;          // CPUID.01H:ECX[21]
    bool tsc_deadline;    // CPUID.01H:ECX[24]
    bool eoi_suppression; // version bit 24: only where IOAPICs have an EOI register
    u8 phys_bits;         // MAXPHYADDR, 32 to 52: bounds IA32_APIC_BASE
    u64 timer_hz;         // timer's base before the divider; 0: as tsc_hz
    u64 tsc_hz;           // not 0
};

struct lapic_timer {
    u64 target; // tick of expiry, in TSC-deadline mode IA32_TSC_DEADLINE; UINT64_MAX: beyond time
    u64 period; // ticks that the whole count takes
    u32 initial;
    u32 lvt;  // the LVT entry as last written by lapic_timer.c
    u8 mode;  // LVT timer bits 18:17
    u8 shift; // log2 of the divider
    bool armed;
};

// Interrupts from other cores that the descriptor cannot carry, because the owner must change the
// TMR first: one bit per vector.
struct lapic_remote {
    u64 to_level[4];
    u64 to_edge[4];
    u32 flags; // 0 or REMOTE_… of lapic.c
} ALIGNED(64);

struct lapic {
    // Shared, mostly read: the owner writes, any core reads.
    struct posted_interrupt_descriptor *pid ALIGNED(64);
    u64 address;  // ID, logical ID, model, mode, enabled: LAPIC_ADDRESS_… below
    u64 level[4]; // the TMR as senders see it
    // Shared: any core writes.
    struct lapic_remote remote;
    // The owner's.
    u32 *regs ALIGNED(64);
    u64 deadline;          // tick of the next timer interrupt, UINT64_MAX: none
    u32 changed;           // LAPIC_CHANGED_… since the last lapic_sync
    u8 added;              // highest vector put into IRR since then
    bool recount;          // IRR or ISR changed in other ways too
    bool irr_pending;      // false: IRR is empty (unless the processor delivers)
    bool virtual_delivery; // virtual-interrupt delivery: the processor moves IRR and ISR
    bool error_armed;      // the next error raises the error interrupt (11.5.3)
    bool line[2];          // LINT0, LINT1
    bool lint0_remote_irr;
    u32 errors; // ESR to be
    u64 base;   // IA32_APIC_BASE
    struct lapic_timer timer;
    struct lapic_config config;
    const struct lapic_ops *ops;
    void *ctx;
};

#define LAPIC_ADDRESS_ID      0xfffffffful
#define LAPIC_ADDRESS_CLUSTER BIT(40)
#define LAPIC_ADDRESS_ENABLED BIT(44) // by IA32_APIC_BASE and by SVR: takes fixed interrupts
enum { LAPIC_ADDRESS_LOGICAL_SHIFT = 32, LAPIC_ADDRESS_MODE_SHIFT = 42 };

enum MUST_CHECK lapic_result {
    LAPIC_OK,
    LAPIC_GP,       // the access raises #GP(0)
    LAPIC_NOT_MINE, // not an MSR of the local APIC
};

enum MUST_CHECK lapic_posted {
    LAPIC_DROPPED, // not accepted: the APIC is disabled
    LAPIC_POSTED,  // nothing more to do
    LAPIC_NOTIFY,  // send the descriptor's notification vector, or wake the vCPU
    LAPIC_KICK,    // make the vCPU leave the guest (or wake it), so that its owner syncs
};

enum {
    LAPIC_CHANGED_STATUS = 1 << 0,     // RVI and SVI: write lapic_guest_interrupt_status
    LAPIC_CHANGED_EOI_BITMAP = 1 << 1, // write lapic_eoi_exit_bitmap
};

// ---- life ----------------------------------------------------------------------------------

// Makes *l an APIC as after power-up. `page` (4 KiB, aligned) and `pid` are its for its life, `pid`
// zeroed or set up for the vCPU; `ops` stays readable. Before any other core knows of *l.
void lapic_init(struct lapic *l, void *page, struct posted_interrupt_descriptor *pid,
                const struct lapic_config *config, const struct lapic_ops *ops, void *ctx);

// Power-up or RESET (11.4.7.1), or INIT (11.4.7.3) with init_only: that keeps IA32_APIC_BASE, hence
// the mode (11.12.5.1). Interrupts in the descriptor are dropped.
void lapic_reset(struct lapic *l, bool init_only);

// What firmware leaves on the boot processor (virtual wire mode): enabled, LINT0 = ExtINT, LINT1 =
// NMI. For guests started without firmware.
void lapic_virtual_wire(struct lapic *l);

// Whether the processor delivers virtual interrupts for this vCPU (30.2); set it before the first
// entry and whenever the controls change.
static inline void lapic_set_virtual_delivery(struct lapic *l, bool on)
{
    l->virtual_delivery = on;
    l->irr_pending = true;
    l->changed |= LAPIC_CHANGED_STATUS | LAPIC_CHANGED_EOI_BITMAP;
    l->recount = true;
}

// Mode by IA32_APIC_BASE (any core), and the address of the xAPIC page.
static inline enum lapic_mode lapic_mode(const struct lapic *l)
{
    u64 address = __atomic_load_n(&l->address, __ATOMIC_RELAXED);
    return (enum lapic_mode)(address >> LAPIC_ADDRESS_MODE_SHIFT & 3);
}
static inline gpa_t lapic_base(const struct lapic *l)
{
    return GPA(l->base & PAGE_MASK);
}

// ---- registers (lapic_regs.c) --------------------------------------------------------------

// xAPIC page access of `size` bytes (1, 2, 4, 8) at `offset` (only bits 11:0 count). Reads within a
// register give its bytes, other bytes read 0, absent registers set ESR bit 7. Writes need 32 bits
// on a 16-byte boundary (11.4.1; of 64 bits the low half counts), others are ignored. Outside
// xAPIC mode reads give ones and writes vanish; the caller then should not have come here.
u64 lapic_mmio_read(struct lapic *l, u32 offset, u32 size, u64 now);
void lapic_mmio_write(struct lapic *l, u32 offset, u32 size, u64 value, u64 now);

// RDMSR and WRMSR of 800H..8FFH, IA32_APIC_BASE and IA32_TSC_DEADLINE, with the faults of 11.12.1.2
// and 11.12.5. *value is written only with LAPIC_OK.
enum lapic_result lapic_msr_read(struct lapic *l, u32 msr, u64 *value, u64 now);
enum lapic_result lapic_msr_write(struct lapic *l, u32 msr, u64 value, u64 now);

// After an APIC-write VM exit (30.4.3.3): the guest's value already stands in the page at `offset`
// (the exit qualification); does what the write is to do.
void lapic_apic_write_done(struct lapic *l, u32 offset, u64 now);

// CR8 (11.8.6): TPR bits 7:4. The value is 0..15; the caller raises #GP for more.
static inline u64 lapic_cr8(const struct lapic *l)
{
    return l->regs[APIC_TPR / 4] >> 4 & 0xf;
}
void lapic_set_cr8(struct lapic *l, u64 value);

// ---- interrupts in (lapic.c) ---------------------------------------------------------------

// A fixed interrupt, from any core; says what the caller must do for it to be seen. A level-
// triggered one that the APIC does not yet know as such goes to the owner by struct lapic_remote.
enum lapic_posted lapic_post(struct lapic *l, u8 vector, bool level);

// Whether an edge-triggered vector (16 to 255) may be put into the descriptor as it is, with
// pid_post alone: the APIC takes interrupts, and knows this one for no level-triggered one. Any
// core.
static inline bool lapic_takes_edge(const struct lapic *l, u8 vector)
{
    u64 level = __atomic_load_n(&l->level[vector >> 6], __ATOMIC_ACQUIRE);
    return (__atomic_load_n(&l->address, __ATOMIC_RELAXED) & LAPIC_ADDRESS_ENABLED) &&
           !(level & BIT(vector & 63));
}

// A message for this APIC on the owner's core: any delivery mode. Vectors below 16 set ESR bit 6.
void lapic_deliver(struct lapic *l, enum lapic_delivery mode, u8 vector, bool level);

// Takes what other cores posted into IRR. Before every entry, and before sleep. Returns which VMCS
// fields are out of date (LAPIC_CHANGED_…) since the last call.
u32 lapic_sync_slow(struct lapic *l);
static inline u32 lapic_sync(struct lapic *l)
{
    if (!pid_pending(l->pid) && !__atomic_load_n(&l->remote.flags, __ATOMIC_ACQUIRE) && !l->changed)
        return 0;
    return lapic_sync_slow(l);
}

// The LINT0 and LINT1 pins (pin 0, 1) change to `asserted`. In ExtINT mode LINT0 does nothing by
// itself: while the 8259 has a request, the owner asks lapic_accepts_extint before each entry.
void lapic_lint(struct lapic *l, u32 pin, bool asserted);
bool lapic_accepts_extint(const struct lapic *l);

// An NMI by the platform's wire: a pulse on LINT1.
void lapic_nmi(struct lapic *l);

// The event of a performance or thermal LVT entry (its register's offset). A performance event
// masks its entry (11.5.1).
void lapic_local_event(struct lapic *l, enum lapic_register lvt);

// ---- interrupts out ------------------------------------------------------------------------

// Whether an interrupt has priority over PPR (11.8.3.1) and which. Works with APIC virtualization
// and without; for decisions about HLT, and in software for delivery.
bool lapic_deliverable(struct lapic *l, u8 *vector);

// Without APIC virtualization: the vCPU takes `vector` (from lapic_deliverable): IRR to ISR, PPR
// raised.
void lapic_accept(struct lapic *l, u8 vector);

// Highest vector in IRR, in ISR; -1: none.
int lapic_highest_irr(const struct lapic *l);
int lapic_highest_isr(const struct lapic *l);

// EOI in software (11.8.5): ends the highest in ISR, broadcasts if it was level-triggered.
void lapic_eoi(struct lapic *l);

// After a virtualized-EOI exit (30.1.4): ISR is done, the rest for `vector` is not.
void lapic_eoi_induced(struct lapic *l, u8 vector);

// VMCS fields. TPR threshold (30.1.1): above 0 if lowering TPR is to exit, because only TPR holds
// an interrupt back. Guest interrupt status (24.4.2): SVI in bits 15:8, RVI in bits 7:0.
u32 lapic_tpr_threshold(const struct lapic *l);
u16 lapic_guest_interrupt_status(const struct lapic *l);

// The guest interrupt status that follows from what the field holds now, where nothing but arrivals
// changed it; to be called when lapic_sync says that it changed.
static inline u16 lapic_next_interrupt_status(struct lapic *l, u16 now)
{
    u8 added = l->added;
    l->added = 0;
    if (l->recount) {
        l->recount = false;
        return lapic_guest_interrupt_status(l);
    }
    return (u8)now >= added ? now : (u16)((now & 0xff00) | added);
}
// With virtual-interrupt delivery: the highest vector that has come since that was last called, if
// it is still in IRR; else 0.
static inline u8 lapic_arrived(const struct lapic *l)
{
    u8 vector = l->added;
    return l->regs[(APIC_IRR + (vector >> 5) * 16) / 4] >> (vector & 31) & 1 ? vector : 0;
}
static inline void lapic_eoi_exit_bitmap(const struct lapic *l, u64 bitmap[4])
{
    for (u32 i = 0; i < 4; i++)
        bitmap[i] = l->level[i];
}

// ---- timer (lapic_timer.c) -----------------------------------------------------------------

// Tick at which the owner must call lapic_expire, UINT64_MAX: never.
static inline u64 lapic_deadline(const struct lapic *l)
{
    return l->deadline;
}

// Raises the timer interrupt if it is due. Periods missed are merged. Returns whether it was due.
bool lapic_expire(struct lapic *l, u64 now);

// IA32_TSC_DEADLINE without the MSR dispatch (11.5.4.1).
u64 lapic_read_tsc_deadline(struct lapic *l, u64 now);
void lapic_write_tsc_deadline(struct lapic *l, u64 deadline, u64 now);

// The two that matter for a kernel's timer, in the state in which it nearly always is: false or -1
// and nothing done when it is in another, and the functions above must do it.
//
// IA32_TSC_DEADLINE is moved to a time to come, unmasked, while it is not due.
bool lapic_move_deadline(struct lapic *l, u64 deadline, u64 now);

// With virtual-interrupt delivery: the TSC deadline is due, and its interrupt, edge-triggered and
// fixed, goes into IRR. Returns its vector, for RVI.
int lapic_deadline_due(struct lapic *l, u64 now);

// The guest's TSC jumped from `before` to `after`, by a write: the count goes on where it was, a
// TSC deadline is compared with the new value.
void lapic_tsc_written(struct lapic *l, u64 before, u64 after);

// ---- destinations (lapic_ipi.c) ------------------------------------------------------------

// Whether `dest` names this APIC, physically or logically, in its mode (11.6.2, 11.12.9,
// 11.12.10). A disabled APIC matches nothing. Any core.
bool lapic_matches(const struct lapic *l, u32 dest, bool logical);

// The same for a message, with its shorthand. Any core.
bool lapic_addressed(const struct lapic *l, const struct lapic_message *m);

// Lowest-priority arbitration (11.6.2.4): the APIC with the lowest TPR class among those of all[n]
// that the message names and that are enabled; equals take turns, counted in *turn. NULL: none.
// Any core; *turn is touched atomically.
struct lapic *lapic_arbitrate(struct lapic *const *all, u32 n, const struct lapic_message *m,
                              u32 *turn);
