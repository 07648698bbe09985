// SPDX-License-Identifier: MIT
// Interprocessor interrupts: what the ICR sends and whom a destination names.
#include "lapic_fixture.h"
#include "x86/msr_numbers.h"

enum { LOGICAL = 1 << 11, SELF = 1 << 18, ALL = 2 << 18, OTHERS = 3 << 18, ASSERT = 1 << 14 };

static struct apic cpus[8];
static struct lapic *all[8];

static void start_xapic(u32 n)
{
    for (u32 i = 0; i < n; i++) {
        apic_on(&cpus[i], i);
        all[i] = &cpus[i].l;
    }
}

static void start_x2apic(u32 n, u32 first_id)
{
    for (u32 i = 0; i < n; i++) {
        apic_on_x2apic(&cpus[i], first_id + i);
        all[i] = &cpus[i].l;
    }
}

// Sends from cpu 0 and returns the set of APICs named, one bit each; 0 if nothing was sent.
static u32 targets(u32 n)
{
    u32 set = 0;
    if (cpus[0].sends == 0)
        return 0;
    for (u32 i = 0; i < n; i++)
        set |= (u32)lapic_addressed(&cpus[i].l, &cpus[0].sent) << i;
    cpus[0].sends = 0;
    return set;
}

static u32 send_xapic(u32 dest, u32 low, u32 n)
{
    put(&cpus[0], APIC_ICR_HIGH, dest << 24);
    put(&cpus[0], APIC_ICR_LOW, low);
    assert_int_equal(get(&cpus[0], APIC_ICR_LOW) & 0x1000, 0); // idle
    return targets(n);
}

static u32 send_x2apic(u32 dest, u32 low, u32 n)
{
    assert_int_equal(lapic_msr_write(&cpus[0].l, 0x830, (u64)dest << 32 | low, 0), LAPIC_OK);
    return targets(n);
}

// F11.
static void a_physical_destination_is_an_id(void **state)
{
    (void)state;
    start_xapic(4);
    assert_int_equal(send_xapic(1, 0x40, 4), 1 << 1);
    assert_int_equal(send_xapic(3, 0x40, 4), 1 << 3);
    assert_int_equal(send_xapic(9, 0x40, 4), 0);
    assert_int_equal(send_xapic(0xff, 0x40, 4), 0xf);
    start_x2apic(4, 0);
    assert_int_equal(send_x2apic(2, 0x40, 4), 1 << 2);
    assert_int_equal(send_x2apic(0xff, 0x40, 4), 0); // an ID like any other
    assert_int_equal(send_x2apic(0xffffffff, 0x40, 4), 0xf);
    assert_int_equal(send_x2apic(0x102, 0x40, 4), 0);
    start_x2apic(4, 0xfe);
    assert_int_equal(send_x2apic(0xff, 0x40, 4), 1 << 1);
    assert_int_equal(send_x2apic(0x100, 0x40, 4), 1 << 2);
}

// F11.
static void a_flat_destination_is_a_mask(void **state)
{
    (void)state;
    start_xapic(4);
    for (u32 i = 0; i < 4; i++)
        put(&cpus[i], APIC_LDR, 1u << (24 + i));
    assert_int_equal(send_xapic(0x05, LOGICAL | 0x40, 4), 0x5);
    assert_int_equal(send_xapic(0x0e, LOGICAL | 0x40, 4), 0xe);
    assert_int_equal(send_xapic(0xf0, LOGICAL | 0x40, 4), 0);
    assert_int_equal(send_xapic(0xff, LOGICAL | 0x40, 4), 0xf);
    assert_int_equal(send_xapic(0x00, LOGICAL | 0x40, 4), 0);
}

// F11.
static void a_cluster_destination_is_a_cluster_and_a_mask(void **state)
{
    (void)state;
    start_xapic(8);
    for (u32 i = 0; i < 8; i++) { // clusters 0 and 3 with four each
        put(&cpus[i], APIC_DFR, 0x0fffffff);
        put(&cpus[i], APIC_LDR, ((i / 4 * 3) << 4 | 1u << i % 4) << 24);
    }
    assert_int_equal(send_xapic(0x05, LOGICAL | 0x40, 8), 0x05);
    assert_int_equal(send_xapic(0x3a, LOGICAL | 0x40, 8), 0xa0);
    assert_int_equal(send_xapic(0x1f, LOGICAL | 0x40, 8), 0);
    assert_int_equal(send_xapic(0x30, LOGICAL | 0x40, 8), 0);
    assert_int_equal(send_xapic(0xff, LOGICAL | 0x40, 8), 0xff);
}

// F11.
static void an_x2apics_logical_id_follows_from_its_id(void **state)
{
    (void)state;
    start_x2apic(8, 12); // 12..15 in cluster 0, 16..19 in cluster 1
    assert_int_equal(send_x2apic(0x00005000, LOGICAL | 0x40, 8), 0x05);
    assert_int_equal(send_x2apic(0x0001000b, LOGICAL | 0x40, 8), 0xb0);
    assert_int_equal(send_x2apic(0x0002ffff, LOGICAL | 0x40, 8), 0);
    assert_int_equal(send_x2apic(0xffffffff, LOGICAL | 0x40, 8), 0xff);
    for (u32 i = 0; i < 8; i++) // LDR says the same
        assert_int_equal(rd(&cpus[i], 0x80d), (12 + i) / 16 << 16 | 1 << (12 + i) % 16);
}

// F11.
static void each_apic_is_found_in_its_own_mode(void **state)
{
    (void)state;
    start_xapic(4);
    apic_on_x2apic(&cpus[2], 2);
    apic_on(&cpus[3], 0x103); // can be started by its x2APIC ID only
    assert_int_equal(lapic_msr_write(&cpus[1].l, MSR_IA32_APIC_BASE, 0xfee00000, 0), LAPIC_OK);
    assert_int_equal(send_xapic(0xff, 0x40, 4), 0xd);
    assert_int_equal(send_xapic(0, ALL | 0x40, 4), 0xd);
    assert_int_equal(send_xapic(0, OTHERS | 0x40, 4), 0xc);
    assert_int_equal(send_xapic(1, 0x40, 4), 0);
    assert_int_equal(send_xapic(3, 0x40, 4), 0);
    assert_true(lapic_matches(&cpus[3].l, 0x103, false));
    assert_false(lapic_matches(&cpus[3].l, 0x100, true));
    assert_true(lapic_matches(&cpus[0].l, 0xff, false));
    assert_false(lapic_matches(&cpus[2].l, 0xff, false));
    assert_true(lapic_destination(0xff) == LAPIC_BROADCAST && lapic_destination(0xfe) == 0xfe);
}

// F11.
static void shorthands_reach_self_all_or_others(void **state)
{
    (void)state;
    start_xapic(4);
    assert_int_equal(send_xapic(2, ALL | 0x40, 4), 0xf);
    assert_int_equal(send_xapic(2, OTHERS | 0x40, 4), 0xe);
    // To itself, by shorthand and by ID, without anyone's help.
    assert_int_equal(send_xapic(2, SELF | 0x41, 4), 0);
    assert_int_equal(take(&cpus[0]), 0x41);
    lapic_eoi(&cpus[0].l);
    assert_int_equal(send_xapic(0, 0x42, 4), 0);
    assert_int_equal(take(&cpus[0]), 0x42);
    assert_false(lapic_addressed(
        &cpus[1].l, &(struct lapic_message){.source = &cpus[0].l, .shorthand = LAPIC_TO_SELF}));
    start_x2apic(2, 0);
    assert_int_equal(lapic_msr_write(&cpus[0].l, 0x83f, 0xfd, 0), LAPIC_OK);
    assert_int_equal(lapic_msr_write(&cpus[0].l, 0x83f, 0x0f, 0), LAPIC_OK);
    assert_int_equal(take(&cpus[0]), 0xfd);
    assert_int_equal(cpus[0].sends, 0);
    assert_int_equal(lapic_msr_write(&cpus[0].l, 0x828, 0, 0), LAPIC_OK);
    assert_int_equal(rd(&cpus[0], 0x828), 0x20);
}

// F11.
static void only_valid_messages_are_sent(void **state)
{
    (void)state;
    start_xapic(2);
    assert_int_equal(send_xapic(1, LAPIC_NMI << 8, 2), 2);
    assert_int_equal(cpus[0].sent.mode, LAPIC_NMI);
    assert_int_equal(send_xapic(1, LAPIC_INIT << 8 | ASSERT | 1 << 15, 2), 2);
    assert_int_equal(cpus[0].sent.mode, LAPIC_INIT);
    assert_int_equal(send_xapic(1, LAPIC_INIT << 8 | ASSERT, 2), 2);
    assert_int_equal(send_xapic(1, LAPIC_INIT << 8, 2), 2);
    assert_int_equal(send_xapic(1, LAPIC_INIT << 8 | 1 << 15, 2), 0); // de-assert
    assert_int_equal(send_xapic(1, LAPIC_SIPI << 8 | 0x9a, 2), 2);
    assert_int_equal(cpus[0].sent.vector, 0x9a);
    assert_int_equal(send_xapic(1, LAPIC_SIPI << 8 | 0x01, 2), 2); // any vector
    assert_int_equal(send_xapic(1, LAPIC_LOWEST_PRIORITY << 8 | 0x50, 2), 2);
    assert_int_equal(send_xapic(1, 1 << 15 | 0x50, 2), 2);
    assert_false(cpus[0].sent.level); // IPIs are edge-triggered
    assert_int_equal(send_xapic(1, LAPIC_SMI << 8, 2), 0);
    assert_int_equal(send_xapic(1, 3 << 8 | 0x50, 2), 0);
    assert_int_equal(send_xapic(1, LAPIC_EXTINT << 8, 2), 0);
    assert_int_equal(send_xapic(0, ALL | LAPIC_INIT << 8, 2), 0);
    assert_int_equal(send_xapic(0, SELF | LAPIC_SIPI << 8, 2), 0);
    assert_int_equal(send_xapic(0, OTHERS | LAPIC_INIT << 8, 2), 2);
    assert_int_equal(send_xapic(0, LAPIC_NMI << 8, 2), 0);
    assert_int_equal(cpus[0].nmis, 1);           // to itself
    assert_int_equal(send_xapic(1, 0x0f, 2), 0); // illegal vector: not sent
    assert_int_equal(send_xapic(1, LAPIC_LOWEST_PRIORITY << 8 | 0x0f, 2), 0);
    put(&cpus[0], APIC_ESR, 0);
    assert_int_equal(get(&cpus[0], APIC_ESR), 0x20);
    // A software-disabled APIC still sends (11.4.7.2), but takes no fixed interrupt.
    put(&cpus[0], APIC_SVR, 0xff);
    assert_int_equal(send_xapic(1, 0x50, 2), 2);
    assert_int_equal(send_xapic(0, SELF | 0x50, 2), 0);
    assert_int_equal(take(&cpus[0]), -1);
}

// F11.
static void the_lowest_priority_wins_and_equals_take_turns(void **state)
{
    (void)state;
    start_xapic(4);
    u32 turn = 0;
    struct lapic_message m = {.dest = LAPIC_BROADCAST, .mode = LAPIC_LOWEST_PRIORITY};
    // Equals take turns.
    u32 got[4] = {0};
    for (int i = 0; i < 40; i++)
        got[lapic_arbitrate(all, 4, &m, &turn)->config.apic_id]++;
    for (int i = 0; i < 4; i++)
        assert_int_equal(got[i], 10);
    // The lowest class wins; the subclass does not count; a disabled one does not compete.
    put(&cpus[0], APIC_TPR, 0x30);
    put(&cpus[1], APIC_TPR, 0x1f);
    put(&cpus[2], APIC_TPR, 0x20);
    put(&cpus[3], APIC_TPR, 0x2f);
    for (int i = 0; i < 8; i++)
        assert_ptr_equal(lapic_arbitrate(all, 4, &m, &turn), all[1]);
    put(&cpus[1], APIC_SVR, 0xff);
    memset(got, 0, sizeof(got));
    for (int i = 0; i < 40; i++)
        got[lapic_arbitrate(all, 4, &m, &turn)->config.apic_id]++;
    assert_int_equal(got[0] + got[1], 0);
    assert_true(got[2] >= 10 && got[3] >= 10);
    m.dest = 1;
    assert_null(lapic_arbitrate(all, 4, &m, &turn));
    m.dest = 7;
    assert_null(lapic_arbitrate(all, 4, &m, &turn));
    assert_null(lapic_arbitrate(all, 0, &m, &turn));
    turn = UINT32_MAX;
    m.dest = LAPIC_BROADCAST;
    assert_non_null(lapic_arbitrate(all, 4, &m, &turn));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_physical_destination_is_an_id),
        cmocka_unit_test(a_flat_destination_is_a_mask),
        cmocka_unit_test(a_cluster_destination_is_a_cluster_and_a_mask),
        cmocka_unit_test(an_x2apics_logical_id_follows_from_its_id),
        cmocka_unit_test(shorthands_reach_self_all_or_others),
        cmocka_unit_test(each_apic_is_found_in_its_own_mode),
        cmocka_unit_test(only_valid_messages_are_sent),
        cmocka_unit_test(the_lowest_priority_wins_and_equals_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
