// SPDX-License-Identifier: MIT
// Local APIC: registers, priorities, EOI, pins, posting.
#include "lapic_fixture.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"

static struct apic a, b;

// ---- reset ---------------------------------------------------------------------------------

static void check_reset_state(u32 id)
{
    assert_int_equal(get(&a, APIC_ID), id << 24);
    assert_int_equal(get(&a, APIC_VERSION), 0x01050015);
    assert_int_equal(get(&a, APIC_SVR), 0xff);
    assert_int_equal(get(&a, APIC_DFR), 0xffffffff);
    assert_int_equal(get(&a, APIC_LDR), 0);
    assert_int_equal(get(&a, APIC_TPR), 0);
    for (u32 lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 16)
        assert_int_equal(get(&a, lvt), 0x10000);
    for (u32 r = APIC_ISR; r < APIC_ESR; r += 16)
        assert_int_equal(get(&a, r), 0);
    assert_int_equal(get(&a, APIC_INITIAL_COUNT) | get(&a, APIC_CURRENT_COUNT), 0);
    assert_int_equal(get(&a, APIC_DIVIDE) | get(&a, APIC_ICR_LOW) | get(&a, APIC_ICR_HIGH), 0);
    assert_true(lapic_deadline(&a.l) == UINT64_MAX);
}

static void dirty(void)
{
    put(&a, APIC_SVR, 0x1ef);
    put(&a, APIC_LDR, 0x12000000);
    put(&a, APIC_DFR, 0);
    put(&a, APIC_TPR, 0x20);
    put(&a, APIC_LVT_TIMER, 0x20030);
    put(&a, APIC_INITIAL_COUNT, 1000);
    put(&a, APIC_LVT_LINT0, 0x700);
    put(&a, APIC_ICR_HIGH, 0x05000000);
    lapic_deliver(&a.l, LAPIC_FIXED, 0x40, true);
    assert_int_not_equal(lapic_post(&a.l, 0x51, false), LAPIC_DROPPED);
    assert_int_not_equal(lapic_post(&a.l, 0x52, true), LAPIC_DROPPED);
    assert_int_not_equal(lapic_post(&a.l, 3, true), LAPIC_DROPPED);
    put(&a, 0x40, 0); // an error
}

// F3.
static void power_up_and_init_reset_it(void **state)
{
    (void)state;
    apic_start(&a, 0);
    check_reset_state(0);
    assert_true(rd(&a, MSR_IA32_APIC_BASE) == 0xfee00900);
    apic_start(&a, 5);
    check_reset_state(5);
    assert_true(rd(&a, MSR_IA32_APIC_BASE) == 0xfee00800);

    dirty();
    assert_int_equal(lapic_msr_write(&a.l, MSR_IA32_APIC_BASE, 0xfec00900, 0), LAPIC_OK);
    lapic_reset(&a.l, true);
    check_reset_state(5);
    assert_true(rd(&a, MSR_IA32_APIC_BASE) == 0xfec00900); // INIT leaves MSRs
    u64 bitmap[4];
    lapic_eoi_exit_bitmap(&a.l, bitmap);
    assert_true((bitmap[0] | bitmap[1] | bitmap[2] | bitmap[3]) == 0);
    // What was posted before is gone.
    put(&a, APIC_SVR, 0x1ff);
    assert_int_equal(take(&a), -1);
    put(&a, APIC_ESR, 0);
    assert_int_equal(get(&a, APIC_ESR), 0);

    dirty();
    lapic_reset(&a.l, false);
    check_reset_state(5);
    assert_true(rd(&a, MSR_IA32_APIC_BASE) == 0xfee00800);
}

// F3.
static void init_keeps_x2apic_mode(void **state)
{
    (void)state;
    apic_on_x2apic(&a, 0x123);
    lapic_reset(&a.l, true);
    assert_int_equal(lapic_mode(&a.l), LAPIC_X2APIC);
    assert_int_equal(rd(&a, 0x802), 0x123);
    assert_int_equal(rd(&a, 0x80d), 0x12 << 16 | 1 << 3);
    assert_int_equal(rd(&a, 0x80f), 0xff);
    lapic_reset(&a.l, false);
    assert_int_equal(lapic_mode(&a.l), LAPIC_XAPIC);
}

// F3.
static void virtual_wire_mode_takes_extint_and_nmi(void **state)
{
    (void)state;
    apic_start(&a, 0);
    assert_false(lapic_accepts_extint(&a.l));
    lapic_virtual_wire(&a.l);
    assert_true(lapic_accepts_extint(&a.l));
    lapic_nmi(&a.l);
    assert_int_equal(a.nmis, 1);
    assert_int_equal(lapic_post(&a.l, 0x30, false), LAPIC_NOTIFY);
    assert_int_equal(take(&a), 0x30);
}

// ---- xAPIC page ----------------------------------------------------------------------------

// F3.
static void only_whole_aligned_dwords_are_written(void **state)
{
    (void)state;
    apic_on(&a, 7);
    assert_int_equal(lapic_mmio_read(&a.l, APIC_ID + 3, 1, 0), 7);
    assert_int_equal(lapic_mmio_read(&a.l, APIC_ID + 2, 2, 0), 0x700);
    assert_true(lapic_mmio_read(&a.l, APIC_ID, 8, 0) == 0x07000000);
    assert_int_equal(lapic_mmio_read(&a.l, APIC_ID + 4, 4, 0), 0);
    assert_int_equal(lapic_mmio_read(&a.l, 0xfee00000 + APIC_VERSION, 1, 0), 0x15);
    lapic_mmio_write(&a.l, APIC_TPR, 1, 0x40, 0);
    lapic_mmio_write(&a.l, APIC_TPR + 4, 4, 0x40, 0);
    assert_int_equal(get(&a, APIC_TPR), 0);
    lapic_mmio_write(&a.l, APIC_TPR, 8, 0x40, 0);
    assert_int_equal(get(&a, APIC_TPR), 0x40);
    put(&a, APIC_ESR, 0);
    assert_int_equal(get(&a, APIC_ESR), 0);
}

// F3.
static void reserved_bits_do_not_stick(void **state)
{
    (void)state;
    static const struct {
        u32 offset, reads;
    } rows[] = {
        {APIC_ID, 0x07000000},
        {APIC_VERSION, 0x01050015},
        {APIC_TPR, 0xff},
        {APIC_APR, 0},
        {APIC_PPR, 0xff},
        {APIC_RRR, 0},
        {APIC_LDR, 0xff000000},
        {APIC_DFR, 0xffffffff},
        {APIC_SVR, 0x13ff},
        {APIC_ISR, 0},
        {APIC_TMR, 0},
        {APIC_IRR, 0},
        {APIC_ICR_LOW, 0xccfff},
        {APIC_ICR_HIGH, 0xff000000},
        {APIC_LVT_THERMAL, 0x107ff},
        {APIC_LVT_LINT0, 0x1a7ff},
        {APIC_LVT_PERFORMANCE, 0x107ff},
        {APIC_LVT_LINT1, 0x1a7ff},
        {APIC_LVT_ERROR, 0x100ff},
        {APIC_LVT_TIMER, 0x700ff},
        {APIC_INITIAL_COUNT, 0},
        {APIC_DIVIDE, 0xb},
        {APIC_CURRENT_COUNT, 0},
        {APIC_EOI, 0},
    };
    apic_on(&a, 7);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        put(&a, rows[i].offset, rows[i].offset == APIC_ICR_LOW ? 0xffffefff : 0xffffffff);
        u32 want = rows[i].offset == APIC_ICR_LOW ? 0xccfff & ~0x1000u : rows[i].reads;
        assert_int_equal(get(&a, rows[i].offset), want);
    }
    struct lapic_config plain = usual;
    plain.tsc_deadline = plain.eoi_suppression = false;
    apic_start_with(&a, 0, plain);
    assert_int_equal(get(&a, APIC_VERSION), 0x00050015);
    put(&a, APIC_SVR, ~0u);
    assert_int_equal(get(&a, APIC_SVR), 0x3ff);
    put(&a, APIC_LVT_TIMER, ~0u);
    assert_int_equal(get(&a, APIC_LVT_TIMER), 0x300ff);
}

static u32 latched_errors(void)
{
    put(&a, APIC_ESR, 0);
    return get(&a, APIC_ESR);
}

// F3.
static void an_access_to_no_register_is_an_error(void **state)
{
    (void)state;
    apic_on(&a, 0);
    static const u16 present[] = {0x20, 0x30, 0x80, 0x90, 0xa0, 0xb0, 0xc0, 0xd0, 0xe0, 0xf0};
    for (u32 offset = 0; offset < 0x1000; offset += 16) {
        bool there = (offset >= 0x100 && offset <= 0x280) || (offset >= 0x300 && offset <= 0x390) ||
                     offset == 0x3e0;
        for (size_t i = 0; i < ARRAY_SIZE(present); i++)
            there |= offset == present[i];
        get(&a, offset);
        assert_int_equal(latched_errors(), there ? 0 : 0x80);
        if (offset != APIC_ICR_LOW && offset != APIC_SVR && offset != APIC_LVT_ERROR) {
            put(&a, offset, 0);
            assert_int_equal(latched_errors(), there ? 0 : 0x80);
        }
    }
}

// F3.
static void the_page_is_dead_outside_xapic_mode(void **state)
{
    (void)state;
    apic_on_x2apic(&a, 0);
    assert_true(lapic_mmio_read(&a.l, APIC_ID, 4, 0) == 0xffffffff);
    assert_true(lapic_mmio_read(&a.l, APIC_ID, 8, 0) == UINT64_MAX);
    put(&a, APIC_TPR, 0x30);
    assert_int_equal(rd(&a, 0x808), 0);
}

// ---- x2APIC MSRs ---------------------------------------------------------------------------

// SDM Table 11-6, written out by hand: which MSRs read, and the bits that may be written.
static bool table_reads(u32 msr)
{
    return msr == 0x802 || msr == 0x803 || msr == 0x808 || msr == 0x80a || msr == 0x80d ||
           (msr >= 0x80f && msr <= 0x828) || msr == 0x830 || (msr >= 0x832 && msr <= 0x839) ||
           msr == 0x83e;
}

static bool table_writes(u32 msr, u64 *bits)
{
    switch (msr) {
    case 0x808:
    case 0x83f:
        *bits = 0xff;
        return true;
    case 0x80b:
    case 0x828:
        *bits = 0;
        return true;
    case 0x80f:
        *bits = 0x13ff;
        return true;
    case 0x830:
        *bits = 0xffffffff000cdfffull;
        return true;
    case 0x832:
        *bits = 0x710ff;
        return true;
    case 0x833:
    case 0x834:
        *bits = 0x117ff;
        return true;
    case 0x835:
    case 0x836:
        *bits = 0x1f7ff;
        return true;
    case 0x837:
        *bits = 0x110ff;
        return true;
    case 0x838:
        *bits = 0xffffffff;
        return true;
    case 0x83e:
        *bits = 0xb;
        return true;
    default:
        return false;
    }
}

// F3.
static void x2apic_accesses_fault_as_the_table_says(void **state)
{
    (void)state;
    for (u32 msr = 0x800; msr <= 0x8ff; msr++) {
        u64 value = 0x5a5a, bits = 0;
        bool writes = table_writes(msr, &bits);
        apic_on(&a, 0); // in xAPIC mode every one faults
        assert_int_equal(lapic_msr_read(&a.l, msr, &value, 0), LAPIC_GP);
        assert_int_equal(lapic_msr_write(&a.l, msr, 0, 0), LAPIC_GP);
        apic_on_x2apic(&a, 0);
        assert_int_equal(lapic_msr_read(&a.l, msr, &value, 0),
                         table_reads(msr) ? LAPIC_OK : LAPIC_GP);
        assert_int_equal(lapic_msr_write(&a.l, msr, 0, 0), writes ? LAPIC_OK : LAPIC_GP);
        for (u32 n = 0; n < 64; n++) {
            apic_on_x2apic(&a, 0);
            assert_int_equal(lapic_msr_write(&a.l, msr, BIT(n), 0),
                             writes && bits >> n & 1 ? LAPIC_OK : LAPIC_GP);
        }
    }
    u64 value;
    assert_int_equal(lapic_msr_read(&a.l, 0x900, &value, 0), LAPIC_NOT_MINE);
    assert_int_equal(lapic_msr_write(&a.l, 0x7ff, 0, 0), LAPIC_NOT_MINE);
    assert_int_equal(lapic_msr_write(&a.l, 0xc0000080, 0, 0), LAPIC_NOT_MINE);
    struct lapic_config plain = usual;
    plain.tsc_deadline = false;
    apic_start_with(&a, 0, plain);
    assert_int_equal(lapic_msr_read(&a.l, MSR_IA32_TSC_DEADLINE, &value, 0), LAPIC_GP);
    assert_int_equal(lapic_msr_write(&a.l, MSR_IA32_TSC_DEADLINE, 0, 0), LAPIC_GP);
}

// F5: RDMSR without an exit reads 64 bits from the page; that must equal what an exit gives.
static void page_reads_equal_msr_reads(void **state)
{
    (void)state;
    apic_on_x2apic(&a, 0x35);
    lapic_deliver(&a.l, LAPIC_FIXED, 0x81, true);
    assert_int_equal(take(&a), 0x81);
    assert_int_equal(lapic_msr_write(&a.l, 0x830, 0xdeadbeef000c40f1ull, 0), LAPIC_OK);
    assert_true(rd(&a, 0x830) == 0xdeadbeef000c40f1ull);
    for (u32 i = 0; i < 64; i++)
        if (LAPIC_X2APIC_PAGE_READS >> i & 1)
            assert_true(rd(&a, 0x800 + i) == (a.page[i * 4] | (u64)a.page[i * 4 + 1] << 32));
}

// ---- IA32_APIC_BASE ------------------------------------------------------------------------

// F3.
static void only_allowed_mode_transitions_happen(void **state)
{
    (void)state;
    enum { OFF, X, INVALID, X2 };
    static const u64 bits[] = {0, APIC_BASE_EN, APIC_BASE_EXTD, APIC_BASE_EN | APIC_BASE_EXTD};
    static const bool allowed[4][4] = {
        [OFF] = {[OFF] = true, [X] = true},
        [X] = {[OFF] = true, [X] = true, [X2] = true},
        [X2] = {[OFF] = true, [X2] = true},
    };
    for (int from = 0; from < 4; from++) {
        for (int to = 0; to < 4 && from != INVALID; to++) {
            apic_on(&a, 3);
            u64 old = APIC_BASE_RESET | bits[from];
            assert_int_equal(lapic_msr_write(&a.l, MSR_IA32_APIC_BASE, old, 0), LAPIC_OK);
            a.bases = 0;
            u64 new = APIC_BASE_RESET | bits[to];
            assert_int_equal(lapic_msr_write(&a.l, MSR_IA32_APIC_BASE, new, 0),
                             allowed[from][to] ? LAPIC_OK : LAPIC_GP);
            assert_true(rd(&a, MSR_IA32_APIC_BASE) == (allowed[from][to] ? new : old));
            assert_int_equal(a.bases, allowed[from][to] && from != to);
        }
    }
}

// F3.
static void reserved_bits_of_the_base_fault(void **state)
{
    (void)state;
    apic_start(&a, 0);
    for (u32 n = 0; n < 64; n++) {
        bool ok = n == 8 || n == 10 || n == 11 || (n >= 12 && n < 40);
        u64 value = APIC_BASE_RESET | APIC_BASE_EN | BIT(n);
        apic_start(&a, 0);
        assert_int_equal(lapic_msr_write(&a.l, MSR_IA32_APIC_BASE, value, 0),
                         ok ? LAPIC_OK : LAPIC_GP);
    }
    struct lapic_config plain = usual;
    plain.x2apic = false;
    apic_start_with(&a, 0, plain);
    assert_int_equal(lapic_msr_write(&a.l, MSR_IA32_APIC_BASE, 0xfee00c00, 0), LAPIC_GP);
    assert_int_equal(lapic_msr_write(&a.l, MSR_IA32_APIC_BASE, 0xd0000800, 0), LAPIC_OK);
    assert_true(lapic_base(&a.l).v == 0xd0000000);
    assert_int_equal(a.bases, 1);
}

// F3.
static void xapic_to_x2apic_keeps_state(void **state)
{
    (void)state;
    apic_on(&a, 0x25);
    put(&a, APIC_TPR, 0x30);
    put(&a, APIC_LDR, 0x04000000);
    put(&a, APIC_LVT_LINT1, 0x400);
    put(&a, APIC_ICR_HIGH, 0x09000000);
    put(&a, APIC_ICR_LOW, 0x000000f0);
    lapic_deliver(&a.l, LAPIC_FIXED, 0x40, false);
    assert_int_equal(lapic_msr_write(&a.l, MSR_IA32_APIC_BASE, 0xfee00c00, 0), LAPIC_OK);
    assert_int_equal(rd(&a, 0x802), 0x25);
    assert_int_equal(rd(&a, 0x80d), 2 << 16 | 1 << 5);
    assert_int_equal(rd(&a, 0x808), 0x30);
    assert_int_equal(rd(&a, 0x836), 0x400);
    assert_true(rd(&a, 0x830) == 0xf0);
    assert_int_equal(take(&a), 0x40);
    // Off and on again: all is lost.
    assert_int_equal(lapic_msr_write(&a.l, MSR_IA32_APIC_BASE, 0xfee00000, 0), LAPIC_OK);
    assert_int_equal(lapic_post(&a.l, 0x40, false), LAPIC_DROPPED);
    assert_true(lapic_accepts_extint(&a.l));
    lapic_nmi(&a.l);
    assert_int_equal(a.nmis, 1);
    lapic_deliver(&a.l, LAPIC_NMI, 0, false);
    assert_int_equal(a.nmis, 1);
    assert_int_equal(lapic_msr_write(&a.l, MSR_IA32_APIC_BASE, 0xfee00800, 0), LAPIC_OK);
    check_reset_state(0x25);
}

// ---- priorities and EOI --------------------------------------------------------------------

// F3.
static void the_highest_priority_goes_first(void **state)
{
    (void)state;
    u8 v;
    apic_on(&a, 0);
    assert_int_equal(take(&a), -1);
    lapic_deliver(&a.l, LAPIC_FIXED, 0x31, false);
    lapic_deliver(&a.l, LAPIC_FIXED, 0x3f, false);
    lapic_deliver(&a.l, LAPIC_FIXED, 0x45, false);
    assert_int_equal(get(&a, APIC_IRR + 0x10), 1u << 0x11 | 1u << 0x1f);
    assert_int_equal(get(&a, APIC_IRR + 0x20), 1u << 5);
    assert_int_equal(lapic_highest_irr(&a.l), 0x45);
    put(&a, APIC_TPR, 0x40);
    assert_false(lapic_deliverable(&a.l, &v));
    put(&a, APIC_TPR, 0x3f);
    assert_int_equal(take(&a), 0x45);
    assert_int_equal(get(&a, APIC_PPR), 0x40);
    assert_int_equal(get(&a, APIC_ISR + 0x20), 1u << 5);
    assert_int_equal(take(&a), -1);
    lapic_eoi(&a.l);
    assert_int_equal(get(&a, APIC_PPR), 0x3f);
    assert_int_equal(take(&a), -1); // TPR
    lapic_set_cr8(&a.l, 2);
    assert_int_equal(get(&a, APIC_TPR), 0x20);
    assert_int_equal(lapic_cr8(&a.l), 2);
    assert_int_equal(take(&a), 0x3f);
    assert_int_equal(take(&a), -1); // same class
    put(&a, APIC_EOI, 0);
    assert_int_equal(take(&a), 0x31);
    lapic_deliver(&a.l, LAPIC_FIXED, 0xff, false); // nested
    assert_int_equal(take(&a), 0xff);
    assert_int_equal(lapic_guest_interrupt_status(&a.l), 0xff00);
    lapic_eoi(&a.l);
    assert_int_equal(lapic_highest_isr(&a.l), 0x31);
    lapic_eoi(&a.l);
    lapic_eoi(&a.l); // one too many
    assert_int_equal(lapic_highest_isr(&a.l), -1);
    assert_int_equal(a.eois, 0);
}

// F4.
static void the_tpr_threshold_is_what_holds_the_next_back(void **state)
{
    (void)state;
    apic_on(&a, 0);
    assert_int_equal(lapic_tpr_threshold(&a.l), 0);
    lapic_deliver(&a.l, LAPIC_FIXED, 0x55, false);
    assert_int_equal(lapic_tpr_threshold(&a.l), 0); // not held back by TPR
    lapic_set_cr8(&a.l, 5);
    assert_int_equal(lapic_tpr_threshold(&a.l), 5);
    lapic_set_cr8(&a.l, 15);
    assert_int_equal(lapic_tpr_threshold(&a.l), 5);
    lapic_set_cr8(&a.l, 4);
    assert_int_equal(lapic_tpr_threshold(&a.l), 0);
}

// F3.
static void tmr_tells_level_from_edge(void **state)
{
    (void)state;
    u64 bitmap[4];
    apic_on(&a, 0);
    lapic_deliver(&a.l, LAPIC_FIXED, 0x71, true);
    assert_int_equal(get(&a, APIC_TMR + 0x30), 1u << 0x11);
    lapic_eoi_exit_bitmap(&a.l, bitmap);
    assert_true(bitmap[1] == BIT(0x31) && !(bitmap[0] | bitmap[2] | bitmap[3]));
    assert_int_equal(lapic_sync(&a.l), LAPIC_CHANGED_STATUS | LAPIC_CHANGED_EOI_BITMAP);
    assert_int_equal(lapic_sync(&a.l), 0);
    assert_int_equal(take(&a), 0x71);
    lapic_eoi(&a.l);
    assert_int_equal(a.eois, 1);
    assert_int_equal(a.eoi_vector, 0x71);
    // The same vector as edge: TMR cleared, no broadcast.
    lapic_deliver(&a.l, LAPIC_FIXED, 0x71, false);
    assert_int_equal(get(&a, APIC_TMR + 0x30), 0);
    assert_int_equal(take(&a), 0x71);
    lapic_eoi(&a.l);
    assert_int_equal(a.eois, 1);
    // Suppressed broadcast (SVR bit 12).
    put(&a, APIC_SVR, 0x11ff);
    lapic_deliver(&a.l, LAPIC_FIXED, 0x71, true);
    assert_int_equal(take(&a), 0x71);
    lapic_eoi(&a.l);
    assert_int_equal(a.eois, 1);
    // Virtualized EOI.
    put(&a, APIC_SVR, 0x1ff);
    lapic_eoi_induced(&a.l, 0x71);
    assert_int_equal(a.eois, 2);
    lapic_eoi_induced(&a.l, 0x72);
    assert_int_equal(a.eois, 2);
}

// ---- errors, LVT, pins ---------------------------------------------------------------------

// F3.
static void errors_are_latched_and_interrupt(void **state)
{
    (void)state;
    apic_on(&a, 0);
    put(&a, APIC_LVT_ERROR, 0xe0);
    lapic_deliver(&a.l, LAPIC_FIXED, 15, false);
    assert_int_equal(get(&a, APIC_ESR), 0); // not before a write
    assert_int_equal(take(&a), 0xe0);
    lapic_eoi(&a.l);
    put(&a, APIC_ICR_LOW, 0x000c0005); // send illegal vector; not armed: no interrupt
    assert_int_equal(take(&a), -1);
    assert_int_equal(a.sends, 0);
    put(&a, APIC_ESR, 0x1234);
    assert_int_equal(get(&a, APIC_ESR), 0x60);
    put(&a, APIC_ESR, 0);
    assert_int_equal(get(&a, APIC_ESR), 0);
    get(&a, 0x10); // armed again
    assert_int_equal(take(&a), 0xe0);
    // An error entry whose own vector is illegal adds its bit and does not recurse.
    put(&a, APIC_ESR, 0);
    put(&a, APIC_LVT_ERROR, 0x07);
    get(&a, 0x10);
    assert_int_equal(latched_errors(), 0x80 | 0x40);
    // Masked: stays armed.
    put(&a, APIC_LVT_ERROR, 0x100e1);
    get(&a, 0x10);
    lapic_eoi(&a.l);
    put(&a, APIC_LVT_ERROR, 0xe1);
    get(&a, 0x10);
    assert_int_equal(take(&a), 0xe1);
}

// F3.
static void software_disable_masks_the_lvt(void **state)
{
    (void)state;
    apic_on(&a, 0);
    for (u32 lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 16)
        put(&a, lvt, 0x40);
    lapic_deliver(&a.l, LAPIC_FIXED, 0x50, false);
    put(&a, APIC_SVR, 0xef);
    for (u32 lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 16) {
        assert_int_equal(get(&a, lvt), 0x10040);
        put(&a, lvt, 0x41); // cannot be unmasked
        assert_int_equal(get(&a, lvt), 0x10041);
    }
    lapic_deliver(&a.l, LAPIC_FIXED, 0x60, false);
    assert_int_equal(lapic_post(&a.l, 0x61, false), LAPIC_DROPPED);
    assert_int_equal(take(&a), 0x50); // held, handled by the CPU
    assert_int_equal(take(&a), -1);
    lapic_deliver(&a.l, LAPIC_NMI, 0, false);
    lapic_deliver(&a.l, LAPIC_INIT, 0, false);
    lapic_deliver(&a.l, LAPIC_SIPI, 0x9a, false);
    assert_int_equal(a.nmis, 1);
    assert_int_equal(a.inits, 1);
    assert_int_equal(a.sipis, 1);
    assert_int_equal(a.sipi_vector, 0x9a);
    put(&a, APIC_SVR, 0x1ef);
    assert_int_equal(get(&a, APIC_LVT_LINT0), 0x10041); // stays masked until written
}

// F3.
static void delivery_modes_are_told_apart(void **state)
{
    (void)state;
    apic_on(&a, 0);
    lapic_deliver(&a.l, LAPIC_EXTINT, 0, false);
    lapic_deliver(&a.l, LAPIC_SMI, 0, false);
    lapic_deliver(&a.l, (enum lapic_delivery)3, 0x40, false);
    assert_int_equal(a.extints, 1);
    assert_int_equal(take(&a), -1);
    lapic_deliver(&a.l, LAPIC_LOWEST_PRIORITY, 0x40, false);
    assert_int_equal(take(&a), 0x40);
}

// F3.
static void lint_pins_follow_their_lvt(void **state)
{
    (void)state;
    apic_on(&a, 0);
    put(&a, APIC_LVT_LINT0, 0x700);
    assert_true(lapic_accepts_extint(&a.l));
    lapic_lint(&a.l, 0, true);
    assert_int_equal(take(&a), -1);
    lapic_lint(&a.l, 0, false);
    put(&a, APIC_LVT_LINT0, 0x10700);
    assert_false(lapic_accepts_extint(&a.l));
    // As edge-triggered fixed input, and as NMI (the guest's NMI watchdog by the 8254).
    put(&a, APIC_LVT_LINT0, 0x31);
    assert_false(lapic_accepts_extint(&a.l));
    lapic_lint(&a.l, 0, true);
    assert_int_equal(take(&a), 0x31);
    lapic_eoi(&a.l);
    lapic_lint(&a.l, 0, true); // no edge
    assert_int_equal(take(&a), -1);
    lapic_lint(&a.l, 0, false);
    put(&a, APIC_LVT_LINT0, 0x400);
    lapic_lint(&a.l, 0, true);
    lapic_lint(&a.l, 0, false);
    assert_int_equal(a.nmis, 1);
    // LINT1.
    put(&a, APIC_LVT_LINT1, 0x10400);
    lapic_nmi(&a.l);
    assert_int_equal(a.nmis, 1);
    put(&a, APIC_LVT_LINT1, 0x400);
    lapic_nmi(&a.l);
    lapic_nmi(&a.l);
    assert_int_equal(a.nmis, 3);
    put(&a, APIC_LVT_LINT1, 0x600); // reserved in an LVT entry
    lapic_nmi(&a.l);
    assert_int_equal(a.sipis, 0);
    put(&a, APIC_LVT_LINT1, 0x44);
    lapic_nmi(&a.l);
    assert_int_equal(take(&a), 0x44);
}

// F3.
static void a_level_at_lint0_waits_for_its_eoi(void **state)
{
    (void)state;
    apic_on(&a, 0);
    put(&a, APIC_LVT_LINT0, 0x18050);
    lapic_lint(&a.l, 0, true);
    assert_int_equal(take(&a), -1);
    put(&a, APIC_LVT_LINT0, 0x8050);
    assert_int_equal(get(&a, APIC_LVT_LINT0), 0xc050); // remote IRR
    assert_int_equal(take(&a), 0x50);
    put(&a, APIC_LVT_LINT0, 0x8050); // does not clear it
    assert_int_equal(get(&a, APIC_LVT_LINT0), 0xc050);
    assert_int_equal(take(&a), -1);
    lapic_eoi(&a.l);
    assert_int_equal(take(&a), 0x50); // still asserted
    lapic_lint(&a.l, 0, false);
    lapic_eoi(&a.l);
    assert_int_equal(get(&a, APIC_LVT_LINT0), 0x8050);
    assert_int_equal(take(&a), -1);
    put(&a, APIC_LVT_LINT0, 0x8005);
    lapic_lint(&a.l, 0, true);
    assert_int_equal(latched_errors(), 0x40);
}

// F3.
static void a_local_event_follows_its_lvt(void **state)
{
    (void)state;
    apic_on(&a, 0);
    put(&a, APIC_LVT_PERFORMANCE, 0x400);
    lapic_local_event(&a.l, APIC_LVT_PERFORMANCE);
    lapic_local_event(&a.l, APIC_LVT_PERFORMANCE);
    assert_int_equal(a.nmis, 1); // the first one masked the entry
    assert_int_equal(get(&a, APIC_LVT_PERFORMANCE), 0x10400);
    put(&a, APIC_LVT_THERMAL, 0xfa);
    lapic_local_event(&a.l, APIC_LVT_THERMAL);
    lapic_local_event(&a.l, APIC_ID);
    assert_int_equal(take(&a), 0xfa);
    assert_int_equal(get(&a, APIC_LVT_THERMAL), 0xfa);
}

// ---- posting -------------------------------------------------------------------------------

// F6.
static void a_descriptor_is_notified_once(void **state)
{
    (void)state;
    struct posted_interrupt_descriptor pid = {0};
    u8 nv;
    u32 ndst;
    assert_false(pid_acknowledge(&pid));
    assert_false(pid_set_notification(&pid, 0xf2, 0x12345678, false));
    assert_true(pid.control == 0x1234567800f20000ull);
    assert_true(pid_post(&pid, 0));
    assert_false(pid_post(&pid, 0));
    assert_false(pid_post(&pid, 255));
    assert_false(pid_post(&pid, 97));
    assert_true(pid.control == 0x1234567800f20001ull);
    assert_true(pid.pir[0] == 1 && pid.pir[1] == BIT(33) && pid.pir[3] == BIT(63));
    assert_true(pid_acknowledge(&pid));
    assert_false(pid_acknowledge(&pid));
    assert_true(pid.control == 0x1234567800f20000ull);
    assert_true(pid_take(&pid, 0) == 1 && pid_take(&pid, 1) == BIT(33));
    assert_true(pid_take(&pid, 2) == 0 && pid_take(&pid, 3) == BIT(63));
    assert_true((pid.pir[0] | pid.pir[1] | pid.pir[2] | pid.pir[3]) == 0);
    // Suppressed: no notification, but whoever lifts it learns of the post.
    pid_set_notification(&pid, 0xf1, 7, true);
    assert_false(pid_post(&pid, 0x80));
    assert_true(pid_set_notification(&pid, 0xf3, 8, false));
    assert_true(pid_pending(&pid));
    pid_notification(&pid, &nv, &ndst);
    assert_int_equal(nv, 0xf3);
    assert_int_equal(ndst, 8);
}

// F6.
static void what_was_posted_a_sync_takes(void **state)
{
    (void)state;
    apic_on(&a, 0);
    assert_int_equal(lapic_sync(&a.l), 0);
    assert_int_equal(lapic_post(&a.l, 0x30, false), LAPIC_NOTIFY);
    assert_int_equal(lapic_post(&a.l, 0x30, false), LAPIC_POSTED);
    assert_int_equal(lapic_post(&a.l, 0xd0, false), LAPIC_POSTED);
    assert_int_equal(lapic_highest_irr(&a.l), -1);
    assert_int_equal(lapic_sync(&a.l), LAPIC_CHANGED_STATUS);
    assert_int_equal(lapic_guest_interrupt_status(&a.l), 0xd0);
    assert_int_equal(take(&a), 0xd0);
    lapic_eoi(&a.l);
    assert_int_equal(take(&a), 0x30);
    assert_int_equal(lapic_post(&a.l, 0x30, false), LAPIC_NOTIFY); // again while in service
    lapic_eoi(&a.l);
    assert_int_equal(take(&a), 0x30);
    // Illegal vectors become the owner's error.
    assert_int_equal(lapic_post(&a.l, 9, false), LAPIC_KICK);
    assert_int_equal(lapic_post(&a.l, 9, true), LAPIC_POSTED);
    lapic_sync(&a.l);
    assert_int_equal(latched_errors(), 0x40);
}

// F6: what a sender may put into the descriptor by itself.
static void a_sender_knows_which_edges_it_may_post(void **state)
{
    (void)state;
    apic_on(&a, 0);
    lapic_set_virtual_delivery(&a.l, true);
    assert_true(lapic_takes_edge(&a.l, 0x51));
    assert_int_equal(lapic_post(&a.l, 0x92, true), LAPIC_KICK);
    lapic_sync(&a.l);
    assert_false(lapic_takes_edge(&a.l, 0x92)); // its EOI would exit for an edge, too
    assert_true(lapic_takes_edge(&a.l, 0x91) && lapic_takes_edge(&a.l, 0x52));
    put(&a, APIC_SVR, 0xff);
    assert_false(lapic_takes_edge(&a.l, 0x51));
}

// F5: what a sleeping vCPU is woken by, before RVI is written.
static void what_has_arrived_wakes(void **state)
{
    (void)state;
    apic_on(&a, 0);
    lapic_set_virtual_delivery(&a.l, true);
    assert_int_equal(lapic_next_interrupt_status(&a.l, 0), 0);
    assert_int_equal(lapic_arrived(&a.l), 0);
    assert_int_equal(lapic_post(&a.l, 0x41, false), LAPIC_NOTIFY);
    assert_int_equal(lapic_post(&a.l, 0x7f, false), LAPIC_POSTED);
    lapic_sync(&a.l);
    assert_int_equal(lapic_arrived(&a.l), 0x7f);
    assert_int_equal(lapic_next_interrupt_status(&a.l, 0x3000), 0x307f);
    assert_int_equal(lapic_arrived(&a.l), 0);
    assert_int_equal(lapic_post(&a.l, 0xe0, false), LAPIC_NOTIFY);
    lapic_sync(&a.l);
    assert_int_equal(lapic_arrived(&a.l), 0xe0);
    a.l.regs[(APIC_IRR + 0x70) / 4] &= ~1u; // the processor has delivered it
    assert_int_equal(lapic_arrived(&a.l), 0);
}

// F6.
static void a_level_goes_through_the_owner_once(void **state)
{
    (void)state;
    apic_on(&a, 0);
    lapic_set_virtual_delivery(&a.l, true);
    lapic_sync(&a.l);
    // Not in PIR: the processor could take it there, and its EOI would not exit.
    assert_int_equal(lapic_post(&a.l, 0x92, true), LAPIC_KICK);
    assert_int_equal(lapic_post(&a.l, 0x92, true), LAPIC_POSTED);
    assert_int_equal(lapic_post(&a.l, 0x93, true), LAPIC_POSTED);
    assert_true((a.pid.pir[2] | a.pid.control) == 0);
    assert_int_equal(lapic_sync(&a.l), LAPIC_CHANGED_STATUS | LAPIC_CHANGED_EOI_BITMAP);
    assert_int_equal(get(&a, APIC_TMR + 0x40), 3u << 18);
    assert_int_equal(get(&a, APIC_IRR + 0x40), 3u << 18);
    assert_int_equal(take(&a), 0x93);
    lapic_eoi(&a.l);
    assert_int_equal(take(&a), 0x92);
    lapic_eoi(&a.l);
    assert_int_equal(a.eois, 2);
    // Known as level now: straight into the descriptor.
    assert_int_equal(lapic_post(&a.l, 0x92, true), LAPIC_NOTIFY);
    assert_true(a.pid.pir[2] == BIT(0x12));
    assert_int_equal(lapic_sync(&a.l), LAPIC_CHANGED_STATUS);
    assert_int_equal(take(&a), 0x92);
    lapic_eoi(&a.l);
    assert_int_equal(a.eois, 3);
    // And back to edge.
    assert_int_equal(lapic_post(&a.l, 0x92, false), LAPIC_KICK);
    assert_int_equal(lapic_sync(&a.l), LAPIC_CHANGED_STATUS | LAPIC_CHANGED_EOI_BITMAP);
    assert_int_equal(get(&a, APIC_TMR + 0x40), 1u << 19);
    assert_int_equal(take(&a), 0x92);
    lapic_eoi(&a.l);
    assert_int_equal(a.eois, 3);
}

// ---- with APIC virtualization ----------------------------------------------------------------

// F5: an APIC-write exit must leave the same state as the same write emulated, though the value
// stands in the page already.
static void an_apic_write_exit_equals_a_write(void **state)
{
    (void)state;
    static const u16 offsets[] = {
        APIC_ID,        APIC_TPR,       APIC_EOI,         APIC_LDR,
        APIC_DFR,       APIC_SVR,       APIC_ESR,         APIC_ICR_LOW,
        APIC_ICR_HIGH,  APIC_LVT_TIMER, APIC_LVT_THERMAL, APIC_LVT_PERFORMANCE,
        APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR,   APIC_INITIAL_COUNT,
        APIC_DIVIDE,
    };
    u64 seed = 88172645463325252ull;
    apic_on(&a, 2);
    apic_on(&b, 2);
    u64 now = 1000;
    for (int i = 0; i < 200000; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        u32 offset = offsets[(seed >> 40) % ARRAY_SIZE(offsets)];
        u32 value = (u32)seed;
        if (seed >> 62)
            value &= 0x707ff; // often something that works
        if (offset == APIC_SVR && seed >> 61)
            value |= 0x100;
        now += seed >> 50;
        put_at(&a, offset, value, now);
        b.page[offset / 4] = value;
        lapic_apic_write_done(&b.l, offset, now);
        assert_int_equal(lapic_expire(&a.l, now), lapic_expire(&b.l, now));
        u64 mask = seed % 3 == 0; // LINT lines move, too
        lapic_lint(&a.l, 0, mask);
        lapic_lint(&b.l, 0, mask);
        assert_memory_equal(a.page, b.page, sizeof(a.page));
        assert_true(lapic_deadline(&a.l) == lapic_deadline(&b.l));
        assert_true(a.l.address == b.l.address);
        assert_int_equal(a.sends, b.sends);
        assert_int_equal(a.nmis, b.nmis);
        if (seed % 5 == 0)
            assert_int_equal(take(&a), take(&b));
    }
    assert_true(a.sends > 100 && a.nmis > 100);
}

// F5.
static void a_self_ipi_that_exits_is_checked(void **state)
{
    (void)state;
    apic_on_x2apic(&a, 0);
    a.page[APIC_SELF_IPI / 4] = 7; // 30.4.3.3: bits 7:4 zero exits
    lapic_apic_write_done(&a.l, APIC_SELF_IPI, 0);
    assert_int_equal(a.page[APIC_SELF_IPI / 4], 0);
    assert_int_equal(lapic_msr_write(&a.l, 0x828, 0, 0), LAPIC_OK);
    assert_int_equal(rd(&a, 0x828), 0x20);
    assert_int_equal(lapic_msr_write(&a.l, 0x83f, 0x77, 0), LAPIC_OK);
    assert_int_equal(take(&a), 0x77);
    lapic_apic_write_done(&a.l, 0xfff, 0); // nonsense is ignored
    lapic_apic_write_done(&a.l, 0x310, 0);
}

// F5: the processor raises IRR in the page unseen; the shortcut that there is without
// virtualization must not hide it.
static void irr_set_by_the_processor_is_seen(void **state)
{
    (void)state;
    u8 v;
    apic_on(&a, 0);
    lapic_set_virtual_delivery(&a.l, true);
    assert_int_equal(lapic_sync(&a.l), LAPIC_CHANGED_STATUS | LAPIC_CHANGED_EOI_BITMAP);
    assert_false(lapic_deliverable(&a.l, &v));
    a.page[(APIC_IRR + 0x50) / 4] = 1u << 3;
    assert_true(lapic_deliverable(&a.l, &v));
    assert_int_equal(v, 0xa3);
    lapic_set_virtual_delivery(&a.l, false);
    assert_int_equal(take(&a), 0xa3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_up_and_init_reset_it),
        cmocka_unit_test(init_keeps_x2apic_mode),
        cmocka_unit_test(virtual_wire_mode_takes_extint_and_nmi),
        cmocka_unit_test(only_whole_aligned_dwords_are_written),
        cmocka_unit_test(reserved_bits_do_not_stick),
        cmocka_unit_test(an_access_to_no_register_is_an_error),
        cmocka_unit_test(the_page_is_dead_outside_xapic_mode),
        cmocka_unit_test(x2apic_accesses_fault_as_the_table_says),
        cmocka_unit_test(page_reads_equal_msr_reads),
        cmocka_unit_test(only_allowed_mode_transitions_happen),
        cmocka_unit_test(reserved_bits_of_the_base_fault),
        cmocka_unit_test(xapic_to_x2apic_keeps_state),
        cmocka_unit_test(the_highest_priority_goes_first),
        cmocka_unit_test(the_tpr_threshold_is_what_holds_the_next_back),
        cmocka_unit_test(tmr_tells_level_from_edge),
        cmocka_unit_test(errors_are_latched_and_interrupt),
        cmocka_unit_test(software_disable_masks_the_lvt),
        cmocka_unit_test(delivery_modes_are_told_apart),
        cmocka_unit_test(lint_pins_follow_their_lvt),
        cmocka_unit_test(a_level_at_lint0_waits_for_its_eoi),
        cmocka_unit_test(a_local_event_follows_its_lvt),
        cmocka_unit_test(a_descriptor_is_notified_once),
        cmocka_unit_test(what_was_posted_a_sync_takes),
        cmocka_unit_test(a_sender_knows_which_edges_it_may_post),
        cmocka_unit_test(what_has_arrived_wakes),
        cmocka_unit_test(a_level_goes_through_the_owner_once),
        cmocka_unit_test(an_apic_write_exit_equals_a_write),
        cmocka_unit_test(a_self_ipi_that_exits_is_checked),
        cmocka_unit_test(irr_set_by_the_processor_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
