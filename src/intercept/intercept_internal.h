// SPDX-License-Identifier: MIT
// What the files of this room share and others do not see.
#pragma once

#include "intercept/intercept.h"
#include "vcpu/exits.h"

// intercept_exit.c; members of struct intercept_ops (vcpu/vcpu.h).
void intercept_exit(struct vcpu *v);
void intercept_exception(struct vcpu *v);
bool intercept_resume(struct vcpu *v);

// intercept_mem.c; the same.
bool intercept_memory_is_ignored(const struct vcpu *v, gpa_t gpa, u32 access);

// Withholds from the guest what the item, one of its list, names, and gives that back. All vCPUs
// are held, and flush before they run on. ERR_NO_MEMORY: *why says what lacks, and nothing is
// changed.
enum error intercept_memory(struct guest *g, struct caught_item *c, struct text *why);
void intercept_memory_end(struct guest *g, struct ept_restriction *withheld);
