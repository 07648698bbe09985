// SPDX-License-Identifier: MIT
// A vCPU that was caught at something it is not to do unseen: what gdb is told, and when.
#include "gdb_client.h"

// Both vCPUs run nops from 0x1000 on, and an IN at 0x1004.
static int catching(void **state)
{
    connected(state);
    FAKE_CODE(1, 0x1004, "in al, 0x60");
    fake[1].catch_in = true;
    return 0;
}

// The packet is console output; its text.
static const char *console(const char *packet)
{
    static char text[256];

    assert_non_null(packet);
    size_t n = strlen(packet) / 2;
    assert_true(packet[0] == 'O' && n < sizeof(text));
    packet++;
    assert_true(hex_bytes(&packet, text, n));
    text[n] = '\0';
    return text;
}

#define assert_caught(packet, vcpu) \
    assert_string_equal(console(packet), "one/" vcpu " caught io:0x60:r: IN 0x60, 1 byte\n")

// The answer that follows what has been read.
static const char *next(void)
{
    assert_true(next_packet());
    return answer;
}

static void park(unsigned vcpu)
{
    FAKE_CODE(1, 0x3000, "jmp .");
    fake[1].vcpu[vcpu].regs.rip = 0x3000;
}

static void the_text_comes_before_the_stop(void **state)
{
    (void)state;
    const struct vcpu *v = &fake[1].vcpu[0];
    park(1);
    assert_caught(ask_and_run("vCont;c"), "0");
    assert_has(next(), "T05thread:p1.1;");
    assert_null(strstr(answer, "break"));
    assert_null(strstr(answer, "watch"));
    assert_false(next_packet());
    assert_int_equal(v->regs.rip, 0x1004);
    assert_int_equal(v->reads, 0);
    assert_true(v->held && fake[1].vcpu[1].held && fake[1].frozen);
    // It goes on, and is carried out once.
    assert_null(ask("vCont;c"));
    assert_null(wait_stop(10));
    assert_int_equal(v->hits, 1);
    assert_int_equal(v->reads, 1);
}

static void a_step_from_there_carries_it_out(void **state)
{
    (void)state;
    park(1);
    assert_caught(ask_and_run("vCont;c"), "0");
    assert_has(next(), "T05thread:p1.1;");
    assert_has(ask_and_run("vCont;s:p1.1;c:p1.-1"), "T05thread:p1.1;");
    assert_int_equal(fake[1].vcpu[0].regs.rip, 0x1006);
    assert_int_equal(fake[1].vcpu[0].hits, 1);
    assert_int_equal(fake[1].vcpu[0].reads, 1);
}

// A SIGTRAP there would be the step's end to gdb.
static void a_step_or_a_range_ends_there_with_another_signal(void **state)
{
    (void)state;
    park(1);
    assert_caught(ask_and_run("vCont;r1000,1010:p1.1;c:p1.-1"), "0");
    assert_has(next(), "T02thread:p1.1;");
    assert_int_equal(fake[1].vcpu[0].regs.rip, 0x1004);
    assert_has(ask_and_run("vCont;r1000,1010:p1.1;c:p1.-1"), "T05thread:p1.1;");
    assert_int_equal(fake[1].vcpu[0].regs.rip, 0x1010);
    assert_int_equal(fake[1].vcpu[0].reads, 1);
    fake[1].vcpu[0].regs.rip = 0x1004;
    assert_caught(ask_and_run("vCont;s:p1.1;c:p1.-1"), "0");
    assert_has(next(), "T02thread:p1.1;");
    assert_int_equal(fake[1].vcpu[0].hits, 2);
}

static void a_step_meets_one_of_another_thread(void **state)
{
    (void)state;
    fake[1].vcpu[1].regs.rip = 0x1100;
    assert_caught(ask_and_run("vCont;r1100,1200:p1.2;c:p1.-1"), "0");
    assert_has(next(), "T05thread:p1.1;");
    assert_has(ask_and_run("vCont;r1100,1200:p1.2;c:p1.-1"), "T05thread:p1.2;");
    assert_int_equal(fake[1].vcpu[0].reads, 1);
}

static void two_are_told_one_by_one_each_with_its_text(void **state)
{
    (void)state;
    assert_null(ask("vCont;c"));
    fake_run(20, 8);
    assert_caught(next(), "0");
    assert_has(next(), "T05thread:p1.1;");
    assert_false(next_packet());
    // gdb steps the first one alone: the other's stop waits.
    assert_has(ask_and_run("vCont;s:p1.1"), "T05thread:p1.1;");
    assert_int_equal(fake[1].vcpu[0].reads, 1);
    assert_int_equal(fake[1].vcpu[1].reads, 0);
    assert_caught(ask("vCont;c"), "1");
    assert_has(next(), "T05thread:p1.2;");
    assert_null(ask("vCont;c"));
    assert_null(wait_stop(10));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fake[1].vcpu[i].hits, 1);
        assert_int_equal(fake[1].vcpu[i].reads, 1);
    }
}

static void one_that_waits_is_dropped_with_its_item(void **state)
{
    (void)state;
    assert_null(ask("vCont;c"));
    fake_run(20, 8);
    assert_caught(next(), "0");
    assert_has(next(), "T05thread:p1.1;");
    fake[1].catch_in = false;
    assert_null(ask("vCont;c"));
    assert_null(wait_stop(10));
    assert_int_equal(fake[1].vcpu[1].reads, 1);
}

static void one_that_gdb_has_moved_is_dropped(void **state)
{
    (void)state;
    assert_null(ask("vCont;c"));
    fake_run(20, 8);
    assert_caught(next(), "0");
    next();
    assert_ok("Hgp1.2");
    assert_ok("P10=0020000000000000");
    assert_null(ask("vCont;c"));
    assert_null(wait_stop(10));
    assert_int_equal(fake[1].vcpu[1].reads, 0);
}

static void a_breakpoint_there_comes_first(void **state)
{
    (void)state;
    park(1);
    assert_ok("Z0,1004,1");
    assert_has(ask_and_run("vCont;c"), "T05thread:p1.1;swbreak:;");
    assert_int_equal(fake[1].vcpu[0].hits, 0);
    // Either way to leave it: the stub's, and gdb's.
    assert_caught(ask_and_run("vCont;c"), "0");
    assert_has(next(), "T05thread:p1.1;");
    assert_null(strstr(answer, "swbreak"));
    assert_null(ask("vCont;c"));
    assert_null(wait_stop(10));
    assert_int_equal(fake[1].ram[0x1004], 0xcc);
    assert_int_equal(fake[1].vcpu[0].reads, 1);
    gdbstub_input(&stub, 0x03);
    fake[1].vcpu[0].regs.rip = 0x1004;
    assert_has(ask_and_run("vCont;c"), "swbreak:;");
    assert_ok("z0,1004,1");
    assert_caught(ask_and_run("vCont;s:p1.1"), "0");
    assert_has(next(), "T02thread:p1.1;");
    assert_has(ask_and_run("vCont;s:p1.1"), "T05thread:p1.1;");
    assert_int_equal(fake[1].vcpu[0].hits, 2);
    assert_int_equal(fake[1].vcpu[0].reads, 2);
}

static void a_break_in_at_the_same_time_comes_after(void **state)
{
    (void)state;
    for (unsigned packet = 0; packet < 2; packet++) {
        fake[1].vcpu[0].regs.rip = fake[1].vcpu[1].regs.rip = 0x1000;
        assert_null(ask("vCont;c"));
        fake_run(6, 100);
        if (packet == 0)
            gdbstub_input(&stub, 0x03);
        else
            ask("vCont;t:p1.-1");
        client_at = 0;
        assert_caught(next(), "0");
        assert_has(next(), "T05thread:p1.1;");
        assert_caught(ask("vCont;c"), "1");
        assert_has(next(), "T05thread:p1.2;");
        assert_null(ask("vCont;c"));
        fake_run(6, 0);
        gdbstub_input(&stub, 0x03);
        assert_has(next(), "T02thread:p1.2;");
    }
}

// gdb takes no console output with the answer to `?`.
static void a_question_has_one_answer(void **state)
{
    (void)state;
    park(1);
    assert_null(ask("vCont;c"));
    fake_run(6, 100);
    assert_has(ask("?"), "T05thread:p1.1;");
    assert_false(next_packet());
}

static void detach_lets_it_go_on(void **state)
{
    (void)state;
    assert_null(ask("vCont;c"));
    fake_run(6, 100);
    assert_int_equal(fake[1].vcpu[1].hits, 1);
    assert_null(ask("vHangUp")); // before the stub has looked
    fake_run(10, 0);
    assert_false(next_packet());
    assert_int_equal(fake[1].vcpu[0].reads + fake[1].vcpu[1].reads, 2);

    fake[1].vcpu[0].regs.rip = fake[1].vcpu[1].regs.rip = 0x1000;
    connect_gdb();
    assert_caught(ask_and_run("vCont;c"), "0");
    next();
    assert_ok("D;1");
    fake_run(10, 0);
    assert_false(next_packet());
    assert_int_equal(fake[1].vcpu[0].reads + fake[1].vcpu[1].reads, 4);
    assert_int_equal(fake[1].vcpu[0].hits + fake[1].vcpu[1].hits, 4);
}

static void a_vm_that_starts_again_has_nothing_to_tell(void **state)
{
    (void)state;
    assert_null(ask("vCont;c"));
    fake_run(6, 100);
    fake_restart(1);
    FAKE_CODE(1, 0x1000, "jmp .");
    gdbstub_poll(&stub);
    assert_null(wait_stop(10));
    assert_int_not_equal(fake[1].vcpu[1].executed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_text_comes_before_the_stop, catching),
        cmocka_unit_test_setup(a_step_from_there_carries_it_out, catching),
        cmocka_unit_test_setup(a_step_or_a_range_ends_there_with_another_signal, catching),
        cmocka_unit_test_setup(a_step_meets_one_of_another_thread, catching),
        cmocka_unit_test_setup(two_are_told_one_by_one_each_with_its_text, catching),
        cmocka_unit_test_setup(one_that_waits_is_dropped_with_its_item, catching),
        cmocka_unit_test_setup(one_that_gdb_has_moved_is_dropped, catching),
        cmocka_unit_test_setup(a_breakpoint_there_comes_first, catching),
        cmocka_unit_test_setup(a_break_in_at_the_same_time_comes_after, catching),
        cmocka_unit_test_setup(a_question_has_one_answer, catching),
        cmocka_unit_test_setup(detach_lets_it_go_on, catching),
        cmocka_unit_test_setup(a_vm_that_starts_again_has_nothing_to_tell, catching),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
