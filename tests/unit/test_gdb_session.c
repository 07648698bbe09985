// SPDX-License-Identifier: MIT
// Sessions with the gdb stub: who is attached, what runs, what is told.
#include "gdb_client.h"

static bool running(unsigned pid)
{
    return !fake[pid].vcpu[0].held && !fake[pid].vcpu[1].held && !fake[pid].frozen;
}

static bool stopped(unsigned pid)
{
    return fake[pid].vcpu[0].held && fake[pid].vcpu[1].held && fake[pid].frozen;
}

static void loop_at(unsigned pid, u64 at)
{
    FAKE_CODE(pid, at, "nop; jmp .-1");
}

static void connecting_stops_the_first_vm_alone(void **state)
{
    (void)state;
    fake_run(10, 0);
    connect_gdb();
    assert_true(stopped(1));
    assert_true(running(2));
    assert_has(answer, "QStartNoAckMode+;multiprocess+;vContSupported+;swbreak+;hwbreak+;"
                       "qXfer:features:read+");
    assert_has(answer, "binary-upload+");
    assert_null(strstr(answer, "memory-map"));
    assert_has(ask("?"), "T05thread:p1.1;");
    assert_answer("qC", "QCp1.1");
    assert_answer("qAttached:1", "1");
    assert_answer("vMustReplyEmpty", "");
    assert_answer("vCont?", "vCont;c;C;s;S;t;r");
}

static void stop_replies_carry_rbp_rsp_rip(void **state)
{
    (void)state;
    fake[1].vcpu[0].regs.gpr[RBP] = 0x1122334455667788;
    assert_string_equal(ask("?"), "T05thread:p1.1;06:8877665544332211;07:0090000000000000;"
                                  "10:0010000000000000;");
}

static void error_texts_go_to_those_who_take_them(void **state)
{
    (void)state;
    assert_answer("Hgp7.1", "E03");
    ask("qSupported:error-message+");
    assert_has(answer, "error-message+");
    assert_answer("Hgp7.1", "E.no such thread");
}

static void threads_are_those_of_attached_vms(void **state)
{
    (void)state;
    assert_answer("qfThreadInfo", "mp1.1,p1.2");
    assert_answer("qsThreadInfo", "l");
    assert_ok("Hgp1.2");
    assert_answer("qC", "QCp1.2");
    assert_answer("Hgp2.1", "E03");
    assert_ok("Tp1.2");
    assert_answer("Tp1.3", "E03");
    assert_answer("Tp2.1", "E03");
    assert_has(ask("vAttach;2"), "T05thread:p2.1;");
    assert_answer("qfThreadInfo", "mp1.1,p1.2,p2.1,p2.2");
    assert_ok("Tp2.1");
    assert_true(stopped(2));
    assert_answer("vAttach;2", "E03");
    assert_answer("vAttach;3", "E03");
    assert_answer("vAttach;11", "E03");
    assert_answer("vAttach;100000001", "E03");
}

static void threads_are_described(void **state)
{
    (void)state;
    char text[200] = "";
    assert_non_null(ask("qThreadExtraInfo,p1.2"));
    const char *s = answer;
    assert_true(hex_bytes(&s, text, answer_len / 2));
    assert_string_equal(text, "one/1 on core 1, ring 0, 32-bit");
    ask("vAttach;2");
    assert_has(ask("qXfer:threads:read::0,1000"),
               "<thread id=\"p2.1\" core=\"2\">&lt;two>/0 on core 0, ring 0, 32-bit</thread>");
    assert_int_equal(answer[0], 'l');
    char whole[4096] = "";
    strncat(whole, answer + 1, sizeof(whole) - 1);
    // The same in pieces of every size.
    for (unsigned size = 1; size < 40; size++) {
        char pieces[4096] = "", packet[64];
        for (unsigned at = 0;; at += size) {
            snprintf(packet, sizeof(packet), "qXfer:threads:read::%x,%x", at, size);
            ask(packet);
            strcat(pieces, answer + 1);
            if (answer[0] == 'l')
                break;
            assert_int_equal(answer_len, size + 1);
        }
        assert_string_equal(pieces, whole);
    }
    assert_answer("qXfer:threads:read::ffffffffffffffff,10", "l");
}

static void send_ctrl_c(void)
{
    client_at = fake_sent_len = 0;
    gdbstub_input(&stub, 0x03);
}

static void send_break(void)
{
    gdbstub_break(&stub);
}

static void send_vCtrlC(void)
{
    assert_ok("vCtrlC");
}

// Past the words for gdb to print, which come first.
static const char *told(const char *now)
{
    while (now != NULL && now[0] == 'O' && now[1] != 'K')
        now = next_packet() ? answer : NULL;
    return now;
}

static void a_break_in_stops_what_continues(void **state)
{
    (void)state;
    loop_at(1, 0x1000);
    assert_null(ask("vCont;c"));
    assert_true(running(1));
    fake_run(20, 0);
    assert_false(next_packet());
    gdbstub_input(&stub, 'x'); // noise
    gdbstub_input(&stub, 0x03);
    assert_true(next_packet());
    assert_has(answer, "T02thread:p1.1;");
    assert_true(stopped(1));
    assert_null(ask("vCont;c"));
    gdbstub_break(&stub);
    assert_true(next_packet());
    assert_has(answer, "T02thread:p1.1;");
}

static void a_break_in_while_stopped_waits(void **state)
{
    (void)state;
    loop_at(1, 0x1000);
    static void (*const how[])(void) = {send_ctrl_c, send_break, send_vCtrlC};
    for (unsigned i = 0; i < ARRAY_SIZE(how); i++) {
        u64 executed = fake[1].vcpu[0].executed;
        how[i]();
        assert_false(next_packet());
        assert_non_null(ask("g")); // gdb looks round before it goes on
        assert_answer("vCont;c:p9.1", "E03");
        assert_has(ask("vCont;c:p1.-1"), "T02thread:p1.1;");
        assert_true(stopped(1));
        assert_int_equal(fake[1].vcpu[0].executed, executed);
        assert_null(ask("vCont;c")); // once
        gdbstub_input(&stub, 0x03);
        assert_true(next_packet());
    }
    // In one write: what comes first is told first, and the other waits for the next start.
    assert_null(ask("vCont;c"));
    client_at = fake_sent_len = 0;
    gdbstub_input(&stub, 0x03);
    gdbstub_input(&stub, 0x03);
    assert_true(next_packet());
    assert_has(answer, "T02");
    assert_false(next_packet());
    assert_has(ask("vCont;s:p1.1"), "T02");
    // A stop that is due is the stop that was asked for.
    fake[1].vcpu[0].regs.rip = fake[1].vcpu[1].regs.rip = 0x1100;
    assert_ok("Z0,1104,1");
    assert_null(ask("vCont;c"));
    fake_run(20, 8);
    assert_true(next_packet());
    assert_has(answer, "T05thread:p1.1;swbreak:;");
    gdbstub_input(&stub, 0x03);
    assert_has(ask("vCont;c"), "T05thread:p1.2;swbreak:;");
    assert_ok("z0,1104,1");
    assert_null(ask("vCont;c"));
    // Nobody is attached: there is nothing to stop.
    gdbstub_input(&stub, 0x03);
    assert_ok("D");
    gdbstub_input(&stub, 0x03);
    ask("vAttach;1");
    assert_null(ask("vCont;c"));
    gdbstub_input(&stub, 0x03);
    gdbstub_input(&stub, 0x03);
    connect_gdb(); // another client
    assert_null(ask("vCont;c"));
}

static void some_packets_have_no_reply(void **state)
{
    (void)state;
    assert_null(ask("R00"));
    assert_answer("qC", "QCp1.1");
    assert_null(ask("r"));
    assert_answer("qC", "QCp1.1");
    assert_answer("ra", ""); // another packet, which nobody knows
    assert_null(ask("vCont;c"));
    assert_null(ask("R00"));
    assert_null(ask("r"));
    assert_null(ask("k"));
    assert_answer("g", "E23");
    assert_true(running(1));
}

static void only_what_gdb_names_runs(void **state)
{
    (void)state;
    ask("vAttach;2");
    assert_null(ask("vCont;c:p1.-1"));
    assert_true(running(1));
    assert_true(stopped(2));
    gdbstub_input(&stub, 0x03);
    assert_null(ask("vCont;c:p2.2"));
    assert_true(stopped(1));
    assert_true(fake[2].vcpu[0].held && !fake[2].vcpu[1].held);
    gdbstub_input(&stub, 0x03);
    assert_true(next_packet());
    assert_has(answer, "T02thread:p2.2;");
    assert_null(ask("vCont;c:-1"));
    assert_true(running(1) && running(2));
    gdbstub_input(&stub, 0x03);
    assert_true(stopped(1) && stopped(2));
}

static void a_step_is_one_instruction(void **state)
{
    (void)state;
    assert_has(ask_and_run("vCont;s:p1.1"), "T05thread:p1.1;");
    assert_int_equal(fake[1].vcpu[0].regs.rip, 0x1001);
    assert_int_equal(fake[1].vcpu[1].executed, 0);
    assert_true(fake[1].vcpu[0].mask);
    // The others run meanwhile.
    assert_has(ask_and_run("vCont;s:p1.1;c:p1.-1"), "T05thread:p1.1;");
    assert_int_equal(fake[1].vcpu[0].regs.rip, 0x1002);
    assert_int_not_equal(fake[1].vcpu[1].executed, 0);
    assert_true(stopped(1));
    assert_answer("qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4");
    assert_answer("qqemu.sstep", "0x7");
    assert_ok("Qqemu.sstep=0x1");
    assert_has(ask_and_run("vCont;s:p1.2"), "T05thread:p1.2;");
    assert_false(fake[1].vcpu[1].mask);
    assert_answer("Qqemu.sstep=8", "E16");
    assert_has(ask_and_run("s"), "T05thread:p1.2;");
}

static void a_range_is_stepped_at_the_target(void **state)
{
    (void)state;
    assert_has(ask_and_run("vCont;r1000,1010:p1.1;c:p1.-1"), "T05thread:p1.1;");
    assert_int_equal(fake[1].vcpu[0].regs.rip, 0x1010);
    assert_answer("vCont;r1000:p1.1", "E01");
    // A breakpoint in the range stops it.
    assert_ok("Z0,1018,1");
    assert_has(ask_and_run("vCont;r1010,1020:p1.1"), "swbreak:;");
    assert_int_equal(fake[1].vcpu[0].regs.rip, 0x1018);
    // And the range goes on from there.
    assert_null(strstr(ask_and_run("vCont;r1010,1020:p1.1"), "swbreak"));
    assert_int_equal(fake[1].vcpu[0].regs.rip, 0x1020);
    assert_int_equal(fake[1].ram[0x1018], 0xcc);
}

static void bad_resumptions_run_nothing(void **state)
{
    (void)state;
    assert_answer("vCont;q", "E01");
    assert_answer("vCont;c:p9.1", "E03");
    assert_answer("vCont;c:p1.9", "E03");
    assert_answer("vCont;c:", "E01");
    assert_answer("vCont;C", "E01");
    assert_answer("vCont", "E03");
    assert_answer("vCont;t", "E03");
    assert_answer("c12zz", "E01");
    assert_true(stopped(1));
}

static void while_guests_run_other_packets_are_refused(void **state)
{
    (void)state;
    assert_null(ask("vCont;c"));
    assert_answer("g", "E23");
    assert_true(running(1));
    assert_has(ask("?"), "T05thread:p1.1;");
    assert_true(stopped(1));
    assert_non_null(ask("g"));
    assert_null(ask("vCont;c"));
    assert_ok("vCtrlC");
    assert_true(next_packet());
    assert_has(answer, "T02thread:p1.1;");
    assert_null(ask("vCont;c"));
    assert_has(ask("vCont;t:p1.-1"), "T02thread:p1.1;");
}

static void packets_are_refused_by_their_rows(void **state)
{
    (void)state;
    static const struct {
        const char *packet, *answer;
    } refused[] = {{"cx", "E01"},
                   {"Cx", "E01"},
                   {"sx", "E01"},
                   {"S", "E01"},
                   {"D1", "E03"},
                   {"D;2", "E03"},
                   {"Gxx", "E01"},
                   {"G00", "E01"},
                   {"Hx1", "E01"},
                   {"Hgp9.1", "E03"},
                   {"m1000", "E01"},
                   {"m1000,4x", "E01"},
                   {"M1000,2:00", "E01"},
                   {"M1000,1:0", "E01"},
                   {"px", "E01"},
                   {"pfff", "E16"},
                   {"P1", "E01"},
                   {"P1=00", "E01"},
                   {"Pfff=00", "E16"},
                   {"Qqemu.PhyMemMode:2", "E01"},
                   {"Qqemu.PhyMemMode:01", "E01"},
                   {"Qqemu.sstep=8", "E16"},
                   {"Qqemu.sstep=0xx", "E16"},
                   {"qThreadExtraInfo,x", "E03"},
                   {"qXfer:features:read:other.xml:0,10", "E16"},
                   {"qXfer:features:read:target.xml:0", "E01"},
                   {"qXfer:threads:read:a:0,10", "E16"},
                   {"qXfer:threads:read::0", "E01"},
                   {"Tx", "E03"},
                   {"vAttach;x", "E03"},
                   {"vKill;2", "E03"},
                   {"vKill;100000001", "E03"},
                   {"vCont;x", "E01"},
                   {"x1000", "E01"},
                   {"X1000,2:a", "E01"},
                   {"Z0", "E01"},
                   {"Z1,x,1", "E01"},
                   {"Z3,1000,1", ""},
                   {"z5,1000,1", ""},
                   {"gg", ""},
                   {"qCx", ""}};
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
        const char *now = ask(refused[i].packet);
        if (now == NULL || strcmp(now, refused[i].answer) != 0)
            fail_msg("%s: %s", refused[i].packet, now != NULL ? now : "no answer");
    }
    assert_true(stopped(1));
    assert_null(ask("vCont;c"));
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
        const char *now = ask(refused[i].packet);
        if (now == NULL || strcmp(now, "E23") != 0)
            fail_msg("%s while guests run: %s", refused[i].packet, now != NULL ? now : "no answer");
    }
    assert_true(running(1));
}

static void a_vm_that_starts_again_while_held_stays_held(void **state)
{
    (void)state;
    assert_ok("Z0,1100,1");
    assert_null(ask("vCont;c:p1.1"));
    gdbstub_input(&stub, 0x03);
    fake[1].vcpu[1].held = false; // as it is when a VM starts
    fake_restart(1);
    gdbstub_poll(&stub);
    assert_true(stopped(1));
    assert_has(ask_and_run("vCont;c"), "swbreak:;");
}

static void detach_lets_go_and_attach_stops_again(void **state)
{
    (void)state;
    assert_ok("Z0,1100,1");
    assert_ok("Z1,1200,1");
    assert_null(ask("vCont;c"));
    gdbstub_input(&stub, 0x03);
    assert_int_equal(fake[1].ram[0x1100], 0xcc);
    assert_int_not_equal(fake[1].vcpu[1].dr7, 0);
    assert_ok("D;1");
    assert_true(running(1));
    assert_int_equal(fake[1].ram[0x1100], 0x90);
    assert_int_equal(fake[1].vcpu[0].dr7, 0);
    assert_int_equal(fake[1].vcpu[1].dr7, 0);
    assert_false(fake[1].vcpu[0].catch_breakpoints);
    assert_false(fake[1].watched[1]);
    assert_answer("g", "E03");
    assert_answer("D;1", "E03");
    fake_run(1000, 0);
    assert_true(running(1));
    assert_has(ask("vAttach;1"), "T05thread:p1.1;");
    assert_true(stopped(1));
    assert_ok("D");
    assert_true(running(1) && running(2));
    assert_has(ask("?"), "T05thread:p1.1;");
}

static void kill_ends_the_vm(void **state)
{
    (void)state;
    ask("vAttach;2");
    assert_ok("vKill;1");
    assert_true(fake[1].killed);
    assert_false(fake[2].killed);
    assert_answer("qfThreadInfo", "mp2.1,p2.2");
    assert_answer("vKill;1", "E03");
    assert_answer("vAttach;1", "E03");
    assert_ok("Hgp2.1");
    assert_null(ask("k"));
    assert_true(fake[2].killed);
    assert_answer("?", "W00");
    assert_answer("qfThreadInfo", "l");
    connect_gdb();
    assert_answer("?", "W00");
}

static void the_end_of_a_vm_is_told(void **state)
{
    (void)state;
    ask("vAttach;2");
    fake[2].ram[0x1005] = 0xe6;
    fake[2].vcpu[0].regs.gpr[RAX] = 0x2a;
    assert_string_equal(ask_and_run("vCont;c"), "W2a;process:2");
    assert_answer("qfThreadInfo", "mp1.1,p1.2");
    assert_true(stopped(1));
    assert_ok("Hgp1.1");
    assert_has(ask_and_run("vCont;s:p1.1"), "T05thread:p1.1;");
    // Of a VM that is not attached there is nothing to tell.
    fake[1].exists = false;
    debug_hooks->event(&fake[2].vcpu[0], DEBUG_ENDED, 0);
    debug_hooks->event(&fake[1].vcpu[0], DEBUG_ENDED, 0);
    // It ended while it was held: told when gdb wants to go on.
    assert_has(ask("vCont;c"), "O6f6e6520656e6465643a206b696c6c6564"); // "one ended: killed"
    assert_string_equal(told(answer), "X09;process:1");
    assert_answer("vCont;c", "E03");
}

static void two_vms_that_end_at_once_are_told_one_by_one(void **state)
{
    (void)state;
    ask("vAttach;2");
    assert_null(ask("vCont;c:p2.-1"));
    for (unsigned pid = 1; pid <= 2; pid++) {
        fake[pid].exists = false;
        debug_hooks->event(&fake[pid].vcpu[0], DEBUG_ENDED, 0);
    }
    gdbstub_poll(&stub);
    assert_true(next_packet());
    assert_string_equal(told(answer), "X09;process:1");
    assert_answer("g", "E03");
    assert_answer("qfThreadInfo", "l");
    assert_answer("Hgp2.1", "E03");
    assert_answer("?", "X09;process:2");
    assert_answer("?", "W00");
}

static void a_vm_that_starts_again_keeps_its_breakpoints(void **state)
{
    (void)state;
    loop_at(1, 0x1000);
    assert_ok("Z0,1100,1");
    assert_null(ask("vCont;c"));
    fake_run(10, 0);
    fake_restart(1);
    assert_has(wait_stop(1000), "swbreak:;");
    assert_int_equal(fake[1].vcpu[0].regs.rip, 0x1100);
    assert_ok("z0,1100,1");
    assert_null(ask("vCont;c"));
    assert_int_equal(fake[1].ram[0x1100], 0x90);
}

static void two_stops_are_told_one_by_one(void **state)
{
    (void)state;
    assert_ok("Z0,1004,1");
    // Both vCPUs come to it before the stub looks.
    assert_null(ask("vCont;c"));
    fake_run(20, 8);
    assert_true(next_packet());
    assert_has(answer, "T05thread:p1.1;swbreak:;");
    // gdb steps the one over it, alone, then goes on.
    assert_ok("z0,1004,1");
    assert_null(strstr(ask_and_run("vCont;s:p1.1"), "swbreak"));
    assert_int_equal(fake[1].vcpu[1].regs.rip, 0x1004);
    assert_ok("Z0,1004,1");
    assert_has(ask("vCont;c"), "T05thread:p1.2;swbreak:;");
    assert_int_equal(fake[1].vcpu[0].regs.rip, 0x1005);
    // Told once only.
    assert_null(ask("vCont;c"));
    gdbstub_input(&stub, 0x03);
}

static void a_stop_whose_breakpoint_has_gone_is_dropped(void **state)
{
    (void)state;
    assert_ok("Z0,1004,1");
    assert_null(ask("vCont;c"));
    fake_run(20, 8);
    assert_true(next_packet());
    assert_ok("z0,1004,1");
    assert_null(ask("vCont;c"));
    fake_run(5, 0);
    assert_false(next_packet());
    assert_int_equal(fake[1].vcpu[0].guest_traps + fake[1].vcpu[1].guest_traps, 0);
}

static void a_stop_of_a_vcpu_that_gdb_has_moved_is_dropped(void **state)
{
    (void)state;
    assert_ok("Z0,1004,1");
    assert_null(ask("vCont;c"));
    fake_run(20, 8);
    assert_true(next_packet());
    assert_ok("Hgp1.2");
    assert_ok("P10=0020000000000000");
    assert_null(ask("vCont;c"));
    gdbstub_input(&stub, 0x03);
}

static void a_new_client_takes_over_from_a_dead_one(void **state)
{
    (void)state;
    ask("vAttach;2");
    assert_ok("QStartNoAckMode");
    assert_ok("Z0,1100,1");
    assert_ok("Z2,8000,8");
    assert_ok("Hgp1.1");
    assert_ok("Z0,1200,1");
    assert_null(ask("vCont;c"));
    fake_run(3, 0);
    // It dies in mid-packet.
    for (const char *s = "$vCont;s:p1"; *s != '\0'; s++)
        gdbstub_input(&stub, (u8)*s);
    fake_sent_len = client_at = 0;
    gdbstub_input(&stub, '+');
    connect_gdb();
    assert_int_equal(fake_sent[0], '+');
    assert_true(stopped(1));
    assert_true(running(2));
    assert_int_equal(fake[2].ram[0x1100], 0x90);
    assert_int_equal(fake[1].ram[0x1200], 0x90);
    assert_int_equal(fake[2].vcpu[0].dr7, 0);
    assert_has(ask("?"), "T05thread:p1.1;");
    assert_answer("qfThreadInfo", "mp1.1,p1.2");
    unsigned let_go = fake[1].vcpu[0].let_go;
    for (unsigned i = 0; i < 50; i++)
        connect_gdb();
    assert_int_equal(fake[1].vcpu[0].let_go, let_go);
}

static void a_dead_line_lets_everything_run(void **state)
{
    (void)state;
    ask("vAttach;2");
    assert_ok("Z0,1100,1");
    assert_null(ask("vCont;s:p2.1"));
    assert_null(ask("vHangUp"));
    assert_true(running(1) && running(2));
    assert_int_equal(fake[2].ram[0x1100], 0x90);
    gdbstub_input(&stub, 0x03);
    assert_true(running(1) && running(2));
    connect_gdb();
    assert_true(stopped(1));
    assert_null(ask("vHangUp"));
    assert_true(running(1));
}

static void garbage_on_the_line_does_no_harm(void **state)
{
    (void)state;
    srand(7);
    for (unsigned i = 0; i < 200000; i++) {
        int byte = rand() % 256;
        if (byte != '#')
            gdbstub_input(&stub, (u8)byte);
    }
    connect_gdb();
    assert_has(ask("?"), "T05");
    assert_null(ask("vCont;c"));
    for (unsigned i = 0; i < 1000; i++) {
        int byte = rand() % 256;
        if (byte != '#' && byte != 3)
            gdbstub_input(&stub, (u8)byte);
    }
    assert_true(running(1));
    gdbstub_input(&stub, 0x03);
    assert_true(next_packet());
    assert_has(answer, "T02");
}

static void monitor(const char *command, char *text)
{
    char packet[512] = "qRcmd,";
    size_t at = 0;

    for (size_t i = 0; command[i] != '\0'; i++)
        snprintf(packet + 6 + 2 * i, 3, "%02x", command[i]);
    text[0] = '\0';
    ask(packet);
    do {
        const char *s = answer[0] == 'O' && answer[1] != 'K' ? answer + 1 : answer;
        if (strcmp(s, "OK") == 0)
            break;
        size_t n = strlen(s) / 2;
        assert_true(hex_bytes(&s, text + at, n));
        at += n;
        text[at] = '\0';
    } while (next_packet());
}

// What ci/gdb asks without a session: nothing is attached then, nor afterwards.
static void the_next_client_gets_the_vm_that_was_asked_for(void **state)
{
    (void)state;
    static char text[4096];
    gdbstub_line_dead(&stub);
    monitor("vms", text);
    assert_string_equal(text, "2 VMs\n");
    monitor("connect <two> 32", text);
    assert_string_equal(text, "the next gdb that connects gets <two>\n");
    assert_true(running(1));
    assert_true(running(2));
    gdbstub_line_dead(&stub);
    connect_gdb();
    assert_has(ask("?"), "T05thread:p2.1;");
    assert_true(running(1));
    assert_has(ask("qXfer:features:read:target.xml:0,100"), "<architecture>i386</architecture>");
    monitor("connect <two> 64", text);
    connect_gdb();
    assert_has(ask("qXfer:features:read:target.xml:0,100"), "i386:x86-64");
    assert_has(ask("?"), "T05thread:p2.1;");
    connect_gdb(); // once
    assert_has(ask("?"), "T05thread:p1.1;");
    assert_true(running(2));
    monitor("connect <two>", text);
    fake[2].exists = false;
    connect_gdb();
    assert_has(ask("?"), "T05thread:p1.1;");
    monitor("connect", text);
    assert_string_equal(text, "usage: connect VM [32|64|auto]\n");
    monitor("connect one 33", text);
    assert_string_equal(text, "usage: connect VM [32|64|auto]\n");
    monitor("connect <two", text);
    assert_string_equal(text, "no VM <two runs\n");
    monitor("connect <two>", text);
    assert_string_equal(text, "no VM <two> runs\n");
}

static void monitor_commands_answer(void **state)
{
    (void)state;
    static char text[65536];
    monitor("help", text);
    assert_has(text, "rdmsr MSR");
    assert_has(text, "\nbreakpoints");
    monitor("vms", text);
    assert_string_equal(text, "2 VMs\n");
    monitor("nonsense 1", text);
    assert_has(text, "unknown command \"nonsense\"; `monitor help`");
    monitor("ept 1000", text); // not for users
    assert_has(text, "unknown command \"ept\"");
    monitor("rdmsr   10 ", text);
    assert_string_equal(text, "77\n");
    monitor("log", text);
    assert_true(strlen(text) > 10000);
    assert_has(text, "line 599 of a long log");
    monitor("breakpoints", text);
    assert_string_equal(text, "none\n");
    assert_ok("Z0,1000,1");
    assert_ok("Z0,ffffffff81000000,1");
    assert_ok("Z2,8000,4");
    assert_null(ask("vCont;c"));
    gdbstub_input(&stub, 0x03);
    monitor("breakpoints", text);
    assert_has(text, "0000000000001000 int3 at physical 1000, 0 hits");
    assert_has(text, "ffffffff81000000 waits for its page, by debug register");
    assert_has(text, "0000000000008000 debug register, write, 4 bytes");
    monitor("translate 1234", text);
    assert_string_equal(text, "paging is off: 1234 is guest-physical 1234\nept of p1.0: 1234\n");
    fake_long_mode(1, true);
    monitor("translate 0xffffffff80001234", text);
    assert_has(text, "PML4E at 4ff8: 0000000000005003\n");
    assert_has(text, "is guest-physical 1234, page of 2048 KiB, writable, executable, supervisor");
    assert_has(text, "ept of p1.0: 1234");
    fake[1].vcpu[0].regs.rip = 0xffffffff80001234;
    fake[1].vcpu[0].regs.gpr[R12] = 0x1000;
    monitor("translate $rip", text);
    assert_has(text, "ffffffff80001234 is guest-physical 1234, page");
    monitor("translate $pc", text);
    assert_has(text, "ffffffff80001234 is guest-physical 1234, page");
    monitor("phys $r12 1", text);
    assert_string_equal(text, "000000001000: 90\n");
    monitor("translate $rip2", text);
    assert_string_equal(text, "no register $rip2\n");
    monitor("translate $", text);
    assert_string_equal(text, "no register $\n");
    monitor("translate ffff800000000000", text);
    assert_has(text, "not mapped");
    monitor("phys 1000 10", text);
    assert_string_equal(text, "000000001000: 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90\n");
    monitor("phys 200000", text);
    assert_has(text, "no memory");
    assert_answer("qRcmd,6", "E01");
    assert_answer("qRcmd,6x", "E01");
}

static void wrong_arguments_get_the_usage(void **state)
{
    (void)state;
    char text[65536], first[64];
    static const char *const wrong[] = {
        "help me",     "vms 1",           "vcpus x",     "cores 0",   "vmcs guest rip",
        "rdmsr",       "rdmsr 10 10",     "rdmsr zz",    "wrmsr 10",  "wrmsr 10 1 1",
        "translate",   "translate 10 10", "translate x", "phys",      "phys 10 10 10",
        "phys 10 zz",  "breakpoints 1",   "pending now", "exits all", "move",
        "move a 1 2",  "nmi 3",           "bitmaps 1",   "log 1 2",   "layout 31",
        "layout 64 32"};
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        monitor(wrong[i], text);
        snprintf(first, sizeof(first), "usage: %.*s", (int)strcspn(wrong[i], " "), wrong[i]);
        if (strncmp(text, first, strlen(first)) != 0 ||
            strchr(text, '\n') != text + strlen(text) - 1)
            fail_msg("%s: %s", wrong[i], text);
    }
    monitor("vms 1", text);
    assert_string_equal(text, "usage: vms\n");
    monitor("phys", text);
    assert_string_equal(text, "usage: phys ADDRESS [BYTES]\n");
}

// As the CPU: a page of 1 GiB where it has none, and bits above its physical addresses, are
// reserved.
static void memory_is_seen_as_by_the_cpu(void **state)
{
    (void)state;
    fake_long_mode(1, true);
    u64 *pml4 = (u64 *)(void *)(fake[1].ram + 0x4000),
        *pdpt = (u64 *)(void *)(fake[1].ram + 0x8000);
    pml4[1] = 0x8003;
    pdpt[0] = 0x83;
    pdpt[1] = BIT(40) | 0x83;
    assert_answer("m8000001000,2", "9090");
    assert_answer("m8040001000,2", "E0e");
    fake[1].no_1gb_pages = true;
    assert_answer("m8000001000,2", "E0e");
}

// Two lines, each in the middle of something.
static void sessions_share_nothing(void **state)
{
    (void)state;
    static struct session other;
    gdbstub_init(&other);
    two_vms(state); // the hooks know this one
    connect_gdb();
    assert_ok("Hgp1.2");
    client_at = fake_sent_len = 0;
    gdbstub_input(&stub, '$');
    gdbstub_input(&stub, 'q');
    for (const char *s = "$qC#b4"; *s != '\0'; s++)
        gdbstub_input(&other, (u8)*s);
    assert_true(next_packet());
    assert_string_equal(answer, "E03");
    for (const char *s = "C#b4"; *s != '\0'; s++)
        gdbstub_input(&stub, (u8)*s);
    assert_true(next_packet());
    assert_string_equal(answer, "QCp1.2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(connecting_stops_the_first_vm_alone, two_vms),
        cmocka_unit_test_setup(stop_replies_carry_rbp_rsp_rip, connected),
        cmocka_unit_test_setup(error_texts_go_to_those_who_take_them, connected),
        cmocka_unit_test_setup(threads_are_those_of_attached_vms, connected),
        cmocka_unit_test_setup(threads_are_described, connected),
        cmocka_unit_test_setup(a_break_in_stops_what_continues, connected),
        cmocka_unit_test_setup(only_what_gdb_names_runs, connected),
        cmocka_unit_test_setup(a_step_is_one_instruction, connected),
        cmocka_unit_test_setup(a_range_is_stepped_at_the_target, connected),
        cmocka_unit_test_setup(bad_resumptions_run_nothing, connected),
        cmocka_unit_test_setup(while_guests_run_other_packets_are_refused, connected),
        cmocka_unit_test_setup(packets_are_refused_by_their_rows, connected),
        cmocka_unit_test_setup(detach_lets_go_and_attach_stops_again, connected),
        cmocka_unit_test_setup(kill_ends_the_vm, connected),
        cmocka_unit_test_setup(the_end_of_a_vm_is_told, connected),
        cmocka_unit_test_setup(two_vms_that_end_at_once_are_told_one_by_one, connected),
        cmocka_unit_test_setup(a_vm_that_starts_again_keeps_its_breakpoints, connected),
        cmocka_unit_test_setup(a_vm_that_starts_again_while_held_stays_held, connected),
        cmocka_unit_test_setup(two_stops_are_told_one_by_one, connected),
        cmocka_unit_test_setup(a_stop_whose_breakpoint_has_gone_is_dropped, connected),
        cmocka_unit_test_setup(a_stop_of_a_vcpu_that_gdb_has_moved_is_dropped, connected),
        cmocka_unit_test_setup(a_new_client_takes_over_from_a_dead_one, connected),
        cmocka_unit_test_setup(a_dead_line_lets_everything_run, connected),
        cmocka_unit_test_setup(garbage_on_the_line_does_no_harm, connected),
        cmocka_unit_test_setup(the_next_client_gets_the_vm_that_was_asked_for, connected),
        cmocka_unit_test_setup(monitor_commands_answer, connected),
        cmocka_unit_test_setup(wrong_arguments_get_the_usage, connected),
        cmocka_unit_test_setup(a_break_in_while_stopped_waits, connected),
        cmocka_unit_test_setup(some_packets_have_no_reply, connected),
        cmocka_unit_test_setup(sessions_share_nothing, connected),
        cmocka_unit_test_setup(memory_is_seen_as_by_the_cpu, connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
