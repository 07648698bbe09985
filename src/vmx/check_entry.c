// SPDX-License-Identifier: MIT
// The order of an entry's checks, and what they share.
#include "vmx/check_internal.h"
#include "x86/registers.h"

void check_require(struct entry_check *c, bool ok, enum vmcs_field field, const char *rule)
{
    if (ok || c->rule != NULL)
        return;
    c->rule = rule;
    c->field = field;
    c->value = check_read(c, field);
}

void check_width(struct entry_check *c, enum vmcs_field field)
{
    check_require(c, check_read(c, field) >> c->maxphyaddr == 0, field,
                  "bits beyond the physical-address width must be clear");
}

void check_page(struct entry_check *c, enum vmcs_field field)
{
    check_require(c, (check_read(c, field) & 0xfff) == 0, field, "must be aligned to 4 KiB");
    check_width(c, field);
}

void check_canonical(struct entry_check *c, enum vmcs_field field)
{
    check_require(c, canonical(check_read(c, field)), field, "must be canonical");
}

static void begin(struct entry_check *c)
{
    u32 primary = (u32)check_read(c, PRIMARY_CONTROLS);
    u64 event = check_read(c, ENTRY_INTERRUPTION_INFO);
    c->controls = (struct vmx_controls){
        .pin = (u32)check_read(c, PIN_BASED_CONTROLS),
        .primary = primary,
        .secondary = primary & (u32)PRIMARY_SECONDARY ? (u32)check_read(c, SECONDARY_CONTROLS) : 0,
        .exit = (u32)check_read(c, EXIT_CONTROLS),
        .entry = (u32)check_read(c, ENTRY_CONTROLS),
    };
    c->event = event & EVENT_VALID ? event : 0;
    c->rule = NULL;
}

void entry_check(struct entry_check *c)
{
    begin(c);
    check_execution_controls(c);
    check_exit_controls(c);
    check_entry_controls(c);
    check_host(c);
    check_guest_registers(c);
    check_guest_state(c);
}

void entry_check_guest(struct entry_check *c)
{
    begin(c);
    check_guest_registers(c);
    check_guest_state(c);
}
