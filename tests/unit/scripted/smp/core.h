// SPDX-License-Identifier: MIT
// smp/core.h for the scripted back end: the calling core is the one that the test says.
#pragma once

#define this_core core_by_gs
#include_next "smp/core.h"
#undef this_core

extern struct core *scripted_core;

static inline struct core *this_core(void)
{
    return scripted_core;
}
