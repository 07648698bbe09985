// SPDX-License-Identifier: MIT
// An entry's checks on the event to be injected (SDM Vol. 3, 27.2.1.3).
#include "vmx/check_internal.h"
#include "x86/vectors.h"

#define INFO_RESERVED 0x7ffff000ul

#define WITH_ERROR_CODE                                                                   \
    (BIT(VECTOR_DF) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | BIT(VECTOR_GP) | \
     BIT(VECTOR_PF) | BIT(VECTOR_AC))

static bool type_ok(const struct entry_check *c, unsigned type)
{
    return type == EVENT_OTHER ? (c->caps->allowed1.primary & PRIMARY_MONITOR_TRAP_FLAG) != 0
                               : type != 1;
}

static bool vector_ok(unsigned type, unsigned vector)
{
    switch (type) {
    case EVENT_NMI:
        return vector == VECTOR_NMI;
    case EVENT_HARDWARE_EXCEPTION:
        return vector <= 31;
    case EVENT_OTHER:
        return vector == 0;
    default:
        return true;
    }
}

// The error code's presence, and the code itself.
static void check_error_code(struct entry_check *c, unsigned type, unsigned vector)
{
    bool has_error = c->event & EVENT_HAS_ERROR, exception = type == EVENT_HARDWARE_EXCEPTION;
    bool protected = (check_read(c, GUEST_CR0) & CR0_PE) ||
                     !check_has_secondary(c, SECONDARY_UNRESTRICTED_GUEST);
    bool any = c->caps->basic & BASIC_ANY_ERROR_CODE;
    bool has = vector <= 31 && (WITH_ERROR_CODE >> vector & 1);
    check_require(c, !has_error || exception, ENTRY_INTERRUPTION_INFO,
                  "an error code is for hardware exceptions alone");
    check_require(c, !has_error || protected, ENTRY_INTERRUPTION_INFO,
                  "an error code is for protected mode alone");
    check_require(c, !has_error || any || has, ENTRY_INTERRUPTION_INFO,
                  "the exception must have no error code");
    check_require(c, has_error || any || !has || !exception || !protected, ENTRY_INTERRUPTION_INFO,
                  "the exception must have an error code");
    if (has_error)
        check_require(c, check_read(c, ENTRY_EXCEPTION_ERROR_CODE) >> 16 == 0,
                      ENTRY_EXCEPTION_ERROR_CODE, "bits 31:16 must be clear");
}

void check_event(struct entry_check *c)
{
    unsigned type = EVENT_TYPE(c->event), vector = EVENT_VECTOR(c->event);
    check_require(c, type_ok(c, type), ENTRY_INTERRUPTION_INFO,
                  "the type must be one that the CPU has");
    check_require(c, vector_ok(type, vector), ENTRY_INTERRUPTION_INFO,
                  "the vector must be one that the type can have");
    check_require(c, (c->event & INFO_RESERVED) == 0, ENTRY_INTERRUPTION_INFO,
                  "reserved bits must be clear");
    check_error_code(c, type, vector);
    if (type == EVENT_SOFTWARE_INTERRUPT || type == EVENT_PRIVILEGED_SOFTWARE_EXCEPTION ||
        type == EVENT_SOFTWARE_EXCEPTION) {
        u64 length = check_read(c, ENTRY_INSTRUCTION_LENGTH);
        check_require(c, length <= 15, ENTRY_INSTRUCTION_LENGTH, "must not be above 15");
        check_require(c, length != 0 || (c->caps->misc & MISC_ZERO_LENGTH_INJECTION),
                      ENTRY_INSTRUCTION_LENGTH, "must not be 0 on this CPU");
    }
}
