// SPDX-License-Identifier: MIT
// Formats of VMCS fields that are not the processor's elsewhere (SDM Vol. 3, 25.4.2, 25.8.3).
#pragma once

#include "x86/bits.h"

// VM-entry interruption information (SDM 25.8.3); the exit and IDT-vectoring fields are alike.
#define EVENT_VALID           BIT(31)
#define EVENT_HAS_ERROR       BIT(11)
#define EVENT_VECTOR(e)       ((u8)(e))
#define EVENT_TYPE(e)         ((e) >> 8 & 7)
#define NMI_UNBLOCKED_BY_IRET BIT(12) // in the exit field, and in an EPT violation's qualification
enum {
    EVENT_EXTERNAL = 0,
    EVENT_NMI = 2,
    EVENT_HARDWARE_EXCEPTION = 3,
    EVENT_SOFTWARE_INTERRUPT = 4,
    EVENT_PRIVILEGED_SOFTWARE_EXCEPTION = 5,
    EVENT_SOFTWARE_EXCEPTION = 6,
    EVENT_OTHER = 7, // a pending MTF exit, with vector 0
};

// Guest activity state (SDM 25.4.2).
enum { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_FOR_SIPI };
