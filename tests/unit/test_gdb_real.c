// SPDX-License-Identifier: MIT
// Stock gdb, over a pseudo-terminal, on the fake target.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "gdb_client.h"

// Seconds of real time; only a hang takes as long.
#define HANG 3600

static int master = -1;
static char tty[64];
static size_t passed_on; // of fake_sent
static char said[1 << 18];

static bool has_gdb(void)
{
    return system("gdb --version >/dev/null 2>&1") == 0;
}

static int setup_line(void **state)
{
    int slave;
    struct termios raw;

    if (!has_gdb())
        return 0;
    two_vms(state);
    memset(&raw, 0, sizeof(raw));
    cfmakeraw(&raw);
    assert_int_equal(openpty(&master, &slave, tty, &raw, NULL), 0);
    fcntl(master, F_SETFL, O_NONBLOCK);
    passed_on = 0;
    // A loop of 16 nops, and in the second VM one that writes.
    for (unsigned i = 0; i < FAKE_VCPUS; i++)
        fake[2].vcpu[i].regs.rip = 0x2000;
    memset(fake[1].ram + 0x1000, 0x90, 16);
    FAKE_CODE(1, 0x1010, "jmp .-16");
    FAKE_CODE(2, 0x2000, "inc al; mov [rdi], al; jmp .-4");
    fake_long_mode(1, true);
    fake_long_mode(2, true);
    return 0;
}

static int close_line(void **state)
{
    (void)state;
    if (master >= 0)
        close(master);
    master = -1;
    return 0;
}

// One turn of the machine: the guests, the line.
static void turn(void)
{
    u8 buf[256];

    fake_run(23, 0); // not a multiple of the loops' lengths
    ssize_t n = read(master, buf, sizeof(buf));
    for (ssize_t i = 0; i < n; i++)
        gdbstub_input(&stub, buf[i]);
    if (passed_on > fake_sent_len)
        passed_on = 0;
    if (passed_on < fake_sent_len) {
        n = write(master, fake_sent + passed_on, fake_sent_len - passed_on);
        if (n > 0)
            passed_on += (size_t)n;
    }
    if (passed_on == fake_sent_len)
        passed_on = fake_sent_len = 0;
}

static pid_t start_gdb(const char *script, int *out)
{
    static char setup[] = "set pagination off\nset confirm off\nset remotetimeout 100000\n";
    char commands[] = "/tmp/vitrine-gdb-XXXXXX", connect[100];
    int pipes[2], file = mkstemp(commands);

    snprintf(connect, sizeof(connect), "target extended-remote %s\n", tty);
    assert_true(file >= 0 && pipe(pipes) == 0);
    assert_true(write(file, setup, strlen(setup)) > 0);
    assert_true(write(file, connect, strlen(connect)) > 0);
    assert_true(write(file, script, strlen(script)) > 0);
    close(file);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], 1);
        dup2(pipes[1], 2);
        close(pipes[0]);
        execlp("gdb", "gdb", "-nx", "-q", "-batch", "-x", commands, (char *)NULL);
        _exit(127);
    }
    close(pipes[1]);
    *out = pipes[0];
    fcntl(*out, F_SETFL, O_NONBLOCK);
    // gdb has opened it by the time it has said anything.
    struct pollfd p = {.fd = *out, .events = POLLIN};
    for (unsigned i = 0; i < HANG * 1000 && poll(&p, 1, 1) == 0; i++)
        turn();
    unlink(commands);
    return child;
}

// Whether a process waits for something (proc(5), stat).
static bool is_asleep(pid_t pid)
{
    char path[40], stat[100] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return false;
    size_t n = fread(stat, 1, sizeof(stat) - 1, f);
    fclose(f);
    stat[n] = '\0';
    const char *state = strrchr(stat, ')');
    return state != NULL && strncmp(state, ") S", 3) == 0;
}

// Runs a gdb script to its end; what gdb said is in `said`. After the guest has run for `interrupt`
// turns in a row while gdb waited for it, unless that is 0, Ctrl-C is pressed.
static void run_gdb_and_interrupt(const char *script, unsigned interrupt)
{
    size_t len = 0;
    unsigned turns = 0;
    int out, status = -1;
    time_t end = time(NULL) + HANG;
    pid_t child = start_gdb(script, &out);
    bool ended = false;

    said[0] = '\0';
    while (!ended) {
        struct pollfd p[2] = {{.fd = out, .events = POLLIN}, {.fd = master, .events = POLLIN}};
        turn();
        poll(p, 2, 1);
        bool goes = strstr(said, "now") != NULL && !fake[1].vcpu[0].held && is_asleep(child);
        turns = goes ? turns + 1 : 0;
        if (turns == interrupt && interrupt > 0) {
            kill(child, SIGINT);
            interrupt = 0;
        }
        if (time(NULL) > end)
            kill(child, SIGKILL);
        ended = waitpid(child, &status, WNOHANG) == child;
        ssize_t n;
        while ((n = read(out, said + len, sizeof(said) - 1 - len)) > 0)
            len += (size_t)n;
        said[len] = '\0';
    }
    close(out);
    if (getenv("SHOW_GDB") != NULL)
        printf("%s", said);
    assert_true(WIFEXITED(status));
}

static void run_gdb(const char *script)
{
    run_gdb_and_interrupt(script, 0);
}

// Asserts that gdb said these things in this order; NULL ends.
static void assert_said(const char *first, ...)
{
    va_list args;
    const char *at = said;

    va_start(args, first);
    for (const char *s = first; s != NULL; s = va_arg(args, const char *)) {
        const char *found = strstr(at, s);
        if (found == NULL)
            fail_msg("\"%s\" is not, or not there, in:\n%s", s, said);
        else
            at = found + strlen(s);
    }
    va_end(args);
}

static void gdb_looks_around(void **state)
{
    (void)state;
    if (master < 0)
        skip();
    run_gdb("info threads\n"
            "info registers rip rsp eflags cs fs_base\n"
            "p/x $efer\np/x $cr3\n"
            "set $rax = 0x1122334455667788\np/x $rax\np/x $eax\n"
            "set $xmm1.uint128 = 5\np $xmm1.v4_int32\n"
            "set $ymm2.v8_int32[7] = 9\np $ymm2.v8_int32\n"
            "p $st0\np/x $mxcsr\n"
            "info registers\n"
            "set $cr2 = 0x1234\np/x $cr2\n"
            "x/4xb 0xffffffff80001010\n"
            "set {char}0x1100 = 0x55\nx/2xb 0x1100\n"
            "maint packet Qqemu.PhyMemMode:1\nx/2xb 0x1010\nmaint packet Qqemu.PhyMemMode:0\n"
            "x/2i $pc\n"
            "monitor help\nmonitor vms\nmonitor log\n"
            "x/1xb 0x7000000000\n");
    assert_said("Thread 1.1 (one/0 on core 0, ring 0, 64-bit)", "Thread 1.2", NULL);
    assert_said("rip  ", "rsp  ", "0x9000", "eflags", "cs ", "fs_base", "= 0x500", "= 0x4000",
                "= 0x1122334455667788", "= 0x55667788", "= {5, 0, 0, 0}",
                "= {0, 0, 0, 0, 0, 0, 0, 9}", "= 0", "= 0x1f80", "gdtr_base", "dr7", "= 0x1234",
                "0xeb\t0xee", "0x55\t0x90", "0xeb\t0xee", "nop", "rdmsr MSR", "2 VMs",
                "line 599 of a long log", "Cannot access memory at address 0x7000000000", NULL);
    assert_false(fake[1].vcpu[0].held); // gdb has detached
}

static void gdb_stops_and_goes_on(void **state)
{
    (void)state;
    if (master < 0)
        skip();
    run_gdb("break *0x1008 thread 1\n"
            "continue\ninfo registers rip\ncontinue\ninfo registers rip\n"
            "delete\n"
            "stepi\nstepi\ninfo registers rip\n"
            "hbreak *0x1003\ncontinue\ninfo registers rip\n"
            "delete\n"
            "break *0xffffffff80001005\n"
            "set $pc = 0xffffffff80001000\ncontinue\ninfo registers rip\n"
            "detach\n"
            "attach 1\n"
            "info breakpoints\n");
    assert_said("Thread 1 hit Breakpoint 1, 0x0000000000001008", "0x1008",
                "Thread 1 hit Breakpoint 1, 0x0000000000001008", "0x1008", "0x100a",
                "Breakpoint 2, 0x0000000000001003", "0x1003", "Breakpoint 3, 0xffffffff80001005",
                "detached", "0xffffffff80001005", NULL);
    assert_int_equal(fake[1].vcpu[0].guest_traps + fake[1].vcpu[1].guest_traps, 0);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(fake[1].ram[0x1000 + i], 0x90);
}

static void ctrl_c_interrupts(void **state)
{
    (void)state;
    if (master < 0)
        skip();
    // It stops anywhere in the loop, whose last instruction is a jump.
    run_gdb_and_interrupt("break *0x1800\necho now\\n\ncontinue\nset $pc = 0x1000\nstepi\n"
                          "x/1i $pc\n",
                          50);
    assert_said("Thread 1 received signal SIGINT, Interrupt.", "nop", "detached", NULL);
    assert_false(fake[1].vcpu[0].held);
}

static void the_second_vm_is_an_inferior(void **state)
{
    (void)state;
    if (master < 0)
        skip();
    run_gdb("add-inferior\ninferior 2\nattach 2\n"
            "info threads\n"
            "watch *(char *)0x8000\ncontinue\ncontinue\ninfo registers rip\n"
            "delete\n"
            "p/x $cr3\n"
            "inferior 1\nstepi\ninfo registers rip\n"
            "set schedule-multiple on\n"
            "inferior 2\nbreak *0x2002\ninferior 1\ncontinue\n"
            "delete\n"
            "inferior 2\nkill\ninfo inferiors\n");
    assert_said("Thread 1.2", "Thread 2.1 (<two>/0", "Hardware watchpoint 1",
                "Hardware watchpoint 1", "Old value", "New value", "= 0x4000",
                "hit Breakpoint 2, 0x0000000000002002", NULL);
    assert_true(fake[2].killed);
    assert_false(fake[1].killed);
    assert_false(fake[1].vcpu[0].held);
}

static void the_end_is_seen(void **state)
{
    (void)state;
    if (master < 0)
        skip();
    fake[1].vcpu[0].regs.gpr[RAX] = 7;
    run_gdb("set {char}0x1010 = 0xe6\ncontinue\n");
    assert_said("[Inferior 1 (process 1) exited with code 07]", NULL);
}

static void a_32_bit_vm_is_an_i386(void **state)
{
    (void)state;
    if (master < 0)
        skip();
    fake[2].is_32bit = true;
    for (unsigned i = 0; i < FAKE_VCPUS; i++) {
        fake[2].vcpu[i].regs.efer = fake[2].vcpu[i].regs.cr4 = 0;
        fake[2].vcpu[i].regs.cr0 = 0x11;
        fake[2].vcpu[i].regs.seg[SEG_CS].access = 0xc09b;
    }
    run_gdb("add-inferior\ninferior 2\nattach 2\n"
            "show architecture\n"
            "p/x $eip\np/x $cs_base\np $xmm7.v4_int32\np $ymm7.v8_int32\n"
            "set $ebx = 0x12345678\np/x $ebx\n"
            "break *0x2002\ncontinue\n"
            "inferior 1\nshow architecture\np/x $r15\n");
    assert_said("(currently \"i386\")", "= 0x20", "= 0x0", "{0, 0, 0, 0}", "= 0x12345678",
                "hit Breakpoint 1, 0x00002002", "(currently \"i386:x86-64\")", "= 0x0", NULL);
}

static void another_gdb_follows_one_that_was_killed(void **state)
{
    (void)state;
    int out;
    if (master < 0)
        skip();
    for (unsigned round = 0; round < 2; round++) {
        pid_t child = start_gdb("break *0x1008\nx/2000xg 0x10000\ncontinue\ncontinue\n", &out);
        for (unsigned i = 0; i < 300 + 50 * round; i++)
            turn();
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(out);
    }
    run_gdb("info threads\nbreak *0x1004 thread 2\ncontinue\n");
    assert_said("Thread 1.1 (one/0", "Thread 2 hit Breakpoint 1, 0x0000000000001004", NULL);
    assert_int_equal(fake[1].ram[0x1004], 0x90);
    assert_int_equal(fake[1].ram[0x1008], 0x90);
}

static void what_was_caught_is_told_and_done_once(void **state)
{
    (void)state;
    if (master < 0)
        skip();
    FAKE_CODE(1, 0x1008, "in al, 0x60");
    fake[1].catch_in = true;
    run_gdb("thread 2\nset $pc = 0x1100\nset {short}0x1100 = -277\nthread 1\n"
            "set $pc = 0x1000\ncontinue\np $pc\nstepi\np $pc\n"
            "continue\ncontinue\n"
            "set $pc = 0x1007\nstepi\nstepi\np $pc\nstepi\np $pc\n"
            // gdb steps over its breakpoint before it goes on.
            "break *0x1008\ncontinue\ncontinue\np $pc\ncontinue\n");
    assert_said("one/0 caught io:0x60:r: IN 0x60, 1 byte\n", "Thread 1 received signal SIGTRAP",
                "= (void (*)()) 0x1008", "0x000000000000100a in", "0x100a", "one/0 caught io:0x60",
                "SIGTRAP", "one/0 caught io:0x60", "SIGTRAP", "0000001008 in", "one/0 caught",
                "SIGINT", "= (void (*)()) 0x1008", "000000100a in", "0x100a",
                "Thread 1 hit Breakpoint 1,", "one/0 caught", "SIGINT", "0x1008",
                "Thread 1 hit Breakpoint 1,", NULL);
    // Each was carried out once, but for the one that gdb went away from.
    assert_int_equal(fake[1].vcpu[0].reads, fake[1].vcpu[0].hits - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gdb_looks_around, setup_line, close_line),
        cmocka_unit_test_setup_teardown(gdb_stops_and_goes_on, setup_line, close_line),
        cmocka_unit_test_setup_teardown(what_was_caught_is_told_and_done_once, setup_line,
                                        close_line),
        cmocka_unit_test_setup_teardown(ctrl_c_interrupts, setup_line, close_line),
        cmocka_unit_test_setup_teardown(the_second_vm_is_an_inferior, setup_line, close_line),
        cmocka_unit_test_setup_teardown(the_end_is_seen, setup_line, close_line),
        cmocka_unit_test_setup_teardown(a_32_bit_vm_is_an_i386, setup_line, close_line),
        cmocka_unit_test_setup_teardown(another_gdb_follows_one_that_was_killed, setup_line,
                                        close_line),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
