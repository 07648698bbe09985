// SPDX-License-Identifier: MIT
// A VM's guest-physical memory as its vCPUs reach it: extended page tables (EPT, SDM Vol. 3, 29.3).
// This room is the only one that knows an EPT entry's bits and changes permissions.
//
// A space is what the VM's guest-physical addresses lead to: regions of host memory. A view is one
// set of tables for the space, four levels with the largest pages that fit; vCPUs of one VM may run
// in different views. View 0 is always there. Whoever wants to see accesses says so by a
// restriction: permissions that are withheld from a range of pages in some views. A page has in a
// view what its region has, less what all restrictions there withhold.
//
// Contract. A space has a lock of its own, which each function below takes that changes something;
// it is the innermost one but for the memory allocator's. What takes a page's permission away or
// gives tables back takes effect on other cores when they flush (flush_ept(), vmx/backend.h). So
// ept_restrict(), ept_unrestrict() and ept_view_remove() are for when all vCPUs of the VM are out
// of the guest, and each vCPU's core flushes before it enters it again; then no core still walks
// tables that went back to the allocator. ept_change() may be called while vCPUs run.
// ept_lookup() and ept_pointer() take no lock: by a vCPU's core while it is out of the guest and
// not held, or by who holds them all.
#pragma once

#include "lib/error.h"
#include "lib/lock.h"
#include "lib/types.h"

#define EPT_READ    1u
#define EPT_WRITE   2u
#define EPT_EXECUTE 4u
#define EPT_RWX     (EPT_READ | EPT_WRITE | EPT_EXECUTE)

#define EPT_VIEWS        4
#define EPT_ALL_VIEWS    ((1u << EPT_VIEWS) - 1)
#define EPT_REGIONS      8
#define EPT_RESTRICTIONS 320

// Guest-physical memory with host memory behind it.
struct ept_region {
    u64 first, last; // guest-physical addresses of its first and its last byte
    u64 host;        // host-physical address behind the first
    u32 permissions; // of EPT_RWX, before restrictions
};

// What somebody withholds. Its members are this room's.
struct ept_restriction {
    u64 first, last; // first and last byte, whole pages
    u32 views;       // bit n: in view n; 0: free
    u32 withheld;    // of EPT_RWX
};

struct ept_features {
    bool pages_2m, pages_1g; // the CPU has them
    bool execute_only;       // a page may be executable and not readable
};

struct ept_space {
    struct spinlock lock;
    struct ept_features features;
    u64 *root[EPT_VIEWS]; // NULL: there is no such view
    struct ept_region region[EPT_REGIONS];
    unsigned regions;
    struct ept_restriction restriction[EPT_RESTRICTIONS];
    unsigned restrictions; // all behind so many are free
};

// Makes a space in which nothing is mapped, with view 0. ERR_NO_MEMORY.
enum error ept_init(struct ept_space *s, struct ept_features features);

// Maps size bytes at gpa to host memory at hpa in all views. All three are multiples of 4 KiB, and
// nothing is mapped there yet. permissions: of EPT_RWX. ERR_INVALID; ERR_NO_MEMORY, and nothing is
// changed: no pages for tables, or more than EPT_REGIONS regions.
enum error ept_map(struct ept_space *s, gpa_t gpa, hpa_t hpa, u64 size, u32 permissions);

// Makes a further view, with its number in *view. At first it has what EPT_ALL_VIEWS have.
// ERR_NO_MEMORY, and nothing is changed.
enum error ept_view_create(struct ept_space *s, unsigned *view);

// No vCPU is to run in the view any more, and no restriction is to be left that is for it alone.
void ept_view_remove(struct ept_space *s, unsigned view);

// Withholds permissions (of EPT_RWX) from all pages that have bytes in first..last, in the views
// whose bits are set. What a page cannot have without a permission that is withheld goes too:
// writing without reading, and on some CPUs executing. Pages where nothing is mapped do not
// matter. *out stands for the restriction until ept_unrestrict(). ERR_NO_MEMORY, *out is NULL, and
// nothing is changed: no pages for tables, or more than EPT_RESTRICTIONS of them.
enum error ept_restrict(struct ept_space *s, gpa_t first, gpa_t last, u32 views, u32 withheld,
                        struct ept_restriction **out);

// Withholds something else, perhaps nothing, from the same pages, whose tables stay as they are: it
// needs no memory and gives none back. True: other cores have to flush before this is in force
// there; else a vCPU may at most exit once more for a permission that it has again.
bool ept_change(struct ept_space *s, struct ept_restriction *r, u32 withheld);

// Ends a restriction. Pages that were split for it alone are joined and their tables freed. Needs
// no memory.
void ept_unrestrict(struct ept_space *s, struct ept_restriction *r);

// What maps gpa in a view: host address, permissions and page size in bytes. False when nothing
// does.
bool ept_lookup(const struct ept_space *s, unsigned view, gpa_t gpa, hpa_t *hpa, u32 *permissions,
                u64 *page_size);

// A view's EPT pointer for the VMCS (SDM 25.6.11); 0: there is no such view.
u64 ept_pointer(const struct ept_space *s, unsigned view);
