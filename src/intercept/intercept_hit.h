// SPDX-License-Identifier: MIT
// What a guest did that made an exit, as items see it. All on the vCPU's core, its VMCS current.
#pragma once

#include "intercept/intercept.h"
#include "lib/format.h"

struct hit {
    u8 what;         // enum intercept_what
    u8 access;       // INTERCEPT_READ, _WRITE, _EXECUTE; 0: there is only one
    bool string;     // INS or OUTS
    u8 size;         // bytes; 0: none to tell
    u64 first, last; // ports, MSRs, vectors, guest-physical addresses
    u64 changed;     // bits of CR0 or CR4
    u64 value;       // written, or an error code
    u64 rip;
    const char *name;       // of the instruction or event
    bool numbered;          // `first` belongs to it
    const char *value_name; // what the value is; NULL: there is none to tell
};

// The kinds of items that an exit for this reason can hit, as bits of enum intercept_what.
u32 hit_kinds(u32 reason);

// Describes the present exit. False: nothing that an item could name.
bool hit_describe(struct vcpu *v, struct hit *h);

// The same of the exception that is about to be delivered.
void hit_describe_exception(struct vcpu *v, struct hit *h);

// As text: "OUT 0x3f8, 1 byte, value 0x41".
void hit_print(const struct hit *h, struct text *t);

// In the place of the instruction: raises the fault that hardware would; or reads give 0 and writes
// vanish, but for the bits of CR0 and CR4 that are not in `kept`.
void hit_deny(struct vcpu *v, const struct hit *h);
void hit_ignore(struct vcpu *v, const struct hit *h, u64 kept);

// ---- memory (intercept_mem.c) ------------------------------------------------------------------

// v->events.info is what was being delivered when the access was made, for these and those below.
bool hit_describe_memory(struct vcpu *v, struct hit *h);

// MOVS and CMPS access memory twice: the access that did not exit, since the first did. False: the
// instruction has no other.
bool hit_describe_other(struct vcpu *v, const struct hit *h, struct hit *other);

// Whether the access exits only because of items: it is to be made with the EPT that has all.
bool hit_memory_withheld(struct vcpu *v);

void hit_memory_deny(struct vcpu *v, const struct hit *h);
void hit_memory_ignore(struct vcpu *v);

// ---- descriptor tables (intercept_store.c) -----------------------------------------------------

// The zeros of an SGDT, SIDT, SLDT or STR. False: storing them raises a fault.
bool hit_store_zero(struct vcpu *v);
