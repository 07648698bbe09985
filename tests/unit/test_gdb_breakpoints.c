// SPDX-License-Identifier: MIT
// Breakpoints and watchpoints of the gdb stub.
#include "gdb_client.h"

#define LOOP 0x1000 // nop x 16, jmp to the start

static void loop(unsigned pid, unsigned length)
{
    memset(fake[pid].ram + LOOP, 0x90, length);
    fake[pid].ram[LOOP + length] = 0xeb;
    fake[pid].ram[LOOP + length + 1] = (u8)(0 - (length + 2));
}

static u64 rip(unsigned pid, unsigned index)
{
    return fake[pid].vcpu[index].regs.rip;
}

static unsigned traps(unsigned pid)
{
    return fake[pid].vcpu[0].guest_traps + fake[pid].vcpu[1].guest_traps;
}

// Lets the guests run on and stops them: what is wanted is then in place.
static void run_and_stop(unsigned rounds)
{
    assert_null(ask("vCont;c"));
    fake_run(rounds, 0);
    gdbstub_input(&stub, 0x03);
    assert_true(next_packet());
}

static void a_breakpoint_is_hit_again_and_again(void **state)
{
    (void)state;
    loop(1, 16);
    assert_ok("Z0,1008,1");
    for (unsigned i = 0; i < 20; i++) {
        const char *stop = ask_and_run("vCont;c");
        assert_has(stop, "T05thread:p1.");
        assert_has(stop, "swbreak:;");
        assert_has(stop, "10:0810000000000000;");
    }
    assert_int_equal(traps(1), 0);
}

static void inserting_twice_counts_once(void **state)
{
    (void)state;
    loop(1, 16);
    assert_ok("Z0,1008,1");
    assert_ok("Z0,1008,1");
    assert_ok("z0,1008,1");
    assert_ok("z0,1008,1");
    run_and_stop(100);
    assert_has(answer, "T02");
    assert_int_equal(fake[1].ram[0x1008], 0x90);
    assert_ok("Z0,1008,1");
    run_and_stop(1);
    assert_ok("Z0,1008,1");
    run_and_stop(1);
    assert_ok("z0,1008,1");
    run_and_stop(1);
    assert_int_equal(fake[1].ram[0x1008], 0x90);
}

static void guest_memory_shows_no_int3(void **state)
{
    (void)state;
    memcpy(fake[1].ram + 0x1100, "\x01\x02\x03\x04", 4);
    assert_ok("Z0,1101,1");
    assert_ok("Z0,1103,1");
    run_and_stop(1);
    assert_memory_equal(fake[1].ram + 0x1100, "\x01\xcc\x03\xcc", 4);
    assert_answer("m1100,4", "01020304");
    assert_answer("m1101,1", "02");
    assert_answer("m1104,1", "90");
    assert_answer("x1100,4", "b\x01\x02\x03\x04");
    assert_ok("Qqemu.PhyMemMode:1");
    assert_answer("m1100,4", "01020304");
    // What is written there stays when the breakpoint goes.
    assert_ok("M1100,4:a1a2a3a4");
    assert_memory_equal(fake[1].ram + 0x1100, "\xa1\xcc\xa3\xcc", 4);
    assert_answer("m1100,4", "a1a2a3a4");
    assert_ok("z0,1101,1");
    assert_ok("z0,1103,1");
    run_and_stop(1);
    assert_memory_equal(fake[1].ram + 0x1100, "\xa1\xa2\xa3\xa4", 4);
}

static void an_int3_of_the_guest_is_its_own(void **state)
{
    (void)state;
    fake[1].ram[0x1004] = 0xcc;
    assert_ok("Z0,1020,1");
    assert_has(ask_and_run("vCont;c"), "10:2010000000000000;");
    assert_true(traps(1) >= 1);
    // And under a breakpoint of ours.
    unsigned before = fake[1].vcpu[0].guest_traps;
    assert_ok("z0,1020,1");
    assert_ok("P10=0410000000000000");
    assert_ok("Z0,1004,1");
    assert_has(ask_and_run("vCont;c:p1.1"), "10:0410000000000000;");
    assert_answer("m1004,1", "cc");
    assert_int_equal(fake[1].vcpu[0].guest_traps, before);
    assert_ok("Z0,1010,1");
    assert_has(ask_and_run("vCont;c:p1.1"), "10:1010000000000000;");
    assert_int_equal(fake[1].vcpu[0].guest_traps, before + 1);
}

static void a_vcpu_steps_over_alone(void **state)
{
    (void)state;
    loop(1, 16);
    assert_ok("Z0,1000,1");
    // The current thread was told to stand at 0x1000; the other merely stands there: it is hit.
    assert_has(ask_and_run("vCont;c"), "T05thread:p1.2;swbreak:;");
    assert_int_equal(fake[1].vcpu[0].alone, 1);
    assert_int_equal(fake[1].vcpu[1].executed, 0);
    // A step leaves a breakpoint, too.
    assert_has(ask_and_run("vCont;s:p1.2"), "10:0110000000000000;");
    assert_int_equal(fake[1].ram[0x1000], 0xcc);
    assert_true(fake[1].vcpu[1].mask);
    assert_int_equal(traps(1), 0);
    // Where gdb has put the vCPU itself, it has not been before.
    assert_ok("P10=0010000000000000");
    assert_has(ask_and_run("vCont;c:p1.2"), "swbreak:;");
}

static void a_break_in_during_a_step_over_leaves_the_int3(void **state)
{
    (void)state;
    loop(1, 16);
    assert_ok("Z0,1000,1");
    assert_null(ask("vCont;c:p1.1"));
    assert_int_equal(fake[1].ram[0x1000], 0x90);
    gdbstub_input(&stub, 0x03);
    assert_true(next_packet());
    assert_has(answer, "T02thread:p1.1;");
    assert_int_equal(fake[1].ram[0x1000], 0xcc);
    assert_has(ask_and_run("vCont;s:p1.1"), "10:0110000000000000;");
    // The step is done, and the break-in comes before the stub has seen that.
    assert_ok("P10=0010000000000000");
    assert_has(ask_and_run("vCont;s:p1.1"), "swbreak:;");
    assert_null(ask("vCont;c:p1.1"));
    fake_run(1, 99);
    gdbstub_input(&stub, 0x03);
    assert_true(next_packet());
    assert_has(answer, "T02thread:p1.1;");
    assert_int_equal(rip(1, 0), 0x1001);
    assert_int_equal(fake[1].ram[0x1000], 0xcc);
    gdbstub_poll(&stub);
    assert_false(next_packet());
}

static void a_breakpoint_waits_for_its_page(void **state)
{
    (void)state;
    fake_long_mode(1, false);
    assert_ok("Z0,ffffffff80001040,1");
    run_and_stop(1);
    assert_int_equal(fake[1].vcpu[0].dr[0], FAKE_HIGH + 0x1040);
    assert_int_equal(fake[1].vcpu[1].dr7, 0x402);
    // The page appears, and the first instruction there stops.
    fake_map_high(1);
    fake[1].vcpu[1].regs.rip = FAKE_HIGH + 0x103e;
    assert_has(ask_and_run("vCont;c"), "T05thread:p1.2;swbreak:;");
    assert_int_equal(rip(1, 1), FAKE_HIGH + 0x1040);
    // From then on it is an int3, and the register is free. The vCPU goes on, and comes again.
    assert_null(ask("vCont;c"));
    fake_run(2, 0);
    assert_int_equal(fake[1].ram[0x1040], 0xcc);
    assert_int_equal(fake[1].vcpu[0].dr7, 0);
    gdbstub_input(&stub, 0x03);
    assert_ok("Hgp1.2");
    assert_ok("P10=3e100080ffffffff");
    assert_has(ask_and_run("vCont;c"), "swbreak:;");
    assert_int_equal(rip(1, 1), FAKE_HIGH + 0x1040);
}

static void leaving_a_debug_register_takes_one_pass(void **state)
{
    (void)state;
    loop(1, 16);
    assert_ok("Z1,1008,1");
    for (unsigned i = 0; i < 10; i++)
        assert_has(ask_and_run("vCont;c:p1.1"), "hwbreak:;06");
    assert_int_equal(fake[1].vcpu[0].executed, 8 + 9 * 17);
    assert_has(ask_and_run("vCont;s:p1.1"), "10:0910000000000000;");
    assert_ok("z1,1008,1");
    run_and_stop(50);
    assert_int_equal(fake[1].vcpu[0].dr7, 0);
}

static void more_than_four_wait_in_turn(void **state)
{
    (void)state;
    char packet[64];
    fake_long_mode(1, false);
    for (unsigned i = 0; i < 6; i++) {
        snprintf(packet, sizeof(packet), "Z0,ffffffff8000%04x,1", 0x1040 + i);
        assert_ok(packet);
    }
    run_and_stop(1);
    assert_int_equal(fake[1].vcpu[0].dr7 & 0xff, 0xaa);
    // A hardware breakpoint goes before them.
    assert_ok("Z1,1100,1");
    run_and_stop(1);
    assert_int_equal(fake[1].vcpu[0].dr[0], 0x1100);
    assert_int_equal(fake[1].vcpu[0].dr[3], FAKE_HIGH + 0x1042);
    // All of them are in memory as soon as it can be.
    fake_map_high(1);
    run_and_stop(1);
    assert_memory_equal(fake[1].ram + 0x1040, "\xcc\xcc\xcc\xcc\xcc\xcc", 6);
    assert_int_equal(fake[1].vcpu[0].dr7, 0x402);
}

static void an_address_that_the_mode_cannot_reach_is_accepted(void **state)
{
    (void)state;
    assert_ok("Z0,ffffffff80001040,1"); // no paging: linear addresses have 32 bits
    assert_ok("Z0,300000,1");           // no RAM
    assert_ok("Z0,8000000000000000,1"); // not canonical in any mode
    run_and_stop(5);
    assert_int_equal(fake[1].ram[0x1040], 0x90);
    assert_int_equal(fake[1].vcpu[0].dr7 & 0xff, 0x0a);
    fake_long_mode(1, true);
    run_and_stop(5);
    assert_int_equal(fake[1].ram[0x1040], 0xcc);
    assert_ok("D;1");
    assert_int_equal(fake[1].ram[0x1040], 0x90);
}

static void two_addresses_of_the_same_memory_share_an_int3(void **state)
{
    (void)state;
    fake_long_mode(1, true);
    loop(1, 16);
    assert_ok("Z0,ffffffff80001008,1");
    // The vCPUs run through it at the other address: nobody asked for that.
    run_and_stop(200);
    assert_has(answer, "T02");
    assert_int_equal(fake[1].ram[0x1008], 0xcc);
    assert_int_equal(traps(1), 0);
    assert_true(fake[1].vcpu[0].executed > 50);
    // Both addresses: one int3.
    assert_ok("Z0,1008,1");
    assert_has(ask_and_run("vCont;c"), "10:0810000000000000;");
    assert_ok("z0,ffffffff80001008,1");
    assert_has(ask_and_run("vCont;c"), "10:0810000000000000;");
    assert_answer("m1008,1", "90");
    assert_ok("z0,1008,1");
    run_and_stop(1);
    assert_int_equal(fake[1].ram[0x1008], 0x90);
}

static void a_step_onto_the_same_memory_elsewhere_is_one_step(void **state)
{
    (void)state;
    fake_long_mode(1, true);
    assert_ok("Z0,ffffffff80001001,1");
    assert_has(ask_and_run("vCont;s:p1.1"), "10:0110000000000000;");
    assert_has(ask_and_run("vCont;s:p1.1"), "10:0210000000000000;");
    assert_int_equal(fake[1].ram[0x1001], 0xcc);
}

static void a_breakpoint_follows_kernel_pages(void **state)
{
    (void)state;
    // The high half leads to the second half of RAM, by a 4K page.
    fake_long_mode(1, true);
    assert_ok("Z0,ffffffff80001040,1");
    run_and_stop(1);
    assert_int_equal(fake[1].ram[0x1040], 0xcc);
    u64 table = 0x7003, page = 0x101003;
    memset(fake[1].ram + 0x7000, 0, PAGE_SIZE);
    memcpy(fake[1].ram + 0x7008, &page, 8);
    u64 pdpt = 0xa003, entry = 0xb003;
    memset(fake[1].ram + 0xa000, 0, 0x2000);
    memcpy(fake[1].ram + 0xa000 + 8 * 510, &entry, 8);
    memcpy(fake[1].ram + 0xb000, &table, 8);
    memcpy(fake[1].ram + 0x4000 + 8 * 511, &pdpt, 8);
    run_and_stop(1);
    assert_int_equal(fake[1].ram[0x1040], 0x90);
    assert_int_equal(fake[1].ram[0x101040], 0xcc);
    // A user page of another process does not take it along.
    page = 0x103007;
    table |= 4, entry |= 4, pdpt |= 4;
    memcpy(fake[1].ram + 0x7008, &page, 8);
    memcpy(fake[1].ram + 0xb000, &table, 8);
    memcpy(fake[1].ram + 0xa000 + 8 * 510, &entry, 8);
    memcpy(fake[1].ram + 0x4000 + 8 * 511, &pdpt, 8);
    run_and_stop(1);
    assert_int_equal(fake[1].ram[0x101040], 0xcc);
    assert_int_equal(fake[1].ram[0x103040], 0x90);
}

static void a_guest_that_loads_itself_over_it_keeps_it(void **state)
{
    (void)state;
    FAKE_CODE(1, 0x1000, "inc al; mov [rdi], al; jmp .-4"); // where the breakpoint is
    fake[1].vcpu[0].regs.gpr[RDI] = 0x2010;
    fake[1].vcpu[1].regs.gpr[RDI] = 0x2020;
    fake[1].vcpu[1].regs.rip = 0x1000;
    assert_ok("Z0,2010,1");
    assert_ok("Z0,2011,1");
    run_and_stop(30);
    assert_true(fake[1].watched[2]);
    assert_int_equal(fake[1].ram[0x2010], 0xcc);
    assert_int_equal(fake[1].ram[0x2011], 0xcc);
    char byte[8];
    snprintf(byte, sizeof(byte), "%02x", (unsigned)fake[1].vcpu[0].regs.gpr[RAX] & 0xff);
    // rip may be between inc and mov: then memory is one behind.
    if (rip(1, 0) == 0x1002)
        snprintf(byte, sizeof(byte), "%02x", ((unsigned)fake[1].vcpu[0].regs.gpr[RAX] - 1) & 0xff);
    assert_answer("m2010,1", byte);
    assert_answer("m2011,1", "90");
    // Behind the watch's back: found at the next stop.
    fake[1].ram[0x2011] = 0x55;
    run_and_stop(1);
    assert_int_equal(fake[1].ram[0x2011], 0xcc);
    assert_answer("m2011,1", "55");
    assert_ok("z0,2010,1");
    run_and_stop(1);
    assert_true(fake[1].watched[2]);
    assert_ok("z0,2011,1");
    run_and_stop(1);
    assert_false(fake[1].watched[2]);
    assert_int_equal(fake[1].ram[0x2011], 0x55);
}

static void a_guest_that_changes_its_code_sees_no_int3(void **state)
{
    (void)state;
    assert_ok("Z0,2010,1");
    assert_null(ask("vCont;c"));
    assert_int_equal(fake[1].ram[0x2010], 0xcc);
    // What its instruction reads and writes back is what belongs there, with two at a time as well.
    gdbstub_page_written(1, GPA(0x2000), true);
    assert_int_equal(fake[1].ram[0x2010], 0x90);
    gdbstub_page_written(1, GPA(0x2000), true);
    fake[1].ram[0x2010]++;
    gdbstub_page_written(1, GPA(0x2000), false);
    assert_int_equal(fake[1].ram[0x2010], 0xcc);
    gdbstub_page_written(1, GPA(0x2000), false);
    gdbstub_input(&stub, 0x03);
    assert_answer("m2010,1", "91");
    // Other pages and other VMs are left alone.
    gdbstub_page_written(1, GPA(0x3000), true);
    gdbstub_page_written(2, GPA(0x2000), true);
    assert_int_equal(fake[1].ram[0x2010], 0xcc);
}

static void a_hit_during_anothers_write_is_ours(void **state)
{
    (void)state;
    assert_ok("Z0,1002,1");
    assert_null(ask("vCont;c:p1.2"));
    fake_run(1, 0);
    // The second vCPU has fetched the int3; before its exit is looked at, a device writes to the
    // page.
    fake[1].vcpu[1].regs.rip = 0x1002;
    gdbstub_page_written(1, GPA(0x1000), true);
    fake[1].vcpu[1].in_hook = true;
    assert_true(debug_hooks->event(&fake[1].vcpu[1], DEBUG_BREAKPOINT, 0));
    fake[1].vcpu[1].in_hook = false;
    fake[1].vcpu[1].held = true;
    gdbstub_page_written(1, GPA(0x1000), false);
    gdbstub_poll(&stub);
    assert_true(next_packet());
    assert_has(answer, "T05thread:p1.2;swbreak:;");
}

static void vms_have_breakpoints_of_their_own(void **state)
{
    (void)state;
    ask("vAttach;2");
    loop(1, 16);
    loop(2, 16);
    fake[2].vcpu[1].regs.rip = 0x3000;
    assert_ok("Z0,1008,1"); // of the second, which is current
    assert_ok("Hgp1.1");
    assert_ok("Z0,1004,1");
    assert_null(ask("vCont;c:p1.-1"));
    fake_run(1, 99);
    assert_int_equal(fake[1].ram[0x1008], 0x90);
    assert_int_equal(fake[1].ram[0x1004], 0xcc);
    assert_int_equal(fake[2].ram[0x1004], 0x90);
    assert_has(wait_stop(100), "T05thread:p1.");
    assert_has(ask_and_run("vCont;c:p2.-1"), "T05thread:p2.");
    assert_has(answer, "10:0810000000000000;");
    // The step over a breakpoint in one does not hold the other.
    unsigned executed = fake[1].vcpu[0].executed;
    assert_ok("Hgp1.1");
    assert_ok("z0,1004,1");
    assert_has(ask_and_run("vCont;c"), "T05thread:p2.");
    assert_true(fake[1].vcpu[0].executed > executed);
}

static void watchpoints_are_debug_registers(void **state)
{
    (void)state;
    FAKE_CODE(1, 0x1000, "inc al; mov [rdi], al; jmp .-4");
    assert_ok("Z2,8000,8");
    assert_has(ask_and_run("vCont;c:p1.1"), "T05thread:p1.1;watch:8000;");
    assert_int_equal(rip(1, 0), 0x1004);
    assert_int_equal(fake[1].vcpu[1].dr7, 0x402 | 9 << 16);
    assert_has(ask_and_run("vCont;c:p1.1"), "watch:8000;");
    assert_ok("z2,8000,8");
    assert_answer("Z3,8000,1", ""); // gdb takes Z4 for it
    assert_ok("Z4,8000,2");
    assert_has(ask_and_run("vCont;c:p1.1"), "awatch:8000;");
    assert_ok("z4,8000,2");
    // One that does not lie at its own size takes several registers: 1 + 2 + 4 + 1 bytes.
    assert_ok("Z2,7ffd,8");
    assert_ok("Z2,7ffd,8");
    assert_has(ask_and_run("vCont;c:p1.1"), "watch:7ffd;");
    assert_int_equal(fake[1].vcpu[0].dr[0], 0x7ffd);
    assert_int_equal(fake[1].vcpu[0].dr[1], 0x7ffe);
    assert_int_equal(fake[1].vcpu[0].dr[2], 0x8000);
    assert_int_equal(fake[1].vcpu[0].dr[3], 0x8004);
    assert_answer("Z1,1000,1", "E1c");
    assert_answer("Z4,9000,1", "E1c");
    assert_ok("Z0,1004,1"); // these are never refused
    assert_ok("z2,7ffd,8");
    assert_answer("Z2,9000,0", "E1c");
    assert_answer("Z2,9000,21", "E1c");
    assert_answer("Z2,9000,ffffffffffffffff", "E1c");
    assert_ok("Z2,9000,20");
    assert_answer("Z5,9000,1", "");
    assert_answer("Z2,9000", "E01");
}

static void a_full_table_is_said(void **state)
{
    (void)state;
    char packet[64];
    for (unsigned i = 0; i < 256; i++) {
        snprintf(packet, sizeof(packet), "Z0,%x,1", 0x100000 + i);
        assert_ok(packet);
    }
    assert_answer("Z0,200000,1", "E1c");
    run_and_stop(1);
    assert_int_equal(fake[1].ram[0x1000ff], 0xcc);
    connect_gdb();
    assert_int_equal(fake[1].ram[0x1000ff], 0x90);
    assert_ok("Z0,1fffff,1");
}

static void memory_packets_reach_mapped_ram_alone(void **state)
{
    (void)state;
    fake_long_mode(1, true);
    memcpy(fake[1].ram, "\x01\x02\x03\x04", 4);
    memcpy(fake[1].ram + FAKE_RAM - 2, "\x0a\x0b", 2);
    assert_answer("mffffffff80000000,4", "01020304");
    assert_answer("m0,4", "01020304");
    assert_answer("m200000,4", "E0e"); // no page
    assert_answer("m1ffffe,4", "0a0b");
    assert_answer("Mffffffff80000000,2:a1b2", "OK");
    assert_int_equal(fake[1].ram[1], 0xb2);
    assert_answer("M1ffffe,4:01020304", "E0e");
    assert_answer("M0,2:a1", "E01");
    assert_answer("M0,2:a1b2c3", "E01");
    assert_answer("M0,1:zz", "E01");
    assert_answer("M0,ffffffffffffffff:00", "E01");
    assert_answer("m0", "E01");
    assert_answer("mffffffff80000000,fffffffffffffff0x", "E01");
    ask("m0,ffffffffffffffff");
    assert_int_equal(answer_len, 0x1ffc);
    assert_ok("X0,0:");
    client_at = fake_sent_len = 0;
    send_bytes("X10,5:#$}*\x03", 11);
    assert_true(next_packet());
    assert_string_equal(answer, "OK");
    assert_memory_equal(fake[1].ram + 0x10, "#$}*\x03", 5);
    ask("x10,5");
    assert_int_equal(answer_len, 6);
    assert_memory_equal(answer, "b#$}*\x03", 6);
    assert_answer("x0,0", "b");
    assert_answer("x200000,1", "E0e");
    assert_answer("X10,5:1234", "E01");
    // Physical.
    assert_answer("qqemu.PhyMemMode", "0");
    assert_ok("Qqemu.PhyMemMode:1");
    assert_answer("qqemu.PhyMemMode", "1");
    assert_answer("mffffffff80000000,4", "E0e");
    assert_answer("m10,1", "23");
    assert_answer("Qqemu.PhyMemMode:2", "E01");
    assert_ok("Qqemu.PhyMemMode:0");
    // Each page by its own translation: 0x1fff and 0x2000 are far apart.
    u64 table = 0x7003, here = 0x1003, there = 0x9003;
    memset(fake[1].ram + 0x7000, 0, PAGE_SIZE);
    memcpy(fake[1].ram + 0x7008, &here, 8);
    memcpy(fake[1].ram + 0x7010, &there, 8);
    memcpy(fake[1].ram + 0x6000, &table, 8);
    memcpy(fake[1].ram + 0x1ffe, "\x11\x22", 2);
    memcpy(fake[1].ram + 0x9000, "\x33\x44", 2);
    assert_answer("m1ffe,4", "11223344");
    assert_answer("m2ffe,4", "9090");
    assert_ok("M1ffe,4:55667788");
    assert_memory_equal(fake[1].ram + 0x9000, "\x77\x88", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_breakpoint_is_hit_again_and_again, connected),
        cmocka_unit_test_setup(inserting_twice_counts_once, connected),
        cmocka_unit_test_setup(guest_memory_shows_no_int3, connected),
        cmocka_unit_test_setup(an_int3_of_the_guest_is_its_own, connected),
        cmocka_unit_test_setup(a_vcpu_steps_over_alone, connected),
        cmocka_unit_test_setup(a_break_in_during_a_step_over_leaves_the_int3, connected),
        cmocka_unit_test_setup(a_breakpoint_waits_for_its_page, connected),
        cmocka_unit_test_setup(leaving_a_debug_register_takes_one_pass, connected),
        cmocka_unit_test_setup(more_than_four_wait_in_turn, connected),
        cmocka_unit_test_setup(an_address_that_the_mode_cannot_reach_is_accepted, connected),
        cmocka_unit_test_setup(two_addresses_of_the_same_memory_share_an_int3, connected),
        cmocka_unit_test_setup(a_step_onto_the_same_memory_elsewhere_is_one_step, connected),
        cmocka_unit_test_setup(a_breakpoint_follows_kernel_pages, connected),
        cmocka_unit_test_setup(a_guest_that_loads_itself_over_it_keeps_it, connected),
        cmocka_unit_test_setup(a_guest_that_changes_its_code_sees_no_int3, connected),
        cmocka_unit_test_setup(a_hit_during_anothers_write_is_ours, connected),
        cmocka_unit_test_setup(vms_have_breakpoints_of_their_own, connected),
        cmocka_unit_test_setup(watchpoints_are_debug_registers, connected),
        cmocka_unit_test_setup(a_full_table_is_said, connected),
        cmocka_unit_test_setup(memory_packets_reach_mapped_ram_alone, connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
