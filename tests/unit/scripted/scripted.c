// SPDX-License-Identifier: MIT
// What stands below the virtual CPU in its tests: the back end without a VMCS. machine.c has cores,
// entries and exits; vm.c has VMs.
#include "scripted/scripted.h"

#include <string.h>

#include "lib/format.h"

bool scripted_delivers, scripted_counts_down;

// By core.
static struct backend_vcpu *loaded[SCRIPTED_CORES];

struct backend_vcpu *scripted_loaded(void)
{
    struct backend_vcpu *b = loaded[this_core()->number];
    assert_non_null(b);
    return b;
}

enum error backend_start_core(struct text *why)
{
    (void)why;
    loaded[this_core()->number] = NULL;
    return OK;
}

enum error backend_create(struct backend_vcpu *b)
{
    static u16 last;
    b->vpid = ++last;
    return OK;
}

// As VMPTRLD and VMCLEAR want it: on one core at a time.
void backend_load(struct backend_vcpu *b, const struct core *core)
{
    assert_ptr_equal(core, this_core());
    assert_true(b->on == NULL || b->on == core);
    b->on = core;
    b->loaded = true;
    loaded[core->number] = b;
}

void backend_load_again(struct backend_vcpu *b)
{
    assert_ptr_equal(b->on, this_core());
    loaded[this_core()->number] = b;
}

void backend_unload(struct backend_vcpu *b)
{
    assert_true(b->on == NULL || b->on == this_core());
    b->on = NULL;
    b->loaded = false;
    if (loaded[this_core()->number] == b)
        loaded[this_core()->number] = NULL;
}

void backend_reset(struct backend_vcpu *b, const struct backend_vm *vm, const struct core *core)
{
    (void)vm;
    assert_ptr_equal(scripted_loaded(), b);
    assert_ptr_equal(b->on, core);
    memset(b->word, 0, sizeof(b->word));
    memset(b->segment, 0, sizeof(b->segment));
    b->word[STATE_RFLAGS] = RFLAGS_FIXED;
    b->word[STATE_CR0] = CR0_ET;
    b->word[STATE_DR7] = DR7_FIXED;
    b->wishes = b->composed = (struct backend_wishes){0};
    b->next = b->had = (struct scripted_event){0};
    b->exit = (struct scripted_exit){0};
    b->interrupt_status = 0;
}

void backend_reset_more(void)
{
    scripted_loaded()->word[STATE_CR0] = 0;
}

u32 backend_cannot_catch(u32 catches)
{
    (void)catches;
    return 0;
}

void backend_explain_catch(u32 catches, struct text *t)
{
    (void)catches, (void)t;
}

void backend_catch(struct backend_vcpu *b, const struct backend_catches *c)
{
    b->catches = *c;
}

void backend_compose(struct backend_vcpu *b)
{
    b->composed = b->wishes;
}

void msr_bitmap_build(struct backend_vcpu *b, u64 x2apic_reads, u64 x2apic_writes)
{
    (void)b, (void)x2apic_reads, (void)x2apic_writes;
}

void msr_bitmap_catch(struct backend_vcpu *b, u64 first, u64 last, bool read, bool write)
{
    (void)b, (void)first, (void)last, (void)read, (void)write;
}

// ---- guest state -------------------------------------------------------------------------------

u64 state_get(enum guest_state s)
{
    const struct backend_vcpu *b = scripted_loaded();
    switch (s) {
    case STATE_CS_BASE:
        return b->segment[SEG_CS].base;
    case STATE_CS_ACCESS:
        return b->segment[SEG_CS].access;
    case STATE_SS_ACCESS:
        return b->segment[SEG_SS].access;
    case STATE_TR_ACCESS:
        return b->segment[SEG_TR].access;
    case STATE_FS_BASE:
        return b->segment[SEG_FS].base;
    case STATE_GS_BASE:
        return b->segment[SEG_GS].base;
    default:
        return b->word[s];
    }
}

void state_set(enum guest_state s, u64 value)
{
    struct backend_vcpu *b = scripted_loaded();
    switch (s) {
    case STATE_CS_BASE:
        b->segment[SEG_CS].base = value;
        break;
    case STATE_CS_ACCESS:
        b->segment[SEG_CS].access = (u32)value;
        break;
    case STATE_SS_ACCESS:
        b->segment[SEG_SS].access = (u32)value;
        break;
    case STATE_TR_ACCESS:
        b->segment[SEG_TR].access = (u32)value;
        break;
    case STATE_FS_BASE:
        b->segment[SEG_FS].base = value;
        break;
    case STATE_GS_BASE:
        b->segment[SEG_GS].base = value;
        break;
    default:
        b->word[s] = value;
        break;
    }
}

void state_get_segment(enum segment_name n, struct segment *s)
{
    *s = scripted_loaded()->segment[n];
}

void state_set_segment(enum segment_name n, const struct segment *s)
{
    scripted_loaded()->segment[n] = *s;
}

void state_get_pdptes(u64 pdpte[4])
{
    memcpy(pdpte, scripted_loaded()->pdpte, sizeof(scripted_loaded()->pdpte));
}

void state_set_pdptes(const u64 pdpte[4])
{
    memcpy(scripted_loaded()->pdpte, pdpte, sizeof(scripted_loaded()->pdpte));
}

enum error backend_check(const struct backend_vcpu *b, struct text *why)
{
    (void)b, (void)why;
    return OK;
}

enum error backend_check_guest(const struct backend_vcpu *b, struct text *why)
{
    return backend_check(b, why);
}

void backend_describe_exit(const struct backend_vcpu *b, struct text *t)
{
    text_add(t, "%u", b->reason);
}

// ---- events ------------------------------------------------------------------------------------

void backend_inject(u32 info, u32 error, u32 length)
{
    scripted_loaded()->next = (struct scripted_event){info, error, length};
}

bool backend_take_back(u32 *info, u32 *error, u32 *length)
{
    struct backend_vcpu *b = scripted_loaded();
    if (!(b->next.info & EVENT_VALID))
        return false;
    *info = b->next.info;
    *error = b->next.error;
    *length = b->next.length;
    b->next = (struct scripted_event){0};
    return true;
}

void apicv_setup(hpa_t registers, hpa_t descriptor, hpa_t access_page)
{
    (void)registers, (void)descriptor, (void)access_page;
    scripted_loaded()->interrupt_status = 0;
}

void apicv_set_accesses(struct backend_vcpu *b, enum apicv_accesses how)
{
    b->accesses = how;
}

void apicv_set_eoi_exits(const u64 bitmap[4])
{
    memcpy(scripted_loaded()->eoi_exits, bitmap, sizeof(scripted_loaded()->eoi_exits));
}

// Nothing is cached.
void flush_ept(const struct ept_space *s)
{
    (void)s;
}

void flush_ept_all(void) {}

void flush_vpid(u16 vpid)
{
    (void)vpid;
}
