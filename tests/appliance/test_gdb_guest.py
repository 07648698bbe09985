# SPDX-License-Identifier: MIT
"""Stock gdb on the guest `hello`. The numbers in the tests' words are those of GDB.md's list "First:
what every attach needs"."""

import re

from appliance import SKYLAKE, vm
from debugger import HELLO_LIFE, STEPS_LIFE, Scenario

HELLO = Scenario("hello", vm("hello", cmdline="period=20", cores="0") +
                 vm("steps", cmdline="period=50", cores="1", reset="stop") + vm("spin", cores="0-1"),
                 life={"hello": HELLO_LIFE, "steps": STEPS_LIFE})

HANDLER = "interrupt|common|on_timer"


@HELLO.check
def test_attach_while_it_runs(bench):
    """H1, H2, H3: connecting stops the first VM alone; its thread says what it is and where."""
    gdb = bench.gdb("hello.elf")
    out = gdb.connect()
    assert re.search(r"0x[0-9a-f]{16} in |at images/", out), out

    def look():
        threads = gdb("info threads")
        assert re.search(r"\* 1 +Thread 1\.1 \(hello/0 (stopped|halted) on core 0, ring 0, 64-bit\)",
                         threads), threads
        assert "Thread 1.2" not in threads
        inferiors = gdb("info inferiors")
        assert re.search(r"\* 1 +process 1 ", inferiors) and "process 2" not in inferiors, inferiors

    bench.stands("hello", look)
    bench.detach(gdb)


@HELLO.check
def test_breakpoint_by_symbol(bench):
    """H4, H7: hit, and hit again; the backtrace and the arguments are the guest's."""
    gdb = bench.attach("hello.elf")
    gdb("break tick")
    for _ in range(3):
        out = gdb("continue")
        assert re.search(r"Breakpoint 1, tick \(number=number@entry=\d+\) at images/", out), out
        assert re.search(r"#0 +tick .*\n#1 +0x\S+ in main \(\)", gdb("backtrace"))
    number = gdb.value("number")
    gdb("continue")
    assert gdb.value("number") == number + 1
    assert "breakpoint already hit 4 times" in gdb("info breakpoints")
    out = gdb("monitor breakpoints")
    assert re.search(r"^0000000000\w+ int3 at physical \w+, \d+ hits", out, re.M), out
    gdb("delete")
    gdb("stepi")  # what gdb has removed goes when the guest does
    assert gdb("monitor breakpoints") == "none\n"
    bench.detach(gdb)


@HELLO.check
def test_instructions(bench):
    """H6: x/20i $pc shows the guest's code, though a breakpoint lies there."""
    gdb = bench.attach("hello.elf")
    gdb("break *tick")
    gdb("continue")
    out = gdb("x/20i $pc")
    assert len(out.splitlines()) == 20 and re.search(r"=> 0x\w+ <tick>:\tpush +%rbp", out), out
    from_guest = gdb("x/20xb $pc")
    gdb("detach")
    assert gdb("x/20xb tick") == from_guest  # the ELF file's
    gdb.quit()


@HELLO.check
def test_finish_and_lines(bench):
    """H4: finish with its value, next, step, up, advance."""
    gdb = bench.attach("hello.elf")
    gdb("break count_to")
    gdb("continue")
    out = gdb("finish")
    assert re.search(r"Value returned is \$\d+ = 10\n", out) and " in tick (" in out, out
    gdb("continue")
    for _ in range(2):
        out = gdb("next")
    assert "add_one(c);" in out, out
    assert re.search(r"^add_one \(c=", gdb("step"))
    assert " in count_to (" in gdb("up")
    assert re.search(r"^add_one \(c=", gdb("advance add_one"))
    bench.detach(gdb)


@HELLO.check
def test_stepi_200(bench):
    """D6, H8: 200 steps in a row, with interrupts on and one pending, none of them into its handler. A
    function of the guest called by gdb makes it pending."""
    gdb = bench.attach("hello.elf")
    gdb("break add_one")
    gdb("continue")
    gdb("call (void) timer_at(1)")
    gdb("set $eflags |= 0x200")
    places = set()
    for _ in range(200):
        gdb("stepi")
        places.add(gdb.value("$pc"))
    assert len(places) > 20
    for place in places:
        out = gdb(f"info symbol {place}")
        assert not re.match(HANDLER, out), out
    assert gdb.value("$eflags") & 0x300 == 0x200  # no trap flag of ours
    assert "ec" in re.search(r"requested \(IRR\):(.*)", gdb("monitor pending"))[1]
    gdb("maintenance packet Qqemu.sstep=1")  # interrupts let through
    gdb("stepi 2")
    assert re.match(HANDLER, gdb("info symbol $pc"))
    gdb("maintenance packet Qqemu.sstep=7")
    gdb("delete")
    gdb("break add_one")
    gdb("continue")  # out of the handler
    gdb("set $eflags &= ~0x200")
    bench.detach(gdb)


@HELLO.check
def test_registers_written(bench):
    """H5: what gdb writes is what the guest works with."""
    gdb = bench.attach("hello.elf")
    gdb("break *tick")
    gdb("continue")
    assert gdb.value("$rip") == gdb.value("&tick") and gdb.value("$cs") == 8
    assert gdb.value("$cr0") & 0x80000001 == 0x80000001  # PG, PE
    assert gdb.value("$cr3") == gdb.value("&pml4")
    assert gdb.value("$efer") & 0x500 == 0x500  # LMA, LME
    assert gdb.value("$rdi") > 0
    gdb("set $rdi = 0")  # its argument, the tick's number
    since = bench.now
    bench.detach(gdb)
    bench.wait(r"hello: tick 0 \(counter \d+ after 0 steps\)", since)


@HELLO.check
def test_memory_written(bench):
    """H6: variables read and written; what is not there is said to be so."""
    gdb = bench.attach("hello.elf")
    gdb("break tick")
    gdb("continue")
    assert re.search(r'name = 0x\w+ "counter", value = \d+, rounds = \d+}', gdb("print counter"))
    gdb("set var counter.value -= 7")
    name = gdb.value("counter.name")
    gdb(f"set var *(char (*)[8]) {name} = \"COUNTER\"")
    since = bench.now
    gdb("continue")
    bench.wait(r"hello: tick \d+ \(COUNTER \d+ after 17 steps\)", since)
    gdb(f"set var *(char (*)[8]) {name} = \"counter\"")
    assert "Cannot access memory at address 0x8000000000" in gdb("x/4xg 0x8000000000")
    # Across a hole: 4 GiB are mapped, the last byte of which is ROM or nothing.
    assert "Cannot access memory" in gdb("x/2xb 0xffffffff")
    # Physical memory from the last byte on.
    out = gdb("monitor phys fffff8 20")
    assert re.search(r"000000fffff8:( \w\w){8}\n", out) or "no memory" in out, out
    bench.detach(gdb)


@HELLO.check
def test_watchpoints(bench):
    """H7: watch, rwatch, awatch by the debug registers, with the values."""
    gdb = bench.attach("hello.elf")
    assert "Hardware watchpoint 1: counter.value" in gdb("watch counter.value")
    for _ in range(2):
        out = gdb("continue")
        old, new = (int(re.search(f"{word} value = (\\d+)\n", out)[1]) for word in ("Old", "New"))
        assert new == old + 1 and "add_one (" in out, out
    gdb("delete")
    gdb("rwatch counter.name")
    out = gdb("continue")
    assert re.search(r'Hardware read watchpoint 2: counter.name\n\nValue = 0x\w+ "counter"', out), out
    assert "in tick (" in out or "\ntick (" in out, out
    gdb("delete")
    gdb("awatch counter.rounds")
    out = gdb("continue")
    assert "Hardware access (read/write) watchpoint 3: counter.rounds" in out, out
    assert "count_to (" in out, out
    gdb("delete")
    bench.detach(gdb)


@HELLO.check
def test_hardware_breakpoints(bench):
    """H7: four at a time; a fifth is refused, and its going makes the rest work."""
    gdb = bench.attach("hello.elf")
    for place in ("tick", "count_to", "add_one", "printf"):
        assert "Hardware assisted breakpoint" in gdb(f"hbreak {place}")
    assert "Breakpoint 1, tick (" in gdb("continue")
    assert "Breakpoint 2, count_to (" in gdb("continue")
    gdb("hbreak main")
    out = gdb("continue")
    assert "may have requested too many hardware breakpoints" in out, out
    gdb("delete 5")
    assert "Breakpoint 3, add_one (" in gdb("continue")
    gdb("delete")
    bench.detach(gdb)


@HELLO.check
def test_conditional_breakpoint(bench):
    """H7: gdb goes on by itself where the condition is false."""
    gdb = bench.attach("hello.elf")
    gdb("break add_one if c->value % 10 == 7")
    for _ in range(2):
        assert "Breakpoint 1, add_one (" in gdb("continue")
        assert gdb.value("c->value % 10") == 7
    bench.detach(gdb)


@HELLO.check
def test_ctrl_c(bench):
    """H9: a break-in stops a running guest, whatever it does; continue, and again."""
    gdb = bench.attach("hello.elf")
    for _ in range(2):
        gdb.run_on()
        bench.goes_on()
        out = gdb.interrupt()
        assert "received signal SIGINT" in out, out
        bench.stands("hello", lambda: gdb("backtrace"))
    bench.detach(gdb)


@HELLO.check
def test_detach_and_attach_again(bench):
    """H2, H9: in the same gdb; breakpoints that gdb keeps do not stay in the guest."""
    gdb = bench.attach("hello.elf")
    gdb("break tick")
    gdb("continue")
    for _ in range(2):
        out = gdb("detach")
        assert "[Inferior 1 (process 1) detached]" in out, out
        bench.goes_on()
        out = gdb("attach 1")
        assert "Attaching to program" in out, out
        assert "Breakpoint 1, tick (" in gdb("continue")
    bench.detach(gdb)


@HELLO.check
def test_attach_refused(bench):
    """H2: a VM that is not there, and one that is attached already."""
    gdb = bench.attach("hello.elf")
    gdb("add-inferior")
    gdb("inferior 2")
    for pid in (1, 4, 77):
        out = gdb(f"attach {pid}")
        assert re.search(f"Attaching to process {pid} failed|already", out), out
    gdb("inferior 1")
    bench.detach(gdb)


@HELLO.check
def test_monitor(bench):
    """D1, H10: each command of the monitor."""
    gdb = bench.attach("hello.elf")
    out = gdb("monitor help")
    for word in ("vms", "vcpus", "cores", "vmcs", "rdmsr", "wrmsr", "translate", "phys", "pending",
                 "breakpoints", "exits", "move", "nmi", "log"):
        assert re.search(f"^{word} ", out, re.M), out
    gdb("break tick")
    gdb("continue")

    out = gdb("monitor vms")
    assert re.search(r"^1 +hello +running.*1 vCPU", out, re.M), out
    assert re.search(r"^2 +steps +running", out, re.M) and re.search(r"^3 +spin +running", out, re.M)
    out = gdb("monitor vcpus")
    assert re.search(r"^hello/0 stopped on core 0, ran \d+ ms", out, re.M), out
    assert re.search(r"^steps/0 \w+ on core 1, ran \d+ ms", out, re.M), out
    out = gdb("monitor cores")
    assert re.search(r"^core 0 \(APIC ID 0\): ", out, re.M), out
    # spin goes where nothing else runs.
    assert re.search(r"^core 1 \(APIC ID 1\): (runs (steps|spin)/0|idle), \d+ waiting", out, re.M), out

    pc = gdb.value("$pc")
    assert re.search(f"^GUEST_RIP +681e +{pc:x}$", gdb("monitor vmcs guest_rip"), re.M)
    assert len(gdb("monitor vmcs").splitlines()) > 100
    assert "no VMCS field" in gdb("monitor vmcs nonsense")

    assert gdb("monitor rdmsr c0000080") == f"{gdb.value('$efer'):x}\n"
    gdb("monitor wrmsr c0000102 1234567")  # IA32_KERNEL_GS_BASE
    assert gdb("monitor rdmsr 0xc0000102") == "1234567\n"
    gdb("monitor wrmsr c0000102 0")
    assert "#GP" in gdb("monitor rdmsr 12345678") and "#GP" in gdb("monitor wrmsr 12345678 1")
    assert "usage" in gdb("monitor rdmsr") and "usage" in gdb("monitor wrmsr 10")

    out = gdb(f"monitor translate {pc:x}")
    assert re.search(f"^PML4E at {gdb.value('&pml4'):x}: ", out, re.M), out
    assert re.search(f"^{pc:x} is guest-physical {pc:x}, page of 2048 KiB, writable", out, re.M), out
    assert re.search(r"^EPT: guest-physical \w+ -> host-physical \w+, r-x, 4K page", out, re.M), out
    assert gdb("monitor translate $rip") == out
    assert "is not mapped" in gdb("monitor translate 8000000000")
    code = gdb(f"x/4xb {pc}").split(":")[1].split()
    assert gdb(f"monitor phys {pc:x} 4").split(":")[1].split() == [byte[2:] for byte in code]

    out = gdb("monitor exits")
    assert re.search(r"^hello/0: \d+\n( +[A-Z_]+ +\d+\n)+", out), out
    assert re.search(r"IO_INSTRUCTION +[1-9]", out), out
    assert re.search(r"^requested \(IRR\):.*\nin service \(ISR\):", gdb("monitor pending"))
    out = gdb("monitor log 3")
    assert len(out.splitlines()) == 3 and re.search(r"core \d+: \w+: ", out), out
    assert 'unknown command "nonsense"' in gdb("monitor nonsense")
    for command, usage in (("vcpus x", "vcpus"), ("nmi 3", "nmi"), ("log zz", "log [LINES]"),
                           ("log 0", "log [LINES]"), ("move", "move [VM/VCPU] CORE"),
                           ("rdmsr 10 zz", "rdmsr MSR"), ("wrmsr 10 x", "wrmsr MSR VALUE")):
        assert gdb(f"monitor {command}") == f"usage: {usage}\n"
    bench.detach(gdb)


@HELLO.check
def test_monitor_nmi(bench):
    """F8: an NMI to one vCPU on request; its handler is one that the guest has for something else."""
    gdb = bench.attach("hello.elf")
    gdb("break tick")
    gdb("continue")
    gdb("set var handlers[2] = handlers[255]")
    assert gdb("monitor nmi") == "hello/0 gets an NMI\n"
    assert gdb.value("interrupts[2]") == 0
    gdb("continue")
    gdb("continue")
    assert gdb.value("interrupts[2]") == 1
    gdb("set var handlers[2] = 0")
    bench.detach(gdb)


@HELLO.check
def test_packets_out_of_turn(bench):
    """H9: a break-in that comes before guests go on stops them then, apart from the packet or in one
    write with it; R has no answer."""
    with bench.wire() as wire:
        wire.ask("qSupported:multiprocess+")
        for together in (False, True):
            wire.write(b"\x03" + wire.packet("vCont;c:p1.-1") if together else b"\x03")
            assert together or wire.ask("qC") == "QCp1.1"
            if not together:
                wire.write(wire.packet("vCont;c:p1.-1"))
            assert wire.read_until(rb"\$([^#]*)#..")[1].startswith(b"T02thread:p1.1;")
            wire.write(b"+" + wire.packet("vCont;c:p1.-1"))
            bench.goes_on("hello")  # stopped once
            wire.write(b"\x03")
            assert wire.read_until(rb"\$([^#]*)#..")[1].startswith(b"T02thread:p1.1;")
            wire.write(b"+")
        wire.write(wire.packet("R00"))
        assert wire.ask("qC") == "QCp1.1"
        assert wire.ask("vMustReplyEmpty") == ""
        assert wire.ask("D") == "OK"


# Number, a value that no CPU has (DR6, IA32_KERNEL_GS_BASE, XCR0), and the reason.
IMPOSSIBLE_PACKETS = (("53", "f00f000001000000", "E.dr6 = 100000ff0: bits 63:32 must be clear"),
                      ("3f", "0000000000000080", "E.k_gs_base = 8000000000000000: must be canonical"),
                      ("4e", "0500000000000000", "E.xcr0 = 5: "))
IMPOSSIBLE = (("dr6", "0x100000ff0", "E.dr6 = 100000ff0: "), ("fs_base", "1UL << 47", "E.fs_base = "),
              ("gs_base", "1UL << 47", "E.gs_base = "), ("cs", "0x99", "E.cs = 99: "),
              ("cr0", "$cr0 & 0x7fffffff", "E.cr0 = "), ("cr3", "-1", "E.cr3 = "),
              ("tr_base", "1UL << 47", "E.tr_base = "), ("efer", "0", "E.efer = 0: "),
              ("gdtr_limit", "0xfffff", "E.gdtr_limit = fffff: "), ("mxcsr", "0x10000", "E.mxcsr = "),
              ("pc", "0x800000000000", "E.rip = 800000000000: "))


@HELLO.check
def test_what_no_cpu_has_is_refused(bench):
    """H5: with a text, and nothing is changed: not the register, and not the VM or those beside it."""
    with bench.wire() as wire:
        wire.ask("qSupported:multiprocess+")
        for number, value, reason in IMPOSSIBLE_PACKETS:
            before = wire.ask(f"p{number}")
            assert wire.ask(f"P{number}={value}").startswith(reason)
            assert wire.ask(f"p{number}") == before
        assert wire.ask("c0000800000000000").startswith("E.rip = 800000000000: must be canonical")
        assert wire.ask("D") == "OK"
    bench.goes_on()
    gdb = bench.attach("hello.elf")
    for name, value, reason in IMPOSSIBLE:
        before = gdb.value(f"${name}")
        out = gdb(f"set ${name} = {value}")
        assert "Could not write register" in out and reason in out, out
        assert gdb.value(f"${name}") == before
    gdb("stepi")
    bench.detach(gdb)
    bench.goes_on()


@HELLO.check
def test_triple_fault_is_told(bench):
    """H2: with `reset = stop` it is no end that the guest wanted."""
    gdb = bench.attach("steps.elf", pid=2)
    del bench.life["steps"]
    gdb("set $idtr_limit = 0")  # at its next #BP
    since = bench.now
    out = gdb("continue")
    bench.wait(r"vm: steps reset \(triple fault\)", since)
    bench.wait("vm: steps ended: reset", since)
    assert "steps ended: reset (triple fault)\n" in out, out
    assert "Program terminated with signal SIGSEGV" in out, out
    gdb.quit()


@HELLO.check
def test_crash_is_told(bench):
    """H2, H10: the reason comes before the signal, and the monitor knows what has become of vCPUs."""
    gdb = bench.attach("hello.elf")
    del bench.life["hello"]
    gdb("set $rsp = 0xfec00800")  # its timer's interrupt finds no stack
    since = bench.now
    out = gdb("continue")
    bench.wait("vm: hello ended: crash: event .* cannot be delivered: ", since)
    assert re.search("^hello ended: crash: event .* is not RAM$", out, re.M), out
    assert "Program terminated with signal SIGABRT" in out, out
    gdb("attach 3")
    out = gdb("monitor vcpus")
    assert re.search(r"^hello/0 crashed on core 0, ran \d+ ms", out, re.M), out
    assert re.search(r"^steps/0 ended on core 1, ran \d+ ms", out, re.M), out
    bench.detach(gdb)


MANY = Scenario("many", vm("hello", cmdline="period=20", vcpus=64, cores="0-1"), cpus=(SKYLAKE,),
                life={"hello": HELLO_LIFE})


@MANY.check
def test_all_vcpus_of_the_largest_vm_are_threads(bench):
    """H2, H3: 64, of which 63 wait for a start-up IPI."""
    gdb = bench.attach("hello.elf")
    out = gdb("info threads")
    threads = re.findall(r"Thread 1\.(\d+) \(hello/(\d+) ([\w -]+) on core [01]", out)
    assert [(int(tid), int(index)) for tid, index, _ in threads] == [(n + 1, n) for n in range(64)], out
    gdb("thread 64")
    assert "Thread 1.64" in gdb("thread")
    gdb("thread 1")
    gdb("break tick")
    assert "hit Breakpoint 1" in gdb("continue")
    gdb("delete")
    bench.detach(gdb)
