// SPDX-License-Identifier: MIT
// Extended page tables: a VM's guest-physical addresses (SDM Vol. 3, 29.3). Four levels, the
// largest pages that fit, write-back memory.
//
// Callers serialize changes of one EPT. After a change that takes a permission away or moves a
// page, every core that may run the VM must call ept_flush() (vmx/flush.h) before it next enters
// it.
#pragma once

#include "lib/error.h"
#include "lib/types.h"

#define EPT_READ    1u
#define EPT_WRITE   2u
#define EPT_EXECUTE 4u
#define EPT_RWX     (EPT_READ | EPT_WRITE | EPT_EXECUTE)

// Bits of the exit qualification of an EPT violation (SDM Table 28-7).
#define EPT_VIOLATION_READ         BIT(0)
#define EPT_VIOLATION_WRITE        BIT(1)
#define EPT_VIOLATION_FETCH        BIT(2)
#define EPT_VIOLATION_LINEAR_VALID BIT(7)
#define EPT_VIOLATION_TRANSLATED   BIT(8) // of the linear address's own translation, not of a table

struct ept {
    u64 *root;
    bool pages_2m, pages_1g; // the CPU has them
    u64 count[3];            // leaves in use: 4K, 2M, 1G
};

// Makes an empty EPT. ERR_NO_MEMORY.
enum error ept_init(struct ept *e, bool pages_2m, bool pages_1g);

// Maps size bytes at gpa to host memory at hpa, all three multiples of 4 KiB, where nothing is
// mapped yet. permissions of EPT_RWX. ERR_NO_MEMORY for tables, ERR_INVALID.
enum error ept_map(struct ept *e, gpa_t gpa, hpa_t hpa, u64 size, u32 permissions);

// Changes the permissions of one mapped 4 KiB page, splitting what holds it. ERR_NOT_FOUND when it
// is not mapped, ERR_NO_MEMORY.
enum error ept_protect(struct ept *e, gpa_t page, u32 permissions);

// Puts a split 2 MiB region together again when its 512 pages are consecutive and alike; returns
// whether it did.
bool ept_join(struct ept *e, gpa_t region);

// What maps gpa: host address, permissions and page size in bytes. False when nothing does.
bool ept_lookup(const struct ept *e, gpa_t gpa, hpa_t *hpa, u32 *permissions, u64 *page_size);

// The EPT pointer for the VMCS (SDM 25.6.11).
u64 ept_pointer(const struct ept *e);
