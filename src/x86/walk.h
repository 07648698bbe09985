// SPDX-License-Identifier: MIT
// The guest's own paging: from guest-linear to guest-physical addresses, as the CPU would walk the
// tables that lie in the guest's RAM (SDM Vol. 3, chapter 4). Every paging mode; permissions with
// CR0.WP, EFER.NXE, SMEP, SMAP. Left out: protection keys, shadow-stack accesses, LAM, and the
// guest's EPT permissions on the tables themselves.
//
// Pure: reads only what it is given, so it may be called on any core, by whoever keeps the vCPU
// from running. Other vCPUs of the VM may change the tables meanwhile; each entry is read once.
#pragma once

#include "lib/error.h"
#include "lib/types.h"
#include "x86/guest_memory.h"

// The registers that decide how a linear address is translated.
struct paging_state {
    u64 cr0, cr3, cr4, efer, rflags;
    unsigned cpl;        // 0..3; 3 makes every access a user-mode one
    unsigned maxphyaddr; // bits, 32..52; anything else is taken for 52
    bool no_1gb_pages;   // CPUID does not offer them: PS in a PDPTE is then a reserved bit
    bool use_pdpte;      // PAE paging: take pdpte[] (the VMCS's), not memory at CR3
    u64 pdpte[4];
};

// What the access is. With none of READ, WRITE, EXEC no permission is checked: the debugger's view,
// which still fails where a page is not present or an entry has reserved bits set.
#define WALK_READ   (1u << 0)
#define WALK_WRITE  (1u << 1)
#define WALK_EXEC   (1u << 2) // an instruction fetch
#define WALK_USER   (1u << 3) // a user-mode access, whatever the CPL
#define WALK_SYSTEM (1u << 4) // an implicit supervisor access (GDT, IDT, TSS), whatever the CPL
#define WALK_SET_AD (1u << 5) // on success set accessed flags, and with WALK_WRITE the dirty flag

// Bits of a #PF error code (SDM Vol. 3, 4.7).

#define WALK_LEVELS 5

// One paging-structure entry on the way.
struct walk_entry {
    unsigned level; // 5 PML5E, 4 PML4E, 3 PDPTE, 2 PDE, 1 PTE
    gpa_t gpa;      // where it lies; 0 when it came from pdpte[]
    u64 value;      // as read (4 bytes in 32-bit paging)
};

struct walk_result {
    gpa_t gpa;     // the translation; on ERR_NOT_FOUND the entry that is not in RAM
    u64 page_size; // bytes: 4K, 2M, 4M, 1G; 4K without paging
    bool writable, executable, user; // what the tables allow, all levels together
    unsigned count;                  // entries visited, also on failure
    struct walk_entry entry[WALK_LEVELS];
    u32 error_code; // for the #PF; meaningful on ERR_FAULT
};

// Translates gva. Fills *r as far as it came, on failure too.
// OK; ERR_FAULT: a #PF with r->error_code; ERR_INVALID: not canonical, or above 4 GiB outside
// IA-32e mode (callers wrap); ERR_NOT_FOUND: a table is not in the guest's RAM; ERR_BUSY:
// WALK_SET_AD and another vCPU kept changing the entries.
enum error guest_walk(const struct paging_state *ps, const struct guest_memory *m, gva_t gva,
                      u32 access, struct walk_result *r);

// Where and why a linear access failed.
struct walk_fault {
    gva_t gva;      // the first byte that could not be reached: CR2 for the #PF
    u32 error_code; // for the #PF; meaningful on ERR_FAULT
    gpa_t gpa;      // on ERR_NOT_FOUND: the guest-physical address that is not RAM
};

// Copy len bytes from or to guest-linear memory, each page by its own translation; outside IA-32e
// mode addresses wrap at 4 GiB. WALK_READ and WALK_WRITE are not implied: access without them
// checks no permissions. *fault (may be NULL) is set on failure.
// Errors as guest_walk(), with ERR_NOT_FOUND also for a page that is not RAM. After a failed read
// buf holds the bytes before fault->gva. A write checks all pages before it changes the first byte.
enum error guest_read_linear(const struct paging_state *ps, const struct guest_memory *m, gva_t gva,
                             void *buf, u64 len, u32 access, struct walk_fault *fault);
enum error guest_write_linear(const struct paging_state *ps, const struct guest_memory *m,
                              gva_t gva, const void *buf, u64 len, u32 access,
                              struct walk_fault *fault);
