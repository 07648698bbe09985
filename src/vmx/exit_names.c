// SPDX-License-Identifier: MIT
#include "vmx/exit_reasons.h"

#include "lib/types.h"

#define NAME(name, number) [number] = #name,
static const char *const names[EXIT_REASONS] = {EXIT_REASON_TABLE(NAME)};
#undef NAME

const char *exit_reason_name(unsigned reason)
{
    reason &= 0xffff;
    return reason < EXIT_REASONS && names[reason] != NULL ? names[reason] : "unknown";
}
