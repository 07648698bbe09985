// SPDX-License-Identifier: MIT
// Where entry.S finds what it needs; backend.c checks it against the structs.
#pragma once

#define VCPU_LAUNCHED         132
#define VCPU_HOST_RSP         136
#define VCPU_REASON           144
#define VCPU_PLAIN_REASONS    148
#define VCPU_EXITS            152
#define VCPU_REQUESTS         128
#define EXIT_REASON_COUNT     78
#define CAPS_PREEMPTION_SHIFT 124

// In struct core, by GS.
#define CORE_DEADLINE  16
#define CORE_EXIT_TSC  24
#define CORE_ATTENTION 64
