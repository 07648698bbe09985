// SPDX-License-Identifier: MIT
// What the files of an entry's checks share: src/vmx/check_*.c.
#pragma once

#include "vmx/check.h"
#include "vmx/vmcs_formats.h"

// Notes the first rule that is broken, and by which field.
void check_require(struct entry_check *c, bool ok, enum vmcs_field field, const char *rule);

// The field's value has no bits beyond the physical-address width; and it is the address of a page.
void check_width(struct entry_check *c, enum vmcs_field field);
void check_page(struct entry_check *c, enum vmcs_field field);

// The field's value is canonical.
void check_canonical(struct entry_check *c, enum vmcs_field field);

// The parts, by the SDM's sections.
void check_execution_controls(struct entry_check *c); // 27.2.1.1
void check_exit_controls(struct entry_check *c);      // 27.2.1.2
void check_entry_controls(struct entry_check *c);     // 27.2.1.3
void check_event(struct entry_check *c);              // its part about an event, if there is one
void check_host(struct entry_check *c);               // 27.2.2 to 27.2.4
void check_guest_registers(struct entry_check *c);    // 27.3.1.1 to 27.3.1.4
void check_guest_state(struct entry_check *c);        // 27.3.1.5, 27.3.1.6

static inline u64 check_read(const struct entry_check *c, enum vmcs_field field)
{
    return c->read(field);
}

static inline bool check_has_secondary(const struct entry_check *c, enum secondary_control control)
{
    return c->controls.secondary & (u32)control;
}

static inline bool check_injects(const struct entry_check *c, unsigned type)
{
    return (c->event & EVENT_VALID) && EVENT_TYPE(c->event) == type;
}
