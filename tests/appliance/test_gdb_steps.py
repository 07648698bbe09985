# SPDX-License-Identifier: MIT
"""Stock gdb on the guest `steps`: what is hard to step over and to break on. The numbers in the
tests' words are those of GDB.md's list "First: what every attach needs"."""

import re

from appliance import HASWELL, vm
from debugger import HELLO_LIFE, STEPS_LIFE, Scenario

STEPS = Scenario("steps", vm("steps", cmdline="period=20") + vm("hello", cmdline="period=50"),
                 life={"steps": STEPS_LIFE, "hello": HELLO_LIFE})
LATE = 0x8000000000  # where steps' page is that comes and goes


def instructions(gdb, function):
    """The addresses of a function's instructions."""
    out = gdb(f"disassemble {function}")
    return [int(address, 16) for address in re.findall(r"^(?:=> |   )0x(\w+) <", out, re.M)]


def stopped_at(gdb, function):
    """Runs until the function's first instruction."""
    gdb(f"tbreak *{function}")
    out = gdb("continue")
    assert "Temporary breakpoint" in out, out
    assert gdb.value("$pc") == gdb.value(f"(long) &{function}"), out


@STEPS.check
def test_step_over_what_the_hypervisor_carries_out(bench):
    """D6, H8: CPUID, IN, OUT and RDMSR are one step each, and do what they do."""
    gdb = bench.attach("steps.elf")
    stopped_at(gdb, "go_through_emulated")
    places = instructions(gdb, "go_through_emulated")
    for name in ("at_in", "at_out", "at_rdmsr"):  # labels, which gdb takes for functions
        places += instructions(gdb, name)
    before = gdb.value("$rbx")
    seen = gdb.walk(3)
    assert seen[-1] == gdb.value("(long) &at_cpuid")
    gdb("stepi")
    assert gdb.value("$ebx") != before & 0xffffffff and gdb.value("$eax") >= 0xb
    assert gdb.value("$pc") == gdb.value("(long) &at_cpuid + 2")
    gdb.walk(2)  # MOV, IN
    assert gdb.value("$pc") == gdb.value("(long) &at_in + 1")
    assert gdb.value("$al") & 0x60 == 0x60  # the line status register: nothing to be sent
    gdb.walk(2)  # MOV, OUT
    assert gdb.value("$pc") == gdb.value("(long) &at_out + 1")
    gdb.walk(2)  # MOV, RDMSR
    assert gdb.value("$pc") == gdb.value("(long) &at_rdmsr + 2")
    assert gdb.value("$eax") & 0xfffff900 == 0xfee00900  # IA32_APIC_BASE: on, boot processor
    gdb.walk(2)
    assert "main" in gdb("info symbol $pc") and gdb.value("$rbx") == before
    bench.detach(gdb)


@STEPS.check
def test_step_over_what_holds_interrupts(bench):
    """D5, D6, H8: MOV SS, STI with an interrupt pending, INT and its IRET, each round of a REP. The trap flag
    is not seen by the guest."""
    gdb = bench.attach("steps.elf")
    stopped_at(gdb, "go_through_plain")
    at = {name: gdb.value(f"(long) &{name}") for name in (
        "at_mov_ss", "at_pushf", "at_sti", "at_cli", "at_int", "gate", "at_iret", "after_int",
        "at_rep", "after_rep")}
    assert "ec" in re.search(r"requested \(IRR\):(.*)", gdb("monitor pending"))[1]
    assert gdb.walk(3) == [at["at_mov_ss"], at["at_mov_ss"] + 2, at["at_pushf"]]
    assert gdb.walk(2) == [at["at_pushf"] + 1, at["at_sti"]]
    assert gdb.value("$rax") & 0x100 == 0
    assert gdb.walk(3) == [at["at_sti"] + 1, at["at_cli"], at["at_int"]]
    assert gdb.walk(3) == [at["gate"], at["at_iret"], at["after_int"]]
    assert gdb.walk(3)[-1] == at["at_rep"]
    assert gdb.walk(4) == [at["at_rep"]] * 3 + [at["after_rep"]]
    assert gdb.value("$ecx") == 0
    bench.detach(gdb)


@STEPS.check
def test_flags_written_behind_sti(bench):
    """D5, H5, H8: blocking by STI goes with IF, which no entry would take without it; what blocks stays
    else, and a trap flag that is set there traps."""
    gdb = bench.attach("steps.elf")

    def behind_sti():
        stopped_at(gdb, "at_sti")
        gdb("set $eflags &= ~0x200")  # the STI turns them on
        gdb("stepi")
        assert "GUEST_INTERRUPTIBILITY                 4824  1\n" in gdb("monitor vmcs interruptib")

    behind_sti()
    gdb("set $eflags &= ~0x200")
    assert "4824  0\n" in gdb("monitor vmcs interruptib")
    gdb.run_on()
    bench.goes_on()
    assert "SIGINT" in gdb.interrupt()
    behind_sti()
    gdb("set $eflags |= 0x100")
    assert "4824  1\n" in gdb("monitor vmcs interruptib") and "  4000\n" in gdb("monitor vmcs pending_d")
    gdb("set $eflags &= ~0x100")
    assert "  0\n" in gdb("monitor vmcs pending_d")
    bench.detach(gdb)


@STEPS.check
def test_step_over_hlt(bench):
    """D5, D6, H8: HLT is one step; the guest sleeps and wakes again afterwards."""
    gdb = bench.attach("steps.elf")
    out = gdb("disassemble sleep_until")
    hlt = int(re.search(r"0x(\w+) <\+\d+>:\thlt", out)[1], 16)
    gdb(f"break *{hlt}")
    for _ in range(3):
        gdb("continue")
        assert gdb.value("$pc") == hlt
        assert gdb.walk(3)[0] == hlt + 1
    gdb("delete")
    bench.detach(gdb)


@STEPS.check
def test_200_steps_with_an_interrupt_pending(bench):
    """D6, H8: through all of it, in a row."""
    gdb = bench.attach("steps.elf")
    stopped_at(gdb, "go_through_emulated")
    places = set(gdb.walk(200))
    assert gdb.value("(long) &after_rep") in places
    for place in places:
        out = gdb(f"info symbol {place}")
        # It may step into #BP, which the guest raises itself, but into no interrupt.
        assert not re.match("on_timer|timer_interrupt", out), out
    assert gdb.value("interrupts[0xec]") > 0
    bench.detach(gdb)


@STEPS.check
def test_breakpoint_on_a_page_that_is_overwritten(bench):
    """H7: hit each time, whichever code the guest has put there, and never seen in it."""
    gdb = bench.attach("steps.elf")
    gdb("break *&landing")
    codes = []
    for _ in range(4):
        out = gdb("continue")
        assert "Breakpoint 1, 0x" in out and gdb.value("$pc") == gdb.value("&landing"), out
        codes.append(gdb.value("landing[0]"))
        gdb("stepi")
    assert codes in ([0xb8, 0x90] * 2, [0x90, 0xb8] * 2), codes
    since = bench.now
    gdb("delete")
    bench.detach(gdb)
    bench.wait(STEPS_LIFE, since)


@STEPS.check
def test_breakpoints_on_two_pages_that_are_overwritten_at_once(bench):
    """H7: one instruction writes to both, and both stay."""
    gdb = bench.attach("steps.elf")
    first = gdb.value("(long) &across[1]") - 4
    for place in (first, first + 4):
        gdb(f"break *{place}")
    codes = []
    for place in [first, first + 4] * 4:
        out = gdb("continue")
        assert re.search(r"Breakpoint \d, 0x", out) and gdb.value("$pc") == place, out
        codes.append(gdb.value(f"*(long *) {first}") & (1 << 64) - 1)
    variants = [0x90c301b09090c031] * 2 + [0x90c302b09090c029] * 2
    assert codes in (variants * 2, (variants[2:] + variants[:2]) * 2), codes
    since = bench.now
    gdb("delete")
    bench.detach(gdb)
    bench.wait(STEPS_LIFE, since)


@STEPS.check
def test_breakpoint_before_its_page(bench):
    """H7: set where nothing is mapped; hit when the guest has mapped it, and again."""
    gdb = bench.attach("steps.elf")
    stopped_at(gdb, "go_through_emulated")
    assert "Cannot access memory" in gdb(f"x/i {LATE}")
    gdb(f"break *{LATE}")
    for _ in range(3):
        out = gdb("continue")
        assert gdb.value("$pc") == LATE, out
        assert "mov    $0x1,%eax" in gdb("x/i $pc")
        gdb("tbreak write_watched")
        out = gdb("continue")
        assert "write_watched (" in out, out
        assert "Cannot access memory" in gdb(f"x/i {LATE}")
        out = gdb("monitor breakpoints")
        assert f"{LATE:016x} " in out, out
    bench.detach(gdb)


@STEPS.check
def test_own_breakpoint(bench):
    """H7: a #BP of the guest's own goes to the guest."""
    gdb = bench.attach("steps.elf")
    gdb("break *&landing")  # so that #BP is ours to look at
    gdb("continue")
    before = gdb.value("own_breakpoints")
    gdb("continue")
    assert gdb.value("own_breakpoints") == before + 1
    bench.detach(gdb)


@STEPS.check
def test_own_debug_registers(bench):
    """H7: while gdb has the debug registers the guest goes on with its own values in them."""
    gdb = bench.attach("steps.elf")
    gdb("watch watched")
    gdb("break say")
    for _ in range(2):
        out = gdb("continue")
        assert "Hardware watchpoint 1: watched" in out and "write_watched (" in out, out
        out = gdb("continue")
        assert "Breakpoint 2, say (round=" in out, out
        assert gdb.value("round") == gdb.value("watched")
    gdb("delete")
    gdb("rwatch watched")
    out = gdb("continue")
    assert "Hardware read watchpoint 3: watched" in out and "read_watched (" in out, out
    bench.detach(gdb)


@STEPS.check
def test_watchpoint_on_what_the_hypervisor_writes(bench):
    """D9, H7: bytes that REP INSB writes: the stop is behind the iteration that does."""
    gdb = bench.attach("steps.elf")
    gdb("awatch ports_read[2]")
    for _ in range(2):
        out = gdb("continue")
        assert "Hardware access (read/write) watchpoint 1: ports_read[2]" in out, out
        assert gdb.value("$pc") == gdb.value("(long) &at_ins") and gdb.value("$rcx") == 1
    gdb("delete")
    gdb("awatch ports_read[3]")
    out = gdb("continue")
    assert "Hardware access (read/write) watchpoint 2: ports_read[3]" in out, out
    assert gdb.value("$pc") == gdb.value("(long) &at_ins + 2") and gdb.value("$rcx") == 0
    bench.detach(gdb)


@STEPS.check
def test_all_kinds_of_registers(bench):
    """H5: general, vector, control and segment registers, written by gdb, read by the guest."""
    gdb = bench.attach("steps.elf")
    gdb("break *say")
    gdb("continue")
    number = gdb.value("$rdi")
    gdb("set $rsi = 0xabcdef0123456789")
    gdb("set $rdx = 0x1717")
    gdb("set $xmm3.v2_int64[0] = 0x1122334455667788")
    gdb("set $cr2 = 0x123000")
    gdb("set $fs_base = 0x7654321000")
    assert gdb.value("$xmm3.v2_int64[0]") == 0x1122334455667788
    since = bench.now
    gdb("continue")
    bench.wait(f"steps: round {number}: abcdef0123456789 1717, xmm3 1122334455667788 cr2 123000 "
               "fs 7654321000", since)
    assert gdb.value("$fs_base") == 0x7654321000 and gdb.value("$cr2") == 0x123000
    gdb("set $xmm3.v2_int64[0] = 0")
    gdb("set $cr2 = 0")
    gdb("set $fs_base = 0")

    cr4 = gdb.value("$cr4")
    gdb("set $cr4 = $cr4 | 4")  # TSD
    assert gdb.value("$cr4") == cr4 | 4
    gdb(f"set $cr4 = {cr4}")
    gdb("set $ds = 0x18")
    assert gdb.value("$ds") == 0x18
    gdb("set $ds = 0x10")
    gdb("set $gs_base = 0x123456789a")
    assert gdb.value("$gs_base") == 0x123456789a
    assert gdb.value("$k_gs_base") == 0 and gdb.value("$efer") & 0x500 == 0x500
    # What no guest can have is refused, and changes nothing.
    out = gdb("set $cr4 = -1")
    assert "Could not write register" in out and "'E.cr4 = ffffffffffffffff: " in out, out
    assert gdb.value("$cr4") == cr4
    gdb("set $st0 = 1.5")
    assert gdb.text("$st0") == "1.5"
    bench.detach(gdb)


@STEPS.check
def test_ctrl_c_with_interrupts_off(bench):
    """H9: in a guest that spins deaf to all, and in one that sleeps so."""
    gdb = bench.attach("steps.elf")
    for order, place in (("spin", "spin_deaf"), ("halt", "halt_deaf")):
        gdb(f"set var orders.{order} = 1")
        gdb(f"tbreak {place}")
        gdb("continue")
        gdb.run_on()
        bench.goes_on("hello")
        out = gdb.interrupt()
        assert "SIGINT" in out and place in out, out
        assert gdb.value("$eflags") & 0x200 == 0
        if order == "halt":
            assert "halted" in gdb("info threads")
            gdb("set var orders.halt = 0")
            gdb("stepi")  # ends the sleep
            assert "stopped" in gdb("info threads")
        gdb(f"set var orders.{order} = 0")
        gdb("tbreak say")
        assert "Temporary breakpoint" in gdb("continue")
    bench.detach(gdb)


@STEPS.check
def test_vm_that_ends_by_itself(bench):
    """H4: its exit code is shown, and the connection stays for the other VM."""
    gdb = bench.attach("steps.elf")
    gdb("break say")
    gdb("watch watched")
    gdb("continue")
    gdb("set var orders.exit = 7")
    gdb("delete")
    del bench.life["steps"]
    since = bench.now
    out = gdb("continue")
    assert "[Inferior 1 (process 1) exited with code 07]" in out, out
    bench.wait("vm: steps ended: exit 7", since)
    assert "The program has no registers now" in gdb("info registers")
    gdb("file " + str(bench.symbols("hello.elf")))
    gdb("attach 2")
    assert "hello/0" in gdb("info threads")
    gdb("break tick")
    assert "tick (" in gdb("continue")
    bench.detach(gdb)


@STEPS.check
def test_kill(bench):
    """H2: the VM ends `killed`."""
    gdb = bench.gdb("hello.elf")
    gdb.connect()  # the first VM has ended: this is the second
    assert "Thread 2.1 (hello/0" in gdb("info threads")
    gdb("break tick")
    gdb("continue")
    since = bench.now
    bench.life.clear()
    assert "[Inferior 1 (process 2) killed]" in gdb("kill")
    bench.wait("vm: hello ended: killed", since)
    gdb.quit()


@STEPS.check_console
def test_nothing_was_noticed(record):
    """H7: `steps` itself found its #BP, its code and its debug registers as it left them."""
    record.check_sound()
    assert not record.verdicts("steps", "FAIL"), record
    assert record.ended("steps") == "exit 7" and record.ended("hello") == "killed", record


# ---- a page that several vCPUs write ---------------------------------------------------------------

HAMMER = Scenario("hammer", vm("smp", cmdline="hammer=2000", vcpus=4, cores="0-3"), processors=4,
                  long=(HASWELL,), prepare=lambda bench: bench.wait("smp: 4 CPUs wait to write", 0))


@HAMMER.check
def test_four_vcpus_write_to_a_page_with_breakpoints(bench):
    """H7: each write takes a step with the page open. No breakpoint is lost by that: each CPU comes to
    the first one at the end."""
    gdb = bench.attach("smp.elf")
    gdb("set breakpoint always-inserted on")
    for offset in (0, 64, 128, 500):
        gdb(f"break *((char *) &hammered.code + {offset})")
    gdb("set var hammer_go = 1")
    seen = set()
    for _ in range(4):
        out = gdb("continue")
        seen.add(re.search(r"Thread (\d) hit Breakpoint 1, ", out)[1])
    assert seen == {"1", "2", "3", "4"}
    assert gdb("monitor breakpoints").count(" int3 at physical ") == 3  # and the one taken out to step
    gdb("delete")
    since = bench.now
    bench.detach(gdb)
    bench.wait("vm: smp ended: exit 0", since)


@HAMMER.check_console
def test_no_write_was_lost(record):
    """E2: the guest finds all that each CPU has written."""
    record.check_sound()
    assert len(record.verdicts("smp")) == 4 and not record.verdicts("smp", "FAIL"), record
